// A NAT forgets what has been idle for too long, and what then happens depends on who speaks first.
//
// What lives here: the router of linux-like timers alone and in worlds. What does not: whole days behind it
// (day_test.cc).
#include "sim/nat.h"

#include <gtest/gtest.h>

#include <optional>

#include "sim/world.h"

namespace adieu::sim {
namespace {

// Host 0, inside, has closed its half; host 1 says a thousand octets at some time after. No control plane asks.
class BehindNat : public ::testing::Test {
 protected:
  BehindNat() {
    plan.seed = 3;
    plan.nat.emplace();
    for (auto& path : plan.path) path.delay = milliseconds(10);
    for (HostPlan& host : plan.hosts) host.control = false;
    ConnectionPlan c;
    c.at = kGenesis + seconds(1);
    c.ends[0].finish = Finish::HalfClose;
    c.ends[1].octets = 1000;
    c.ends[1].finish = Finish::Hold;
    plan.connections = {c};
    plan.curfew = kGenesis + hours(10);
    plan.horizon = kGenesis + hours(11);
  }
  void speaks_after(Duration d) { plan.connections[0].ends[1].start_after = d; }
  void run_to(Duration at) {
    if (!world) world.emplace(plan);
    world->run_until(kGenesis + at);
    for (const Violation& violation : world->violations()) ADD_FAILURE() << describe(violation);
  }
  const End& end(unsigned side) { return *world->book().pairs().front().ends[side]; }

  Plan plan;
  std::optional<World> world;
};

TEST_F(BehindNat, TheOutsideSeesTheRoutersAddress) {
  speaks_after(seconds(1));
  run_to(seconds(10));
  EXPECT_EQ(end(1).remote.address, kNatOutside);
  EXPECT_EQ(end(0).read, 1000U);
}

TEST_F(BehindNat, HalfClosedAndIdleForFiftyNineSecondsItIsRemembered) {
  speaks_after(seconds(59));
  run_to(minutes(2));
  EXPECT_EQ(end(0).read, 1000U);
  EXPECT_TRUE(end(1).lives());
}

TEST_F(BehindNat, AfterSixtyOneSecondsTheRouterAnswersTheOutsideWithAResetAndTheInsideNeverKnows) {
  speaks_after(seconds(61));
  run_to(minutes(2));
  EXPECT_EQ(end(0).read, 0U);
  EXPECT_EQ(end(1).reason, EndReason::PeerReset);
  EXPECT_EQ(end(0).state, State::FinWait2);
  EXPECT_TRUE(end(0).lives());
}

TEST_F(BehindNat, TheInsideThatAsksInTimeKeepsThePathForHours) {
  plan.hosts[0].control = true;
  speaks_after(hours(5));
  run_to(hours(6));
  EXPECT_EQ(end(0).read, 1000U);
  EXPECT_TRUE(end(1).lives());
}

TEST_F(BehindNat, ARouterThatRestartedPicksTheConnectionUpFromTheInsidesQuestion) {
  for (HostPlan& host : plan.hosts) host.control = true;
  plan.faults.push_back({FaultKind::NatForgets, 1, kGenesis + minutes(10), {}});
  speaks_after(hours(1));
  run_to(hours(2));
  EXPECT_EQ(end(0).read, 1000U);
  EXPECT_TRUE(end(1).lives());
}

TEST_F(BehindNat, AFinWithoutAnEntryIsDropped) {
  plan.connections[0].ends[1].octets = 0;
  plan.connections[0].ends[0].finish_after = seconds(30);
  plan.faults.push_back({FaultKind::NatForgets, 1, kGenesis + seconds(20), {}});
  run_to(minutes(5));
  EXPECT_EQ(end(0).state, State::FinWait1);
  EXPECT_EQ(end(1).state, State::Established);
}

}  // namespace
}  // namespace adieu::sim
