// One's complement sums, eight octets at a time in the host's own order (RFC 1071 section 2 (B): only the last result
// has to be swapped).
#include "wire/checksum.h"

#include <bit>
#include <cstring>

namespace adieu::wire {

namespace {

std::uint16_t fold(std::uint64_t sum) {
  sum = (sum >> 32) + (sum & 0xffffffffU);
  sum = (sum >> 16) + (sum & 0xffffU);  // below 2^18 + 2^16
  sum = (sum >> 16) + (sum & 0xffffU);
  sum = (sum >> 16) + (sum & 0xffffU);
  return static_cast<std::uint16_t>(sum);
}

constexpr std::uint16_t to_host(std::uint16_t network) {
  if constexpr (std::endian::native == std::endian::little)
    return static_cast<std::uint16_t>(network << 8 | network >> 8);
  else
    return network;
}

template <typename Word>
Word load(const std::uint8_t* from) {
  Word word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

}  // namespace

std::uint16_t ones_sum(Bytes bytes, std::uint16_t sum) {
  const std::uint8_t* at = bytes.data();
  std::size_t left = bytes.size();
  // Each turn adds less than 2^35, so the sum cannot overflow below 2^34 octets. Halves of 32 bits instead of carries:
  // the compiler makes vector instructions of it.
  std::uint64_t wide = 0;
  for (; left >= 32; at += 32, left -= 32) {
    for (unsigned i = 0; i < 32; i += 8) {
      const auto word = load<std::uint64_t>(at + i);
      wide += (word >> 32) + (word & 0xffffffffU);
    }
  }
  for (; left >= 4; at += 4, left -= 4) wide += load<std::uint32_t>(at);
  if (left >= 2) {
    wide += load<std::uint16_t>(at);
    at += 2;
    left -= 2;
  }
  if (left == 1) {
    const std::uint8_t padded[2] = {*at, 0};  // RFC 9293 section 3.1: "padded on the right with zeros"
    wide += load<std::uint16_t>(padded);
  }
  return fold(std::uint64_t{to_host(fold(wide))} + sum);
}

std::uint16_t pseudo_header_sum(const Address& source, const Address& destination, std::uint8_t protocol,
                                std::uint32_t upper_layer_length) {
  const std::size_t skip = source.family() == Family::V4 ? 12 : 0;
  std::uint64_t sum = ones_sum(Bytes(source.octets).subspan(skip));
  sum += ones_sum(Bytes(destination.octets).subspan(skip));
  sum += protocol;
  sum += upper_layer_length;
  return fold(sum);
}

}  // namespace adieu::wire
