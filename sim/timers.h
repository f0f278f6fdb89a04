// The timers by which other stacks decide that a connection has lived long enough, in the place of a control plane.
//
// What lives here: StackTimers, an imitation of Linux's and of FreeBSD's, driven by the same records and commands as
// adieu's own control plane; give_up_after(). What does not: the engine's own schedule, which has no end. An imitation
// ends a connection when the imitated stack would have, whatever the engine's retransmissions were meanwhile.
//
// Linux (measured on 6.18): an orphan in FIN-WAIT-2 has 60 s, whoever answers; what is outstanding has 15
// retransmissions while it is held, and 8 as an orphan; before a closed window an orphan has as many probes as fit
// before they are 120 s apart. Keepalive is off. Nobody is told of the end.
// FreeBSD (read in its source): in FIN-WAIT-2, where it can receive no more, 600 s since the peer was heard, looked at
// each 75 s; 12 retransmissions; keepalive in states up to CLOSING (not FIN-WAIT-2) after 2 h, 8 probes 75 s apart;
// before a closed window 60 s of silence once the application has closed. The peer is sent a reset, except from
// FIN-WAIT-2.
#pragma once

#include <cstdint>
#include <vector>

#include "base/time.h"
#include "plane/command.h"
#include "plane/control_block.h"
#include "plane/record.h"
#include "plane/table.h"
#include "sim/plan.h"

namespace adieu::sim {

// A retransmission schedule: the first after `first`, then each twice as late as the last, at most `most` apart.
// When the timer first fires at or after `limit`.
constexpr Duration fires_after(Duration first, Duration most, Duration limit) {
  Duration at = first;
  Duration apart = first;
  while (at < limit) {
    at = at + apart;
    apart = earlier(apart * 2, most);
  }
  return at;
}

class StackTimers {
 public:
  static constexpr Duration kSweep = seconds(1);

  StackTimers(Keeper keeper, const plane::TableReader& table, const plane::ControlWriter& writer)
      : keeper_(keeper), table_(table), writer_(writer) {}

  // `probes`: counts those that it asks for.
  void attend(Instant now, std::uint64_t& probes);
  Instant next_deadline() const { return next_; }

 private:
  // What no record tells.
  struct Watch {
    std::uint32_t generation = 0;
    Instant orphaned;       // first seen so
    Instant window_closed;  // the same
  };
  enum class End : std::uint8_t { No, Silent, Reset };

  End judge_linux(const plane::Record& record, const Watch& watch, Instant now) const;
  End judge_freebsd(const plane::Record& record, const Watch& watch, Instant now) const;
  Duration since(Instant at, Instant now) const { return now - later(at, resumed_); }
  bool asks(const plane::Record& record, Instant now) const;
  void command(plane::Command command, std::uint32_t slot, const plane::Record& record, Instant now);

  Keeper keeper_;
  plane::TableReader table_;
  plane::ControlWriter writer_;
  std::vector<Watch> watches_;
  std::uint64_t verdicts_ = 0;
  // While this host was suspended its timers stood still: they all begin anew when it wakes, in their favour.
  Instant resumed_;
  Instant next_;
};

}  // namespace adieu::sim
