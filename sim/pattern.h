// What streams consist of: an octet is a function of its stream and its position.
//
// What lives here: octet(), fill(), and comparing. What does not: who reads or writes. A reader needs no copy of what
// was sent to know whether what it reads is right, and two octets exchanged, doubled or left out are seen at once.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace adieu::sim {

// splitmix64's finalizer (Steele, Lea, Flood 2014).
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

constexpr std::uint8_t octet(std::uint64_t stream, std::uint64_t position) {
  return static_cast<std::uint8_t>(mix(stream + position / 8 * 0x9e3779b97f4a7c15U) >> position % 8 * 8);
}

inline void fill(std::uint64_t stream, std::uint64_t position, MutableBytes out) {
  for (std::size_t i = 0; i < out.size();) {
    const std::uint64_t word = mix(stream + (position + i) / 8 * 0x9e3779b97f4a7c15U);
    for (std::uint64_t at = (position + i) % 8; at < 8 && i < out.size(); ++at, ++i)
      out[i] = static_cast<std::uint8_t>(word >> at * 8);
  }
}

// The index of the first octet that is not the stream's; bytes.size() if all are.
inline std::size_t first_difference(std::uint64_t stream, std::uint64_t position, Bytes bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    const std::uint64_t word = mix(stream + (position + i) / 8 * 0x9e3779b97f4a7c15U);
    for (std::uint64_t at = (position + i) % 8; at < 8 && i < bytes.size(); ++at, ++i)
      if (bytes[i] != static_cast<std::uint8_t>(word >> at * 8)) return i;
  }
  return bytes.size();
}

}  // namespace adieu::sim
