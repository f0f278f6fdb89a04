// Two networks at the most, a question in each. What is said of NAT was measured: `adieu lab`, rows conntrack-*, and
// tests/kernel/conntrack_test.cc.
#include "host/conntrack_seen.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "host/network_seen.h"
#include "host/sentences.h"
#include "host/text.h"
#include "kernel/network.h"

namespace adieu::host {
namespace {

using kernel::NamespaceFile;
using kernel::Tuple;

// Such packets stay in their network: the same addresses in another one are somebody else's.
bool leaves(const Tuple& tuple) {
  return !tuple.destination.address.is_loopback() && tuple.source.address != tuple.destination.address;
}

void ask(const NamespaceFile& network, ConntrackIn in, ConntrackSeen& seen) {
  Tuple& tuple = seen.beyond;
  const kernel::Inside inside(network);
  auto found = inside.is_in() ? kernel::find_tracked(tuple)
                              : std::unexpected(kernel::Error{kernel::ErrorKind::NotPermitted, EPERM});
  if (found && *found) {
    seen.entries.push_back({.in = in, .kept = **found, .connected_here = (*found)->original == tuple});
    tuple = (*found)->beyond(tuple);
  }
  if (found || found.error().kind == kernel::ErrorKind::NotSupported || !seen.unseen.empty()) return;
  seen.unseen = found.error().kind == kernel::ErrorKind::NotPermitted
                    ? fmt::format("not seen: root would also ask what {} keeps of it (NAT, firewalls)", name(in))
                    : fmt::format("not seen: {} ({})", name(found.error().kind), std::strerror(found.error().code));
}

}  // namespace

std::string_view name(ConntrackIn in) {
  switch (in) {
    case ConntrackIn::Ours: return "this network";
    case ConntrackIn::Its: return "its own network";
    case ConntrackIn::Host: return "the host's network";
  }
  return "?";
}

std::string_view prefix(ConntrackIn in) {
  switch (in) {
    case ConntrackIn::Ours: return "";
    case ConntrackIn::Its: return "its ";
    case ConntrackIn::Host: return "host's ";
  }
  return "?";
}

ConntrackSeen conntrack_of(const ConnectionView& view) {
  ConntrackSeen seen;
  seen.beyond = {.source = view.record.local, .destination = view.record.remote};
  if (view.record.has_ended()) return seen;
  const NamespaceFile ours("/proc/thread-self/ns/net"), its = network_of(view);
  const bool is_ours = its.inode() == ours.inode();
  ask(its, is_ours ? ConntrackIn::Ours : ConntrackIn::Its, seen);
  if (!is_ours && leaves(seen.beyond))
    ask(ours, kernel::is_hosts_own_network() ? ConntrackIn::Host : ConntrackIn::Ours, seen);
  return seen;
}

std::string both_tuples(const ConntrackEntry& entry) {
  const kernel::Tracked& kept = entry.kept;
  std::string words = text(kept.original.source) + " -> " + text(kept.original.destination);
  if (kept.is_translated()) words += ", answered";
  if (kept.is_destination_translated()) words += " by " + text(kept.reply.source);
  if (kept.is_source_translated()) words += " to " + text(kept.reply.destination);
  return kept.seen_reply ? words : words + " (no answer was seen)";
}

std::string expiry(const ConntrackEntry& entry) {
  return fmt::format("forgets it in {}{}", readable(entry.kept.expires),
                     entry.kept.fixed ? ", whatever passes: its time is fixed" : " unless a packet passes");
}

std::string kept_by(const ConntrackEntry& entry, const ConnectionView& view) {
  if (entry.kept.fixed) return {};
  const Instant expires = view.now + entry.kept.expires;
  if (const Instant next = next_question(view.seen, view.now); next < expires) {
    const Duration interval = view.seen.rule.interval;
    if (interval < entry.kept.renewed_to) return fmt::format("the rule asks every {}: it stays", text(interval));
    return fmt::format("the rule asks in {}, before that", readable(next - view.now));
  }
  const plane::Beside& beside = view.record.beside;
  if (beside.timer == plane::OwnTimer::Keepalive && beside.fires.is_known() && beside.fires < expires)
    return fmt::format("the kernel's keepalive comes in {}, before that",
                       readable(later(Duration{}, beside.fires - view.now)));
  return {};
}

std::string afterwards(const ConntrackEntry& entry, State state) {
  if (!is_synchronized(state) || state == State::TimeWait) return {};
  const kernel::Tracked& kept = entry.kept;
  const bool repeats_fin = state == State::FinWait1 || state == State::Closing || state == State::LastAck;
  if (kept.is_translated()) {
    if (!kept.picks_up) return "nothing is translated any more (tcp_loose = 0): whoever speaks gets a reset";
    if (!entry.connected_here) return "only the peer's packets make it anew (it connected); one from here gets a reset";
    return repeats_fin ? "a FIN that is sent again is invalid to it, and not translated"
                       : "a packet from here makes it anew; if the peer speaks first, it gets a reset";
  }
  if (!kept.picks_up) return "any packet is invalid to it (tcp_loose = 0), and passes if the rules let such pass";
  return repeats_fin ? "a FIN that is sent again is invalid to it, and passes if the rules let such pass"
                     : "the next packet is picked up in mid-stream, if the rules let it pass as a new one";
}

}  // namespace adieu::host
