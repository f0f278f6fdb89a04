// A hierarchical timing wheel: who asked to be called at or after which instant.
//
// What lives here: TimingWheel, six levels of 64 slots over ticks of one millisecond (as in Varghese and Lauck,
// SOSP 1987). What does not: what a deadline is for. An owner is a number that the caller understands.
//
// input: arm, move, cancel.  output: pop_due.  deadline: next_deadline, a lower bound; being called early is harmless.
// Only what is armed costs memory (24 octets): an idle connection has no deadline. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/slab.h"
#include "base/time.h"

namespace adieu {

class TimingWheel {
 public:
  using Handle = std::uint32_t;
  static constexpr Handle kNone = UINT32_MAX;

  // `start`: no deadline before it will ever be asked for; earlier ones are due at once.
  explicit TimingWheel(Instant start);
  ~TimingWheel();

  [[nodiscard]] Handle arm(std::uint32_t owner, Instant deadline);
  void move(Handle handle, Instant deadline);
  void cancel(Handle handle);
  Instant deadline(Handle handle) const;

  // An owner whose deadline, rounded up to a whole tick, is not after `now`; its handle is freed. Owners due in
  // the same tick come in an order that depends only on the order of calls, so that a seed replays.
  std::optional<std::uint32_t> pop_due(Instant now);
  Instant next_deadline() const;

  std::uint32_t armed() const { return nodes_.size(); }
  std::size_t bytes() const { return nodes_.bytes() + sizeof(*this); }

 private:
  static constexpr unsigned kLevels = 6;
  static constexpr unsigned kSlotBits = 6;
  static constexpr unsigned kSlots = 1U << kSlotBits;

  struct Node {
    std::int64_t tick;  // since `start_`, rounded up
    std::uint32_t owner;
    Handle next;
    Handle previous;
    std::uint16_t level;
    std::uint16_t slot;
  };

  std::int64_t tick_of(Instant deadline) const;
  void link(Handle handle);
  void unlink(Handle handle);
  bool lowest_slot(unsigned& level, unsigned& slot, std::int64_t& tick) const;

  Instant start_;
  std::int64_t now_tick_ = 0;
  std::array<std::uint64_t, kLevels> occupied_{};
  std::array<std::array<Handle, kSlots>, kLevels> heads_;
  Slab<Node> nodes_;
};

}  // namespace adieu
