// Stories of whole ladders: a plane, its peers, a control plane and a ledger under virtual time.
#include <algorithm>

#include <gtest/gtest.h>

#include "world.h"

using namespace adieu;
using namespace adieu::control;
using namespace adieu::control::testing;

namespace {
std::vector<ProbeForm> forms(const World::Peer& peer) {
  std::vector<ProbeForm> all;
  for (const auto& c : peer.commands) all.push_back(c.form);
  return all;
}
}  // namespace

TEST(Ladder, APeerThatAnswersIsAskedOnceAnIntervalAndLivesForEver) {
  World world;
  const auto slot = world.open(half_closed(world.now));
  world.run_for(1_h);
  const auto& peer = world.peers.at(slot);
  // 25 s, up to an eighth more, up to a sweep more: between 3600/29.2 and 3600/25.
  EXPECT_GE(peer.commands.size(), 123U);
  EXPECT_LE(peer.commands.size(), 144U);
  for (std::size_t i = 1; i < peer.done_at.size(); ++i) EXPECT_GE(peer.done_at[i] - peer.done_at[i - 1], 25_s);
  EXPECT_FALSE(world.ledger.first(Standing::Suspect).is_known());
  EXPECT_EQ(world.attendant->controller().attended(), 0U);
}

TEST(Ladder, APeerThatVanishesIsGoneAfterNProbesOverTAndTheConnectionEndsWithItsVerdict) {
  World world;
  const Instant opened = world.now;
  const auto slot = world.open(half_closed(world.now));
  world.peers[slot].there = false;
  world.run_for(3_min);
  ASSERT_EQ(world.ledger.ends.size(), 1U);
  EXPECT_EQ(world.ledger.ends[0].second.reason, EndReason::Commanded);
  const std::uint64_t number = world.ledger.ends[0].second.ended_by;
  const Instant gone = world.ledger.first(Standing::Gone);
  EXPECT_GE(gone - opened, 125_s);
  EXPECT_LE(gone - opened, 25_s * 9 / 8 + 1_s + 3226_ms * 31 * 9 / 8 + 20_ms * 31 + 3_s);
  const auto& last = world.ledger.verdicts.back();
  EXPECT_EQ(last.number, number);
  ASSERT_TRUE(last.decision.command);
  EXPECT_EQ(last.decision.command->kind, plane::CommandKind::Abort);
  EXPECT_EQ(last.decision.evidence.asks_by(ProbeForm::DataEcho), 16U);
  EXPECT_EQ(last.decision.evidence.asks_by(ProbeForm::Bare), 15U);
  EXPECT_EQ(last.decision.verdict.grounds.find(GroundKind::Unanswered)->number, 31U);
  EXPECT_GE(last.decision.evidence.attended, 100_s);
}

TEST(Ladder, IsClimbedInOrder) {
  World world;
  const auto slot = world.open(half_closed(world.now));
  world.peers[slot].there = false;
  world.run_for(3_min);
  std::vector<Standing> seen;
  for (const auto& row : world.ledger.verdicts)
    if (seen.empty() || seen.back() != row.decision.verdict.standing) seen.push_back(row.decision.verdict.standing);
  EXPECT_EQ(seen, (std::vector{Standing::Silent, Standing::Suspect, Standing::Gone}));
}

TEST(Ladder, FormsTakeTurns) {
  World world;
  const auto slot = world.open(half_closed(world.now));
  world.peers[slot].there = false;
  world.run_for(45_s);
  const auto all = forms(world.peers.at(slot));
  ASSERT_GE(all.size(), 4U);
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(all[i], i % 2 == 0 ? ProbeForm::DataEcho : ProbeForm::Bare) << i;
}

TEST(Ladder, AConnectionThatNeverSentDataIsAskedOnlyBareAndNeverWithinASecond) {
  WorldSettings settings;
  settings.rule.proof_span = seconds(2);
  World world(settings);
  auto record = half_closed(world.now, State::CloseWait);
  record.can_echo = false;
  const auto slot = world.open(record);
  world.peers[slot].there = false;
  world.run_for(50_s);
  const auto& peer = world.peers.at(slot);
  ASSERT_GE(peer.commands.size(), 10U);
  for (const ProbeForm form : forms(peer)) EXPECT_EQ(form, ProbeForm::Bare);
  for (std::size_t i = 1; i < peer.done_at.size(); ++i) EXPECT_GE(peer.done_at[i] - peer.done_at[i - 1], 1_s);
}

