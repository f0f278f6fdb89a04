// Named stories: worlds with one thing in them each.
//
// What lives here: plans made by hand, and what must come of them. What does not: worlds from seeds (seeds_test.cc).
#include <gtest/gtest.h>

#include "sim/world.h"

namespace adieu::sim {
namespace {

std::string all(const Outcome& outcome) {
  std::string text;
  for (const Violation& violation : outcome.violations) text += "  " + describe(violation) + "\n";
  return text;
}

// A connection from host 0 to host 1: the client shuts its sending side down at once; the server says `words` octets at
// `speaks` after the connection stands, and closes. Its path takes 10 ms.
class HalfClosed : public ::testing::Test {
 protected:
  HalfClosed() {
    plan.seed = 4;
    for (auto& path : plan.path) path.delay = milliseconds(10);
    ConnectionPlan c;
    c.at = kGenesis + seconds(1);
    c.ends[1].octets = 1000;
    plan.connections = {c};
    speaks_after(minutes(20));
    plan.curfew = kGenesis + hours(1);
    plan.horizon = kGenesis + hours(3);
  }
  EndPlan& client() { return plan.connections[0].ends[0]; }
  EndPlan& server() { return plan.connections[0].ends[1]; }
  void speaks_after(Duration d) { server().start_after = d; }
  void befalls(FaultKind kind, unsigned host, Duration at, Duration span = Duration::max()) {
    plan.faults.push_back({kind, host, kGenesis + at, span});
  }
  static const End& end_of(World& world, unsigned side) { return *world.book().pairs().front().ends[side]; }
  // The instant of the first such verdict of host 0.
  static Instant found(const Outcome& outcome, control::Standing standing) {
    for (const Finding& f : outcome.findings)
      if (f.host == 0 && f.standing == standing) return f.at;
    return Instant::never();
  }

