// Which states two ends can have together.
#include "sim/checkers.h"

namespace adieu::sim {
namespace {

constexpr bool implies(bool a, bool b) { return !a || b; }

constexpr bool has_heard_truly(const Facts& a, const Facts& b) {
  return implies(a.syn_received, b.syn_sent) && implies(a.syn_acked, b.syn_received) &&
         implies(a.fin_received, b.fin_sent) && implies(a.fin_acked, b.fin_received);
}

bool is_at_rest(const End& end) {
  const plane::Record& r = end.record;
  return end.lives() && is_synchronized(end.state) && !r.oldest_unacked.is_known() && r.unsent == 0 &&
         !r.peer_window_closed;
}

}  // namespace

bool may_coexist(const Facts& a, const Facts& b) { return has_heard_truly(a, b) && has_heard_truly(b, a); }

bool may_rest(State a, State b) {
  using enum State;
  return (a == Established && b == Established) || (a == FinWait2 && b == CloseWait) ||
         (a == CloseWait && b == FinWait2) || (a == TimeWait && b == TimeWait);
}

void StateChecker::moved(const End& end, State, Instant now) { check(end, now); }
void StateChecker::ended(const End& end, Instant now) { check(end, now); }

void StateChecker::check(const End& end, Instant now) {
  if (end.pair == nullptr) return;
  const End* peer = end.pair->peer_of(end);
  // The client's peer may not be known yet: then the latest that answered to its SYN stands for it.
  if (peer == nullptr && end.side == 0) peer = end.pair->tentative;
  const Facts none;
  if (may_coexist(end.facts, peer == nullptr ? none : peer->facts)) return;
  // A server in SYN-RECEIVED that an old duplicate of a SYN made is nobody's peer.
  if (end.side == 1 && end.pair->ends[1] != &end) return;
  fail(now, label(end) + " cannot be while its peer is " + (peer == nullptr ? "nowhere" : label(*peer)));
}

void StateChecker::quiet(const Book& book, Instant now) {
  for (const Pair& pair : book.pairs()) {
    const End* a = pair.ends[0];
    const End* b = pair.ends[1];
    if (a == nullptr || b == nullptr || !is_at_rest(*a) || !is_at_rest(*b) || may_rest(a->state, b->state)) continue;
    fail(now, label(*a) + " and " + label(*b) + " cannot both be at rest");
  }
}

}  // namespace adieu::sim
