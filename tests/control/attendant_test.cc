// The attendant: restarts, gaps, a ledger that cannot write, ends, hints, rings that are full.
#include "control/attendant.h"

#include <gtest/gtest.h>

#include "control/onlooker.h"
#include "world.h"

using namespace adieu;
using namespace adieu::control;
using namespace adieu::control::testing;

namespace {
std::uint32_t vanished(World& world) {
  const auto slot = world.open(half_closed(world.now));
  world.peers[slot].there = false;
  return slot;
}
// When its abort was decided.
Instant runs_until_gone(World& world) {
  const Instant limit = world.now + 20_min;
  while (!world.ledger.first(Standing::Gone).is_known() && world.now < limit) world.run_for(100_ms);
  return world.ledger.first(Standing::Gone);
}
}  // namespace

TEST(Attendant, ANewControlPlaneGoesOnWhereTheLadderStood) {
  World undisturbed;
  vanished(undisturbed);
  const Instant expected = runs_until_gone(undisturbed);

  World world;
  const auto slot = vanished(world);
  world.run_for(80_s);
  const auto before = world.record(slot);
  const auto counted = before.probes[0] + before.probes[1];
  ASSERT_GT(counted, 10);
  world.kill_control();
  world.run_for(2_s);  // shorter than what counts as a gap
  world.start_control();
  const auto restarted = world.ledger.verdicts.size();
  world.run_for(5_s);
  // The first thing it writes down is a ladder half climbed.
  ASSERT_GT(world.ledger.verdicts.size(), restarted);
  const auto& first = world.ledger.verdicts[restarted].decision;
  EXPECT_EQ(first.before, Standing::Unknown);
  EXPECT_EQ(first.verdict.standing, Standing::Suspect);
  EXPECT_EQ(first.evidence.asked, static_cast<std::uint32_t>(counted));
  EXPECT_EQ(first.evidence.first_ask, before.probe_first);
  EXPECT_TRUE(world.peers.contains(slot));
  const Instant gone = runs_until_gone(world);
  EXPECT_GE(gone, expected - 2_s);
  EXPECT_LE(gone, expected + 4_s);
}

TEST(Attendant, TimeWithoutAControlPlaneIsNoEvidence) {
  World undisturbed;
  vanished(undisturbed);
  const Instant expected = runs_until_gone(undisturbed);

  World world;
  vanished(world);
  world.run_for(100_s);
  world.kill_control();
  world.run_for(10_min);
  world.start_control();
  world.run_for(1_s);
  EXPECT_FALSE(world.ledger.first(Standing::Gone).is_known());
  const Instant gone = runs_until_gone(world);
  EXPECT_GE(gone, expected + 10_min - 4_s);
  EXPECT_GE(world.ledger.verdicts.back().decision.evidence.unattended, 10_min - 2_s);
  EXPECT_LE(world.ledger.verdicts.back().decision.evidence.unattended, 10_min + 2_s);
}

TEST(Attendant, TheGapIsLeftInTheBlockForTheOneAfterTheNext) {
  World world;
  world.run_for(10_s);
  world.kill_control();
  world.run_for(60_s);
  world.start_control();
  world.run_for(2_s);
  world.kill_control();
  world.start_control();
  world.run_for(2_s);
  const auto status = world.view().status();
  ASSERT_TRUE(status);
  EXPECT_GE(unattended(world.now - 65_s, world.now, status->gaps), 58_s);
  EXPECT_LE(unattended(world.now - 65_s, world.now, status->gaps), 62_s);
}

TEST(Attendant, ASweepThatComesMuchTooLateLeavesAGapAndOneThatIsALittleLateDoesNot) {
  for (const Duration late : {3_s, 3_s + 1_ms}) {
    World world;
    world.run_for(10_s);
    const auto known = world.attendant->controller().gaps(0).size();
    world.now = world.now + late;  // the whole host stood still
    world.step();
    EXPECT_EQ(world.attendant->controller().gaps(0).size(), known + (late > 3_s ? 1 : 0)) << late.ns;
  }
}

TEST(Attendant, OldGapsBecomeOneRatherThanBeForgotten) {
  World world;
  const Instant start = world.now;
  for (int i = 0; i < 40; ++i) {
    world.now = world.now + 10_s;
    world.step();
    world.run_for(2_s);
  }
  EXPECT_EQ(world.attendant->controller().gaps(0).size(), plane::kGaps);
  EXPECT_GE(unattended(start, world.now, world.attendant->controller().gaps(0)), 400_s);
}

