// Short days: the count is right, and adieu neither kills the living nor keeps the dead.
//
// What lives here: what is counted, in worlds small enough for a test. What does not: the measurement itself
// (bench/verdicts.cc).
#include "sim/day.h"

#include <gtest/gtest.h>

#include "sim/bound.h"

namespace adieu::sim {
namespace {

Tally day(Befalls what, Keeper keeper = Keeper::Control, double loss = 0) {
  const Tally tally =
      run_day({.what = what, .loss = loss, .seed = 5, .connections = 10, .length = hours(6), .keeper = keeper});
  for (const Violation& violation : tally.violations) ADD_FAILURE() << describe(violation);
  for (const std::string& text : tally.found)
    if (keeper == Keeper::Control) ADD_FAILURE() << text;
  return tally;
}

TEST(Day, NobodyDiesOfADayInWhichNothingHappens) {
  const Tally tally = day(Befalls::Nothing);
  EXPECT_EQ(tally.connections, 10U);
  EXPECT_NEAR(tally.days, 2.5, 0.1);
  EXPECT_EQ(tally.false_deaths + tally.by_rule + tally.bereaved, 0U);
  EXPECT_GT(tally.probes, 5000U);
}

TEST(Day, TheLinuxTimersKillTheTwoOrphansOfTenAndLeaveTheirPeersBehind) {
  const Tally tally = day(Befalls::Nothing, Keeper::Linux);
  EXPECT_EQ(tally.false_deaths, 2U);
  EXPECT_EQ(tally.kept, 2U);
  EXPECT_EQ(tally.probes, 0U);
}

TEST(Day, ANatAtThirtyPercentLossKillsNobody) {
  const Tally tally = day(Befalls::Nat, Keeper::Control, 0.3);
  EXPECT_EQ(tally.false_deaths, 0U);
}

TEST(Day, WithoutQuestionsANatKillsWhoeverSpeaksLate) {
  const Tally tally = day(Befalls::Nat, Keeper::Linux);
  EXPECT_GT(tally.by_reset, 0U);
}

TEST(Day, AHungPeerIsAlive) { EXPECT_EQ(day(Befalls::Hung).false_deaths, 0U); }

TEST(Day, OneWhoSleepsForAnHourIsDeadByRuleAndForHalfAMinuteIsNot) {
  const Tally tally = day(Befalls::Sleeps);
  EXPECT_EQ(tally.false_deaths, 0U);
  EXPECT_EQ(tally.late, 0U);
}

TEST(Day, TheDeadAreFoundWithinTheRulesBoundButForThoseWhomNobodyAsks) {
  const Tally tally = day(Befalls::Vanishes);
  EXPECT_EQ(tally.late, 0U);
  EXPECT_EQ(tally.false_deaths, 0U);
  EXPECT_EQ(tally.bereaved, 60U);
  EXPECT_EQ(tally.kept, tally.kept_unasked);
  EXPECT_LT(tally.slack, minutes(2));  // some came near it: the bound is one
  EXPECT_GE(tally.slack, Duration{});
}

TEST(Day, TheSameSeedGivesTheSameDay) {
  const Tally one = day(Befalls::Vanishes, Keeper::Control, 0.05);
  const Tally again = day(Befalls::Vanishes, Keeper::Control, 0.05);
  EXPECT_EQ(one.packets, again.packets);
  EXPECT_EQ(one.reclaim, again.reclaim);
}

// 25 s + 1/8, then 31 questions 3.226 s and up to an eighth apart, 3 s for the last answer, and a sweep.
TEST(Bound, OfTheBuiltInRuleIsUnderTwoAndAHalfMinutes) {
  const control::Rule rule;
  const Duration inside = verdict_bound(rule, {.may_be_outside = false, .sweep = seconds(1), .command_delay = {}});
  const Duration outside = verdict_bound(rule, {.may_be_outside = true, .sweep = seconds(1), .command_delay = {}});
  EXPECT_NEAR(inside.seconds(), 144.6, 0.2);
  EXPECT_EQ(outside - inside, seconds(25));
}

}  // namespace
}  // namespace adieu::sim
