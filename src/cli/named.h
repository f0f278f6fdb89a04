// One connection, as a command line names it.
//
// What lives here: Named and its words. What does not: finding it (why.cc, probe.cc, log.cc).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "host/text.h"

namespace adieu::cli {

struct Named {
  std::optional<host::NamedId> id;  // else by both of its ends
  Endpoint local;
  Endpoint remote;
};

// LOCAL and REMOTE as `adieu ls` or `ss` write them: ss has IPv4 addresses of IPv6 sockets as ::ffff:a.b.c.d. nullopt:
// these are not two endpoints.
std::optional<std::pair<Endpoint, Endpoint>> parse_ends(const std::vector<std::string>& what);

// One word is an ID, two are LOCAL REMOTE. Throws Trouble.
Named parse_named(const std::vector<std::string>& what);

}  // namespace adieu::cli
