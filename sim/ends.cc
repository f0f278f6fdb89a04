// Who belongs to whom.
#include "sim/ends.h"

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

End& Book::add(unsigned host, unsigned boot, const plane::ConnectionId& id, const plane::Record& record) {
  End& end = ends_.emplace_back();
  end.host = host;
  end.boot = boot;
  end.id = id;
  end.local = record.local;
  end.remote = record.remote;
  end.opened = record.state_entered;
  return end;
}

End* Book::find(unsigned host, unsigned boot, const Endpoint& local, const Endpoint& remote) {
  for (auto end = ends_.rbegin(); end != ends_.rend(); ++end)
    if (end->host == host && end->boot == boot && end->local == local && end->remote == remote) return &*end;
  return nullptr;
}

End* Book::find(const plane::ConnectionId& id) {
  for (auto end = ends_.rbegin(); end != ends_.rend(); ++end)
    if (end->id == id) return &*end;
  return nullptr;
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
