// The controller alone: observations and receipts by hand.
#include "control/controller.h"

#include <gtest/gtest.h>

#include <set>

#include "records.h"

using namespace adieu;
using namespace adieu::control;
using namespace adieu::control::testing;

namespace {
struct Desk {
  explicit Desk(const Rule& rule = {}) : controller(Policy(rule), at(0_s)) {
    plane = controller.add_plane(kPlane, {}, at(0_s));
  }
  // What is decided when `record` is seen at `now`.
  std::optional<Decision> sees(const plane::Record& record, Instant now, std::uint32_t slot = 0) {
    controller.attend(plane, kAllAbilities, now, 64, now);
    controller.observe(plane, {77, slot, record.generation}, record, now);
    controller.check();
    return controller.poll_decision();
  }
  plane::Receipt done(const Decision& d, std::uint64_t verdict, Instant now) {
    return {.command = 1,
            .verdict = verdict,
            .id = d.id,
            .kind = d.command->kind,
            .form = d.command->form,
            .outcome = plane::Outcome::Done,
            .state = d.command->expected_state,
            .epoch = 1,
            .heard = d.command->heard,
            .at = now};
  }
  Controller controller;
  std::uint32_t plane = 0;
};

Rule long_lived_commands() {
  Rule rule;
  rule.interval = seconds(1);
  rule.command_life = seconds(60);
  return rule;
}
}  // namespace

TEST(Controller, ACommandNamesWhatItRestsOn) {
  Desk desk;
  const auto record = half_closed(at(0_s));
  EXPECT_FALSE(desk.sees(record, at(25_s)));
  const auto decision = desk.sees(record, at(29_s));
  ASSERT_TRUE(decision && decision->command);
  EXPECT_EQ(decision->command->kind, plane::CommandKind::Probe);
  EXPECT_EQ(decision->command->form, ProbeForm::DataEcho);
  EXPECT_EQ(decision->command->expected_state, State::FinWait2);
  EXPECT_EQ(decision->command->heard, record.heard);
  EXPECT_EQ(decision->command->expires, at(31_s));
  EXPECT_EQ(decision->evidence.heard_at, at(0_s));
}

TEST(Controller, IsNotAskedTwiceWhileACommandIsInFlightAndIsAgainOnceItHasExpired) {
  Desk desk;
  const auto record = half_closed(at(0_s));
  ASSERT_TRUE(desk.sees(record, at(29_s)));
  EXPECT_FALSE(desk.sees(record, at(31_s) - 1_ms));
  EXPECT_TRUE(desk.sees(record, at(31_s)));
}

TEST(Controller, AReceiptOfAnotherVerdictEndsNoWait) {
  Desk desk;
  const auto record = half_closed(at(0_s));
  const auto decision = desk.sees(record, at(29_s));
  ASSERT_TRUE(decision);
  desk.controller.published(*decision, 5);
  auto unlike = desk.done(*decision, 4, at(29_s));
  unlike.outcome = plane::Outcome::WrongState;
  desk.controller.receipt(desk.plane, unlike, at(29_s));
  EXPECT_FALSE(desk.sees(record, at(31_s) - 1_ms));
  unlike.verdict = 5;
  desk.controller.receipt(desk.plane, unlike, at(29_s));
  EXPECT_TRUE(desk.sees(record, at(31_s) - 1_ms));
}

TEST(Controller, ANewSilenceDoesNotAddASecondCommandToTheOneInFlight) {
  Desk desk(long_lived_commands());
  ASSERT_TRUE(desk.sees(half_closed(at(0_s)), at(2_s)));
  EXPECT_FALSE(desk.sees(half_closed(at(3_s)), at(3_s)));   // heard, while the command waits
  EXPECT_FALSE(desk.sees(half_closed(at(3_s)), at(10_s)));  // silent again
  EXPECT_TRUE(desk.sees(half_closed(at(3_s)), at(62_s)));   // the first has expired
}

