// Other stacks' timers end what those stacks end, and when they do.
//
// What lives here: stories in which one host has the timers of Linux (measured on 6.18.44 with default settings) or of
// FreeBSD (as its source reads). What does not: what adieu does (stories_test.cc). An imitation looks once a second.
#include "sim/timers.h"

#include <gtest/gtest.h>

#include "sim/world.h"

namespace adieu::sim {
namespace {

// One connection, opened at 1 s over a path of 10 ms; host 0 has the timers, host 1 nobody's, until a test says so.
class Timers : public ::testing::Test {
 protected:
  Timers() {
    plan.seed = 9;
    for (auto& path : plan.path) path.delay = milliseconds(10);
    ConnectionPlan c;
    c.at = kGenesis + seconds(1);
    for (EndPlan& end : c.ends) end.finish = Finish::Hold;
    plan.connections = {c};
    plan.hosts[1].control = false;
    plan.curfew = kGenesis + hours(100);
    plan.horizon = kGenesis + hours(101);
  }
  EndPlan& client() { return plan.connections[0].ends[0]; }
  EndPlan& server() { return plan.connections[0].ends[1]; }
  void keeps(Keeper keeper) { plan.hosts[0].keeper = keeper; }
  void befalls(FaultKind kind, unsigned host, Duration at, Duration span = Duration::max()) {
    plan.faults.push_back({kind, host, kGenesis + at, span});
  }
  void black_from(Duration at) {
    for (unsigned host : {0U, 1U}) befalls(FaultKind::BlackHole, host, at);
  }
  void run_to(Duration at) {
    if (!world) world.emplace(plan);
    world->run_until(kGenesis + at);
    for (const Violation& violation : world->violations()) ADD_FAILURE() << describe(violation);
  }
  const End& end(unsigned side) { return *world->book().pairs().front().ends[side]; }
  // Seconds from `since` to the end of the client's connection.
  double lasted(Duration since) {
    EXPECT_EQ(end(0).reason, EndReason::Commanded);
    return (end(0).ended - (kGenesis + since)).seconds();
  }

