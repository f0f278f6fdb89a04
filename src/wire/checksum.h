// The Internet checksum (RFC 1071), whole and incremental.
//
// What lives here: sums over bytes and pseudo-headers. What does not: headers themselves.
#pragma once

#include <cstdint>

#include "base/address.h"
#include "base/bytes.h"

namespace adieu::wire {

// The folded, uninverted one's complement sum of `bytes`, continued from `sum`. Every piece but the last must have
// an even length.
std::uint16_t ones_sum(Bytes bytes, std::uint16_t sum = 0);

// What goes into a header: the inverted sum. A header whose sum including its checksum field is 0xffff is intact.
constexpr std::uint16_t checksum_of(std::uint16_t sum) { return static_cast<std::uint16_t>(~sum); }

// The pseudo-header of RFC 9293 section 3.1 (IPv4) or RFC 8200 section 8.1 (IPv6), uninverted.
std::uint16_t pseudo_header_sum(const Address& source, const Address& destination, std::uint8_t protocol,
                                std::uint32_t upper_layer_length);

}  // namespace adieu::wire
