// Rules: the numbers that follow from them, and which are refused.
#include "control/rule.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

using namespace adieu;
using namespace adieu::control;

TEST(Rule, ThirtyPercentLossNeedsThirtyOneProbes) {
  EXPECT_EQ(probes_needed(0.3), 31U);
  EXPECT_EQ(Rule{}.probes_needed, 31U);
}

TEST(Rule, DerivesTheLeastNumberThatProves) {
  for (const double loss : {0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9}) {
    const std::uint32_t n = probes_needed(loss);
    const double unanswered = 1 - (1 - loss) * (1 - loss);
    EXPECT_LT(std::pow(unanswered, n), 1e-9) << loss;
    EXPECT_GE(std::pow(unanswered, n - 1), 1e-9) << loss;
  }
}

TEST(Rule, NeverLetsOneProbeProveAnything) { EXPECT_EQ(probes_needed(0.0), 2U); }

TEST(Rule, AsksNoPathForMoreProbesThanARecordCounts) {
  EXPECT_EQ(probes_needed(1.0), kMostProbes);
  EXPECT_EQ(probes_needed(std::numeric_limits<double>::quiet_NaN()), kMostProbes);
}

TEST(Rule, SpacesItsProbesSoThatTheyFitTheSpan) {
  const Rule rule;
  const Duration spacing = probe_spacing(rule);
  EXPECT_GE(spacing * rule.probes_needed, rule.proof_span);
  EXPECT_LT(spacing * (rule.probes_needed - 1), rule.proof_span);
}

TEST(Rule, NeverAsksMoreOftenThanPeersAnswer) {
  Rule rule;
  rule.proof_span = seconds(5);
  EXPECT_EQ(probe_spacing(rule), seconds(1));
  EXPECT_EQ(answer_time(rule), seconds(1));
}

TEST(Rule, NeverLetsThePathForgetWhileItAsks) {
  Rule rule;
  rule.proof_span = hours(10);
  EXPECT_EQ(probe_spacing(rule), rule.interval);
}

TEST(Rule, AsksHalfClosedConnectionsByDefaultAndNoOthers) {
  const Rule rule;
  for (unsigned s = 0; s < kStates; ++s) {
    const auto state = static_cast<State>(s);
    EXPECT_EQ(contains(rule.idle_states, state), state == State::FinWait2 || state == State::CloseWait) << name(state);
  }
}

TEST(Rule, TheBuiltInOneIsValid) { EXPECT_TRUE(validate(Rule{})); }

namespace {
// The error of a rule that is as built in but for one change.
template <typename Change>
std::expected<void, RuleError> with(Change change) {
  Rule rule;
  change(rule);
  return validate(rule);
}
}  // namespace

TEST(Rule, HoldsAtEachBoundaryAndNotBeyond) {
  EXPECT_TRUE(with([](Rule& r) { r.interval = seconds(1); }));
  EXPECT_EQ(with([](Rule& r) { r.interval = milliseconds(999); }).error(), RuleError::IntervalTooShort);
  EXPECT_TRUE(with([](Rule& r) { r.assumed_loss = 0; }));
  EXPECT_EQ(with([](Rule& r) { r.assumed_loss = -0.001; }).error(), RuleError::LossOutOfRange);
  EXPECT_TRUE(with([](Rule& r) { r.assumed_loss = 0.9; }));
  EXPECT_EQ(with([](Rule& r) { r.assumed_loss = 0.901; }).error(), RuleError::LossOutOfRange);
  EXPECT_EQ(with([](Rule& r) { r.assumed_loss = std::nan(""); }).error(), RuleError::LossOutOfRange);
  EXPECT_TRUE(with([](Rule& r) { r.probes_needed = 2; }));
  EXPECT_EQ(with([](Rule& r) { r.probes_needed = 1; }).error(), RuleError::TooFewProbes);
  EXPECT_TRUE(with([](Rule& r) { r.probes_needed = 10'000; }));
  EXPECT_EQ(with([](Rule& r) { r.probes_needed = 10'001; }).error(), RuleError::TooManyProbes);
  EXPECT_TRUE(with([](Rule& r) { r.proof_span = seconds(1); }));
  EXPECT_EQ(with([](Rule& r) { r.proof_span = milliseconds(999); }).error(), RuleError::SpanTooShort);
  EXPECT_TRUE(with([](Rule& r) { r.command_life = milliseconds(100); }));
  EXPECT_EQ(with([](Rule& r) { r.command_life = milliseconds(99); }).error(), RuleError::CommandLifeOutOfRange);
  EXPECT_TRUE(with([](Rule& r) { r.command_life = seconds(60); }));
  EXPECT_EQ(with([](Rule& r) { r.command_life = milliseconds(60'001); }).error(), RuleError::CommandLifeOutOfRange);
  EXPECT_EQ(with([](Rule& r) { r.when_gone = Act::Keepalive; }).error(), RuleError::KeepaliveOfGone);
  EXPECT_EQ(with([](Rule& r) { r.when_orphaned = Act::Keepalive; }).error(), RuleError::KeepaliveOfOrphan);
  EXPECT_TRUE(with([](Rule& r) { r.always = r.when_forgotten = Act::Keepalive; }));
  EXPECT_TRUE(with([](Rule& r) { r.keepalive = {32767, 32767, 127}; }));
  EXPECT_EQ(with([](Rule& r) { r.keepalive.idle = 32768; }).error(), RuleError::KeepaliveOutOfRange);
  EXPECT_EQ(with([](Rule& r) { r.keepalive.interval = 32768; }).error(), RuleError::KeepaliveOutOfRange);
  EXPECT_EQ(with([](Rule& r) { r.keepalive.count = 128; }).error(), RuleError::KeepaliveOutOfRange);
}

TEST(Rule, MayAskIdleConnectionsOnlyInThreeStates) {
  for (unsigned s = 0; s < kStates; ++s) {
    const auto state = static_cast<State>(s);
    const bool askable = state == State::Established || state == State::FinWait2 || state == State::CloseWait;
    EXPECT_EQ(with([&](Rule& r) { r.idle_states = set_of(state); }).has_value(), askable) << name(state);
  }
}

TEST(Rule, SaysWhatIsWrongAndWhatToDo) {
  EXPECT_NE(message(RuleError::TooFewProbes).find("MUST-29"), std::string_view::npos);
  for (unsigned e = 0; e <= static_cast<unsigned>(RuleError::KeepaliveOutOfRange); ++e)
    EXPECT_NE(message(static_cast<RuleError>(e)).find(e == 5 ? "choose" : "give"), std::string_view::npos) << e;
}
