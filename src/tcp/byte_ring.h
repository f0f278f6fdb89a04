// A queue of octets in one growing, circular piece of memory.
//
// What lives here: ByteRing. What does not: sequence numbers; an offset here counts from the front of the queue.
// Capacity doubles as needed and is given back only with the ring: rings exist while bytes move (transfer.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/bytes.h"

namespace adieu::tcp {

class ByteRing {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t bytes() const { return capacity_; }

  void append(Bytes bytes);
  // Puts octets at an offset that may lie behind the end (a hole remains before them); the size does not change.
  void place(std::size_t offset, Bytes bytes);
  // Counts `n` octets that were placed right behind the end as part of the queue.
  void extend(std::size_t n);
  // Up to `most` octets from `offset` that lie in one piece.
  Bytes piece(std::size_t offset, std::size_t most) const;
  // Copies up to out.size() octets from the front without removing them; returns how many.
  std::size_t peek(MutableBytes out) const;
  void consume(std::size_t n);

 private:
  void reserve(std::size_t needed);
  std::size_t index(std::size_t offset) const { return (front_ + offset) & (capacity_ - 1); }

  std::unique_ptr<std::uint8_t[]> memory_;
  std::size_t capacity_ = 0;  // zero or a power of two
  std::size_t front_ = 0;
  std::size_t size_ = 0;
};

}  // namespace adieu::tcp
