// IP headers. Every read is behind a length check of its own, or of the header that holds it.
#include "wire/ip.h"

#include <algorithm>

#include "base/assert.h"
#include "wire/checksum.h"
#include "wire/octets.h"

namespace adieu::wire {

namespace {

// IPv6 extension headers (IANA; RFC 8200 section 4).
constexpr std::uint8_t kHopByHop = 0;
constexpr std::uint8_t kRouting = 43;
constexpr std::uint8_t kFragment = 44;
constexpr std::uint8_t kEncapsulatingSecurity = 50;
constexpr std::uint8_t kAuthentication = 51;
constexpr std::uint8_t kDestinationOptions = 60;
constexpr std::uint8_t kMobility = 135;
constexpr std::uint8_t kHostIdentity = 139;
constexpr std::uint8_t kShim6 = 140;

constexpr std::uint16_t kDontFragment = 0x4000;
constexpr std::uint16_t kMoreFragmentsAndOffset = 0x3fff;

// RFC 9293 section 3.9.2.3, MUST-63: "An incoming SYN with an invalid source address MUST be ignored"; MUST-57: so must
// be one addressed to many. Nothing else that we understand comes from or goes to such addresses either.
std::expected<IpPacket, Malformed> check_addresses(const IpPacket& packet) {
  if (packet.source.is_unspecified() || packet.source.is_multicast_or_broadcast())
    return std::unexpected(Malformed::BadSource);
  if (packet.destination.is_unspecified() || packet.destination.is_multicast_or_broadcast())
    return std::unexpected(Malformed::BadDestination);
  return packet;
}

std::expected<IpPacket, Malformed> parse_v4(Bytes bytes) {
  if (bytes.size() < kIpV4HeaderBytes) return std::unexpected(Malformed::Truncated);
  const std::size_t header = (bytes[0] & 0x0fU) * 4U;
  const std::size_t total = load16(bytes, 2);
  if (header < kIpV4HeaderBytes || header > total) return std::unexpected(Malformed::BadHeaderLength);
  if (total > bytes.size()) return std::unexpected(Malformed::Truncated);
  if (ones_sum(bytes.first(header)) != 0xffff) return std::unexpected(Malformed::BadChecksum);
  if ((load16(bytes, 6) & kMoreFragmentsAndOffset) != 0) return std::unexpected(Malformed::Fragment);
  IpPacket packet;
  packet.source = Address::v4(bytes[12], bytes[13], bytes[14], bytes[15]);
  packet.destination = Address::v4(bytes[16], bytes[17], bytes[18], bytes[19]);
  packet.protocol = bytes[9];
  packet.ecn = bytes[1] & 3U;
  packet.hop_limit = bytes[8];
  packet.payload = bytes.subspan(header, total - header);
  return check_addresses(packet);
}

// The options of a hop-by-hop or destination options header. RFC 8200 section 4.2: an unrecognized option whose type
// begins with 00 is skipped; any other discards the packet (we leave out the ICMP message that two of them ask for).
bool options_can_be_skipped(Bytes options) {
  while (!options.empty()) {
    const std::uint8_t type = options[0];
    if (type == 0) {  // Pad1 has no length
      options = options.subspan(1);
      continue;
    }
    if (type >> 6 != 0 || options.size() < 2 || options.size() < 2U + options[1]) return false;
    options = options.subspan(2U + options[1]);
  }
  return true;
}

// Walks from the first next-header value to the upper layer, and takes the extension headers off `payload`.
std::expected<std::uint8_t, Malformed> skip_extension_headers(std::uint8_t next, Bytes& payload) {
  for (bool first = true;; first = false) {
    switch (next) {
      case kHopByHop:
        // RFC 8200 section 4.1: "restricted to appear immediately after an IPv6 header only".
        if (!first) return std::unexpected(Malformed::UnsupportedHeader);
        [[fallthrough]];
      case kRouting:
      case kFragment:
      case kDestinationOptions: break;
      case kEncapsulatingSecurity:
      case kAuthentication:
      case kMobility:
      case kHostIdentity:
      case kShim6: return std::unexpected(Malformed::UnsupportedHeader);
      default: return next;  // not an enum: any other number is an upper layer
    }
    if (payload.size() < 8) return std::unexpected(Malformed::Truncated);
    const std::size_t length = next == kFragment ? 8U : 8U * (1U + payload[1]);
    if (payload.size() < length) return std::unexpected(Malformed::Truncated);
    // RFC 8200 section 4.5: "If the fragment is a whole datagram (that is, both the Fragment Offset field and the M
    // flag are zero), then it does not need any further reassembly".
    if (next == kFragment && (load16(payload, 2) & 0xfff9U) != 0) return std::unexpected(Malformed::Fragment);
    // Section 4.4: "If Segments Left is zero, the node must ignore the Routing header".
    if (next == kRouting && payload[3] != 0) return std::unexpected(Malformed::UnsupportedHeader);
    if ((next == kHopByHop || next == kDestinationOptions) && !options_can_be_skipped(payload.subspan(2, length - 2)))
      return std::unexpected(Malformed::UnsupportedHeader);
    next = payload[0];
    payload = payload.subspan(length);
  }
}

std::expected<IpPacket, Malformed> parse_v6(Bytes bytes) {
  if (bytes.size() < kIpV6HeaderBytes) return std::unexpected(Malformed::Truncated);
  const std::size_t length = load16(bytes, 4);
  if (length > bytes.size() - kIpV6HeaderBytes) return std::unexpected(Malformed::Truncated);
  IpPacket packet;
  std::copy_n(bytes.begin() + 8, 16, packet.source.octets.begin());
  std::copy_n(bytes.begin() + 24, 16, packet.destination.octets.begin());
  // An IPv4-mapped address means IPv4 in every other room; from an IPv6 header it would be a forgery of one.
  if (packet.source.family() == Family::V4) return std::unexpected(Malformed::BadSource);
  if (packet.destination.family() == Family::V4) return std::unexpected(Malformed::BadDestination);
  packet.ecn = (bytes[1] >> 4) & 3U;
  packet.hop_limit = bytes[7];
  packet.payload = bytes.subspan(kIpV6HeaderBytes, length);
  const auto protocol = skip_extension_headers(bytes[6], packet.payload);
  if (!protocol) return std::unexpected(protocol.error());
  packet.protocol = *protocol;
  return check_addresses(packet);
}

std::size_t write_v4(const IpHeader& header, std::size_t payload_length, MutableBytes out) {
  const std::size_t total = kIpV4HeaderBytes + payload_length;
  ADIEU_ASSERT(total <= 65535);
  out[0] = 0x45;
  out[1] = header.ecn & 3U;
  store16(out, 2, static_cast<std::uint16_t>(total));
  store16(out, 4, header.identification);
  store16(out, 6, kDontFragment);
  out[8] = header.hop_limit;
  out[9] = header.protocol;
  store16(out, 10, 0);
  std::copy_n(header.source.octets.begin() + 12, 4, out.begin() + 12);
  std::copy_n(header.destination.octets.begin() + 12, 4, out.begin() + 16);
  store16(out, 10, checksum_of(ones_sum(out.first(kIpV4HeaderBytes))));
  return kIpV4HeaderBytes;
}

std::size_t write_v6(const IpHeader& header, std::size_t payload_length, MutableBytes out) {
  ADIEU_ASSERT(payload_length <= 65535);
  out[0] = 0x60;
  out[1] = static_cast<std::uint8_t>((header.ecn & 3U) << 4);
  store16(out, 2, 0);
  store16(out, 4, static_cast<std::uint16_t>(payload_length));
  out[6] = header.protocol;
  out[7] = header.hop_limit;
  std::copy_n(header.source.octets.begin(), 16, out.begin() + 8);
  std::copy_n(header.destination.octets.begin(), 16, out.begin() + 24);
  return kIpV6HeaderBytes;
}

}  // namespace

std::string_view name(Malformed reason) {
  switch (reason) {
    case Malformed::Truncated: return "truncated";
    case Malformed::BadVersion: return "neither IPv4 nor IPv6";
    case Malformed::BadHeaderLength: return "bad header length";
    case Malformed::BadChecksum: return "bad checksum";
    case Malformed::Fragment: return "fragment";
    case Malformed::BadSource: return "bad source address";
    case Malformed::BadDestination: return "bad destination address";
    case Malformed::UnsupportedHeader: return "unsupported extension header";
    case Malformed::BadOption: return "bad option length";
    case Malformed::NotForUs: return "not about TCP";
  }
  return "?";
}

std::expected<IpPacket, Malformed> parse_ip(Bytes packet) {
  if (packet.empty()) return std::unexpected(Malformed::Truncated);
  switch (packet[0] >> 4) {
    case 4: return parse_v4(packet);
    case 6: return parse_v6(packet);
    default: return std::unexpected(Malformed::BadVersion);  // not an enum
  }
}

std::size_t write_ip(const IpHeader& header, std::size_t payload_length, MutableBytes out) {
  const Family family = header.source.family();
  ADIEU_ASSERT(family == header.destination.family());
  ADIEU_ASSERT(out.size() >= ip_header_bytes(family));
  return family == Family::V4 ? write_v4(header, payload_length, out) : write_v6(header, payload_length, out);
}

}  // namespace adieu::wire
