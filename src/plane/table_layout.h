// Where everything stands in the table's memory.
//
// What lives here: offsets, in words. What does not: who writes or reads them (table.cc, table_reader.cc). Private to
// the room `plane`. A change here is a new kLayoutVersion.
//
//   header (64 words) | receipts | events | padding to 128 octets | slots | what stands beside them, if anything does
// The slots stand late: their pages are touched only as connections come, those before them at once.
#pragma once

#include "plane/table.h"
#include "plane/words.h"

namespace adieu::plane::layout {

inline constexpr std::uint64_t kMagic =
    0x6c627475'65696461;  // "adieutbl", as this host's little-endian memory spells it

// Header: what stands still once the magic does.
inline constexpr std::size_t kMagicAt = 0;
inline constexpr std::size_t kShape = 1;  // layout version, plane kind
inline constexpr std::size_t kIncarnation = 2;
inline constexpr std::size_t kSlotCount = 3;
inline constexpr std::size_t kRings = 4;  // receipts, events
inline constexpr std::size_t kProcess = 5;
inline constexpr std::size_t kName = 6;  // 32 octets, the last of them 0
inline constexpr std::size_t kNameBytes = 32;
// What moves. The first group often (a cache line of its own), the second with connections.
inline constexpr std::size_t kHeartbeat = 16;
inline constexpr std::size_t kCommandsTaken = 17;
inline constexpr std::size_t kReceiptsWritten = 18;
inline constexpr std::size_t kEventsWritten = 19;
inline constexpr std::size_t kMemoryBytes = 20;
inline constexpr std::size_t kAbilities = 21;
inline constexpr std::size_t kTimeWait = 22;
inline constexpr std::size_t kHasBeside = 23;
inline constexpr std::size_t kSlotsUsed = 24;
inline constexpr std::size_t kOpened = 25;
inline constexpr std::size_t kEnded = 26;  // by reason
inline constexpr std::size_t kOutcomes = kEnded + kEndReasons;
inline constexpr std::size_t kHeaderWords = 64;
static_assert(kOutcomes + plane::kOutcomes <= kHeaderWords);

inline constexpr std::size_t kSlotWords = 16;
inline constexpr std::size_t kSlotWord5 = 5;  // ports, state, reason (slot_words.h)
inline constexpr std::size_t kBesideWords = 8;
inline constexpr std::size_t kReceiptWords = 8;
inline constexpr std::size_t kEventWords = 4;

constexpr std::size_t events(const Capacity& c) { return kHeaderWords + std::size_t{c.receipts} * kReceiptWords; }
constexpr std::size_t slots(const Capacity& c) {
  const std::size_t end = events(c) + std::size_t{c.events} * kEventWords;
  return (end + kSlotWords - 1) / kSlotWords * kSlotWords;
}
constexpr std::size_t slot(const Capacity& c, std::uint32_t index) {
  return slots(c) + std::size_t{index} * kSlotWords;
}
constexpr std::size_t beside(const Capacity& c, std::uint32_t index) {
  return slot(c, c.slots) + std::size_t{index} * kBesideWords;
}
constexpr std::size_t receipt(const Capacity& c, std::uint64_t number) {
  return entry_at(kHeaderWords, c.receipts, kReceiptWords, number);
}
constexpr std::size_t event(const Capacity& c, std::uint64_t number) {
  return entry_at(events(c), c.events, kEventWords, number);
}

// A receipt: number; command; verdict; incarnation; slot, generation; kind, form, outcome, state (an octet each);
// epoch, heard; at. It fills its eight words, the number included.
using ReceiptWords = std::array<std::uint64_t, kReceiptWords - 1>;
// An event: number; slot, generation; kind; zero.
using EventWords = std::array<std::uint64_t, kEventWords - 1>;

}  // namespace adieu::plane::layout
