// Worlds from seeds: whatever a seed draws, every checker holds.
//
// What lives here: runs of many seeds. What does not: named stories (stories_test.cc), proof that a checker can fail
// (checkers_test.cc).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <tuple>

#include "sim/world.h"

namespace adieu::sim {
namespace {

// ADIEU_SIM_SEEDS: how many; CI's thousand, or more for a long run.
std::uint64_t seeds() {
  const char* given = std::getenv("ADIEU_SIM_SEEDS");
  return given == nullptr ? 2000 : std::strtoull(given, nullptr, 10);
}

std::string all(const Outcome& outcome) {
  std::string text;
  for (const Violation& violation : outcome.violations) text += "  " + describe(violation) + "\n";
  return text;
}

TEST(Worlds, HoldWhateverASeedDraws) {
  std::uint64_t packets = 0;
  std::uint64_t ended[kEndReasons] = {};
  std::uint64_t dead = 0;
  std::uint64_t dead_by_rule = 0;
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    const Outcome outcome = World(draw(seed)).run();
    EXPECT_TRUE(outcome.violations.empty()) << all(outcome) << "  replay: " << how_to_replay(seed);
    packets += outcome.packets;
    dead += outcome.dead;
    dead_by_rule += outcome.dead_by_rule;
    for (unsigned reason = 0; reason < kEndReasons; ++reason) ended[reason] += outcome.ended[reason];
  }
  // A thousand worlds in which nothing happens would hold as well.
  EXPECT_GT(packets, 100 * seeds());
  EXPECT_GT(dead, 0U);
  EXPECT_GT(dead_by_rule, 0U);
  for (const EndReason reason : {EndReason::BothClosed, EndReason::PeerReset, EndReason::DataAfterClose,
                                 EndReason::Aborted, EndReason::Commanded, EndReason::Refused})
    EXPECT_GT(ended[static_cast<unsigned>(reason)], 0U) << name(reason);
}

TEST(Worlds, OfOneSeedAreTheSameToTheLastOctet) {
  std::set<std::uint64_t> hashes;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const Outcome first = World(draw(seed)).run();
    const Outcome second = World(draw(seed)).run();
    EXPECT_EQ(first.hash, second.hash) << how_to_replay(seed);
    EXPECT_EQ(first.events, second.events);
    hashes.insert(first.hash);
  }
  EXPECT_EQ(hashes.size(), 50U);  // and of two seeds they are not
}

// By whom about which connection: gone, and ended by command.
using Verdicts = std::map<std::tuple<unsigned, std::uint32_t, unsigned, control::Standing>, Instant>;
Verdicts decisive(const Outcome& outcome) {
  Verdicts verdicts;
  for (const Finding& f : outcome.findings)
    if (f.standing != control::Standing::Silent && f.standing != control::Standing::Alive)
      verdicts.try_emplace({f.host, f.pair, f.side, f.standing}, f.at);
  return verdicts;
}

// Chance aside: what a link loses depends on when a packet comes, and an event ring changes when that is.
Plan without_chance(std::uint64_t seed) {
  Plan plan = draw(seed);
  for (auto& path : plan.path) {
    path.loss = path.duplicate = path.reorder = path.corrupt = 0;
    path.jitter = path.reorder_delay = {};
  }
  for (HostPlan& host : plan.hosts) host.command_delay = {};
  return plan;
}

TEST(Worlds, ReachTheSameVerdictsWithAnEventRingOfOneEntry) {
  std::uint64_t compared = 0;
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    Plan plan = without_chance(seed);
    const Verdicts many = decisive(World(plan).run());
    for (HostPlan& host : plan.hosts) host.events = 1;
    const Outcome outcome = World(plan).run();
    EXPECT_TRUE(outcome.violations.empty()) << all(outcome);
    const Verdicts one = decisive(outcome);
    ASSERT_EQ(one.size(), many.size()) << "seed " << seed;
    for (const auto& [what, at] : many) {
      const auto found = one.find(what);
      ASSERT_NE(found, one.end()) << "seed " << seed << " host " << std::get<0>(what) << " pair " << std::get<1>(what);
      const Duration sweep = plan.hosts[std::get<0>(what)].sweep;
      EXPECT_LE((found->second - at).ns, sweep.ns) << "seed " << seed;
      ++compared;
    }
  }
  EXPECT_GT(compared, 100U);
}

}  // namespace
}  // namespace adieu::sim
