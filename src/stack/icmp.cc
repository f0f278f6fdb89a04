// ICMP errors about our segments, and pings.
//
// What lives here: which messages are believed (RFC 5927) and what they do (RFC 1122 section 4.2.3.9, RFC 5461).
// What does not: their format (wire/icmp.h).
#include <algorithm>

#include "base/limits.h"
#include "stack/engine_impl.h"

namespace adieu::stack {

namespace {
constexpr std::size_t kEchoReplies = 64;
// A path below these MTUs does not exist: RFC 791 asks hosts for 576, RFC 8200 links for 1280. A smaller number in a
// message is an attack (RFC 5927 section 7) or a mistake.
constexpr std::uint32_t kLeastMtuV4 = 576;
constexpr std::uint32_t kLeastMtuV6 = 1280;
}  // namespace

void Engine::Impl::receive_icmp(const wire::IpPacket& ip, Instant now) {
  if (const auto error = wire::parse_icmp_error(ip)) {
    const auto slot = demux.find({error->quoted_source, error->quoted_destination});
    if (slot) return believe_icmp(*slot, *error, now);
    ++counters.icmp_ignored;
    return;
  }
  std::vector<std::uint8_t> reply(ip.payload.size() + wire::kIpV6HeaderBytes);
  const std::size_t length = wire::write_echo_reply(ip, reply);
  if (length == 0) {
    ++counters.not_for_us;
  } else if (echo_replies.size() >= kEchoReplies || length > settings.mtu) {
    ++counters.replies_dropped;
  } else {
    reply.resize(length);
    echo_replies.push_back(std::move(reply));
  }
}

void Engine::Impl::believe_icmp(std::uint32_t slot, const wire::IcmpError& error, Instant now) {
  tcp::Connection& connection = cells[slot].connection;
  // RFC 5927 section 4.1: "TCP SHOULD check that the TCP sequence number contained in the payload of the ICMP error
  // message is within the range of the data already sent but not yet acknowledged": SND.UNA =< SEG.SEQ < SND.NXT.
  if (error.quoted_seq < connection.snd_una() || error.quoted_seq >= connection.snd_nxt()) {
    ++counters.icmp_ignored;
    return;
  }
  if (error.kind == wire::IcmpKind::PacketTooBig) {
    const bool v4 = error.quoted_source.address.family() == Family::V4;
    const std::uint32_t mtu = std::max(error.mtu, v4 ? kLeastMtuV4 : kLeastMtuV6);
    const std::size_t headers = wire::kTcpHeaderBytes + (v4 ? wire::kIpV4HeaderBytes : wire::kIpV6HeaderBytes);
    connection.packet_too_big(static_cast<std::uint16_t>(std::min<std::size_t>(mtu - headers, UINT16_MAX)), env(now));
    return settle(slot, now);
  }
  // RFC 5461 section 4.1: a hard error in SYN-SENT fails the connect, where a person waits. In a synchronized state it
  // is soft: a fact, never an end.
  if (error.kind == wire::IcmpKind::HardError && connection.state() == State::SynSent) {
    connection.abort(EndReason::Refused, true, env(now));
    return settle(slot, now);
  }
  plane::Record record = table.last(slot);
  record.soft_error = true;
  table.publish(slot, record);
}

}  // namespace adieu::stack
