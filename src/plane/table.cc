// The table's writer: one thread of the plane. table_layout.h says where things stand, table_reader.cc reads them.
#include "plane/table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "base/assert.h"
#include "plane/slot_words.h"
#include "plane/table_layout.h"

namespace adieu::plane {
namespace {

layout::ReceiptWords pack_receipt(const Receipt& r) {
  const std::uint64_t what = static_cast<std::uint64_t>(r.kind) | static_cast<std::uint64_t>(r.form) << 8 |
                             static_cast<std::uint64_t>(r.outcome) << 16 | static_cast<std::uint64_t>(r.state) << 24;
  return {
      r.command,           r.verdict, r.id.incarnation, pack(r.id.slot, r.id.generation), what, pack(r.epoch, r.heard),
      from_signed(r.at.ns)};
}

}  // namespace

std::size_t table_bytes(const Capacity& capacity) {
  const std::size_t a_slot = sizeof(Slot) + (capacity.beside ? layout::kBesideWords * kWordBytes : 0);
  return layout::slots(capacity) * kWordBytes + std::size_t{capacity.slots} * a_slot;
}

TableWriter::TableWriter(MutableBytes memory, const TableSetup& setup)
    : memory_(memory),
      capacity_(setup.capacity),
      incarnation_(setup.incarnation),
      first_generation_(setup.first_generation),
      quarantine_(setup.quarantine) {
  ADIEU_ASSERT(capacity_.slots > 0 && std::has_single_bit(capacity_.receipts) && std::has_single_bit(capacity_.events));
  ADIEU_ASSERT(memory.size() >= table_bytes(capacity_) && is_aligned(memory.data(), 64));
  ADIEU_ASSERT(setup.incarnation != 0);
  ADIEU_ASSERT(load(memory_, layout::kMagicAt) == 0);  // fresh: a table is never taken over, it dies with its plane
  store(memory_, layout::kShape, pack(kLayoutVersion, static_cast<std::uint32_t>(setup.kind)));
  store(memory_, layout::kIncarnation, setup.incarnation);
  store(memory_, layout::kSlotCount, capacity_.slots);
  store(memory_, layout::kRings, pack(capacity_.receipts, capacity_.events));
  store(memory_, layout::kProcess, setup.process);
  store(memory_, layout::kTimeWait, from_signed(setup.time_wait.ns));
  store(memory_, layout::kHasBeside, capacity_.beside ? 1 : 0);
  const std::size_t length = std::min(setup.name.size(), layout::kNameBytes - 1);
  if (length > 0) std::memcpy(memory_.data() + layout::kName * kWordBytes, setup.name.data(), length);
  store(memory_, layout::kHeartbeat, from_signed(Instant::unknown().ns));
  store(memory_, layout::kAbilities, setup.abilities);
  store(memory_, layout::kMagicAt, layout::kMagic);
}

// --- slots

bool TableWriter::lives(std::uint32_t slot) const {
  return slot < used_ && !has_ended(load(memory_, layout::slot(capacity_, slot) + layout::kSlotWord5));
}

std::uint32_t TableWriter::take_oldest_ended() {
  const std::uint32_t slot = ended_[ended_first_ & (ended_.size() - 1)];
  ++ended_first_;
  return slot;
}

void TableWriter::remember_ended(std::uint32_t slot) {
  const std::uint64_t waiting = ended_last_ - ended_first_;
  if (waiting == ended_.size()) {
    std::vector<std::uint32_t> larger(std::max<std::size_t>(64, 2 * ended_.size()));
    for (std::uint64_t n = ended_first_; n < ended_last_; ++n)
      larger[n & (larger.size() - 1)] = ended_[n & (ended_.size() - 1)];
    ended_.swap(larger);
  }
  ended_[ended_last_ & (ended_.size() - 1)] = slot;
  ++ended_last_;
}

std::optional<std::uint32_t> TableWriter::take_slot(const ControlView& control) {
  const std::uint64_t waiting = ended_last_ - ended_first_;
  if (waiting > 0) {
    // A control plane that has seen more ends than there were speaks of another table, or lies: it has seen none.
    const std::uint64_t seen = control.ended_seen();
    const bool oldest_is_read = seen > ended_first_ && seen <= ended_last_;
    if (oldest_is_read || waiting > quarantine_) return take_oldest_ended();
  }
  if (used_ < capacity_.slots) return used_++;
  if (waiting > 0) return take_oldest_ended();  // full: a new connection is worth more than an old reason
  return std::nullopt;
}

std::optional<std::uint32_t> TableWriter::open(const Record& record, const ControlView& control) {
  ADIEU_ASSERT(!record.has_ended());
  const auto slot = take_slot(control);
  if (!slot) return std::nullopt;
  const std::uint32_t last = generation(*slot);
  const std::uint32_t next = last == 0 || last == UINT32_MAX ? first_generation_ : last + 1;
  store_versioned(memory_, layout::slot(capacity_, *slot), next, pack_record(record));
  if (capacity_.beside) set_beside(*slot, {});
  store(memory_, layout::kSlotsUsed, used_);
  count(layout::kOpened);
  return slot;
}

void TableWriter::publish(std::uint32_t slot, const Record& record) {
  ADIEU_ASSERT(lives(slot) && !record.has_ended());
  store_versioned(memory_, layout::slot(capacity_, slot), generation(slot), pack_record(record));
}

void TableWriter::set_beside(std::uint32_t slot, const Beside& beside) {
  ADIEU_ASSERT(capacity_.beside && lives(slot));
  store_versioned(memory_, layout::beside(capacity_, slot), generation(slot), pack_beside(beside));
}

void TableWriter::end(std::uint32_t slot, const Record& last, EndReason reason, std::uint64_t verdict) {
  ADIEU_ASSERT(lives(slot) && reason != EndReason::None);
  Record record = last;
  record.reason = reason;
  record.ended_by = verdict;
  store_versioned(memory_, layout::slot(capacity_, slot), generation(slot), pack_record(record));
  remember_ended(slot);
  // After the slot: whoever reads this count finds the reasons of all ends in it (TableReader::ended_total).
  count(layout::kEnded + static_cast<std::size_t>(reason));
  event(EventKind::Ended, slot);
}

std::uint32_t TableWriter::generation(std::uint32_t slot) const {
  ADIEU_ASSERT(slot < capacity_.slots);
  return high(load(memory_, layout::slot(capacity_, slot)));
}

ConnectionId TableWriter::id(std::uint32_t slot) const {
  return {.incarnation = incarnation_, .slot = slot, .generation = generation(slot)};
}

bool TableWriter::is_live(const ConnectionId& id) const {
  return id.slot < used_ && id == this->id(id.slot) && lives(id.slot);
}

bool TableWriter::is_ended(const ConnectionId& id) const {
  return id.slot < used_ && id == this->id(id.slot) && !lives(id.slot);
}

Record TableWriter::last(std::uint32_t slot) const {
  ADIEU_ASSERT(slot < used_);
  SlotWords words;
  std::uint32_t generation = 0;
  const VersionedReading reading = load_versioned(memory_, layout::slot(capacity_, slot), generation, words);
  Record record;
  ADIEU_ASSERT(reading == VersionedReading::Whole && unpack_record(words, generation, record));
  if (capacity_.beside) {
    BesideWords beside;
    const VersionedReading there = load_versioned(memory_, layout::beside(capacity_, slot), generation, beside);
    ADIEU_ASSERT(there == VersionedReading::Whole && unpack_beside(beside, record.beside));
  }
  return record;
}

// The engine keeps no second copy of the endpoints, so these are read for every segment: three words, not fifteen.
Endpoint TableWriter::local(std::uint32_t slot) const {
  ADIEU_ASSERT(slot < used_);
  const std::size_t at = layout::slot(capacity_, slot);
  return unpack_local(load(memory_, at + 1), load(memory_, at + 2), load(memory_, at + layout::kSlotWord5));
}
Endpoint TableWriter::remote(std::uint32_t slot) const {
  ADIEU_ASSERT(slot < used_);
  const std::size_t at = layout::slot(capacity_, slot);
  return unpack_remote(load(memory_, at + 3), load(memory_, at + 4), load(memory_, at + layout::kSlotWord5));
}

// --- counts and facts about the plane

void TableWriter::count(std::size_t word) { store(memory_, word, load(memory_, word) + 1); }
void TableWriter::beat(Instant now) { store(memory_, layout::kHeartbeat, from_signed(now.ns)); }
void TableWriter::set_memory_bytes(std::uint64_t bytes) { store(memory_, layout::kMemoryBytes, bytes); }
void TableWriter::set_abilities(Abilities abilities) { store(memory_, layout::kAbilities, abilities); }

std::uint64_t TableWriter::incarnation() const { return incarnation_; }
Abilities TableWriter::abilities() const { return load(memory_, layout::kAbilities); }
std::uint32_t TableWriter::capacity() const { return capacity_.slots; }
std::size_t TableWriter::private_bytes() const { return sizeof *this + ended_.capacity() * sizeof(std::uint32_t); }

Totals TableWriter::totals() const {
  Totals totals;
  for (unsigned i = 0; i < kEndReasons; ++i) totals.ended[i] = load(memory_, layout::kEnded + i);
  for (unsigned i = 0; i < kOutcomes; ++i) totals.outcomes[i] = load(memory_, layout::kOutcomes + i);
  totals.opened = load(memory_, layout::kOpened);
  totals.live = used_ - (ended_last_ - ended_first_);  // counted by slots, not derived: a check against the counts
  return totals;
}

// --- events and receipts

void TableWriter::event(EventKind kind, std::uint32_t slot) {
  const std::uint64_t number = events_written() + 1;
  const layout::EventWords words{pack(slot, generation(slot)), static_cast<std::uint64_t>(kind), 0};
  store_entry(memory_, layout::event(capacity_, number), number, words);
  store(memory_, layout::kEventsWritten, number);
}

std::uint64_t TableWriter::events_written() const { return load(memory_, layout::kEventsWritten); }

std::uint32_t TableWriter::receipt_room(const ControlView& control) const {
  const std::uint64_t written = load(memory_, layout::kReceiptsWritten);
  const std::uint64_t taken = control.receipts_taken();
  // A control plane that has taken more than there is gets nothing done for it, and loses nothing.
  if (taken > written || written - taken >= capacity_.receipts) return 0;
  return capacity_.receipts - static_cast<std::uint32_t>(written - taken);
}

void TableWriter::receipt(const Receipt& receipt) {
  const std::uint64_t number = load(memory_, layout::kReceiptsWritten) + 1;
  store_entry(memory_, layout::receipt(capacity_, number), number, pack_receipt(receipt));
  store(memory_, layout::kReceiptsWritten, number);
  count(layout::kOutcomes + static_cast<std::size_t>(receipt.outcome));
}

std::uint64_t TableWriter::commands_taken() const { return load(memory_, layout::kCommandsTaken); }
void TableWriter::set_commands_taken(std::uint64_t number) { store(memory_, layout::kCommandsTaken, number); }

}  // namespace adieu::plane
