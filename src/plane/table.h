// The connection table: facts, in memory that is shared, one writer and any number of readers.
//
// What lives here: the layout of the memory that the PLANE writes (header, slots, receipt ring, event ring), its writer
// and its reader. What does not: mapping or sealing it (host), the memory that CONTROL writes (control_block.h).
//
// Every shared word is a relaxed-or-stronger std::atomic<uint64_t>; no fences, so that ThreadSanitizer sees all of it.
// A slot is 16 words, the first a version (odd while it is being written) beside the generation. Release stores on one
// side and acquire loads on the other order the words between two reads of the version; on x86 all of them are plain
// moves. A reader tries a bounded number of times: a slot that a dead writer left half-written reads as Torn.
//
// The writer trusts nothing it reads back from `ControlView` (control_block.h); a reader trusts no offset or count in
// the header beyond the size of the memory that it was given.
//
// Threads: a TableWriter belongs to one thread; a TableReader to one, and any number of readers may exist.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"
#include "plane/command.h"
#include "plane/connection_id.h"
#include "plane/control_block.h"
#include "plane/record.h"

namespace adieu::plane {

// Grows when the layout changes; a reader refuses any other.
inline constexpr std::uint32_t kLayoutVersion = 5;

enum class PlaneKind : std::uint8_t { Engine = 1, Kernel = 2 };

struct Slot {
  std::atomic<std::uint64_t> words[16];
};
static_assert(sizeof(Slot) <= 128, "DESIGN section 4: a slot is at most 128 octets");

// A hint that something happened; a reader that missed some loses only latency.
enum class EventKind : std::uint8_t {
  Opened = 1,
  StateChanged = 2,
  Ended = 3,
  Heard = 4,  // the first segment after a probe: an answer
  PassedR1 = 5,
};
struct Event {
  std::uint64_t number = 0;  // from 1, without gaps in the order of writing
  EventKind kind = EventKind::Opened;
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
};

// How many of each a table holds. All are powers of two but `slots`.
struct Capacity {
  std::uint32_t slots = 65536;
  std::uint32_t receipts = limits::kReceiptRing;
  std::uint32_t events = limits::kEventRing;
  bool beside = false;  // 64 octets more a slot, for Record::beside
};
std::size_t table_bytes(const Capacity& capacity);

struct TableSetup {
  PlaneKind kind = PlaneKind::Engine;
  std::uint64_t incarnation = 0;  // random; never 0
  // Of each slot. Drawn where connections outlive their plane, as the kernel's do: what people copy of an ID is slot
  // and generation, which then name nobody else in the next table.
  std::uint32_t first_generation = 1;
  Abilities abilities = 0;
  Capacity capacity{};
  std::string_view name;      // for people; at most 31 octets are kept
  std::uint64_t process = 0;  // pid of the plane
  Duration time_wait{};       // length of this plane's TIME-WAIT; 0: not known
  // Ended slots kept unread at the most; tests shrink it.
  std::uint32_t quarantine = limits::kEndedQuarantine;
};

// Counts that always reconcile: opened == live + sum(ended). A reader's words are of different moments while the plane
// works; it reads the ends first and derives `live`, so that they reconcile even then.
struct Totals {
  std::uint64_t opened = 0;
  std::uint64_t live = 0;
  std::uint64_t ended[kEndReasons] = {};
  std::uint64_t outcomes[kOutcomes] = {};  // receipts written, by outcome
};

class TableWriter {
 public:
  // `memory`: zeroed, aligned to 64, at least table_bytes(setup.capacity); it outlives the writer.
  TableWriter(MutableBytes memory, const TableSetup& setup);

  // input
  // A slot for a new connection, oldest ended first; nullopt when the table is full: refuse what is new.
  // Its record is published at once with `record`'s facts and a new generation. `control` tells what has been read.
  std::optional<std::uint32_t> open(const Record& record, const ControlView& control);
  // The whole record of a live slot; `record.generation` is ignored. It must not have ended. `ended_by` is not kept.
  // What stands beside it is written by set_beside() alone, and read with the record.
  void publish(std::uint32_t slot, const Record& record);
  // Capacity::beside only. Of a slot that has just been opened it is empty until then.
  void set_beside(std::uint32_t slot, const Beside& beside);
  // The last word on a connection; exactly one call per open(). Writes an Ended event. `last.reason` is ignored;
  // `unread` and `unsent` are not kept (unknown from here on): the verdict stands in their place.
  void end(std::uint32_t slot, const Record& last, EndReason reason, std::uint64_t verdict);
  void event(EventKind kind, std::uint32_t slot);
  // The plane was here at `now` (Header heartbeat): readers tell a stopped plane by it.
  void beat(Instant now);
  void set_memory_bytes(std::uint64_t bytes);
  void set_abilities(Abilities abilities);

