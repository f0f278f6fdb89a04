// The control block: the memory that the CONTROL plane writes for one data plane, and the data plane's view of it.
//
// What lives here: the layout (header, command ring), ControlWriter for control, ControlView for planes and for
// readers. What does not: the table (table.h); rules and verdicts (control). To a plane this memory is hostile input:
// any value may stand in it at any time, and the view answers with something safe.
//
// The header also says, for `adieu ls` and for the next control plane, when the plane was last swept, by which policy,
// and during which spans nobody attended to it (the control plane was not running, or this host was suspended): such a
// span is no evidence of a peer's silence.
//
// Threads: one ControlWriter at a time in the whole system; views belong to one thread each.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/time.h"
#include "plane/command.h"

namespace adieu::plane {

std::size_t control_block_bytes(std::uint32_t commands = limits::kCommandRing);

// A span of monotonic time in which the control plane did not attend to this plane.
struct Gap {
  Instant from{};
  Instant to{};
};
inline constexpr std::size_t kGaps = 16;

// What the control plane says about itself, for readers.
struct ControlStatus {
  std::uint64_t process = 0;      // pid of the control plane that wrote this; the writer fills it in
  Instant swept_at{};             // the end of its last whole sweep of this plane's table
  std::uint64_t policy = 0;       // fingerprint of the policy in force, which stands elsewhere (host/run_dir.h)
  std::array<Gap, kGaps> gaps{};  // the latest, unordered; unused ones are unknown()
};

class ControlWriter {
 public:
  // Takes the block over from whoever wrote it before: raises the epoch, which voids what nobody took. `memory` is
  // aligned to 64 and at least control_block_bytes(commands); a fresh (zeroed) block is initialised. All that stands in
  // a block of this layout stays: numbers go on, and the last status is the predecessor's until set_status().
  ControlWriter(MutableBytes memory, std::uint64_t process, std::uint32_t commands = limits::kCommandRing);

  std::uint32_t epoch() const;
  // False when the ring is full: `taken` is TableReader::commands_taken(). Returns the command's number otherwise.
  std::optional<std::uint64_t> write(Command command, std::uint64_t taken);
  std::uint64_t commands_written() const;
  // Receipts up to this number are in the ledger and may be overwritten.
  void set_receipts_taken(std::uint64_t number);
  std::uint64_t receipts_taken() const;
  // Ends up to this total (TableReader::ended_total) have been read; their slots may be used again.
  void set_ended_seen(std::uint64_t total);
  void set_status(const ControlStatus& status);

 private:
  MutableBytes memory_;
  std::uint32_t commands_ = 0;
  std::uint64_t process_ = 0;
};

class ControlView {
 public:
  // `memory` too short or not a control block: a view of no control plane at all (no commands, nothing read). Each call
  // looks anew, so a view over memory that is still zero comes to life with the first ControlWriter.
  explicit ControlView(Bytes memory);
  ControlView() : ControlView(Bytes{}) {}

  std::uint32_t epoch() const;
  // Commands after `taken` that can be read; at most a whole ring, whatever the memory says.
  std::uint64_t waiting(std::uint64_t taken) const;
  // Command `number`: nullopt if its words are no command (Malformed).
  std::optional<Command> command(std::uint64_t number) const;
  std::uint64_t receipts_taken() const;
  std::uint64_t ended_seen() const;
  // nullopt: no control plane has ever set a status here, or the words are torn.
  std::optional<ControlStatus> status() const;

 private:
  Bytes memory_;
};

}  // namespace adieu::plane
