// Which rule holds, what follows from all of them, and what is kept on paths.
#include "control/policy.h"

#include <gtest/gtest.h>

#include "records.h"

using namespace adieu;
using namespace adieu::control;
using namespace adieu::control::testing;

namespace {

Clause clause(std::string_view filter, const Rule& rule) { return {Filter::parse(filter).value(), rule}; }

Rule asked_every(Duration interval) {
  Rule rule;
  rule.interval = interval;
  return rule;
}

constexpr PathTimer kTimers[] = {{seconds(60), set_of(State::CloseWait) | set_of(State::FinWait2)},
                                 {seconds(350), set_of(State::Established)},
                                 {seconds(240), set_of(State::Established)}};

}  // namespace

TEST(Policy, TakesTheFirstRuleThatSurelyMatchesAndTheLastForAllElse) {
  const auto policy = Policy::make({clause("dport = :50001", asked_every(5_s)), clause("unread > 0", asked_every(7_s)),
                                    clause("", asked_every(25_s))});
  ASSERT_TRUE(policy);
  auto record = half_closed(at(0_s));
  const auto rule_of = [&] { return policy->rule_for(SubjectOf(kPlane, record, at(1_s))); };
  EXPECT_EQ(rule_of(), 2U);
  record.unread = plane::kUnknownCount;  // perhaps: that is not surely
  EXPECT_EQ(rule_of(), 2U);
  record.unread = 1;
  EXPECT_EQ(rule_of(), 1U);
  record.remote.port = 50001;
  EXPECT_EQ(rule_of(), 0U);
}

TEST(Policy, RefusesWhatCannotBeOne) {
  EXPECT_EQ(Policy::make({}).error(), PolicyError::NoRules);
  EXPECT_EQ(Policy::make({clause("dport = :1", Rule{})}).error(), PolicyError::LastNotEverything);
  EXPECT_EQ(Policy::make({clause("standing gone", Rule{}), clause("", Rule{})}).error(), PolicyError::AsksStanding);
  EXPECT_TRUE(Policy::make(std::vector<Clause>(Policy::kMostRules, clause("", Rule{}))));
  EXPECT_EQ(Policy::make(std::vector<Clause>(Policy::kMostRules + 1, clause("", Rule{}))).error(),
            PolicyError::TooManyRules);
}

TEST(Policy, KnowsWhomNoRuleCaresAbout) {
  Rule reaper;
  reaper.always = Act::Silent;
  const auto policy = Policy::make({clause("state fin-wait-2 and holder orphan and age > 60s", reaper),
                                    clause("state close-wait", asked_every(10_s)), clause("", asked_every(25_s))});
  ASSERT_TRUE(policy);
  EXPECT_EQ(policy->least_interval(), 10_s);
  EXPECT_TRUE(policy->acts_undoubted(State::FinWait2));
  EXPECT_FALSE(policy->acts_undoubted(State::CloseWait));
  EXPECT_FALSE(policy->acts_undoubted(State::Established));
  EXPECT_TRUE(policy->asks_idle(State::CloseWait));
  EXPECT_FALSE(policy->asks_idle(State::Established));
  EXPECT_FALSE(Policy().acts_undoubted(State::CloseWait));
}

TEST(Policy, NeverActsInTimeWaitWhichKeepsItsQuarantine) {
  Rule rule;
  rule.always = rule.when_orphaned = Act::Reset;
  EXPECT_FALSE(Policy(rule).acts_undoubted(State::TimeWait));
  auto record = half_closed(at(0_s), State::TimeWait);
  record.holder = plane::Holder::Orphan;
  EXPECT_EQ(judged(record, at(10_h), rule).act, Act::Tell);
}

TEST(Policy, KeepingAPathAsksBeforeTheShortestTimerOfTheState) {
  Rule rule = asked_every(minutes(10));
  Policy policy;
  policy.path_timers.assign(std::begin(kTimers), std::end(kTimers));
  EXPECT_EQ(policy.in_state(rule, State::FinWait2).interval, 10_min);
  rule.keep_path = KeepPath::Known;
  EXPECT_EQ(policy.in_state(rule, State::FinWait2).interval, 25_s);
  EXPECT_EQ(policy.in_state(rule, State::Established).interval, 100_s);
  EXPECT_TRUE(contains(policy.in_state(rule, State::Established).idle_states, State::Established));
  // What has been learned of a path may be shorter than any timer that is known.
  EXPECT_EQ(policy.in_state(rule, State::Established, 120_s).interval, 50_s);
  rule.keep_path = KeepPath::Learned;
  EXPECT_EQ(policy.in_state(rule, State::Established).interval, 10_min);
  EXPECT_EQ(policy.in_state(rule, State::Established, 120_s).interval, 50_s);
}

TEST(Policy, TwoQuestionsFitIntoATimerThatIsKept) {
  for (const PathTimer& timer : kTimers) {
    const Duration interval = interval_within(timer.idle);
    EXPECT_LT(interval + interval / 8 + interval + interval / 8, timer.idle);
  }
}

TEST(Policy, NamesTheLongestTimerThatASilenceHasOutlasted) {
  Policy policy;
  policy.path_timers.assign(std::begin(kTimers), std::end(kTimers));
  EXPECT_EQ(policy.fitting_timer(State::Established, 239_s), Duration::max());
  EXPECT_EQ(policy.fitting_timer(State::Established, 240_s), 240_s);
  EXPECT_EQ(policy.fitting_timer(State::Established, 351_s), 350_s);
  EXPECT_EQ(policy.fitting_timer(State::LastAck, 1_h), Duration::max());
}