  Plan plan;
};

TEST_F(HalfClosed, SilentForThirtyDaysWithoutAControlPlaneAndThenExchangeData) {
  for (HostPlan& host : plan.hosts) host.control = false;
  speaks_after(hours(24 * 30));
  plan.curfew = kGenesis + hours(24 * 31);
  plan.horizon = kGenesis + hours(24 * 32);
  World world(plan);
  world.run_until(kGenesis + seconds(10));
  EXPECT_EQ(end_of(world, 0).state, State::FinWait2);
  EXPECT_EQ(end_of(world, 1).state, State::CloseWait);
  // Nothing is armed: not a packet, not a timer in either engine for the whole month.
  for (unsigned host : {0U, 1U}) EXPECT_EQ(world.host(host).engine().next_deadline(), Instant::never());
  const std::uint64_t packets = world.host(0).engine().counters().packets_out;
  world.run_until(kGenesis + hours(24 * 30));
  EXPECT_EQ(world.host(0).engine().counters().packets_out, packets);
  EXPECT_EQ(end_of(world, 0).state, State::FinWait2);
  const Outcome outcome = world.run();
  EXPECT_TRUE(outcome.violations.empty()) << all(outcome);
  EXPECT_EQ(end_of(world, 0).read, 1000U);
  EXPECT_EQ(outcome.ended[static_cast<unsigned>(EndReason::BothClosed)], 2U);
}

TEST_F(HalfClosed, ThirtyPercentLossEachWayNeverKillsTheLiving) {
  std::uint64_t doubted = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    plan.seed = seed;
    for (auto& path : plan.path) path.loss = 0.3;
    speaks_after(hours(24));
    plan.curfew = kGenesis + hours(25);
    plan.horizon = kGenesis + hours(40);
    World world(plan);
    const Outcome outcome = world.run();
    EXPECT_TRUE(outcome.violations.empty()) << all(outcome) << seed;
    EXPECT_EQ(outcome.ended[static_cast<unsigned>(EndReason::Commanded)], 0U);
    EXPECT_EQ(end_of(world, 0).read, 1000U);
    for (const Finding& f : outcome.findings) doubted += f.standing == control::Standing::Suspect ? 1 : 0;
  }
  EXPECT_GT(doubted, 1000U);  // it was asked often enough, and often in vain
}

TEST_F(HalfClosed, APeerWhoseHostVanishesIsGoneWithinTheRulesBound) {
  befalls(FaultKind::PowerOff, 1, minutes(5));
  World world(plan);
  const Outcome outcome = world.run();
  EXPECT_TRUE(outcome.violations.empty()) << all(outcome);
  EXPECT_EQ(end_of(world, 0).reason, EndReason::Commanded);
  EXPECT_EQ(outcome.dead, 1U);
  // The ladder, in order, and not before the rule allows: T is 100 s.
  const Instant suspect = found(outcome, control::Standing::Suspect);
  const Instant gone = found(outcome, control::Standing::Gone);
  const control::Rule& rule = plan.hosts[0].rule;
  EXPECT_GE(gone - end_of(world, 0).record.last_heard, rule.proof_span);
  EXPECT_LT(suspect, gone);
  // At the latest: one interval of trust, one of jitter, then N questions, an eighth of jitter each, and a sweep.
  const Duration asking = later(rule.proof_span, control::probe_spacing(rule) * rule.probes_needed);
  const Instant bound = kGenesis + minutes(5) + rule.interval * 2 + asking + asking / 4 + control::answer_time(rule) +
                        plan.hosts[0].sweep * 2;
  EXPECT_LE(end_of(world, 0).ended, bound);
}

TEST_F(HalfClosed, APathThatIsBlackForLessThanTheSpanOfProofKillsNobody) {
  for (unsigned host : {0U, 1U}) befalls(FaultKind::BlackHole, host, minutes(5), seconds(80));
  World world(plan);
  const Outcome outcome = world.run();
  EXPECT_TRUE(outcome.violations.empty()) << all(outcome);
  EXPECT_NE(found(outcome, control::Standing::Suspect), Instant::never());
  EXPECT_EQ(outcome.ended[static_cast<unsigned>(EndReason::BothClosed)], 2U);
}

TEST_F(HalfClosed, APathThatIsBlackForLongerMakesThePeerDeadByRule) {
  befalls(FaultKind::BlackHole, 0, minutes(5), minutes(5));
  World world(plan);
  const Outcome outcome = world.run();
  EXPECT_TRUE(outcome.violations.empty()) << all(outcome);
  EXPECT_EQ(outcome.dead, 0U);
  EXPECT_GT(outcome.dead_by_rule, 0U);
}

TEST_F(HalfClosed, ControlKilledInTheMiddleOfALadderGoesOnWhereItStood) {
  befalls(FaultKind::PowerOff, 1, minutes(5));
  World whole(plan);
  const Outcome undisturbed = whole.run();
  befalls(FaultKind::ControlKill, 0, minutes(5) + seconds(70), seconds(20));
  World world(plan);
  world.run_until(kGenesis + minutes(5) + seconds(69));
  const End& end = end_of(world, 0);
  world.host(0).refresh(world.now());
  unsigned before = 0;
  for (const std::uint16_t count : end.record.probes) before += count;
  EXPECT_GT(before, 5U);
  world.run_until(kGenesis + minutes(5) + seconds(95));
  world.host(0).refresh(world.now());
  unsigned after = 0;
  for (const std::uint16_t count : end.record.probes) after += count;
  EXPECT_GE(after, before);  // the record carries the ladder
  const Outcome outcome = world.run();
  EXPECT_TRUE(outcome.violations.empty()) << all(outcome);
  EXPECT_EQ(end.reason, EndReason::Commanded);
  // Later by what nobody attended, a sweep, and the questions that were not asked meanwhile; not by a new proof.
  const Duration delay = end.ended - end_of(whole, 0).ended;
  EXPECT_GE(delay, seconds(15));
  EXPECT_LE(delay, seconds(35));
  EXPECT_EQ(undisturbed.dead, outcome.dead);
}

TEST_F(HalfClosed, ControlStoppedForAnHourIsNoEvidenceOfSilence) {
  befalls(FaultKind::ControlStop, 0, minutes(2), minutes(15));
  befalls(FaultKind::BlackHole, 0, minutes(5), minutes(11));
  plan.hosts[1].control = false;
  World world(plan);
  const Outcome outcome = world.run();
  EXPECT_TRUE(outcome.violations.empty()) << all(outcome);
  EXPECT_EQ(outcome.ended[static_cast<unsigned>(EndReason::BothClosed)], 2U);
}

TEST_F(HalfClosed, APeerThatRebootsAnswersWithAResetAndThatEndsIt) {
  befalls(FaultKind::Reboot, 1, minutes(5), seconds(30));
  World world(plan);
  const Outcome outcome = world.run();
  EXPECT_TRUE(outcome.violations.empty()) << all(outcome);
  EXPECT_EQ(end_of(world, 0).reason, EndReason::PeerReset);
  EXPECT_LE(end_of(world, 0).ended, kGenesis + minutes(5) + seconds(30) + plan.hosts[0].rule.interval * 2);
}

TEST_F(HalfClosed, AnOrphanWhosePeerIsAliveIsNotKilled) {
  client().finish = Finish::Close;  // close() at once: FIN-WAIT-2, held by nobody
  server().octets = 0;
  server().finish_after = minutes(30);
  World world(plan);
  world.run_until(kGenesis + minutes(29));
  EXPECT_EQ(end_of(world, 0).state, State::FinWait2);
  const Outcome outcome = world.run();
  EXPECT_TRUE(outcome.violations.empty()) << all(outcome);
  EXPECT_EQ(outcome.ended[static_cast<unsigned>(EndReason::BothClosed)], 2U);
}

TEST_F(HalfClosed, AReaderWhoStopsForADayIsAliveAllTheTime) {
  client().octets = 1U << 20;
  client().finish = Finish::Hold;
  server().octets = 0;
  server().finish = Finish::Hold;
  server().read_pause = hours(24);
  server().receive_buffer = plan.hosts[1].listener.receive_buffer = 1U << 14;
  plan.curfew = kGenesis + hours(23);
  plan.horizon = kGenesis + hours(26);
  World world(plan);
  world.run_until(kGenesis + hours(22));
  EXPECT_TRUE(end_of(world, 0).lives());
  EXPECT_TRUE(end_of(world, 1).lives());
  world.host(0).refresh(world.now());
  EXPECT_TRUE(end_of(world, 0).record.peer_window_closed);
  EXPECT_LT(world.now() - end_of(world, 0).record.last_heard, minutes(2));
}

}  // namespace
}  // namespace adieu::sim
