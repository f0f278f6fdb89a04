// Who belongs to whom.
#include "sim/ends.h"

#include <cstring>

#include "sim/pattern.h"

namespace adieu::sim {

// A row a state; RFC 9293 section 3.3.2, figure 5, and section 3.10.7.4 for the order of the checks (an ACK of our SYN
// is asked for before text and FIN are looked at). CLOSE may take SYN-RECEIVED to FIN-WAIT-1 (section 3.10.4), so
// FIN-WAIT-1 and CLOSING do not tell that our SYN was acknowledged.
Facts facts_of(State state) {
  using enum State;
  switch (state) {
    case Closed:
    case Listen: return {};
    case SynSent: return {.syn_sent = true};
    case SynReceived: return {.syn_sent = true, .syn_received = true};
    case Established: return {.syn_sent = true, .syn_received = true, .syn_acked = true};
    case FinWait1: return {.syn_sent = true, .syn_received = true, .fin_sent = true};
    case FinWait2:
      return {.syn_sent = true, .syn_received = true, .syn_acked = true, .fin_sent = true, .fin_acked = true};
    case CloseWait: return {.syn_sent = true, .syn_received = true, .syn_acked = true, .fin_received = true};
    case Closing: return {.syn_sent = true, .syn_received = true, .fin_sent = true, .fin_received = true};
    case LastAck:
      return {.syn_sent = true, .syn_received = true, .syn_acked = true, .fin_sent = true, .fin_received = true};
    case TimeWait:
      return {.syn_sent = true,
              .syn_received = true,
              .syn_acked = true,
              .fin_sent = true,
              .fin_acked = true,
              .fin_received = true};
  }
  return {};
}

std::uint64_t Pair::stream(unsigned side, std::uint64_t seed) const {
  const unsigned source = plan->ends[side].echo ? 1 - side : side;
  return mix(seed * 0x9e3779b97f4a7c15U + number * 2 + source + 1);
}

Pair& Book::begin(const ConnectionPlan& plan) {
  for (Pair& begun : pairs_)
    if (begun.plan == &plan) return begun;
  Pair pair;
  pair.number = static_cast<std::uint32_t>(pairs_.size());
  pair.plan = &plan;
  return pairs_.emplace_back(pair);
}

Pair* Book::find(const Endpoint& client, const Endpoint& server) {
  for (auto pair = pairs_.rbegin(); pair != pairs_.rend(); ++pair)
    if (pair->ends[0] != nullptr && pair->ends[0]->local == client && pair->ends[0]->remote == server) return &*pair;
  return nullptr;
}

std::size_t Book::Hash::operator()(const Numbers& n) const {
  const auto part = [](const Endpoint& e) {
    std::uint64_t halves[2];
    std::memcpy(halves, e.address.octets.data(), sizeof halves);
    return mix(mix(halves[0]) + halves[1] + e.port);
  };
  return mix(part(n.local) * 31 + part(n.remote) + n.host + 2 * n.boot);
}

std::size_t Book::Hash::operator()(const plane::ConnectionId& id) const {
  return mix(mix(id.incarnation) + (std::uint64_t{id.slot} << 32 | id.generation));
}

End& Book::add(unsigned host, unsigned boot, const plane::ConnectionId& id, const plane::Record& record) {
  End& end = ends_.emplace_back();
  end.host = host;
  end.boot = boot;
  end.id = id;
  end.local = record.local;
  end.remote = record.remote;
  end.opened = record.state_entered;
  by_numbers_[{host, boot, end.local, end.remote}] = &end;
  by_id_[id] = &end;
  return end;
}

End* Book::find(unsigned host, unsigned boot, const Endpoint& local, const Endpoint& remote) {
  const auto found = by_numbers_.find({host, boot, local, remote});
  return found == by_numbers_.end() ? nullptr : found->second;
}

End* Book::find(const plane::ConnectionId& id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

bool is_bare_probe(const End& end, const wire::Segment& s) {
  return !s.syn && !s.fin && !s.rst && s.payload.empty() && end.has_iss && s.seq - end.highest == -1 &&
         !end.record.oldest_unacked.is_known();
}

std::string label(const End& end) {
  std::string text{host_letter(end.host)};
  text += std::to_string(end.boot) + ' ' + std::to_string(end.local.port) + '>' + std::to_string(end.remote.port);
  text += end.local.address.family() == Family::V6 ? " v6 " : " v4 ";
  text += name(end.state);
  return text;
}

}  // namespace adieu::sim
