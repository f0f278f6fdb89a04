// The kernel as a data plane: Linux's own TCP, read only.
//
// What lives here: Plane, one whole sweep and the answers to commands. What does not: the process, its clock and its
// memory (host).
// It watches the network namespace of the thread that opens it. It can do nothing to a connection: every command is
// answered with a receipt that says so.
#pragma once

#include <expected>
#include <memory>

#include "base/time.h"
#include "kernel/facts.h"
#include "kernel/sock_diag.h"
#include "kernel/sweep.h"
#include "plane/control_block.h"
#include "plane/table.h"

namespace adieu::kernel {

class Plane {
 public:
  // `table` outlives the plane, has no other writer, and claims no ability beyond kAbilities.
  static std::expected<Plane, Error> open(plane::TableWriter& table);

  // Answers the commands that wait, then brings the table up to what the kernel says at `now` (CLOCK_MONOTONIC), then
  // sets the heartbeat. On an error the table stays true but old, nothing has ended on the strength of a dump that was
  // not whole, and the heartbeat stands still; the next call starts afresh.
  [[nodiscard]] std::expected<void, Error> sweep(Instant now, const plane::ControlView& control);
  // Commands alone, for a host that answers them between two sweeps.
  void take_commands(Instant now, const plane::ControlView& control);

  // Of the latest sweep.
  const SweepCounts& counts() const { return sweep_->counts(); }
  // For whoever asks the kernel about one socket, timer included, between two sweeps.
  Diag& diag() { return diag_; }

 private:
  Plane(plane::TableWriter& table, Diag diag);
  void answer(std::uint64_t number, Instant now, const plane::ControlView& control);

  plane::TableWriter* table_;
  Diag diag_;
  std::unique_ptr<Sweep> sweep_;
};

}  // namespace adieu::kernel