TEST(Ladder, WhatIsOutstandingIsAskedByItsOwnRetransmission) {
  World world;
  auto record = half_closed(world.now, State::LastAck);
  record.oldest_unacked = world.now;
  record.attempts = 1;
  const auto slot = world.open(record);
  world.peers[slot].there = false;
  world.run_for(60_s);
  ASSERT_FALSE(world.peers.at(slot).commands.empty());
  for (const ProbeForm form : forms(world.peers.at(slot))) EXPECT_EQ(form, ProbeForm::Pending);
  world.run_for(2_min);
  ASSERT_EQ(world.ledger.ends.size(), 1U);
  EXPECT_EQ(world.ledger.ends[0].second.reason, EndReason::Commanded);
}

TEST(Ladder, TimeWaitAndIdleEstablishedAreNeverAsked) {
  World world;
  const auto quarantined = world.open(half_closed(world.now, State::TimeWait));
  const auto idle = world.open(half_closed(world.now, State::Established));
  world.run_for(1_h);
  EXPECT_TRUE(world.peers.at(quarantined).commands.empty());
  EXPECT_TRUE(world.peers.at(idle).commands.empty());
  EXPECT_EQ(world.attendant->controller().attended(), 0U);
}

TEST(Ladder, ASignOfLifeInSuspectLeadsBackToAlive) {
  World world;
  const auto slot = world.open(half_closed(world.now));
  world.peers[slot].there = false;
  world.run_for(90_s);
  ASSERT_EQ(world.standing(slot), Standing::Suspect);
  world.speaks(slot);
  world.run_for(2_s);
  EXPECT_EQ(world.ledger.verdicts.back().decision.verdict.standing, Standing::Alive);
  EXPECT_EQ(world.ledger.verdicts.back().decision.before, Standing::Suspect);
  world.peers[slot].there = true;
  world.run_for(1_h);
  EXPECT_TRUE(world.ledger.ends.empty());
}

TEST(Ladder, AnAbortThatASignOfLifeOvertookIsRefusedAndTheConnectionLives) {
  World world;
  const auto slot = world.open(half_closed(world.now));
  world.peers[slot].there = false;
  ASSERT_TRUE(world.run_until_decided(Standing::Gone));
  world.speaks(slot);  // just before the plane takes the command
  world.plane_obeys();
  world.peers[slot].there = true;
  world.run_for(1_h);
  ASSERT_TRUE(world.peers.contains(slot));
  EXPECT_TRUE(world.ledger.ends.empty());
  bool refused = false;
  for (const auto& receipt : world.ledger.receipts) refused = refused || receipt.outcome == plane::Outcome::HeardSince;
  EXPECT_TRUE(refused);
  EXPECT_NE(world.standing(slot), Standing::Suspect);
  EXPECT_NE(world.standing(slot), Standing::Gone);
}

