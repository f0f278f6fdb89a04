// IPv4 (RFC 791) and IPv6 (RFC 8200) headers: bytes <-> values.
//
// What lives here: IpPacket, parsing with a counted reason for what is not sane, and writing a header.
// What does not: reassembly of fragments (refused: RFC 9293 peers negotiate an MSS and we send DF), routing, state.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"

namespace adieu::wire {

inline constexpr std::uint8_t kProtocolIcmp = 1;
inline constexpr std::uint8_t kProtocolTcp = 6;
inline constexpr std::uint8_t kProtocolIcmpV6 = 58;
inline constexpr std::size_t kIpV4HeaderBytes = 20;
inline constexpr std::size_t kIpV6HeaderBytes = 40;

// Why bytes were not a packet, segment or message. Each is counted by the stack; none is answered.
enum class Malformed : std::uint8_t {
  Truncated,   // shorter than its header or than its header says
  BadVersion,  // neither IPv4 nor IPv6
  BadHeaderLength,
  BadChecksum,
  Fragment,
  BadSource,  // multicast, broadcast, unspecified, or ::ffff:0:0/96 in an IPv6 header
  BadDestination,
  UnsupportedHeader,  // an IPv6 extension header with which nothing can be done (RFC 8200 section 4.7 allows to drop)
  BadOption,          // a TCP option whose length cannot be
  NotForUs,           // an ICMP message that quotes something other than TCP, or a type we do not use
};
inline constexpr unsigned kMalformedReasons = 10;
std::string_view name(Malformed reason);

struct IpPacket {
  Address source;
  Address destination;
  std::uint8_t protocol = 0;  // after IPv6 extension headers
  std::uint8_t ecn = 0;       // the two ECN bits
  std::uint8_t hop_limit = 0;
  Bytes payload;  // points into the packet; without link-layer padding
};

// IPv4 options are skipped; hop-by-hop and destination options of IPv6 as well.
// The IPv4 header checksum is always verified.
std::expected<IpPacket, Malformed> parse_ip(Bytes packet);

struct IpHeader {
  Address source;
  Address destination;
  std::uint8_t protocol = kProtocolTcp;
  std::uint8_t ecn = 0;
  std::uint8_t hop_limit = 64;
  std::uint16_t identification = 0;  // IPv4; DF is always set (RFC 6864: then it means nothing)
};
constexpr std::size_t ip_header_bytes(Family family) {
  return family == Family::V4 ? kIpV4HeaderBytes : kIpV6HeaderBytes;
}
// Writes the header in front of `payload_length` octets; returns its length. `out` has room for it. Source and
// destination are of one family.
std::size_t write_ip(const IpHeader& header, std::size_t payload_length, MutableBytes out);

}  // namespace adieu::wire
