// Sorting what was found.
#include "kernel/holders.h"

#include <algorithm>
#include <tuple>

namespace adieu::kernel {

void Holders::begin(Instant now) {
  found_.clear();
  processes_.forget();
  looked_at_ = now;
  everywhere_ = false;
}

void Holders::finish(bool everywhere) {
  everywhere_ = everywhere;
  std::ranges::sort(found_, {}, [](const Holding& h) { return std::tuple(h.inode, h.process, h.descriptor); });
  const auto repeated = std::ranges::unique(found_);
  found_.erase(repeated.begin(), repeated.end());
}

std::span<const Holding> Holders::all_of(std::uint32_t inode) const {
  const auto range = std::ranges::equal_range(found_, inode, {}, &Holding::inode);
  return {range.begin(), range.end()};
}

Held Holders::of(std::uint32_t inode) {
  Held held;
  if (inode == 0) return held;
  std::uint32_t before = 0;
  Instant began = Instant::never();
  for (const Holding& holding : all_of(inode)) {
    ++held.descriptors;
    held.references = std::max(held.references, holding.references);
    if (holding.process == before) continue;
    before = holding.process;
    ++held.processes;
    const Process& process = processes_.of(holding.process);
    // One that has gone since the look holds nothing any more: it is named where nobody else was seen.
    const Instant its = process.began.is_known() ? process.began : Instant::never();
    if (held.process != 0 && began <= its) continue;
    began = its;
    held.process = holding.process;
    held.descriptor = holding.descriptor;
  }
  return held;
}

}  // namespace adieu::kernel
