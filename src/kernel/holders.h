// Who has which socket open, as one look at all processes found it.
//
// What lives here: Holders, which gathers descriptors by socket and says who comes first. What does not: where
// descriptors come from (proc_holdings.h, bpf_holdings.h), what it means that nobody was found (facts.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/time.h"
#include "kernel/holding.h"
#include "kernel/processes.h"

namespace adieu::kernel {

// Who has one socket open. Nobody: `descriptors` is 0.
struct Held {
  std::uint32_t process = 0;  // the one that began first
  std::int32_t descriptor = -1;
  std::uint32_t processes = 0;
  std::uint32_t descriptors = 0;
  std::uint32_t references = 0;  // 0: not known
};

class Holders {
 public:
  // A look: begin(), add() in any order, finish(). `everywhere`: no process was left out.
  void begin(Instant now);
  void add(const Holding& holding) { found_.push_back(holding); }
  void finish(bool everywhere);

  Held of(std::uint32_t inode);
  // Every descriptor of one socket.
  std::span<const Holding> all_of(std::uint32_t inode) const;
  const Process& process(std::uint32_t number) { return processes_.of(number); }
  Processes& processes() { return processes_; }  // as they are at this look

  // When the latest look began; unknown(): there was none.
  Instant looked_at() const { return looked_at_; }
  bool everywhere() const { return everywhere_; }

 private:
  std::vector<Holding> found_;  // by inode, process, descriptor
  Processes processes_;
  Instant looked_at_ = Instant::unknown();
  bool everywhere_ = false;
};

}  // namespace adieu::kernel
