// The lines of a trace: seconds since the beginning, who, what.
#include "sim/trace.h"

#include <cinttypes>
#include <cstring>

namespace adieu::sim {

void Trace::print(Instant now, char who, const std::string& text) {
  const std::int64_t us = (now - kGenesis).ns / 1000;
  std::fprintf(out_, "%6" PRId64 ".%06" PRId64 " %c %s\n", us / 1'000'000, us % 1'000'000, who, text.c_str());
}

std::uint64_t hash_of(Bytes bytes) {
  std::uint64_t hash = bytes.size();
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
    hash ^= hash >> 29;
  }
  for (; i < bytes.size(); ++i) hash = (hash ^ bytes[i]) * 0x9e3779b97f4a7c15U;
  return mix(hash);
}

}  // namespace adieu::sim
