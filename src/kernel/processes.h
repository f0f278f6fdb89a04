// What /proc says of the processes of this host: when each began, what it is called, in which network it lives.
//
// What lives here: Processes, a book that is filled as it is asked. What does not: their descriptors (proc_holdings.h).
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>

#include "base/time.h"

namespace adieu::kernel {

struct Process {
  std::array<char, 16> comm{};  // what follows the name is 0
  Instant began;              // CLOCK_MONOTONIC, to the kernel's tick, never later than in truth; unknown(): it is gone
  std::uint32_t network = 0;  // inode of its network namespace; 0: not known, or not permitted to know
};

class Processes {
 public:
  // As it was when it was asked for first, since forget().
  const Process& of(std::uint32_t process);
  void forget();

 private:
  // Of the two clocks that tell of beginnings: read once a look, so that of equals none comes first by chance.
  Duration asleep_ = Duration::max();
  std::unordered_map<std::uint32_t, Process> known_;  // looked up only, never walked
};

}  // namespace adieu::kernel
