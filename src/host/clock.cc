// Reading the system's clocks.
#include "host/clock.h"

#include <ctime>

namespace adieu::host {
namespace {

std::int64_t read(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Instant now() { return {read(CLOCK_MONOTONIC)}; }
std::int64_t wall_clock() { return read(CLOCK_REALTIME) / 1000; }
Duration uptime() { return {read(CLOCK_BOOTTIME)}; }

}  // namespace adieu::host
