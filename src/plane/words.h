// Shared words: how the table and the control block write and read memory that another process sees.
//
// What lives here: single words, words under a version, numbered entries of a ring. What does not: what they mean.
// Private to the room `plane`.
//
// Every load is an acquire and every store a release (plain moves on x86), and there is no fence. A reader that sees
// one word of a later writing therefore also sees the odd version, or the number 0, that was stored before that word:
// its second look at the version or number fails, and no mixture is ever taken for a whole.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace adieu::plane {

using Word = std::atomic<std::uint64_t>;
static_assert(sizeof(Word) == 8 && Word::is_always_lock_free, "shared words are plain 64-bit words");

inline constexpr std::size_t kWordBytes = sizeof(Word);

// A dead writer may leave an odd version for ever; a living one needs a few dozen nanoseconds.
inline constexpr int kReadAttempts = 64;

inline std::uint64_t load(Bytes memory, std::size_t index) {
  return reinterpret_cast<const Word*>(memory.data())[index].load(std::memory_order_acquire);
}
inline void store(MutableBytes memory, std::size_t index, std::uint64_t value) {
  reinterpret_cast<Word*>(memory.data())[index].store(value, std::memory_order_release);
}

constexpr std::uint64_t pack(std::uint32_t low, std::uint32_t high) { return std::uint64_t{high} << 32 | low; }
constexpr std::uint32_t low(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
constexpr std::uint32_t high(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }
constexpr std::uint64_t from_signed(std::int64_t value) { return std::bit_cast<std::uint64_t>(value); }
constexpr std::int64_t to_signed(std::uint64_t word) { return std::bit_cast<std::int64_t>(word); }

inline bool is_aligned(const void* address, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(address) % alignment == 0;
}

// Words under a version: word `at` holds the version (low half; odd while the words after it are written) and a tag
// (high half) that changes together with the words. A version left odd by a dead writer is made good by the next
// writing.
template <std::size_t N>
void store_versioned(MutableBytes memory, std::size_t at, std::uint32_t tag,
                     const std::array<std::uint64_t, N>& words) {
  const std::uint64_t before = load(memory, at);
  const std::uint32_t odd = low(before) | 1U;
  store(memory, at, pack(odd, high(before)));
  for (std::size_t i = 0; i < N; ++i) store(memory, at + 1 + i, words[i]);
  store(memory, at, pack(odd + 1U, tag));
}

enum class VersionedReading : std::uint8_t { Whole, NeverWritten, Torn };

// `Which`: the words that are wanted, by their distance from the version; by default the N that follow it.
template <std::size_t N>
constexpr std::array<std::uint8_t, N> the_next() {
  std::array<std::uint8_t, N> which{};
  for (std::size_t i = 0; i < N; ++i) which[i] = static_cast<std::uint8_t>(i + 1);
  return which;
}
template <std::size_t N>
VersionedReading load_versioned(Bytes memory, std::size_t at, std::uint32_t& tag, std::array<std::uint64_t, N>& words,
                                const std::array<std::uint8_t, N>& which = the_next<N>()) {
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    const std::uint64_t version = load(memory, at);
    if (version == 0) return VersionedReading::NeverWritten;
    if ((version & 1U) != 0) continue;
    for (std::size_t i = 0; i < N; ++i) words[i] = load(memory, at + which[i]);
    if (load(memory, at) != version) continue;
    tag = high(version);
    return VersionedReading::Whole;
  }
  return VersionedReading::Torn;
}

// Entries of a ring: word `at` holds the entry's number, 0 while the words after it are written. Numbers start at 1 and
// never come back, so the right number before and after is proof of a whole entry.
template <std::size_t N>
void store_entry(MutableBytes memory, std::size_t at, std::uint64_t number, const std::array<std::uint64_t, N>& words) {
  store(memory, at, 0);
  for (std::size_t i = 0; i < N; ++i) store(memory, at + 1 + i, words[i]);
  store(memory, at, number);
}
template <std::size_t N>
bool load_entry(Bytes memory, std::size_t at, std::uint64_t number, std::array<std::uint64_t, N>& words) {
  if (number == 0 || load(memory, at) != number) return false;
  for (std::size_t i = 0; i < N; ++i) words[i] = load(memory, at + 1 + i);
  return load(memory, at) == number;
}

// Where entry `number` stands in a ring of `entries` (a power of two) entries of `words` words, from word `first`.
constexpr std::size_t entry_at(std::size_t first, std::uint32_t entries, std::size_t words, std::uint64_t number) {
  return first + static_cast<std::size_t>((number - 1) & (entries - 1U)) * words;
}

}  // namespace adieu::plane
