// ICMP and ICMPv6. The checksum is verified before a word is believed; the quoted segment's cannot be, it is cut short.
#include "wire/icmp.h"

#include <algorithm>
#include <optional>

#include "wire/checksum.h"
#include "wire/octets.h"

namespace adieu::wire {

namespace {

constexpr std::size_t kIcmpHeaderBytes = 8;
constexpr std::size_t kQuotedTcpBytes = 8;  // ports and sequence number: what RFC 792 promises
constexpr std::uint8_t kEchoReplyV4 = 0;
constexpr std::uint8_t kEchoRequestV4 = 8;
constexpr std::uint8_t kEchoRequestV6 = 128;
constexpr std::uint8_t kEchoReplyV6 = 129;

bool is_intact(const IpPacket& packet) {
  std::uint16_t pseudo = 0;  // ICMP for IPv4 has none; RFC 4443 section 2.3 has
  if (packet.protocol == kProtocolIcmpV6)
    pseudo = pseudo_header_sum(packet.source, packet.destination, kProtocolIcmpV6,
                               static_cast<std::uint32_t>(packet.payload.size()));
  return ones_sum(packet.payload, pseudo) == 0xffff;
}

// RFC 792; the codes above 5 are of RFC 1122 section 3.2.2.1 and RFC 1812 section 5.2.7.1.
std::optional<IcmpKind> kind_of_v4(std::uint8_t type, std::uint8_t code) {
  switch (type) {
    case 3:  // destination unreachable
      switch (code) {
        case 4: return IcmpKind::PacketTooBig;
        case 2:
        case 3: return IcmpKind::HardError;  // protocol, port
        case 9:
        case 10:
        case 13: return IcmpKind::HardError;  // administratively prohibited
        default: return code <= 15 ? std::optional(IcmpKind::SoftError) : std::nullopt;
      }
    case 11:
    case 12: return IcmpKind::SoftError;  // time exceeded, parameter problem
    default: return std::nullopt;         // source quench among them: RFC 6633 section 3, "MUST silently discard"
  }
}

// RFC 4443 section 3.
std::optional<IcmpKind> kind_of_v6(std::uint8_t type, std::uint8_t code) {
  switch (type) {
    case 1:
      switch (code) {
        case 1:
        case 4: return IcmpKind::HardError;  // administratively prohibited, port
        case 5:
        case 6: return IcmpKind::HardError;  // "more informative subsets of code 1"
        default: return code <= 7 ? std::optional(IcmpKind::SoftError) : std::nullopt;
      }
    case 2: return IcmpKind::PacketTooBig;
    case 3:
    case 4: return IcmpKind::SoftError;
    default: return std::nullopt;
  }
}

// Where the quoted TCP header begins, with the quoted addresses filled in. The quoted packet's own length and checksum
// are not checked: it is cut short, and routers on the way may have changed it.
std::expected<std::size_t, Malformed> quoted_tcp_offset(Bytes quoted, Family family, IcmpError& error) {
  const std::size_t least = ip_header_bytes(family);
  if (quoted.size() < least) return std::unexpected(Malformed::Truncated);
  if (quoted[0] >> 4 != (family == Family::V4 ? 4 : 6)) return std::unexpected(Malformed::BadVersion);
  if (family == Family::V6) {
    if (quoted[6] != kProtocolTcp) return std::unexpected(Malformed::NotForUs);  // we send no extension headers
    std::copy_n(quoted.begin() + 8, 16, error.quoted_source.address.octets.begin());
    std::copy_n(quoted.begin() + 24, 16, error.quoted_destination.address.octets.begin());
    if (error.quoted_source.address.family() == Family::V4) return std::unexpected(Malformed::BadSource);
    if (error.quoted_destination.address.family() == Family::V4) return std::unexpected(Malformed::BadDestination);
    return least;
  }
  const std::size_t header = (quoted[0] & 0x0fU) * 4U;
  if (header < least) return std::unexpected(Malformed::BadHeaderLength);
  if (quoted[9] != kProtocolTcp) return std::unexpected(Malformed::NotForUs);
  if ((load16(quoted, 6) & 0x1fffU) != 0) return std::unexpected(Malformed::Fragment);  // not the part with the ports
  error.quoted_source.address = Address::v4(quoted[12], quoted[13], quoted[14], quoted[15]);
  error.quoted_destination.address = Address::v4(quoted[16], quoted[17], quoted[18], quoted[19]);
  return header;
}

}  // namespace

std::expected<IcmpError, Malformed> parse_icmp_error(const IpPacket& packet) {
  const Family family = packet.source.family();
  if (packet.protocol != (family == Family::V4 ? kProtocolIcmp : kProtocolIcmpV6))
    return std::unexpected(Malformed::NotForUs);
  const Bytes bytes = packet.payload;
  if (bytes.size() < kIcmpHeaderBytes) return std::unexpected(Malformed::Truncated);
  IcmpError error;
  error.type = bytes[0];
  error.code = bytes[1];
  const auto kind = family == Family::V4 ? kind_of_v4(error.type, error.code) : kind_of_v6(error.type, error.code);
  if (!kind) return std::unexpected(Malformed::NotForUs);
  if (!is_intact(packet)) return std::unexpected(Malformed::BadChecksum);
  error.kind = *kind;
  // RFC 1191 section 4: the low-order 16 bits of the second word; RFC 4443 section 3.2: all 32.
  if (error.kind == IcmpKind::PacketTooBig) error.mtu = family == Family::V4 ? load16(bytes, 6) : load32(bytes, 4);
  const Bytes quoted = bytes.subspan(kIcmpHeaderBytes);
  const auto tcp = quoted_tcp_offset(quoted, family, error);
  if (!tcp) return std::unexpected(tcp.error());
  if (quoted.size() < *tcp + kQuotedTcpBytes) return std::unexpected(Malformed::Truncated);
  error.quoted_source.port = load16(quoted, *tcp);
  error.quoted_destination.port = load16(quoted, *tcp + 2);
  error.quoted_seq = Seq{load32(quoted, *tcp + 4)};
  return error;
}

std::size_t write_echo_reply(const IpPacket& packet, MutableBytes out) {
  const Family family = packet.source.family();
  const bool is_v4 = family == Family::V4;
  if (packet.protocol != (is_v4 ? kProtocolIcmp : kProtocolIcmpV6)) return 0;
  if (packet.payload.size() < kIcmpHeaderBytes) return 0;
  if (packet.payload[0] != (is_v4 ? kEchoRequestV4 : kEchoRequestV6) || packet.payload[1] != 0) return 0;
  const std::size_t total = ip_header_bytes(family) + packet.payload.size();
  if (out.size() < total || !is_intact(packet)) return 0;
  // RFC 1122 section 3.2.2.6: the reply's source is "the same as the specific-destination address" of the request.
  IpHeader header;
  header.source = packet.destination;
  header.destination = packet.source;
  header.protocol = packet.protocol;
  const MutableBytes message = out.subspan(write_ip(header, packet.payload.size(), out), packet.payload.size());
  std::ranges::copy(packet.payload, message.begin());
  message[0] = is_v4 ? kEchoReplyV4 : kEchoReplyV6;
  store16(message, 2, 0);
  const auto length = static_cast<std::uint32_t>(message.size());
  const std::uint16_t pseudo =
      is_v4 ? std::uint16_t{0} : pseudo_header_sum(header.source, header.destination, header.protocol, length);
  store16(message, 2, checksum_of(ones_sum(message, pseudo)));
  return total;
}

}  // namespace adieu::wire
