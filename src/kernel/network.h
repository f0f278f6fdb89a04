// Network namespaces: the kernel has a TCP in each of them.
//
// What lives here: which there are, and asking the kernel in each. What does not: what it answers (sock_diag.h).
// Whoever holds a netlink socket of a namespace keeps the namespace alive: one in which no process lives any more is
// let go at the next look.
#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "kernel/processes.h"
#include "kernel/sock_diag.h"

namespace adieu::kernel {

struct Network {
  std::uint32_t inode = 0;
  Diag diag;
};

// From the network of the host itself (that of its first process) all are watched; whoever is in another, as in a
// container, means that one. Also where it may not be known.
bool is_hosts_own_network();

class Networks {
 public:
  // With the one in which this thread is, and no other yet.
  static std::expected<Networks, Error> open();

  // Those in which these processes live, beside our own. Needs CAP_SYS_ADMIN for any but our own; returns how many
  // could not be entered.
  std::uint32_t look(const std::vector<std::uint32_t>& processes, Processes& book);

  std::vector<Network>& all() { return networks_; }
  // nullptr: it is not among them (any more).
  Network* find(std::uint32_t inode);
  const Network& own() const { return networks_.front(); }

 private:
  std::vector<Network> networks_;  // our own first
};

}  // namespace adieu::kernel
