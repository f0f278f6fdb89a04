// Descriptors of all processes, by a walk through /proc.
//
// What lives here: the walk. It works on every kernel, costs a system call a descriptor, and finds what this process
// may see: its own user's, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH everybody's. What does not: what was found
// (holders.h).
// A descriptor that moves from one process to another during the walk may be missed, or met twice.
#pragma once

#include <cstdint>
#include <vector>

#include "kernel/holding.h"

namespace adieu::kernel {

// The numbers of all processes that /proc shows.
std::vector<std::uint32_t> all_processes();

// Every descriptor that refers to a socket, of whatever kind. `processes` gets the numbers of all that were met.
// Returns of how many of them we may not see what they have open.
std::uint32_t walk_proc(VisitHolding visit, void* context, std::vector<std::uint32_t>& processes);

// Whether /proc shows all processes of this host: not so from inside a container.
bool sees_all_processes();

}  // namespace adieu::kernel
