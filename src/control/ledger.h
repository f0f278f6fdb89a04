// Where verdicts, receipts, ends and what was learned of hosts are kept: an interface, which host fulfils with a
// database.
//
// What lives here: Ledger. What does not: how anything is kept. What is told may be gathered until commit(); nothing
// that is told has any effect outside before commit() has returned true: commands are published and receipts are given
// back to their plane only then.
//
// After a restart of the control plane the same receipt or end may be told again: keep it once ({incarnation, command}
// and {incarnation, slot, generation} name them for ever).
//
// No function here has a definition outside its class: the class would else need RTTI from an archive that has none.
#pragma once

#include <cstdint>
#include <optional>

#include "control/controller.h"
#include "plane/command.h"
#include "plane/connection_id.h"
#include "plane/record.h"

namespace adieu::control {

// The verdict's number in a probe that went out while the ledger could not write.
inline constexpr std::uint64_t kUnrecorded = UINT64_MAX;

class Ledger {
 public:
  virtual ~Ledger() = default;

  // A verdict, its evidence and the command that follows from it, if any. Returns its number, neither 0 nor
  // kUnrecorded; nullopt: it cannot be kept. Questions that change nothing (Decision::is_routine) may all rest on one
  // row, and their receipts need not be kept: a hundred thousand connections ask four thousand times a second.
  virtual std::optional<std::uint64_t> verdict(const Decision& decision, Instant now) = 0;
  // False: it cannot be kept.
  virtual bool noted(const Note& note, Instant now) = 0;
  // False: it cannot be kept. Receipt::command is 0 for a command that was recorded and then never given to its plane.
  virtual bool receipt(std::uint32_t plane, const plane::Receipt& receipt) = 0;
  // A connection has ended; record.reason says why. False: it cannot be kept.
  virtual bool ended(std::uint32_t plane, const plane::ConnectionId& id, const plane::Record& record) = 0;
  // Instead of what was told of this host before; Attendant::know() takes it after a restart. False: it cannot be kept.
  virtual bool learned(const HostLearned& host) = 0;
  // False: nothing since the last commit is kept.
  virtual bool commit() = 0;

 protected:
  Ledger() = default;
  Ledger(const Ledger&) = default;
  Ledger& operator=(const Ledger&) = default;
};

}  // namespace adieu::control
