// Any octets, read as an IP packet, and as the TCP segment or ICMP message of a good packet: nothing may break, and
// what is understood, written and read again, is the same value.
#include <algorithm>
#include <vector>

#include "base/assert.h"
#include "base/limits.h"
#include "wire/checksum.h"
#include "wire/icmp.h"
#include "wire/tcp.h"

namespace adieu::wire {
namespace {

bool is_equal(Bytes a, Bytes b) { return std::ranges::equal(a, b); }

bool is_equal(const Segment& a, const Segment& b) {
  return a.source_port == b.source_port && a.destination_port == b.destination_port && a.seq == b.seq &&
         a.ack == b.ack && a.syn == b.syn && a.ack_flag == b.ack_flag && a.fin == b.fin && a.rst == b.rst &&
         a.psh == b.psh && a.urg == b.urg && a.ece == b.ece && a.cwr == b.cwr && a.window == b.window &&
         a.mss == b.mss && a.window_scale == b.window_scale && a.sack_permitted == b.sack_permitted &&
         a.timestamps == b.timestamps && a.sack_blocks == b.sack_blocks && a.sack_count == b.sack_count &&
         is_equal(a.payload, b.payload);
}

void check_ip(const IpPacket& packet) {
  const IpHeader header{packet.source, packet.destination, packet.protocol, packet.ecn, packet.hop_limit, 0};
  std::vector<std::uint8_t> out(ip_header_bytes(packet.source.family()) + packet.payload.size());
  // An IPv4 packet full of options may carry less than its 65535 octets; without them it is never longer.
  const std::size_t length = write_ip(header, packet.payload.size(), out);
  std::ranges::copy(packet.payload, out.begin() + static_cast<std::ptrdiff_t>(length));
  const auto again = parse_ip(out);
  ADIEU_ASSERT(again.has_value());
  ADIEU_ASSERT(again->source == packet.source && again->destination == packet.destination);
  ADIEU_ASSERT(again->protocol == packet.protocol && again->ecn == packet.ecn && again->hop_limit == packet.hop_limit);
  ADIEU_ASSERT(is_equal(again->payload, packet.payload));
}

// `offload` says whether the fuzzer is spared the checksum.
void check_tcp(const IpPacket& packet, const Offload& offload) {
  const auto segment = parse_tcp(packet, offload);
  if (!segment) return;
  std::vector<std::uint8_t> out(tcp_header_bytes(*segment) + segment->payload.size());
  ADIEU_ASSERT(write_tcp(*segment, packet.source, packet.destination, false, out) == out.size());
  IpPacket rewritten = packet;
  rewritten.payload = out;
  const auto again = parse_tcp(rewritten, {});
  ADIEU_ASSERT(again.has_value());
  ADIEU_ASSERT(is_equal(*again, *segment));
}

void check_icmp(const IpPacket& packet) {
  static_cast<void>(parse_icmp_error(packet));
  std::vector<std::uint8_t> out(limits::kPacketBytes + kIpV6HeaderBytes);
  const std::size_t length = write_echo_reply(packet, out);
  if (length == 0) return;
  const auto reply = parse_ip(Bytes(out).first(length));
  ADIEU_ASSERT(reply.has_value());
  ADIEU_ASSERT(reply->source == packet.destination && reply->destination == packet.source);
  ADIEU_ASSERT(is_equal(reply->payload.subspan(4), packet.payload.subspan(4)));
  ADIEU_ASSERT(write_echo_reply(*reply, out) == 0);  // or two hosts would answer each other for ever
}

// The checksums are put right, so that the fuzzer comes past them.
void seal(std::vector<std::uint8_t>& octets) {
  const std::size_t header = octets.empty() ? 0 : (octets[0] & 15U) * 4U;
  if (octets.size() < kIpV4HeaderBytes) return;
  if (octets[0] >> 4 == 4 && header >= kIpV4HeaderBytes && header <= octets.size()) {
    octets[10] = octets[11] = 0;
    const std::uint16_t sum = checksum_of(ones_sum(Bytes(octets).first(header)));
    octets[10] = static_cast<std::uint8_t>(sum >> 8);
    octets[11] = static_cast<std::uint8_t>(sum);
  }
  const auto packet = parse_ip(octets);
  if (!packet || packet->payload.size() < 8) return;
  if (packet->protocol != kProtocolIcmp && packet->protocol != kProtocolIcmpV6) return;
  const auto length = static_cast<std::uint32_t>(packet->payload.size());
  const std::uint16_t pseudo = packet->protocol == kProtocolIcmp
                                   ? std::uint16_t{0}
                                   : pseudo_header_sum(packet->source, packet->destination, kProtocolIcmpV6, length);
  const auto at = octets.begin() + (packet->payload.data() - octets.data());
  at[2] = at[3] = 0;
  const std::uint16_t sum = checksum_of(ones_sum(packet->payload, pseudo));
  at[2] = static_cast<std::uint8_t>(sum >> 8);
  at[3] = static_cast<std::uint8_t>(sum);
}

void check(const IpPacket& packet) {
  check_ip(packet);
  check_icmp(packet);
  if (packet.protocol != kProtocolTcp) return;
  check_tcp(packet, {});
  Offload valid;
  valid.checksum_valid = true;
  check_tcp(packet, valid);
}

void check(Bytes octets) {
  if (const auto packet = parse_ip(octets)) check(*packet);
}

// An IP header of ours before the octets, so that the fuzzer need not find one to reach what is behind it.
void check_upper_layer(Bytes octets) {
  if (octets.size() > 60'000) return;
  const Address v6{{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  for (const Address& address : {Address::v4(192, 0, 2, 1), v6}) {
    const bool is_v4 = address.family() == Family::V4;
    for (const std::uint8_t protocol : {kProtocolTcp, is_v4 ? kProtocolIcmp : kProtocolIcmpV6}) {
      std::vector<std::uint8_t> packet(ip_header_bytes(address.family()) + octets.size());
      const std::size_t length = write_ip({address, address, protocol}, octets.size(), packet);
      std::ranges::copy(octets, packet.begin() + static_cast<std::ptrdiff_t>(length));
      seal(packet);
      check(Bytes(packet));
    }
  }
}

}  // namespace
}  // namespace adieu::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  adieu::wire::check(adieu::Bytes(data, size));
  std::vector<std::uint8_t> sealed(data, data + size);
  adieu::wire::seal(sealed);
  adieu::wire::check(adieu::Bytes(sealed));
  adieu::wire::check_upper_layer({data, size});
  return 0;
}
