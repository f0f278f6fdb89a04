// A little time that differs from connection to connection, and is always the same for the same question.
//
// What lives here: jitter(). What does not: who waits for it (controller.h).
#pragma once

#include <cstdint>

#include "base/time.h"
#include "plane/connection_id.h"

namespace adieu::control {

// Sebastiano Vigna's splitmix64 finaliser (public domain).
constexpr std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

// Up to an eighth of `whole`: thousands that fell silent in one moment are not all asked in another, and a seed
// replays. It only ever adds, so that nothing comes sooner than the rule says.
constexpr Duration jitter(const plane::ConnectionId& id, std::uint32_t question, Duration whole) {
  const auto range = static_cast<std::uint64_t>(whole.ns / 8);
  if (range == 0) return {};
  const std::uint64_t identity = (std::uint64_t{id.slot} << 32) | id.generation;
  return nanoseconds(static_cast<std::int64_t>(mixed(mixed(id.incarnation ^ identity) + question) % range));
}

}  // namespace adieu::control