  // output
  std::uint32_t generation(std::uint32_t slot) const;
  ConnectionId id(std::uint32_t slot) const;
  // True if {incarnation, slot, generation} names a connection that lives here.
  bool is_live(const ConnectionId& id) const;
  // True if it names a connection that has ended and whose slot has not been used again.
  bool is_ended(const ConnectionId& id) const;
  Endpoint local(std::uint32_t slot) const;
  Endpoint remote(std::uint32_t slot) const;
  // What was last published in the slot (the writer's own reading; never torn).
  Record last(std::uint32_t slot) const;
  std::uint64_t incarnation() const;
  Abilities abilities() const;
  std::uint64_t events_written() const;
  Totals totals() const;
  std::uint32_t capacity() const;
  std::size_t private_bytes() const;  // memory of the writer itself, outside the table

  // Receipts: lossless. No command may be taken while there is no room.
  bool has_receipt_room(const ControlView& control) const { return receipt_room(control) > 0; }
  std::uint32_t receipt_room(const ControlView& control) const;
  void receipt(const Receipt& receipt);
  // Commands taken so far, published for the control plane; the next one to take has this number plus one.
  std::uint64_t commands_taken() const;
  void set_commands_taken(std::uint64_t number);

 private:
  std::optional<std::uint32_t> take_slot(const ControlView& control);
  std::uint32_t take_oldest_ended();
  void remember_ended(std::uint32_t slot);
  bool lives(std::uint32_t slot) const;
  void count(std::size_t word);

  MutableBytes memory_;
  Capacity capacity_;
  std::uint64_t incarnation_ = 0;
  std::uint32_t first_generation_ = 1;
  std::uint32_t quarantine_ = 0;
  std::uint32_t used_ = 0;            // slots ever used; the header's high-water mark
  std::vector<std::uint32_t> ended_;  // ring of ended slots, grown by doubling; its size is a power of two or 0
  std::uint64_t ended_first_ = 0;     // ended connections, numbered from 0: [first, last) wait in `ended_`
  std::uint64_t ended_last_ = 0;
};

enum class TableError : std::uint8_t {
  TooSmall,      // shorter than its own header says
  NotATable,     // no magic
  OtherVersion,  // another layout: this program is older or newer than the plane
  Inconsistent,  // offsets or counts that cannot be
};
std::string_view name(TableError error);

// Torn: being written at every attempt, left half-written by a dead writer, or no record at all. Not known, then.
enum class SlotReading : std::uint8_t { Whole, NeverUsed, Torn };

class TableReader {
 public:
  // `memory` may be read-only and hostile; it outlives the reader. It must not shrink (a sealed memfd does not).
  static std::expected<TableReader, TableError> over(Bytes memory);

  PlaneKind kind() const;
  std::uint64_t incarnation() const;
  Abilities abilities() const;
  std::string_view plane_name() const;  // points into the memory
  std::uint64_t process() const;
  Instant heartbeat() const;
  std::uint64_t memory_bytes() const;
  Duration time_wait() const;  // 0: not known
  std::uint64_t commands_taken() const;
  std::uint32_t slots_used() const;  // sweep [0, slots_used)
  std::uint32_t capacity() const;
  Totals totals() const;  // words of one moment each, not one snapshot
  // Sum of totals().ended. Read it, then sweep: the sweep meets at least that many ends, so it is what
  // ControlWriter::set_ended_seen() may be told afterwards.
  std::uint64_t ended_total() const;

  SlotReading read(std::uint32_t slot, Record& record) const;
  // glance_at() of the record, for a third of its price. Not Whole: read() may yet say more.
  SlotReading glance(std::uint32_t slot, Glance& glance) const;

  // Receipts with numbers in (after, written]; the writer never overwrites one that control has not taken.
  std::uint64_t receipts_written() const;
  std::optional<Receipt> receipt(std::uint64_t number) const;
  // Events may be overwritten: nullopt then.
  std::uint64_t events_written() const;
  std::optional<Event> event(std::uint64_t number) const;

 private:
  TableReader() = default;
  Beside beside(std::uint32_t slot, std::uint32_t generation) const;
  Bytes memory_;
  Capacity capacity_;
  PlaneKind kind_ = PlaneKind::Engine;
};

}  // namespace adieu::plane
