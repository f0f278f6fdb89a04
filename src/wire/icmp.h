// ICMP (RFC 792) and ICMPv6 (RFC 4443): the messages that concern TCP, and echo.
//
// What lives here: parsing what quotes a TCP segment, and turning an echo request into its reply.
// What does not: whether a message is believed (stack/icmp.cc; RFC 5927 says how to validate).
#pragma once

#include <cstdint>
#include <expected>

#include "base/address.h"
#include "base/bytes.h"
#include "base/seq.h"
#include "wire/ip.h"

namespace adieu::wire {

// What a message means for TCP; RFC 1122 section 4.2.3.9, RFC 5461 sections 2 and 4.
enum class IcmpKind : std::uint8_t {
  SoftError,     // network or host unreachable, time exceeded, parameter problem ...: never ends anything synchronized
  HardError,     // protocol, port unreachable, administratively prohibited: may end a connect, nothing else
  PacketTooBig,  // fragmentation needed (RFC 1191), packet too big (RFC 8201)
};

struct IcmpError {
  IcmpKind kind = IcmpKind::SoftError;
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint32_t mtu = 0;   // PacketTooBig; 0: the router did not say
  Endpoint quoted_source;  // of the segment that WE sent
  Endpoint quoted_destination;
  Seq quoted_seq;
};

// An error message about a TCP segment. Malformed::NotForUs for anything else.
std::expected<IcmpError, Malformed> parse_icmp_error(const IpPacket& packet);

// If `packet` is an echo request: writes the whole reply packet, IP header included; returns its length, 0 otherwise
// or if `out` is too small.
std::size_t write_echo_reply(const IpPacket& packet, MutableBytes out);

}  // namespace adieu::wire
