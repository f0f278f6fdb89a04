// Ranges are sorted by their left edge, and never touch each other.
#include "tcp/reassembly.h"

#include <algorithm>

#include "base/assert.h"

namespace adieu::tcp {

bool Reassembly::insert(Seq left, Seq right) {
  ADIEU_ASSERT(left < right);
  latest_ = left;
  std::size_t first = 0;
  while (first < count_ && ranges_[first].right < left) ++first;
  std::size_t last = first;  // [first, last) touch the new range and melt into it
  while (last < count_ && ranges_[last].left <= right) {
    left = earlier(left, ranges_[last].left);
    right = later(right, ranges_[last].right);
    ++last;
  }
  if (first == last) {
    if (count_ == ranges_.size()) return false;
    std::move_backward(ranges_.begin() + static_cast<std::ptrdiff_t>(first),
                       ranges_.begin() + static_cast<std::ptrdiff_t>(count_),
                       ranges_.begin() + static_cast<std::ptrdiff_t>(count_ + 1));
    ++count_;
  } else {
    std::move(ranges_.begin() + static_cast<std::ptrdiff_t>(last),
              ranges_.begin() + static_cast<std::ptrdiff_t>(count_),
              ranges_.begin() + static_cast<std::ptrdiff_t>(first + 1));
    count_ -= last - first - 1;
  }
  ranges_[first] = {left, right};
  return true;
}

Seq Reassembly::advance(Seq rcv_nxt) {
  std::size_t passed = 0;
  while (passed < count_ && ranges_[passed].left <= rcv_nxt) {
    rcv_nxt = later(rcv_nxt, ranges_[passed].right);
    ++passed;
  }
  std::move(ranges_.begin() + static_cast<std::ptrdiff_t>(passed),
            ranges_.begin() + static_cast<std::ptrdiff_t>(count_), ranges_.begin());
  count_ -= passed;
  return rcv_nxt;
}

std::uint8_t Reassembly::sack_blocks(std::array<wire::SackBlock, wire::kMaxSackBlocks>& blocks, unsigned most) const {
  std::uint8_t written = 0;
  const auto add = [&](const Range& range) {
    if (written < most) blocks[written++] = {range.left, range.right};
  };
  std::size_t newest = count_;
  for (std::size_t i = 0; i < count_; ++i)
    if (ranges_[i].left <= latest_ && latest_ < ranges_[i].right) newest = i;
  if (newest < count_) add(ranges_[newest]);
  for (std::size_t i = 0; i < count_; ++i)
    if (i != newest) add(ranges_[i]);
  return written;
}

void Reassembly::check_invariants(Seq rcv_nxt) const {
  Seq edge = rcv_nxt;
  for (std::size_t i = 0; i < count_; ++i) {
    ADIEU_ASSERT(edge < ranges_[i].left);
    ADIEU_ASSERT(ranges_[i].left < ranges_[i].right);
    edge = ranges_[i].right;
  }
}

}  // namespace adieu::tcp
