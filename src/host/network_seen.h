// The network namespace in which a connection is, for whoever asks that one's kernel about it.
//
// What lives here: network_of(), other_network(). What does not: what is asked there (conntrack_seen.h,
// own_limits_seen.h).
#pragma once

#include <string>

#include "host/view.h"
#include "kernel/network.h"

namespace adieu::host {

// An engine's is where its process has its interface. inode() is 0 where it is not found.
kernel::NamespaceFile network_of(const ConnectionView& view);

// In which other network than the caller's it is: "the network of docker-0123456789ab.scope", by whom lives there, else
// "network namespace 4026532281". Empty: in the caller's, or it is not known.
std::string other_network(const plane::Record& record);

}  // namespace adieu::host
