// Numbers in network order, read from and written to octets at any alignment. Of use to wire's own .cc files only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace adieu::wire {

inline std::uint16_t load16(Bytes bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
inline std::uint32_t load32(Bytes bytes, std::size_t at) {
  return static_cast<std::uint32_t>(load16(bytes, at)) << 16 | load16(bytes, at + 2);
}
inline void store16(MutableBytes bytes, std::size_t at, std::uint16_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}
inline void store32(MutableBytes bytes, std::size_t at, std::uint32_t value) {
  store16(bytes, at, static_cast<std::uint16_t>(value >> 16));
  store16(bytes, at + 2, static_cast<std::uint16_t>(value));
}

}  // namespace adieu::wire
