// The network namespace in which a connection is, for whoever asks that one's kernel about it.
//
// What lives here: network_of(). What does not: what is asked there (conntrack_seen.h, own_limits_seen.h).
#pragma once

#include "host/view.h"
#include "kernel/network.h"

namespace adieu::host {

// An engine's is where its process has its interface. inode() is 0 where it is not found.
kernel::NamespaceFile network_of(const ConnectionView& view);

}  // namespace adieu::host