TEST(Attendant, OfAStoppedPlaneNothingIsDecidedAndItsStandstillIsNoEvidence) {
  World world;
  const auto slot = vanished(world);
  world.run_for(100_s);
  world.plane_runs = false;
  world.run_for(10_min);
  EXPECT_TRUE(world.attendant->controller().stopped_since(0));
  const auto written = world.ledger.verdicts.size();
  world.run_for(10_min);
  EXPECT_EQ(world.ledger.verdicts.size(), written);
  EXPECT_FALSE(world.ledger.first(Standing::Gone).is_known());
  world.plane_runs = true;
  world.run_for(1_s);
  EXPECT_FALSE(world.attendant->controller().stopped_since(0));
  EXPECT_TRUE(world.peers.contains(slot));
  EXPECT_TRUE(runs_until_gone(world).is_known());
  EXPECT_GE(world.ledger.verdicts.back().decision.evidence.unattended, 20_min - 10_s);
}

TEST(Attendant, TheLedgerKnowsEveryCommandBeforeItsPlaneDoes) {
  World world;
  for (int i = 0; i < 10; ++i) vanished(world);
  world.run_for(4_min);
  EXPECT_EQ(world.ledger.ends.size(), 10U);
  EXPECT_GT(world.attendant->counts().commands, 310U);
  EXPECT_FALSE(world.ledger_behind);
}

TEST(Attendant, WhileTheLedgerCannotWriteNobodyIsEndedAndProbesGoOn) {
  for (const bool only_commit : {false, true}) {
    World world;
    const auto slot = vanished(world);
    world.run_for(60_s);
    (only_commit ? world.ledger.commit_fails : world.ledger.full) = true;
    const auto asked_before = world.peers.at(slot).commands.size();
    world.run_for(10_min);
    ASSERT_TRUE(world.peers.contains(slot));
    EXPECT_EQ(world.standing(slot), Standing::Gone);
    EXPECT_GT(world.peers.at(slot).commands.size(), asked_before + 15);
    EXPECT_EQ(world.peers.at(slot).commands.back().verdict, kUnrecorded);
    EXPECT_GT(world.attendant->counts().withheld, 0U);
    EXPECT_FALSE(world.ledger_behind);
    // The disk has room again.
    world.ledger.full = world.ledger.commit_fails = false;
    world.run_for(10_s);
    ASSERT_EQ(world.ledger.ends.size(), 1U);
    EXPECT_TRUE(world.ledger.holds(world.ledger.ends[0].second.ended_by));
  }
}

TEST(Attendant, EndsThatCannotBeKeptAreNotGivenBackAndAreToldLater) {
  World world;
  const auto slot = world.open(half_closed(world.now));
  world.run_for(5_s);
  world.ledger.commit_fails = true;
  world.close(slot);
  world.run_for(5_s);
  EXPECT_EQ(world.view().ended_seen(), 0U);
  EXPECT_TRUE(world.ledger.ends.empty());
  world.ledger.commit_fails = false;
  world.run_for(5_s);
  EXPECT_EQ(world.view().ended_seen(), 1U);
  EXPECT_EQ(world.ledger.ends.size(), 1U);
}

TEST(Attendant, ReceiptsOfAbortsAreKeptForTheLedgerAcrossARestart) {
  World world;
  vanished(world);
  ASSERT_TRUE(world.run_until_decided(Standing::Gone));
  world.ledger.commit_fails = true;
  world.run_for(10_s);
  const auto taken = world.view().receipts_taken();
  EXPECT_LT(taken, world.reader().receipts_written());
  world.kill_control();
  world.ledger.commit_fails = false;
  world.start_control();
  world.run_for(2_s);
  EXPECT_EQ(world.view().receipts_taken(), world.reader().receipts_written());
  bool told = false;
  for (const auto& r : world.ledger.receipts) told = told || r.kind == plane::CommandKind::Abort;
  EXPECT_TRUE(told);
}

TEST(Attendant, EachEndIsToldOnceAndItsSlotGivenBack) {
  WorldSettings settings;
  settings.slots = 8;
  World world(settings);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::uint32_t> slots;
    for (int i = 0; i < 8; ++i) slots.push_back(world.open(half_closed(world.now)));
    world.run_for(2_s);
    for (const auto slot : slots) world.close(slot);
    world.run_for(2_s);
  }
  EXPECT_EQ(world.ledger.ends.size(), 160U);
  EXPECT_EQ(world.view().ended_seen(), 160U);
}

TEST(Attendant, WithARingOfOneEventTheVerdictsAreTheSameLaterByASweepAtMost) {
  std::vector<std::vector<MemoryLedger::Row>> runs;
  for (const std::uint32_t events : {64U, 1U}) {
    WorldSettings settings;
    settings.events = events;
    World world(settings);
    vanished(world);
    const auto other = vanished(world);
    world.run_for(90_s);
    world.speaks(other);
    world.run_for(4_min);
    runs.push_back(world.ledger.verdicts);
  }
  std::map<std::uint32_t, std::vector<std::pair<Standing, Instant>>> by_slot[2];
  for (unsigned run = 0; run < 2; ++run)
    for (const auto& row : runs[run]) {
      auto& seen = by_slot[run][row.decision.id.slot];
      if (seen.empty() || seen.back().first != row.decision.verdict.standing)
        seen.emplace_back(row.decision.verdict.standing, row.at);
    }
  ASSERT_EQ(by_slot[0].size(), 2U);
  for (const auto& [slot, seen] : by_slot[0]) {
    ASSERT_EQ(seen.size(), by_slot[1][slot].size());
    for (std::size_t i = 0; i < seen.size(); ++i) {
      EXPECT_EQ(seen[i].first, by_slot[1][slot][i].first);
      EXPECT_LE(by_slot[1][slot][i].second - seen[i].second, 1_s);
    }
  }
}