TEST(Ladder, NobodyWhoAnswersIsEverGoneAtThirtyPercentLossEachWay) {
  WorldSettings settings;
  settings.loss = 0.3;
  std::uint64_t asked_in_all = 0;
  std::uint64_t doubted = 0;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    settings.seed = seed;
    World world(settings);
    for (unsigned i = 0; i < 60; ++i) world.open(half_closed(world.now));
    world.run_for(30_min);
    EXPECT_TRUE(world.ledger.ends.empty()) << seed;
    EXPECT_FALSE(world.ledger.first(Standing::Gone).is_known()) << seed;
    for (const auto& row : world.ledger.verdicts)
      if (row.decision.verdict.standing == Standing::Suspect) ++doubted;
    asked_in_all += world.attendant->counts().commands;
  }
  EXPECT_GT(asked_in_all, 10'000U);
  EXPECT_GT(doubted, 3'000U);  // the loss was there
}

TEST(Ladder, ADryRunDecidesAndEndsNobody) {
  WorldSettings settings;
  settings.rule.act = false;
  World world(settings);
  const auto slot = world.open(half_closed(world.now));
  world.peers[slot].there = false;
  world.run_for(10_min);
  EXPECT_TRUE(world.ledger.first(Standing::Gone).is_known());
  ASSERT_TRUE(world.peers.contains(slot));
  for (const auto& c : world.peers.at(slot).commands) EXPECT_EQ(c.kind, plane::CommandKind::Probe);
  // Gone is said once, and from then on it is asked as seldom as a quiet one, in case it comes back.
  const Instant gone = world.ledger.first(Standing::Gone);
  const auto asked_since =
      std::ranges::count_if(world.peers.at(slot).done_at, [gone](Instant done) { return done > gone; });
  EXPECT_LE(asked_since, (world.now - gone).ns / seconds(25).ns + 1);
  EXPECT_GE(asked_since, 10);
  world.peers[slot].there = true;
  world.run_for(1_min);
  EXPECT_TRUE(world.ledger.first(Standing::Alive).is_known());
}

TEST(Ladder, WithProbingOffNobodyIsAsked) {
  WorldSettings settings;
  settings.rule.probing = false;
  World world(settings);
  const auto slot = world.open(half_closed(world.now));
  world.peers[slot].there = false;
  world.run_for(1_h);
  EXPECT_TRUE(world.peers.at(slot).commands.empty());
  EXPECT_EQ(world.standing(slot), Standing::Silent);
}

TEST(Ladder, APlaneWithoutAnAbilityIsNotAskedForIt) {
  for (const plane::Ability off : {plane::Ability::ProbeEcho, plane::Ability::ProbeBare, plane::Ability::AbortReset,
                                   plane::Ability::GuardedAbort, plane::Ability::ReportsHeard}) {
    WorldSettings settings;
    settings.abilities = without(off);
    World world(settings);
    const auto slot = world.open(half_closed(world.now));
    world.peers[slot].there = false;
    world.run_for(4_min);
    const bool may_end = off == plane::Ability::ProbeEcho || off == plane::Ability::ProbeBare;
    EXPECT_EQ(world.peers.contains(slot), !may_end) << static_cast<std::uint64_t>(off);
    for (const auto& row : world.ledger.verdicts) {
      if (!row.decision.command) continue;
      const auto& c = *row.decision.command;
      const bool probe = c.kind == plane::CommandKind::Probe;
      EXPECT_FALSE(probe && off == plane::Ability::ProbeEcho && c.form == ProbeForm::DataEcho);
      EXPECT_FALSE(probe && off == plane::Ability::ProbeBare && c.form == ProbeForm::Bare);
      EXPECT_TRUE(probe || may_end);
    }
  }
}

TEST(Ladder, WithoutAnyProbingAbilityNobodyIsMoreThanSilent) {
  WorldSettings settings;
  settings.abilities = kAllAbilities & ~(plane::Ability::ProbeEcho | plane::Ability::ProbeBare);
  World world(settings);
  const auto slot = world.open(half_closed(world.now));
  world.peers[slot].there = false;
  world.run_for(1_h);
  EXPECT_TRUE(world.ledger.verdicts.empty());
  EXPECT_EQ(world.standing(slot), Standing::Silent);
}

TEST(Ladder, OfOneConnectionOneCommandIsInFlight) {
  WorldSettings settings;
  settings.rule.interval = seconds(1);
  settings.rule.proof_span = seconds(31);
  settings.rule.command_life = seconds(60);
  World world(settings);
  const auto slot = world.open(half_closed(world.now));
  world.peers[slot].there = false;
  world.run_for(5_s);
  // The plane stands still for a while that is too short to be noticed, then takes what waits for it.
  world.plane_runs = false;
  world.run_for(4_s);
  world.plane_runs = true;
  world.run_for(20_s);
  EXPECT_EQ(world.most_in_flight, 1U);
  EXPECT_GE(world.peers.at(slot).commands.size(), 10U);
}

TEST(Ladder, APlaneThatRefusesIsNotBesieged) {
  for (const auto outcome : {plane::Outcome::Unable, plane::Outcome::TooSoon, plane::Outcome::WrongState,
                             plane::Outcome::Malformed, plane::Outcome::Void, plane::Outcome::Expired}) {
    World world;
    world.refuse_all = outcome;
    const auto slot = world.open(half_closed(world.now));
    world.run_for(5_min);
    EXPECT_EQ(world.standing(slot), Standing::Silent);
    EXPECT_GE(world.ledger.receipts.size(), 8U);
    EXPECT_LE(world.ledger.receipts.size(), outcome == plane::Outcome::Unable ? 14U : 280U) << plane::name(outcome);
  }
}

TEST(Ladder, TwoPlanesUnderOneControlPlaneDoNotDisturbEachOther) {
  World near;
  const auto there = near.open(half_closed(near.now));
  World far;  // its own plane; here watched by the attendant of `near` too
  const auto lost = far.open(half_closed(far.now));
  far.peers[lost].there = false;
  far.kill_control();
  AlignedMemory block(plane::control_block_bytes(64));
  const auto index =
      near.attendant->watch({}, far.reader(), plane::ControlWriter(block.span(), 2, 64), {}, near.now, 64);
  EXPECT_EQ(index, 1U);
  for (unsigned i = 0; i < 600; ++i) {
    near.run_for(100_ms);
    far.run_for(100_ms);
  }
  EXPECT_GT(near.peers.at(there).commands.size(), 0U);
  EXPECT_GT(plane::ControlView(block.span()).waiting(0), 0U);  // asked by its own block, and by no other
  EXPECT_EQ(far.view().waiting(0), 0U);
  // The other plane dies: what lived in it is told, and the first goes on.
  EXPECT_TRUE(near.attendant->plane_failed(index, near.now));
  ASSERT_EQ(near.ledger.ends.size(), 1U);
  EXPECT_EQ(near.ledger.ends[0].second.reason, EndReason::PlaneFailed);
  near.run_for(5_min);
  EXPECT_EQ(near.ledger.ends.size(), 1U);
}

TEST(Ladder, DoesNotCountAQuestionWhoseAnswerThisHostMayHaveSleptThrough) {
  World world;
  const auto slot = world.open(half_closed(world.now));
  // It sleeps right after each question, and wakes too late for each answer: nothing of its clock is lost, every answer
  // is.
  while (world.peers[slot].commands.size() < 60) {
    const std::size_t before = world.peers[slot].commands.size();
    world.run_for(10_ms);
    if (!world.peers.contains(slot)) break;
    if (world.peers[slot].commands.size() == before) continue;
    world.peers[slot].answer_at.reset();
    world.attendant->slept(world.now);
  }
  EXPECT_TRUE(world.ledger.ends.empty());
  EXPECT_FALSE(world.ledger.first(Standing::Gone).is_known());
}

TEST(Ladder, TakesOneQuestionMoreForEachSleep) {
  for (const unsigned sleeps : {0U, 1U, 5U}) {
    World world;
    const auto slot = world.open(half_closed(world.now));
    world.peers[slot].there = false;
    for (unsigned i = 0; i < sleeps; ++i) {
      while (world.peers[slot].commands.size() < 2 * i + 2) world.run_for(10_ms);
      world.attendant->slept(world.now);
    }
    std::size_t questions = 0;
    for (; world.peers.contains(slot); world.run_for(10_ms)) questions = world.peers[slot].commands.size();
    EXPECT_GE(questions, Rule{}.probes_needed + sleeps);
    EXPECT_LE(questions, Rule{}.probes_needed + sleeps + 1);
  }
}

TEST(Ladder, KeepsTheLastWordsOfAPlaneThatDiesWhileTheDiskIsFull) {
  World world;
  const auto slot = world.open(half_closed(world.now));
  world.run_for(1_s);
  ASSERT_FALSE(world.attendant->request(0, {77, slot, world.record(slot).generation},
                                        {plane::CommandKind::Abort, false, 0, 1}, world.now));
  world.plane_obeys();
  world.ledger.full = true;
  EXPECT_FALSE(world.attendant->plane_failed(0, world.now));
  world.run_for(5_s);
  EXPECT_TRUE(world.ledger.receipts.empty());
  EXPECT_TRUE(world.ledger.ends.empty());
  world.ledger.full = false;
  EXPECT_TRUE(world.attendant->plane_failed(0, world.now));
  EXPECT_EQ(world.ledger.receipts.size(), 1U);
  ASSERT_EQ(world.ledger.ends.size(), 1U);
  EXPECT_EQ(world.ledger.ends[0].second.reason, EndReason::Commanded);
}
