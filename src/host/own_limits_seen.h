// When the kernel gives one of its connections up by itself, as it stands at this moment.
//
// What lives here: own_limits_of(), for one connection that a person asks about, and the words for it. What does not:
// the reckoning (kernel/own_limits.h), the verdict, which names the clock and cannot date it (control/judge.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/view.h"
#include "kernel/own_limits.h"
#include "kernel/socket.h"

namespace adieu::host {

struct OwnLimitsSeen {
  std::optional<kernel::Timer> timer;        // that is armed; nullopt: it was not found (any more)
  std::optional<kernel::Limit> limit;        // nullopt: nothing is armed that gives it up, or nobody knows
  std::optional<kernel::Settings> settings;  // of its network
  std::optional<kernel::Options> options;    // of its socket; nullopt: they were not read
  std::string unseen;                        // what was not read, and who could; empty: nothing that matters
  std::string warning;                       // of a defect of this kernel; empty: none
};

// What will end it, where that is this clock, and about when; empty: another does, or nothing.
std::string ending(const OwnLimitsSeen& seen, const ConnectionView& view);
// When; never(): likewise.
Instant ends_about(const OwnLimitsSeen& seen, const ConnectionView& view);

// Asks the kernel once more about this one connection, in its own network; what its program has set is read through a
// duplicate of its descriptor, which is closed at once. Of the kernel's connections that have not ended; empty of any
// other.
OwnLimitsSeen own_limits_of(const ConnectionView& view);

// Lines for a person: the clock and its limit; what sets the limit; what its program has set.
std::vector<std::string> sentences(const OwnLimitsSeen& seen, const ConnectionView& view);

}  // namespace adieu::host
