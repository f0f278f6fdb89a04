// Days in the life of many long connections, and what came of them.
//
// What lives here: Befalls, day_of(), Tally, tally(). What does not: worlds from seeds (plan.h), what must hold
// (checkers.h): here is only counted, so that the timers of other stacks can be counted as well.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "sim/world.h"

namespace adieu::sim {

// What the connections of one day meet. Host 0 opens them all; host 1 is the one that is hung, sleeps or dies.
enum class Befalls : std::uint8_t {
  Nothing,
  Nat,          // a Linux NAT on the path, with its idle timers
  NatRestarts,  // and it loses its table twelve times
  Hung,         // the server never reads, or reads the end of the stream and never closes
  Sleeps,       // the server's host is suspended: twenty times for less than half of T, then for an hour
  Reboots,      // the server's host reboots six times
  Vanishes,     // the server's host is gone for an hour, six times
};
inline constexpr unsigned kBefalls = 7;
std::string_view name(Befalls what);

struct DayPlan {
  Befalls what = Befalls::Nothing;
  double loss = 0;  // each way
  std::uint64_t seed = 1;
  unsigned connections = 50;  // at one time
  Duration length = hours(24);
  Keeper keeper = Keeper::Control;
};
// The day is over at kGenesis + length; nobody closes anything before.
Plan day_of(const DayPlan& day);

struct Tally {
  unsigned connections = 0;
  double days = 0;  // of connections, while both of their ends were there
  std::uint64_t probes = 0;
  std::uint64_t packets = 0;
  // Connections that ended although the peer was there, and could be reached within the rule's span.
  unsigned false_deaths = 0;
  unsigned by_reset = 0;         // of them: by a reset that nobody's application meant
  unsigned by_own_question = 0;  // of those: while a question of the ended end was open; else what it answered
  unsigned by_rule = 0;          // the peer was there, but could not be reached for longer
  // Ends whose peer is no more: its host has gone, or it was ended.
  unsigned bereaved = 0;
  unsigned kept = 0;              // of them: still there when the day was over
  unsigned kept_unasked = 0;      // of those: adieu's rule asks nobody in their state (RFC 9293 MUST-25)
  std::vector<Duration> reclaim;  // of the others: how long that took
  // adieu's own: ends later than its rule's bound.
  unsigned late = 0;
  Duration slack = Duration::max();  // the least that was left of the bound
  std::vector<Violation> violations;
  std::vector<std::string> found;  // the false and the late, for a reader; at most kMostFound
  static constexpr std::size_t kMostFound = 8;

  void add(const Tally& other);
};

Tally run_day(const DayPlan& day, std::FILE* trace = nullptr);

}  // namespace adieu::sim
