// The table's reader: any thread of any process. Nothing that stands in the memory makes it read outside, or spin.
#include <algorithm>
#include <bit>
#include <cstring>

#include "plane/slot_words.h"
#include "plane/table.h"
#include "plane/table_layout.h"

namespace adieu::plane {
namespace {

std::optional<Receipt> unpack_receipt(const layout::ReceiptWords& w) {
  const std::uint64_t kind = w[4] & 0xff;
  const std::uint64_t form = w[4] >> 8 & 0xff;
  const std::uint64_t outcome = w[4] >> 16 & 0xff;
  const std::uint64_t state = w[4] >> 24;
  if (kind == 0 || kind >= kCommandKinds) return std::nullopt;
  if (form >= kProbeForms || outcome == 0 || outcome >= kOutcomes || state >= kStates) return std::nullopt;
  Receipt r;
  r.command = w[0];
  r.verdict = w[1];
  r.id = {.incarnation = w[2], .slot = low(w[3]), .generation = high(w[3])};
  r.kind = static_cast<CommandKind>(kind);
  r.form = static_cast<ProbeForm>(form);
  r.outcome = static_cast<Outcome>(outcome);
  r.state = static_cast<State>(state);
  r.epoch = low(w[5]);
  r.heard = high(w[5]);
  r.at.ns = to_signed(w[6]);
  return r;
}

}  // namespace

std::string_view name(TableError error) {
  switch (error) {
    case TableError::TooSmall: return "shorter than its own header says";
    case TableError::NotATable: return "not a connection table";
    case TableError::OtherVersion: return "a connection table of another layout version";
    case TableError::Inconsistent: return "a connection table whose header contradicts itself";
  }
  return "?";
}

std::expected<TableReader, TableError> TableReader::over(Bytes memory) {
  if (memory.size() < layout::kHeaderWords * kWordBytes) return std::unexpected(TableError::TooSmall);
  if (!is_aligned(memory.data(), kWordBytes)) return std::unexpected(TableError::Inconsistent);
  if (load(memory, layout::kMagicAt) != layout::kMagic) return std::unexpected(TableError::NotATable);
  const std::uint64_t shape = load(memory, layout::kShape);
  if (low(shape) != kLayoutVersion) return std::unexpected(TableError::OtherVersion);
  const std::uint32_t kind = high(shape);
  const std::uint64_t slots = load(memory, layout::kSlotCount);
  const std::uint64_t rings = load(memory, layout::kRings);
  const bool known_kind =
      kind == static_cast<std::uint32_t>(PlaneKind::Engine) || kind == static_cast<std::uint32_t>(PlaneKind::Kernel);
  if (!known_kind || load(memory, layout::kIncarnation) == 0 || slots == 0 || high(slots) != 0 ||
      !std::has_single_bit(low(rings)) || !std::has_single_bit(high(rings)))
    return std::unexpected(TableError::Inconsistent);
  TableReader reader;
  reader.memory_ = memory;
  const std::uint64_t has_beside = load(memory, layout::kHasBeside);
  if (has_beside > 1) return std::unexpected(TableError::Inconsistent);
  reader.capacity_ = {.slots = low(slots), .receipts = low(rings), .events = high(rings), .beside = has_beside == 1};
  reader.kind_ = static_cast<PlaneKind>(kind);
  // At most 2^32 of each, of at most 192 octets: no overflow in 64 bits.
  if (memory.size() < table_bytes(reader.capacity_)) return std::unexpected(TableError::TooSmall);
  return reader;
}

PlaneKind TableReader::kind() const { return kind_; }
std::uint64_t TableReader::incarnation() const { return load(memory_, layout::kIncarnation); }
Abilities TableReader::abilities() const { return load(memory_, layout::kAbilities); }
std::uint64_t TableReader::process() const { return load(memory_, layout::kProcess); }
Instant TableReader::heartbeat() const { return {to_signed(load(memory_, layout::kHeartbeat))}; }
std::uint64_t TableReader::memory_bytes() const { return load(memory_, layout::kMemoryBytes); }
Duration TableReader::time_wait() const {
  return later(Duration{}, nanoseconds(to_signed(load(memory_, layout::kTimeWait))));
}
std::uint64_t TableReader::commands_taken() const { return load(memory_, layout::kCommandsTaken); }
std::uint32_t TableReader::capacity() const { return capacity_.slots; }

std::uint32_t TableReader::slots_used() const {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(load(memory_, layout::kSlotsUsed), capacity_.slots));
}

