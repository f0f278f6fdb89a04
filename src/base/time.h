// Time as a value: instants and durations in whole nanoseconds.
//
// What lives here: Instant, Duration, their arithmetic and literals.
// What does not: any clock. Below `host` nobody can ask what time it is; `now` is always an argument.
// Every plane's instants are CLOCK_MONOTONIC nanoseconds (virtual ones in the simulation), so that two
// processes on one host can compare them. Arithmetic saturates: `never` stays never.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace adieu {

struct Duration {
  std::int64_t ns = 0;

  static constexpr Duration max() { return {std::numeric_limits<std::int64_t>::max()}; }
  constexpr double seconds() const { return static_cast<double>(ns) / 1e9; }
  constexpr std::int64_t milliseconds() const { return ns / 1'000'000; }
  constexpr auto operator<=>(const Duration&) const = default;
};

constexpr Duration nanoseconds(std::int64_t n) { return {n}; }
constexpr Duration microseconds(std::int64_t n) { return {n * 1'000}; }
constexpr Duration milliseconds(std::int64_t n) { return {n * 1'000'000}; }
constexpr Duration seconds(std::int64_t n) { return {n * 1'000'000'000}; }
constexpr Duration minutes(std::int64_t n) { return seconds(60 * n); }
constexpr Duration hours(std::int64_t n) { return minutes(60 * n); }

namespace detail {
constexpr std::int64_t saturating_add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}
constexpr std::int64_t saturating_subtract(std::int64_t a, std::int64_t b) {
  std::int64_t difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference)) return difference;
  return b < 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}
constexpr std::int64_t saturating_multiply(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  if (!__builtin_mul_overflow(a, b, &product)) return product;
  return (a < 0) == (b < 0) ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}
}  // namespace detail

constexpr Duration operator+(Duration a, Duration b) { return {detail::saturating_add(a.ns, b.ns)}; }
constexpr Duration operator-(Duration a, Duration b) { return {detail::saturating_subtract(a.ns, b.ns)}; }
constexpr Duration operator*(Duration a, std::int64_t k) { return {detail::saturating_multiply(a.ns, k)}; }
constexpr Duration operator/(Duration a, std::int64_t k) { return {a.ns / k}; }

// A point on the monotonic clock. Two values are not points:
//   never()    later than every instant (a deadline that does not exist);
//   unknown()  earlier than every instant (a fact that its plane cannot know, or that has not happened).
struct Instant {
  std::int64_t ns = std::numeric_limits<std::int64_t>::min();

  static constexpr Instant never() { return {std::numeric_limits<std::int64_t>::max()}; }
  static constexpr Instant unknown() { return {}; }
  constexpr bool is_known() const { return ns != unknown().ns && ns != never().ns; }
  constexpr auto operator<=>(const Instant&) const = default;
};

constexpr Instant operator+(Instant t, Duration d) {
  return t.is_known() ? Instant{detail::saturating_add(t.ns, d.ns)} : t;
}
constexpr Instant operator-(Instant t, Duration d) {
  return t.is_known() ? Instant{detail::saturating_subtract(t.ns, d.ns)} : t;
}
constexpr Duration operator-(Instant a, Instant b) { return {detail::saturating_subtract(a.ns, b.ns)}; }

template <typename T>
constexpr T earlier(T a, T b) {
  return a < b ? a : b;
}
template <typename T>
constexpr T later(T a, T b) {
  return a < b ? b : a;
}

namespace literals {
constexpr Duration operator""_ns(unsigned long long n) { return nanoseconds(static_cast<std::int64_t>(n)); }
constexpr Duration operator""_us(unsigned long long n) { return microseconds(static_cast<std::int64_t>(n)); }
constexpr Duration operator""_ms(unsigned long long n) { return milliseconds(static_cast<std::int64_t>(n)); }
constexpr Duration operator""_s(unsigned long long n) { return seconds(static_cast<std::int64_t>(n)); }
constexpr Duration operator""_min(unsigned long long n) { return minutes(static_cast<std::int64_t>(n)); }
constexpr Duration operator""_h(unsigned long long n) { return hours(static_cast<std::int64_t>(n)); }
}  // namespace literals

}  // namespace adieu
