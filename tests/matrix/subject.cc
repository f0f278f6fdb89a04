// The peer's packets, and its ear.
#include "subject.h"

#include <algorithm>

#include "wire/checksum.h"
#include "wire/ip.h"

namespace adieu::matrix {

namespace {
void put16(std::vector<std::uint8_t>& out, std::size_t at, std::uint16_t value) {
  out[at] = static_cast<std::uint8_t>(value >> 8);
  out[at + 1] = static_cast<std::uint8_t>(value);
}

std::vector<std::uint8_t> icmp(const Address& from, const Address& to, std::uint8_t type, std::uint8_t code,
                               Bytes body) {
  const bool v4 = from.family() == Family::V4;
  std::vector<std::uint8_t> message(4);
  message[0] = type;
  message[1] = code;
  message.insert(message.end(), body.begin(), body.end());
  const std::uint16_t start =
      v4 ? std::uint16_t{0}
         : wire::pseudo_header_sum(from, to, wire::kProtocolIcmpV6, static_cast<std::uint32_t>(message.size()));
  put16(message, 2, wire::checksum_of(wire::ones_sum(message, start)));
  wire::IpHeader header;
  header.source = from;
  header.destination = to;
  header.protocol = v4 ? wire::kProtocolIcmp : wire::kProtocolIcmpV6;
  std::vector<std::uint8_t> packet(wire::ip_header_bytes(from.family()) + message.size());
  const std::size_t length = wire::write_ip(header, message.size(), packet);
  std::ranges::copy(message, packet.begin() + static_cast<std::ptrdiff_t>(length));
  return packet;
}
}  // namespace

void Subject::hear(Bytes packet, const Offload& offload, std::vector<Heard>& into) const {
  const auto ip = wire::parse_ip(packet);
  if (!ip || ip->protocol != wire::kProtocolTcp || ip->destination != peer_.address) return;
  const auto segment = wire::parse_tcp(*ip, offload);
  if (!segment || segment->source_port != local_.port || segment->destination_port != peer_.port) return;
  Heard heard{*segment, static_cast<std::uint32_t>(segment->payload.size())};
  heard.segment.payload = {};
  into.push_back(heard);
}

std::vector<std::uint8_t> packet_of(const wire::Segment& segment, const Endpoint& from, const Endpoint& to) {
  wire::Segment out = segment;
  out.source_port = from.port;
  out.destination_port = to.port;
  wire::IpHeader header;
  header.source = from.address;
  header.destination = to.address;
  const std::size_t ip_bytes = wire::ip_header_bytes(from.address.family());
  std::vector<std::uint8_t> packet(ip_bytes + wire::tcp_header_bytes(out) + out.payload.size());
  const std::size_t tcp_bytes =
      wire::write_tcp(out, from.address, to.address, false, MutableBytes(packet).subspan(ip_bytes));
  wire::write_ip(header, tcp_bytes, packet);
  return packet;
}

std::vector<std::uint8_t> icmp_packet(Unreachable what, const Endpoint& quoted_from, const Endpoint& quoted_to,
                                      Seq seq) {
  wire::Segment quoted;
  quoted.seq = seq;
  const std::vector<std::uint8_t> whole = packet_of(quoted, quoted_from, quoted_to);
  std::vector<std::uint8_t> body(4);
  body.insert(body.end(), whole.begin(), whole.end());
  const bool v4 = quoted_from.address.family() == Family::V4;
  const auto code = static_cast<std::uint8_t>(what == Unreachable::Port ? (v4 ? 3 : 4) : (v4 ? 1 : 3));
  return icmp(quoted_to.address, quoted_from.address, v4 ? 3 : 1, code, body);
}

std::vector<std::uint8_t> echo_request(const Address& from, const Address& to, std::uint16_t number) {
  std::vector<std::uint8_t> body(4);
  put16(body, 2, number);
  return icmp(from, to, from.family() == Family::V4 ? 8 : 128, 0, body);
}

}  // namespace adieu::matrix
