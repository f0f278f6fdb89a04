// The network namespace in which a connection is, for whoever asks that one's kernel about it.
//
// What lives here: network_of(), OtherNetworks. What does not: what is asked there (conntrack_seen.h,
// own_limits_seen.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "host/view.h"
#include "kernel/network.h"

namespace adieu::host {

// An engine's is where its process has its interface. inode() is 0 where it is not found.
kernel::NamespaceFile network_of(const ConnectionView& view);

// In which other network than the caller's a connection is, for as many as somebody asks about at one time: who lives
// where is looked up at the first that nobody holds, and kept.
class OtherNetworks {
 public:
  // "the network of docker-0123456789ab.scope", by whom lives there, else "network namespace 4026532281". Empty: in the
  // caller's, or it is not known.
  std::string name_of(const plane::Record& record);

 private:
  std::string unit_in(std::uint32_t network);

  std::map<std::uint32_t, std::string> units_;  // by network, of one that lives there
  bool is_looked_up_ = false;
};

}  // namespace adieu::host
