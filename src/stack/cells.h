// The engine's private half of each connection, indexed by its slot in the connection table.
//
// What lives here: Cell and the chunked array that holds cells. What does not: facts (plane/table.h holds the only
// copy), transfers (they exist only while bytes move).
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "base/assert.h"
#include "base/wheel.h"
#include "tcp/connection.h"

namespace adieu::stack {

struct Cell {
  explicit Cell(tcp::Connection&& c) : connection(std::move(c)) {}

  tcp::Connection connection;
  TimingWheel::Handle timer = TimingWheel::kNone;
  std::uint32_t listener = 0;  // that it came from; 0: it was opened actively
  bool embryonic = false;      // passive and not yet established
  bool accepted = false;       // an application has it (or had, see Connection::is_orphan)
  bool output_queued = false;
  bool wake_queued = false;
  bool quiet_queued = false;  // its transfer is about to be given back
};

class Cells {
 public:
  ~Cells() {
    for (std::uint32_t slot = 0; slot < chunks_.size() * kPerChunk; ++slot)
      if (find(slot) != nullptr) erase(slot);
  }

  // nullptr if no connection lives in the slot.
  Cell* find(std::uint32_t slot) {
    if (slot / kPerChunk >= chunks_.size()) return nullptr;
    Chunk* chunk = chunks_[slot / kPerChunk].get();
    if (chunk == nullptr || !chunk->is_live(slot % kPerChunk)) return nullptr;
    return chunk->cell(slot % kPerChunk);
  }
  const Cell* find(std::uint32_t slot) const { return const_cast<Cells*>(this)->find(slot); }
  Cell& operator[](std::uint32_t slot) {
    Cell* cell = find(slot);
    ADIEU_ASSERT(cell != nullptr);
    return *cell;
  }

  Cell& emplace(std::uint32_t slot, tcp::Connection&& connection) {
    if (slot / kPerChunk >= chunks_.size()) chunks_.resize(slot / kPerChunk + 1);
    auto& chunk = chunks_[slot / kPerChunk];
    if (!chunk) chunk = std::make_unique<Chunk>();
    ADIEU_ASSERT(!chunk->is_live(slot % kPerChunk));
    chunk->live[slot % kPerChunk / 64] |= std::uint64_t{1} << (slot % 64);
    return *new (static_cast<void*>(chunk->storage[slot % kPerChunk])) Cell(std::move(connection));
  }
  void erase(std::uint32_t slot) {
    Cell* cell = find(slot);
    ADIEU_ASSERT(cell != nullptr);
    cell->~Cell();
    chunks_[slot / kPerChunk]->live[slot % kPerChunk / 64] &= ~(std::uint64_t{1} << (slot % 64));
  }

  std::uint32_t end() const { return static_cast<std::uint32_t>(chunks_.size() * kPerChunk); }
  std::size_t bytes() const {
    std::size_t sum = chunks_.capacity() * sizeof(chunks_[0]);
    for (const auto& chunk : chunks_) sum += chunk ? sizeof(Chunk) : 0;
    return sum;
  }

 private:
  static constexpr std::uint32_t kPerChunk = 256;
  struct Chunk {
    std::uint64_t live[kPerChunk / 64] = {};
    alignas(Cell) unsigned char storage[kPerChunk][sizeof(Cell)];
    bool is_live(std::uint32_t i) const { return (live[i / 64] >> (i % 64) & 1) != 0; }
    Cell* cell(std::uint32_t i) { return std::launder(reinterpret_cast<Cell*>(storage[i])); }
  };
  std::vector<std::unique_ptr<Chunk>> chunks_;
};

}  // namespace adieu::stack