TEST(Controller, AReceiptThatArrivesBeforeItsRecordLeadsToNoSecondQuestion) {
  Desk desk;
  const auto before = half_closed(at(0_s));
  const auto decision = desk.sees(before, at(29_s));
  desk.controller.published(*decision, 5);
  desk.controller.receipt(desk.plane, desk.done(*decision, 5, at(29_s)), at(29_s));
  EXPECT_FALSE(desk.sees(before, at(30_s)));
  EXPECT_FALSE(desk.sees(asked(before, 1, 0, at(29_s), at(29_s)), at(31_s)));
}

TEST(Controller, ThousandsThatFellSilentAtOnceAreNotAskedAtOnce) {
  const Instant fell_silent = at(0_s);
  std::set<std::int64_t> instants[2];
  for (auto& seen : instants) {
    Desk desk;
    for (Instant now = at(25_s); now < at(29_s); now = now + 100_ms)
      for (std::uint32_t slot = 0; slot < 50; ++slot)
        if (const auto d = desk.sees(half_closed(fell_silent), now, slot); d && !d->evidence.asked)
          seen.insert(now.ns * 64 + slot);
  }
  EXPECT_EQ(instants[0], instants[1]);  // and a seed replays
  std::set<std::int64_t> times;
  for (const std::int64_t both : instants[0]) times.insert(both / 64);
  EXPECT_GE(times.size(), 20U);
}

TEST(Controller, WhomThePlaneCannotProbeNowIsNotAsked) {
  Desk desk;
  auto record = half_closed(at(0_s));
  record.can_probe = false;
  EXPECT_FALSE(desk.sees(record, at(40_s)));
  record.can_probe = true;
  EXPECT_TRUE(desk.sees(record, at(41_s)));
}

TEST(Controller, KeepsNothingOfAPlaneThatFailedAndUsesItsNumberAgain) {
  Desk desk;
  ASSERT_TRUE(desk.sees(half_closed(at(0_s)), at(29_s)));
  desk.controller.observe(desk.plane, {77, 1, 1}, half_closed(at(0_s)), at(29_s));  // decided, and not polled
  EXPECT_EQ(desk.controller.attended(), 2U);
  desk.controller.plane_failed(desk.plane);
  EXPECT_EQ(desk.controller.attended(), 0U);
  EXPECT_FALSE(desk.controller.poll_decision());
  EXPECT_EQ(desk.controller.next_deadline(), Instant::never());
  EXPECT_EQ(desk.controller.add_plane(kPlane, {}, at(30_s)), desk.plane);
  EXPECT_FALSE(desk.sees(half_closed(at(29_s)), at(31_s)));
}

TEST(Controller, LooksAgainWhenAVerdictCanChangeByTimeAlone) {
  Desk desk;
  const auto decision = desk.sees(half_closed(at(0_s)), at(29_s));
  desk.controller.published(*decision, 5);
  desk.controller.receipt(desk.plane, desk.done(*decision, 5, at(29_s)), at(29_s));
  EXPECT_FALSE(desk.controller.poll_look(at(32_s) - 1_ms));
  const auto look = desk.controller.poll_look(at(32_s));
  ASSERT_TRUE(look);
  EXPECT_EQ(look->slot, 0U);
  EXPECT_FALSE(desk.controller.poll_look(at(32_s)));
}

TEST(Controller, DecidesNoMoreThanTheRingHasRoomFor) {
  Desk desk;
  desk.controller.attend(desk.plane, kAllAbilities, at(29_s), 2, at(29_s));
  for (std::uint32_t slot = 0; slot < 5; ++slot) {
    desk.controller.observe(desk.plane, {77, slot, 1}, half_closed(at(0_s)), at(29_s));
    EXPECT_EQ(desk.controller.wants_room(), slot >= 2) << slot;
  }
  EXPECT_EQ(desk.controller.attended(), 2U);
}

TEST(Controller, DoesNotBelieveAStatusFromTheFuture) {
  Controller controller(Policy(), at(0_s));
  plane::ControlStatus status;
  status.swept_at = at(1_h);
  status.gaps[0] = {at(2_h), at(3_h)};
  const auto plane = controller.add_plane(kPlane, status, at(10_s));
  ASSERT_EQ(controller.gaps(plane).size(), 1U);  // all time until now
  EXPECT_EQ(controller.gaps(plane)[0].to, at(10_s));
}