TEST(Attendant, ManyThatFallSilentAtOnceAreAllAskedThoughTheRingIsSmall) {
  WorldSettings settings;
  settings.slots = 512;
  settings.commands = 16;
  World world(settings);
  for (int i = 0; i < 500; ++i) world.open(half_closed(world.now));
  world.run_for(25_s + 60_s);
  for (const auto& [slot, peer] : world.peers) EXPECT_GE(peer.commands.size(), 1U) << slot;
  EXPECT_EQ(world.attendant->counts().withheld, 0U);
}

TEST(Attendant, NobodyWaitsForEverWhenNotAllCanBeAttended) {
  WorldSettings settings;
  settings.slots = 64;
  settings.attendant.controller.most_attended = 4;
  World world(settings);
  for (int i = 0; i < 40; ++i) world.open(half_closed(world.now));
  world.run_for(3_min);
  for (const auto& [slot, peer] : world.peers) EXPECT_GE(peer.commands.size(), 1U) << slot;
  EXPECT_LE(world.attendant->controller().attended(), 4U);
}

TEST(Attendant, KeepsAtMostTwelveOctetsOfAQuietConnection) {
  constexpr std::uint32_t kConnections = 20'000;
  WorldSettings settings;
  settings.slots = kConnections;
  settings.rule.probing = false;
  World world(settings);
  const auto empty = world.attendant->bytes();
  for (std::uint32_t i = 0; i < kConnections; ++i) world.writer().open(half_closed(world.now), world.view());
  for (int i = 0; i < 3; ++i) {
    world.now = world.now + 1_s;
    world.step();
  }
  EXPECT_LE(world.attendant->bytes() - empty, kConnections * std::size_t{12});
}

TEST(Attendant, ANewConnectionInTheSlotOfAnAttendedOneStartsAfresh) {
  WorldSettings settings;
  settings.slots = 1;
  World world(settings);
  const auto slot = vanished(world);
  world.run_for(60_s);
  ASSERT_EQ(world.attendant->controller().attended(), 1U);
  world.close(slot, EndReason::PeerReset);
  world.run_for(2_s);
  EXPECT_EQ(world.attendant->controller().attended(), 0U);
  world.open(half_closed(world.now));
  world.run_for(20_s);
  EXPECT_TRUE(world.peers.at(slot).commands.empty());
}

TEST(Onlooker, SaysTheSameAsTheControlPlaneWhileThatAttends) {
  World world;
  const auto slot = vanished(world);
  world.run_for(60_s);
  const Onlook seen = look_on(world.record(slot), kPlane, world.reader().heartbeat(), Policy(), world.view().status(),
                              HostBook(), world.now);
  EXPECT_FALSE(seen.not_judged_since);
  EXPECT_EQ(seen.verdict.standing, Standing::Suspect);
  EXPECT_EQ(seen.rule, Rule{});
}

TEST(Onlooker, SaysSinceWhenNobodyJudgedAndCallsNobodyGoneForIt) {
  World world;
  const auto slot = vanished(world);
  world.run_for(100_s);
  const Instant last = world.view().status()->swept_at;
  world.kill_control();
  world.run_for(1_h);
  const Onlook seen = look_on(world.record(slot), kPlane, world.reader().heartbeat(), Policy(), world.view().status(),
                              HostBook(), world.now);
  ASSERT_TRUE(seen.not_judged_since);
  EXPECT_EQ(*seen.not_judged_since, last);
  EXPECT_EQ(seen.verdict.standing, Standing::Suspect);
  EXPECT_EQ(seen.evidence.unattended, world.now - last);
}

TEST(Onlooker, JudgesBesideATableThatNoControlPlaneEverSaw) {
  World world;
  const auto slot = world.open(asked(half_closed(world.now), 20, 20, world.now + 30_s, world.now + 150_s));
  const Onlook seen =
      look_on(world.record(slot), kPlane, Instant::unknown(), Policy(), {}, HostBook(), world.now + 1_h);
  ASSERT_TRUE(seen.not_judged_since);
  EXPECT_FALSE(seen.not_judged_since->is_known());
  EXPECT_EQ(seen.verdict.standing, Standing::Suspect);
}
