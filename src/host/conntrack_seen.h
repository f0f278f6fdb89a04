// What this host's conntrack keeps of a connection at this moment: a middlebox that can be asked.
//
// What lives here: conntrack_of(), for one connection that a person asks about, and what its entry means for it. What
// does not: asking the kernel (kernel/conntrack.h), middleboxes that nobody can ask (control::PathTimer).
// An entry ends no connection: once it has expired, packets may not pass any more, and neither end knows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/view.h"
#include "kernel/conntrack.h"

namespace adieu::host {

// In which network namespace it is.
enum class ConntrackIn : std::uint8_t {
  Ours,  // that of this process
  Its,   // the connection's own, as a container's is, and not ours
  Host,  // that of this process and the host's own; the connection is in another, and passes through
};
// "this network", "its own network", "the host's network"; before the word conntrack: "", "its ", "host's ".
std::string_view name(ConntrackIn in);
std::string_view prefix(ConntrackIn in);

struct ConntrackEntry {
  ConntrackIn in = ConntrackIn::Ours;
  kernel::Tracked kept;
  bool connected_here = false;  // its original direction is that of our packets
};

struct ConntrackSeen {
  std::vector<ConntrackEntry> entries;  // as packets from here pass them
  kernel::Tuple beyond;                 // how our packets are addressed once they have passed those: as the peer has it
  std::string unseen;                   // what was not asked, and who could; empty: all that there is was asked
};

// Asks the connection's own network and that of this process, of those that this kernel has. A connection that has
// ended is asked about nowhere.
ConntrackSeen conntrack_of(const ConnectionView& view);

// "10.1.0.1:5000 -> 10.2.0.1:80, answered to 10.2.0.2:5000"
std::string both_tuples(const ConntrackEntry& entry);
// "forgets it in 46 s unless a packet passes"
std::string expiry(const ConntrackEntry& entry);
// What passes by itself before, as far as this host's end can tell; empty: nothing that is known.
std::string kept_by(const ConntrackEntry& entry, const ConnectionView& view);
// What a packet meets once it is forgotten; empty: it does not matter any more.
std::string afterwards(const ConntrackEntry& entry, State state);

}  // namespace adieu::host
