// Entries, their states, and the router's own answer.
#include "sim/nat.h"

#include "base/limits.h"

namespace adieu::sim {

Nat::Nat(const NatTimers& timers, const Address& inside)
    : timers_(timers), inside_(inside), out_(limits::kPacketBytes) {}

// The rows of nf_conntrack_proto_tcp.c, alike for both directions: a FIN in FIN-WAIT or CLOSE-WAIT, whoever sent it,
// leads to LAST-ACK, and an acknowledgment from FIN-WAIT to CLOSE-WAIT, from LAST-ACK to TIME-WAIT.
Nat::Track Nat::after(Track track, const wire::Segment& s) {
  if (s.rst) return Track::Close;
  if (s.syn) return s.ack_flag ? Track::SynReceived : Track::SynSent;
  switch (track) {
    case Track::SynSent: return track;
    case Track::SynReceived:
    case Track::Established: return s.fin ? Track::FinWait : Track::Established;
    case Track::FinWait:
    case Track::CloseWait: return s.fin ? Track::LastAck : Track::CloseWait;
    case Track::LastAck: return s.fin ? track : Track::TimeWait;
    case Track::TimeWait:
    case Track::Close: return track;
  }
  return track;
}

Duration Nat::idle(Track track) const {
  switch (track) {
    case Track::SynSent: return timers_.syn_sent;
    case Track::SynReceived: return timers_.syn_received;
    case Track::Established: return timers_.established;
    case Track::FinWait: return timers_.fin_wait;
    case Track::CloseWait: return timers_.close_wait;
    case Track::LastAck: return timers_.last_ack;
    case Track::TimeWait: return timers_.time_wait;
    case Track::Close: return timers_.close;
  }
  return {};
}

Nat::Passage Nat::pass(bool is_from_inside, Bytes packet, Instant now) {
  const auto ip = wire::parse_ip(packet);
  if (!ip || ip->protocol != wire::kProtocolTcp) return {};
  const auto s = wire::parse_tcp(*ip, {});
  if (!s) return {};
  const Ports ports = is_from_inside ? Ports{s->source_port, {ip->destination, s->destination_port}}
                                     : Ports{s->destination_port, {ip->source, s->source_port}};
  auto flow = flows_.find(ports);
  if (flow != flows_.end() && flow->second.until <= now) {
    flows_.erase(flow);
    flow = flows_.end();
  }
  if (flow == flows_.end()) {
    if (!is_from_inside) return reset(*ip, *s);
    if (s->fin || s->rst) return {};  // INVALID
    flow = flows_.insert({ports, {s->syn ? Track::SynSent : Track::Established, {}}}).first;
  } else {
    flow->second.track = after(flow->second.track, *s);
  }
  flow->second.until = now + idle(flow->second.track);
  return forward(*ip, *s, is_from_inside);
}

Nat::Passage Nat::forward(const wire::IpPacket& ip, const wire::Segment& s, bool is_from_inside) {
  return is_from_inside ? write(s, kNatOutside, ip.destination) : write(s, ip.source, inside_);
}

// RFC 9293 section 3.10.7.1: "<SEQ=SEG.ACK><CTL=RST>", or without an ACK "<SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>".
Nat::Passage Nat::reset(const wire::IpPacket& ip, const wire::Segment& s) {
  if (s.rst) return {};
  ++resets_;
  wire::Segment answer;
  answer.source_port = s.destination_port;
  answer.destination_port = s.source_port;
  answer.rst = true;
  answer.ack_flag = !s.ack_flag;
  if (s.ack_flag)
    answer.seq = s.ack;
  else
    answer.ack = s.end();
  Passage passage = write(answer, ip.destination, ip.source);
  passage.returns = true;
  return passage;
}

Nat::Passage Nat::write(const wire::Segment& s, const Address& from, const Address& to) {
  const MutableBytes tcp = MutableBytes(out_).subspan(wire::kIpV4HeaderBytes);
  const std::size_t length = wire::write_tcp(s, from, to, false, tcp);
  wire::IpHeader header;
  header.source = from;
  header.destination = to;
  wire::write_ip(header, length, out_);
  return {.packet = Bytes(out_).first(wire::kIpV4HeaderBytes + length)};
}

}  // namespace adieu::sim
