// One reason an end, and its cause; and that every end comes.
#include <string>

#include "sim/checkers.h"

namespace adieu::sim {
namespace {

// What must have happened for a connection to have ended so. Empty: it has.
std::string missing_cause(const End& end) {
  const Facts& f = end.facts;
  switch (end.reason) {
    case EndReason::None: return "no reason";
    case EndReason::BothClosed: return f.fin_sent && f.fin_received ? "" : "both FINs";
    case EndReason::PeerReset: return end.reset_delivered ? "" : "an RST that arrived";
    case EndReason::DataAfterClose: return end.closed ? "" : "an application that closed";
    case EndReason::Aborted:
      return end.aborted || end.connect_ran_out ? ""
                                                : "an application that aborted";  // no listener is ever closed here
    case EndReason::Commanded: return end.ended_by != 0 ? "" : "a verdict's number";
    case EndReason::Refused: return !f.syn_acked ? "" : "a handshake that was not over";
    case EndReason::PlaneFailed: return "a plane that failed, and a table that outlived it";
    case EndReason::Vanished:
    case EndReason::OwnTimer: return "a plane that only observes";
  }
  return "a reason that exists";
}

}  // namespace

void ReasonChecker::moved(const End& end, State before, Instant now) {
  if (reasons_.contains(end.id))
    fail(now, label(end) + " moves on from " + std::string(adieu::name(before)) + " after its end");
}

void ReasonChecker::ended(const End& end, Instant now) {
  if (!reasons_.emplace(end.id, end.reason).second) return fail(now, label(end) + " ends twice");
  if (const std::string missing = missing_cause(end); !missing.empty())
    fail(now, label(end) + " ended: " + std::string(adieu::name(end.reason)) + ", without " + missing);
  if (end.reason != EndReason::Commanded && end.ended_by != 0) fail(now, label(end) + " names a verdict for nothing");
}

void ReasonChecker::settled(const Settlement& s) {
  for (unsigned host = 0; host < kHosts; ++host) {
    if (s.totals[host] == nullptr) continue;
    const plane::Totals& totals = *s.totals[host];
    std::uint64_t opened = 0;
    std::uint64_t live = 0;
    std::array<std::uint64_t, kEndReasons> ended{};
    for (const End& end : s.book.ends()) {
      if (end.host != host || end.boot != s.boot[host]) continue;
      ++opened;
      if (end.reason == EndReason::None)
        ++live;
      else
        ++ended[static_cast<unsigned>(end.reason)];
    }
    const std::string who{host_letter(host)};
    if (totals.opened != opened)
      fail(s.now, who + ": the table opened " + std::to_string(totals.opened) + ", seen " + std::to_string(opened));
    if (totals.live != live || s.live_connections[host] != live)
      fail(s.now, who + ": live " + std::to_string(totals.live) + " in the table, " +
                      std::to_string(s.live_connections[host]) + " in the engine, seen " + std::to_string(live));
    for (unsigned reason = 0; reason < kEndReasons; ++reason)
      if (totals.ended[reason] != ended[reason])
        fail(s.now, who + ": " + std::string(adieu::name(static_cast<EndReason>(reason))) + " " +
                        std::to_string(totals.ended[reason]) + " in the table, seen " + std::to_string(ended[reason]));
  }
}

void EndingChecker::settled(const Settlement& s) {
  for (const End& end : s.book.ends()) {
    if (!end.lives() || !s.is_up[end.host]) continue;
    // An embryo whose client is gone has no timer, on purpose: it gives way to the next SYN (DESIGN section 3).
    if (end.state == State::SynReceived && !end.is_active) continue;
    const End* peer = end.pair == nullptr ? nullptr : end.pair->peer_of(end);
    // Without a control plane nothing ends but by the protocol, and the protocol needs a peer.
    const bool peer_lives = peer != nullptr && peer->lives() && s.is_up[peer->host];
    if (!s.has_control[end.host] && !peer_lives) continue;
    fail(s.now, label(end) + " never ends; its peer: " + (peer == nullptr ? "nowhere" : label(*peer)));
  }
}

}  // namespace adieu::sim
