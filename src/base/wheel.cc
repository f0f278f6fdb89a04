// The timing wheel: a deadline lies on the level of the highest bits in which it differs from now.
#include "base/wheel.h"

#include <bit>

#include "base/assert.h"

namespace adieu {

namespace {
constexpr std::int64_t kTickNs = 1'000'000;
// The furthest tick that is filed as it is; a later deadline waits there and is filed again (397 days). Half of what
// the levels span, so that a slot of the top level never means both now and a whole turn from now.
constexpr std::int64_t kSpan = (std::int64_t{1} << 35) - 1;
}  // namespace

TimingWheel::TimingWheel(Instant start) : start_(start) {
  for (auto& level : heads_) level.fill(kNone);
}

TimingWheel::~TimingWheel() = default;

std::int64_t TimingWheel::tick_of(Instant deadline) const {
  if (deadline <= start_) return 0;
  const std::int64_t ns = (deadline - start_).ns;
  return ns / kTickNs + (ns % kTickNs != 0 ? 1 : 0);
}

void TimingWheel::link(Handle handle) {
  Node& node = nodes_[handle];
  const std::int64_t tick = earlier(later(node.tick, now_tick_), now_tick_ + kSpan);
  const auto differing = static_cast<std::uint64_t>(tick ^ now_tick_) | (kSlots - 1);
  const unsigned highest_bit = 63U - static_cast<unsigned>(std::countl_zero(differing));
  const unsigned level = earlier<unsigned>(highest_bit / kSlotBits, kLevels - 1);
  const unsigned slot = static_cast<unsigned>(tick >> (level * kSlotBits)) & (kSlots - 1);
  node.level = static_cast<std::uint16_t>(level);
  node.slot = static_cast<std::uint16_t>(slot);
  node.previous = kNone;
  node.next = heads_[level][slot];
  if (node.next != kNone) nodes_[node.next].previous = handle;
  heads_[level][slot] = handle;
  occupied_[level] |= std::uint64_t{1} << slot;
}

void TimingWheel::unlink(Handle handle) {
  Node& node = nodes_[handle];
  if (node.next != kNone) nodes_[node.next].previous = node.previous;
  if (node.previous != kNone) {
    nodes_[node.previous].next = node.next;
  } else {
    heads_[node.level][node.slot] = node.next;
    if (node.next == kNone) occupied_[node.level] &= ~(std::uint64_t{1} << node.slot);
  }
}

TimingWheel::Handle TimingWheel::arm(std::uint32_t owner, Instant deadline) {
  const Handle handle = nodes_.emplace(Node{tick_of(deadline), owner, kNone, kNone, 0, 0});
  link(handle);
  return handle;
}

void TimingWheel::move(Handle handle, Instant deadline) {
  unlink(handle);
  nodes_[handle].tick = tick_of(deadline);
  link(handle);
}

void TimingWheel::cancel(Handle handle) {
  unlink(handle);
  nodes_.erase(handle);
}

Instant TimingWheel::deadline(Handle handle) const { return start_ + Duration{nodes_[handle].tick} * kTickNs; }

// The slot whose turn comes first. On every level the slots lie ahead of now within one turn, and the
// lowest occupied level always comes before the next turn of the level above it.
bool TimingWheel::lowest_slot(unsigned& level, unsigned& slot, std::int64_t& tick) const {
  for (level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const unsigned shift = level * kSlotBits;
    const auto current = static_cast<unsigned>(now_tick_ >> shift) & (kSlots - 1);
    const auto ahead = static_cast<unsigned>(std::countr_zero(std::rotr(occupied_[level], static_cast<int>(current))));
    slot = (current + ahead) & (kSlots - 1);
    tick = later(now_tick_, ((now_tick_ >> shift) + ahead) << shift);
    return true;
  }
  return false;
}

std::optional<std::uint32_t> TimingWheel::pop_due(Instant now) {
  if (now < start_) return std::nullopt;
  const std::int64_t limit = (now - start_).ns / kTickNs;
  unsigned level = 0;
  unsigned slot = 0;
  std::int64_t tick = 0;
  while (lowest_slot(level, slot, tick) && tick <= limit) {
    now_tick_ = tick;
    const Handle first = heads_[level][slot];
    if (level == 0 && nodes_[first].tick <= now_tick_) {
      const std::uint32_t owner = nodes_[first].owner;
      cancel(first);
      return owner;
    }
    // The slot's turn has come: file its nodes again, on lower levels now that time is nearer.
    heads_[level][slot] = kNone;
    occupied_[level] &= ~(std::uint64_t{1} << slot);
    for (Handle handle = first; handle != kNone;) {
      const Handle next = nodes_[handle].next;
      link(handle);
      handle = next;
    }
  }
  now_tick_ = later(now_tick_, limit);
  return std::nullopt;
}

Instant TimingWheel::next_deadline() const {
  unsigned level = 0;
  unsigned slot = 0;
  std::int64_t tick = 0;
  if (!lowest_slot(level, slot, tick)) return Instant::never();
  return start_ + Duration{tick} * kTickNs;
}

}  // namespace adieu
