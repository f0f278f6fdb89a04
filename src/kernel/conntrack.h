// What this kernel's conntrack keeps of one connection: the entry by which its NAT and its firewall know it.
//
// What lives here: asking by the connection's addresses, through netlink. What does not: in which network, and what
// follows from the answer (host/conntrack_seen.h).
// It changes nothing: it does not even load conntrack into a kernel that does without, and there is nothing to find
// then. It asks about zone 0, the one of all networks in which nobody has set up others.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>

#include "base/address.h"
#include "base/time.h"
#include "kernel/socket.h"

namespace adieu::kernel {

// The kernel's numbers (enum tcp_conntrack).
enum class TrackedState : std::uint8_t {
  None = 0,
  SynSent = 1,
  SynRecv = 2,
  Established = 3,
  FinWait = 4,
  CloseWait = 5,
  LastAck = 6,
  TimeWait = 7,
  Close = 8,
  SynSent2 = 9,
};
// In the words of conntrack(8), which are not those of the RFC: "CLOSE_WAIT" is what it calls one that has seen one
// FIN.
std::string_view name(TrackedState state);

struct Tuple {
  Endpoint source;
  Endpoint destination;
  constexpr bool operator==(const Tuple&) const = default;
};
constexpr Tuple reversed(const Tuple& tuple) { return {.source = tuple.destination, .destination = tuple.source}; }

struct Traffic {
  std::uint64_t packets = 0;
  std::uint64_t octets = 0;
  bool operator==(const Traffic&) const = default;
};

struct Tracked {
  Tuple original;  // of packets of the end that connected, as they come to this host
  Tuple reply;     // of the answers to them, as those come to this host
  TrackedState state = TrackedState::None;
  Duration expires;       // whole seconds; a packet that passes starts it anew
  Duration renewed_to;    // at the least, as this network is set; zero: not known
  bool picks_up = false;  // a packet from the middle of a connection makes an entry (nf_conntrack_tcp_loose)
  bool seen_reply = false;
  bool assured = false;    // not thrown out early when the table is full
  bool fixed = false;      // it expires then, whatever passes
  bool offloaded = false;  // a flow table forwards its packets past conntrack
  std::uint32_t mark = 0;
  std::optional<Traffic> sent, answered;  // where nf_conntrack_acct is on

  bool is_source_translated() const { return reply.destination != original.source; }
  bool is_destination_translated() const { return reply.source != original.destination; }
  bool is_translated() const { return is_source_translated() || is_destination_translated(); }
  // The same packets once they have been through this host. `tuple`: one of the two.
  Tuple beyond(const Tuple& tuple) const { return reversed(tuple == original ? reply : original); }
};

// In the network of this thread. A connection's packets go by the tuple of its two ends as its own host names them,
// whichever direction that is to conntrack, and whatever NAT does. nullopt: there is none. NotPermitted: it takes
// CAP_NET_ADMIN over the network. NotSupported: this kernel has none.
[[nodiscard]] std::expected<std::optional<Tracked>, Error> find_tracked(const Tuple& tuple);

}  // namespace adieu::kernel
