// TCP sequence numbers: a 32-bit circle, compared as RFC 9293 section 3.4 says.
//
// What lives here: Seq and its arithmetic. What does not: windows, acceptability (tcp/input.cc).
// Comparison is only meaningful between numbers less than 2^31 apart, as for every TCP.
#pragma once

#include <cstdint>

namespace adieu {

struct Seq {
  std::uint32_t value = 0;

  constexpr bool operator==(const Seq&) const = default;
  constexpr Seq& operator+=(std::uint32_t n) {
    value += n;
    return *this;
  }
};

constexpr Seq operator+(Seq s, std::uint32_t n) { return {s.value + n}; }
constexpr Seq operator-(Seq s, std::uint32_t n) { return {s.value - n}; }

// How far `a` lies after `b`; negative when it lies before.
constexpr std::int32_t operator-(Seq a, Seq b) { return static_cast<std::int32_t>(a.value - b.value); }

constexpr bool operator<(Seq a, Seq b) { return a - b < 0; }
constexpr bool operator<=(Seq a, Seq b) { return a - b <= 0; }
constexpr bool operator>(Seq a, Seq b) { return a - b > 0; }
constexpr bool operator>=(Seq a, Seq b) { return a - b >= 0; }

// The distance from `b` up to `a`, for the caller who knows that a >= b.
constexpr std::uint32_t distance(Seq b, Seq a) { return a.value - b.value; }

constexpr Seq later(Seq a, Seq b) { return a < b ? b : a; }
constexpr Seq earlier(Seq a, Seq b) { return a < b ? a : b; }

}  // namespace adieu