  Plan plan;
  std::optional<World> world;
};

class LinuxTimers : public Timers {
 protected:
  LinuxTimers() { keeps(Keeper::Linux); }
};
class FreeBsdTimers : public Timers {
 protected:
  FreeBsdTimers() { keeps(Keeper::FreeBsd); }
};

TEST_F(LinuxTimers, AHeldFinWait2IsNeverEndedThoughItsPeerIsDead) {
  client().finish = Finish::HalfClose;
  befalls(FaultKind::PowerOff, 1, minutes(1));
  run_to(hours(72));
  EXPECT_EQ(end(0).state, State::FinWait2);
  EXPECT_TRUE(end(0).lives());
}

TEST_F(LinuxTimers, AnOrphanInFinWait2IsGoneAfterSixtySecondsThoughItsPeerIsAlive) {
  client().finish = Finish::Close;
  run_to(seconds(60));
  EXPECT_TRUE(end(0).lives());
  run_to(minutes(5));
  EXPECT_NEAR(lasted(seconds(1)), 60, 2);
  // Its peer hears nothing of it, and stays.
  EXPECT_EQ(end(1).state, State::CloseWait);
  EXPECT_TRUE(end(1).lives());
  EXPECT_FALSE(end(1).reset_delivered);
}

TEST_F(LinuxTimers, APeerThatKeepsAskingIsAnsweredAndGainsTheOrphanNoTime) {
  client().finish = Finish::Close;
  plan.hosts[1].control = true;
  plan.hosts[1].rule.interval = seconds(5);
  run_to(minutes(5));
  EXPECT_GT(world->probes(), 5U);
  EXPECT_NEAR(lasted(seconds(1)), 60, 2);
  EXPECT_EQ(end(1).reason, EndReason::PeerReset);  // the next question met nobody
}

TEST_F(LinuxTimers, DataForAnOrphanIsAnsweredWithAResetAtOnce) {
  client().finish = Finish::Close;
  server().octets = 100;
  server().start_after = seconds(20);
  run_to(seconds(30));
  EXPECT_EQ(end(0).reason, EndReason::DataAfterClose);
  EXPECT_EQ(end(1).reason, EndReason::PeerReset);
}

TEST_F(LinuxTimers, AnUnansweredFinOfAnOrphanGivesUpAfter108Seconds) {
  client().finish = Finish::Close;
  client().finish_after = seconds(9);
  black_from(seconds(5));
  run_to(minutes(30));
  EXPECT_NEAR(lasted(seconds(10)), 108, 2);
  EXPECT_EQ(end(0).state, State::FinWait1);
}

TEST_F(LinuxTimers, LastAckIsAsFinWait1) {
  server().finish = Finish::HalfClose;
  client().finish = Finish::HalfClose;
  client().finish_after = seconds(9);
  black_from(seconds(5));
  run_to(minutes(30));
  EXPECT_NEAR(lasted(seconds(10)), 108, 2);
  EXPECT_EQ(end(0).state, State::LastAck);
}

TEST_F(LinuxTimers, AnUnansweredFinThatIsHeldGivesUpAfter939Seconds) {
  client().finish = Finish::HalfClose;
  client().finish_after = seconds(9);
  black_from(seconds(5));
  run_to(minutes(30));
  EXPECT_NEAR(lasted(seconds(10)), 939, 6);
}

TEST_F(LinuxTimers, AHeldFinBeforeAClosedWindowWaitsAsLongAsThePeerAcknowledges) {
  client().octets = 100'000;
  client().send_buffer = 1U << 18;
  client().finish = Finish::HalfClose;
  server().reads = false;
  plan.hosts[1].listener.receive_buffer = 1U << 14;
  run_to(hours(2));
  EXPECT_TRUE(end(0).lives());
  EXPECT_EQ(end(0).state, State::FinWait1);
}

TEST_F(LinuxTimers, AnOrphanBeforeAClosedWindowIsStillThereAfterAMinuteAndNotAfterTen) {
  client().octets = 100'000;
  client().send_buffer = 1U << 18;
  client().finish = Finish::Close;
  server().reads = false;
  plan.hosts[1].listener.receive_buffer = 1U << 14;
  run_to(seconds(61));
  EXPECT_TRUE(end(0).lives());
  run_to(minutes(10));
  EXPECT_EQ(end(0).reason, EndReason::Commanded);
}

TEST_F(LinuxTimers, AnIdleConnectionWhosePeerIsDeadIsKept) {
  befalls(FaultKind::PowerOff, 1, minutes(1));
  run_to(hours(72));
  EXPECT_TRUE(end(0).lives());
}

TEST_F(LinuxTimers, TimeInWhichTheHostSleptIsNotTheOrphans) {
  client().finish = Finish::Close;
  befalls(FaultKind::Freeze, 0, seconds(20), hours(1));
  run_to(hours(1) + seconds(30));
  EXPECT_TRUE(end(0).lives());
  run_to(hours(2));
  EXPECT_EQ(end(0).reason, EndReason::Commanded);
}

TEST_F(FreeBsdTimers, AHeldFinWait2IsNeverEnded) {
  client().finish = Finish::HalfClose;
  befalls(FaultKind::PowerOff, 1, minutes(1));
  run_to(hours(72));
  EXPECT_TRUE(end(0).lives());
}

TEST_F(FreeBsdTimers, AnOrphanInFinWait2IsGoneAfterTenIdleMinutes) {
  client().finish = Finish::Close;
  run_to(seconds(600));
  EXPECT_TRUE(end(0).lives());
  run_to(minutes(30));
  EXPECT_GE(lasted(seconds(1)), 600);
  EXPECT_LE(lasted(seconds(1)), 677);
  EXPECT_TRUE(end(1).lives());
}

TEST_F(FreeBsdTimers, AnOrphanWhosePeerIsHeardStays) {
  client().finish = Finish::Close;
  plan.hosts[1].control = true;
  run_to(hours(5));
  EXPECT_TRUE(end(0).lives());
}

TEST_F(FreeBsdTimers, AnUnansweredFinGivesUpAfterTwelveRetransmissions) {
  client().finish = Finish::Close;
  client().finish_after = seconds(9);
  black_from(seconds(5));
  run_to(minutes(30));
  EXPECT_NEAR(lasted(seconds(10)), 374, 3);  // 230 ms doubled nine times, then four of 64 s
}

TEST_F(FreeBsdTimers, AnIdleConnectionIsAskedAfterTwoHoursAndDroppedTenMinutesLater) {
  befalls(FaultKind::PowerOff, 1, minutes(1));
  run_to(hours(2) + minutes(9));
  EXPECT_TRUE(end(0).lives());
  EXPECT_EQ(world->probes(), 8U);
  run_to(hours(3));
  EXPECT_NEAR(lasted(seconds(1)), 7800, 10);
}

TEST_F(FreeBsdTimers, AnIdleConnectionWhosePeerAnswersLives) {
  run_to(hours(72));
  EXPECT_TRUE(end(0).lives());
  EXPECT_GE(world->probes(), 30U);
  EXPECT_LE(world->probes(), 36U);
}

}  // namespace
}  // namespace adieu::sim
