// ByteRing: copies in at most two pieces.
#include "tcp/byte_ring.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"

namespace adieu::tcp {

namespace {
constexpr std::size_t kSmallest = 2048;
}

void ByteRing::reserve(std::size_t needed) {
  if (needed <= capacity_) return;
  const std::size_t capacity = std::max(kSmallest, std::bit_ceil(needed));
  auto memory = std::make_unique_for_overwrite<std::uint8_t[]>(capacity);
  // All of the old memory, not only the queue: octets may have been placed behind its end.
  if (capacity_ > 0) {
    const std::size_t first = capacity_ - front_;
    std::memcpy(memory.get(), memory_.get() + front_, first);
    std::memcpy(memory.get() + first, memory_.get(), front_);
  }
  memory_ = std::move(memory);
  capacity_ = capacity;
  front_ = 0;
}

void ByteRing::place(std::size_t offset, Bytes bytes) {
  if (bytes.empty()) return;
  reserve(offset + bytes.size());
  const std::size_t at = index(offset);
  const std::size_t first = std::min(bytes.size(), capacity_ - at);
  std::memcpy(memory_.get() + at, bytes.data(), first);
  std::memcpy(memory_.get(), bytes.data() + first, bytes.size() - first);
}

void ByteRing::append(Bytes bytes) {
  place(size_, bytes);
  size_ += bytes.size();
}

void ByteRing::extend(std::size_t n) {
  ADIEU_ASSERT(size_ + n <= capacity_);
  size_ += n;
}

Bytes ByteRing::piece(std::size_t offset, std::size_t most) const {
  if (offset >= size_ || most == 0) return {};
  const std::size_t at = index(offset);
  return {memory_.get() + at, std::min({most, size_ - offset, capacity_ - at})};
}

std::size_t ByteRing::peek(MutableBytes out) const {
  std::size_t copied = 0;
  while (copied < out.size()) {
    const Bytes next = piece(copied, out.size() - copied);
    if (next.empty()) break;
    std::memcpy(out.data() + copied, next.data(), next.size());
    copied += next.size();
  }
  return copied;
}

void ByteRing::consume(std::size_t n) {
  ADIEU_ASSERT(n <= size_);
  if (capacity_ > 0) front_ = index(n);
  size_ -= n;
}

}  // namespace adieu::tcp
