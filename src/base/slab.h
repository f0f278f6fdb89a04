// Objects of one kind, by index, at stable addresses, in chunks that are allocated as the number grows.
//
// What lives here: Slab. What does not: identity (generations belong to plane/connection_id.h).
// A freed object's memory is kept and given out again, last freed first. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace adieu {

template <typename T, std::uint32_t kPerChunk = 256>
class Slab {
 public:
  using Index = std::uint32_t;

  Slab() = default;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab() { ADIEU_ASSERT(live_ == 0 || std::is_trivially_destructible_v<T>); }

  template <typename... Args>
  Index emplace(Args&&... args) {
    if (free_ == kNone) grow();
    const Index index = free_;
    Cell& cell = at(index);
    free_ = cell.next_free;
    ++live_;
    new (static_cast<void*>(cell.storage)) T(std::forward<Args>(args)...);
    return index;
  }
  void erase(Index index) {
    Cell& cell = at(index);
    (*this)[index].~T();
    cell.next_free = free_;
    free_ = index;
    --live_;
  }
  // The caller answers for `index` being live: an index is only ever held by its one owner.
  T& operator[](Index index) { return *std::launder(reinterpret_cast<T*>(at(index).storage)); }
  const T& operator[](Index index) const { return const_cast<Slab&>(*this)[index]; }

  std::uint32_t size() const { return live_; }
  // Memory held for objects, live and free, in octets.
  std::size_t bytes() const { return chunks_.size() * sizeof(Chunk); }

 private:
  static constexpr Index kNone = UINT32_MAX;
  union Cell {
    Index next_free;
    alignas(T) unsigned char storage[sizeof(T)];
  };
  struct Chunk {
    Cell cells[kPerChunk];
  };

  Cell& at(Index index) {
    ADIEU_ASSERT(index / kPerChunk < chunks_.size());
    return chunks_[index / kPerChunk]->cells[index % kPerChunk];
  }
  void grow() {
    const Index first = static_cast<Index>(chunks_.size()) * kPerChunk;
    chunks_.push_back(std::unique_ptr<Chunk>(new Chunk));  // cells are left uninitialised on purpose
    for (Index i = kPerChunk; i-- > 0;) {
      chunks_.back()->cells[i].next_free = free_;
      free_ = first + i;
    }
  }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  Index free_ = kNone;
  std::uint32_t live_ = 0;
};

}  // namespace adieu
