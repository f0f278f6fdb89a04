// Two small files a process. What does not live here: walking /proc (proc_holdings.cc).
#include "kernel/processes.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string_view>

namespace adieu::kernel {
namespace {

// Field 22 of /proc/PID/stat counts from the third, which follows the name in parentheses.
constexpr int kStartField = 22 - 3;

std::int64_t nanoseconds_of(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

std::string_view read_file(const char* path, std::array<char, 1024>& text) {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  const ssize_t length = ::read(file, text.data(), text.size());
  ::close(file);
  return {text.data(), length > 0 ? static_cast<std::size_t>(length) : 0};
}

std::uint64_t field(std::string_view fields, int number) {
  for (; number > 0; --number) {
    const std::size_t blank = fields.find(' ');
    if (blank == std::string_view::npos) return 0;
    fields.remove_prefix(blank + 1);
  }
  std::uint64_t value = 0;
  std::from_chars(fields.data(), fields.data() + fields.size(), value);
  return value;
}

// In this order: what passes between the two readings makes an instant earlier, never later.
Duration time_asleep() {
  const std::int64_t awake = nanoseconds_of(CLOCK_MONOTONIC);
  return nanoseconds(nanoseconds_of(CLOCK_BOOTTIME) - awake);
}

// In ticks since this host started, its sleep included (CLOCK_BOOTTIME).
Instant instant_of(std::uint64_t ticks, Duration asleep) {
  const auto per_second = static_cast<std::int64_t>(::sysconf(_SC_CLK_TCK));
  return {static_cast<std::int64_t>(ticks) * (1'000'000'000 / per_second) - asleep.ns};
}

std::uint32_t network_of(std::uint32_t process) {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%u/ns/net", process);
  std::array<char, 64> link{};
  const ssize_t length = ::readlink(path.data(), link.data(), link.size());
  const std::string_view text(link.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  constexpr std::string_view kBefore = "net:[";
  std::uint32_t inode = 0;
  if (text.starts_with(kBefore)) std::from_chars(text.data() + kBefore.size(), text.data() + text.size(), inode);
  return inode;
}

Process look_up(std::uint32_t process, Duration asleep) {
  Process found;
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%u/stat", process);
  std::array<char, 1024> text{};
  const std::string_view all = read_file(path.data(), text);
  // The name may hold blanks and parentheses of its own.
  const std::size_t open = all.find('(');
  const std::size_t close = all.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close + 2 >= all.size()) return found;
  const std::string_view comm = all.substr(open + 1, close - open - 1);
  std::copy_n(comm.data(), std::min(comm.size(), found.comm.size() - 1), found.comm.data());
  found.began = instant_of(field(all.substr(close + 2), kStartField), asleep);
  found.network = network_of(process);
  return found;
}

}  // namespace

const Process& Processes::of(std::uint32_t process) {
  const auto known = known_.find(process);
  if (known != known_.end()) return known->second;
  if (asleep_ == Duration::max()) asleep_ = time_asleep();
  return known_.emplace(process, look_up(process, asleep_)).first->second;
}

void Processes::forget() {
  known_.clear();
  asleep_ = Duration::max();  // it may sleep meanwhile
}

}  // namespace adieu::kernel
