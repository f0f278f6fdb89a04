// Packets by hand: octets in the order of the RFCs' pictures, so that a test does not trust the writer it tests.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "wire/checksum.h"
#include "wire/ip.h"

namespace adieu::wire {

using Octets = std::vector<std::uint8_t>;

inline const Address kHere4 = Address::v4(192, 0, 2, 1);
inline const Address kThere4 = Address::v4(198, 51, 100, 7);
inline const Address kHere6{{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
inline const Address kThere6{{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7}};

inline Octets operator+(Octets left, const Octets& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}
inline void put16(Octets& octets, std::size_t at, std::size_t value) {
  octets[at] = static_cast<std::uint8_t>(value >> 8);
  octets[at + 1] = static_cast<std::uint8_t>(value);
}

// RFC 1071 section 4.1, word by word: the reference for everything here.
inline std::uint16_t slow_sum(Bytes bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? std::uint32_t{bytes[i]} << 8 : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(sum);
}

inline void seal_v4(Octets& packet) {
  put16(packet, 10, 0);
  put16(packet, 10, static_cast<std::uint16_t>(~slow_sum(Bytes(packet).first((packet[0] & 15U) * 4U))));
}

// An IPv4 packet from kThere4 to kHere4 with a good header checksum.
inline Octets v4(std::uint8_t protocol, const Octets& payload, const Octets& options = {}) {
  Octets packet{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0, 198, 51, 100, 7, 192, 0, 2, 1};
  packet = packet + options;
  packet[0] = static_cast<std::uint8_t>(0x40 | packet.size() / 4);
  packet = packet + payload;
  put16(packet, 2, packet.size());
  seal_v4(packet);
  return packet;
}

// An IPv6 packet from kThere6 to kHere6.
inline Octets v6(std::uint8_t next_header, const Octets& payload) {
  Octets packet{0x60, 0, 0, 0, 0, 0, next_header, 64};
  packet.insert(packet.end(), kThere6.octets.begin(), kThere6.octets.end());
  packet.insert(packet.end(), kHere6.octets.begin(), kHere6.octets.end());
  put16(packet, 4, payload.size());
  return packet + payload;
}

// The checksum over the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1) and `upper`, laid out as pictured.
inline std::uint16_t slow_upper_checksum(const Address& source, const Address& destination, std::uint8_t protocol,
                                         const Octets& upper) {
  Octets pseudo;
  const auto put_address = [&](const Address& address) {
    pseudo.insert(pseudo.end(), address.octets.begin() + (address.family() == Family::V4 ? 12 : 0),
                  address.octets.end());
  };
  put_address(source);
  put_address(destination);
  const auto high = static_cast<std::uint8_t>(upper.size() >> 8);
  const auto low = static_cast<std::uint8_t>(upper.size());
  if (source.family() == Family::V4)
    pseudo = pseudo + Octets{0, protocol, high, low};
  else
    pseudo = pseudo + Octets{0, 0, high, low, 0, 0, 0, protocol};
  return static_cast<std::uint16_t>(~slow_sum(pseudo + upper));
}

// A TCP header with `options` (padded by hand) and `payload`, from kThere to kHere, its checksum good.
inline Octets tcp(const Octets& options, const Octets& payload = {}, std::uint8_t flags = 0x10,
                  Family family = Family::V4) {
  Octets segment{0x12, 0x34, 0, 80, 0xaa, 0xbb, 0xcc, 0xdd, 0x11, 0x22, 0x33, 0x44, 0, flags, 0x20, 0, 0, 0, 0, 0};
  segment = segment + options;
  segment[12] = static_cast<std::uint8_t>(segment.size() / 4 << 4);
  segment = segment + payload;
  const bool is_v4 = family == Family::V4;
  put16(segment, 16, slow_upper_checksum(is_v4 ? kThere4 : kThere6, is_v4 ? kHere4 : kHere6, kProtocolTcp, segment));
  return segment;
}

}  // namespace adieu::wire
