// Many connections as a few groups: those of one program, in one state, with one peer, for one cause.
//
// What lives here: Overview, which gathers groups from views and puts first what never ends. What does not: printing
// them (overview.cc's run_overview), what a single connection means (host/sentences.h).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "host/view.h"

namespace adieu::cli {

// The end that names the service, by whose side it stands: the peer's ("10.0.3.7:8082"), or our own (":80").
struct Service {
  Endpoint endpoint;
  bool is_ours = false;
  auto operator<=>(const Service&) const = default;
};

struct Group {
  std::uint64_t connections = 0;
  std::string program;                               // its name; empty: nobody's
  std::map<std::uint32_t, std::uint64_t> processes;  // by their numbers, how many each has open
  host::ConnectionView example;                      // the one that is longest in its state
  Service service;
  bool never_ends = false;
  Duration oldest;               // in its state; 0: not known
  bool oldest_is_bound = false;  // it may be older, or another one is: not of all is known when they came to it
  std::uint64_t unread = 0;      // octets, of all
  std::uint64_t unsent = 0;
  std::set<std::uint32_t> networks;  // in which they are, where that is known
};

class Overview {
 public:
  void add(const host::ConnectionView& view);
  // What never ends first, then those whose peer does not read, then the larger.
  std::vector<Group> groups() const;
  // Connections that are open both ways and held by somebody: nothing has to be said of them.
  std::uint64_t unremarkable() const { return unremarkable_; }

 private:
  using Key = std::tuple<std::string, State, Service, control::Wanted, control::Ends, bool /*its data waits*/>;
  std::map<Key, Group> groups_;
  std::uint64_t unremarkable_ = 0;
};

}  // namespace adieu::cli