std::string_view TableReader::plane_name() const {
  const auto* const first = reinterpret_cast<const char*>(memory_.data() + layout::kName * kWordBytes);
  const void* const end = std::memchr(first, 0, layout::kNameBytes - 1);
  return {first,
          end == nullptr ? layout::kNameBytes - 1 : static_cast<std::size_t>(static_cast<const char*>(end) - first)};
}

Totals TableReader::totals() const {
  Totals totals;
  std::uint64_t ended = 0;
  // Ends before openings: each end that is counted here was opened before, so `live` can not come out negative.
  for (unsigned i = 0; i < kEndReasons; ++i) ended += totals.ended[i] = load(memory_, layout::kEnded + i);
  for (unsigned i = 0; i < kOutcomes; ++i) totals.outcomes[i] = load(memory_, layout::kOutcomes + i);
  totals.opened = load(memory_, layout::kOpened);
  totals.live = totals.opened - ended;
  return totals;
}

std::uint64_t TableReader::ended_total() const {
  std::uint64_t ended = 0;
  for (unsigned i = 0; i < kEndReasons; ++i) ended += load(memory_, layout::kEnded + i);
  return ended;
}

SlotReading TableReader::read(std::uint32_t slot, Record& record) const {
  if (slot >= capacity_.slots) return SlotReading::NeverUsed;
  SlotWords words;
  std::uint32_t generation = 0;
  switch (load_versioned(memory_, layout::slot(capacity_, slot), generation, words)) {
    case VersionedReading::NeverWritten: return SlotReading::NeverUsed;
    case VersionedReading::Torn: return SlotReading::Torn;
    case VersionedReading::Whole: break;
  }
  if (generation == 0 || !unpack_record(words, generation, record)) return SlotReading::Torn;
  record.beside = beside(slot, generation);
  return SlotReading::Whole;
}

// What does not stand there whole, or belongs to another connection, is not known.
Beside TableReader::beside(std::uint32_t slot, std::uint32_t generation) const {
  Beside found;
  if (!capacity_.beside) return found;
  BesideWords words;
  std::uint32_t whose = 0;
  const VersionedReading reading = load_versioned(memory_, layout::beside(capacity_, slot), whose, words);
  if (reading != VersionedReading::Whole || whose != generation || !unpack_beside(words, found)) return {};
  return found;
}

SlotReading TableReader::glance(std::uint32_t slot, Glance& glance) const {
  if (slot >= capacity_.slots) return SlotReading::NeverUsed;
  // The cache's own guess ends at each page; a sweep's does not.
  constexpr std::uint32_t kAhead = 16;
  const std::uint32_t ahead = std::min(slot + kAhead, capacity_.slots - 1);
  const auto* const there = memory_.data() + layout::slot(capacity_, ahead) * kWordBytes;
  __builtin_prefetch(there);
  __builtin_prefetch(there + 64);
  GlanceWords words;
  std::uint32_t generation = 0;
  switch (load_versioned(memory_, layout::slot(capacity_, slot), generation, words, kGlanceWords)) {
    case VersionedReading::NeverWritten: return SlotReading::NeverUsed;
    case VersionedReading::Torn: return SlotReading::Torn;
    case VersionedReading::Whole: break;
  }
  return generation != 0 && unpack_glance(words, glance) ? SlotReading::Whole : SlotReading::Torn;
}

std::uint64_t TableReader::receipts_written() const { return load(memory_, layout::kReceiptsWritten); }

std::optional<Receipt> TableReader::receipt(std::uint64_t number) const {
  layout::ReceiptWords words;
  if (!load_entry(memory_, layout::receipt(capacity_, number), number, words)) return std::nullopt;
  return unpack_receipt(words);
}

std::uint64_t TableReader::events_written() const { return load(memory_, layout::kEventsWritten); }

std::optional<Event> TableReader::event(std::uint64_t number) const {
  layout::EventWords words;
  if (!load_entry(memory_, layout::event(capacity_, number), number, words)) return std::nullopt;
  if (words[1] < static_cast<std::uint64_t>(EventKind::Opened) ||
      words[1] > static_cast<std::uint64_t>(EventKind::PassedR1) || words[2] != 0)
    return std::nullopt;
  return Event{
      .number = number, .kind = static_cast<EventKind>(words[1]), .slot = low(words[0]), .generation = high(words[0])};
}

}  // namespace adieu::plane
