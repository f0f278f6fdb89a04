// Who has a kernel's connection open at this moment, each process and descriptor of it.
//
// What lives here: holders_of(), for one connection that a person asks about. What does not: the one holder that a
// record names (plane/record.h), a look at everybody's (kernel/holders.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plane/record.h"

namespace adieu::host {

struct HolderSeen {
  std::uint32_t process = 0;
  std::vector<std::int32_t> descriptors;
  std::string comm;
  std::string unit;  // of systemd, or a container's scope, by its cgroup; empty: none is known
};

// The unit or scope of a process; empty: none is known.
std::string unit_of(std::uint32_t process);

// Those that this process may see, the one that the record names first. Empty: nobody, or that one has let go of it
// meanwhile.
std::vector<HolderSeen> holders_of(const plane::Beside& beside);

}  // namespace adieu::host
