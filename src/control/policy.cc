// Matching from the top, and what follows from all rules at once.
#include "control/policy.h"

#include <utility>

#include "base/assert.h"

namespace adieu::control {
namespace {

constexpr StateSet kNotQuarantined = static_cast<StateSet>(~set_of(State::TimeWait));

StateSet states_acted_on(const Clause& clause) {
  const Rule& rule = clause.rule;
  if (rule.exempt) return 0;
  StateSet states = 0;
  if (rule.always != Act::Tell) states = rule.always == Act::Keepalive ? kIdleStatesAllowed : kNotQuarantined;
  if (rule.when_orphaned != Act::Tell) states = kNotQuarantined;
  if (rule.when_forgotten != Act::Tell) states |= set_of(State::CloseWait);
  return static_cast<StateSet>(states & clause.filter.states());
}

}  // namespace

Policy::Policy(const Rule& rule) : clauses_(1) {
  clauses_.front().rule = rule;
  derive();
}

std::expected<Policy, PolicyError> Policy::make(std::vector<Clause> clauses) {
  if (clauses.empty()) return std::unexpected(PolicyError::NoRules);
  if (clauses.size() > kMostRules) return std::unexpected(PolicyError::TooManyRules);
  if (!clauses.back().filter.is_everything()) return std::unexpected(PolicyError::LastNotEverything);
  for (const Clause& clause : clauses) {
    ADIEU_ASSERT(validate(clause.rule).has_value());
    if (clause.filter.needs_standing()) return std::unexpected(PolicyError::AsksStanding);
  }
  Policy policy;
  policy.clauses_ = std::move(clauses);
  policy.derive();
  return policy;
}

void Policy::derive() {
  least_interval_ = Duration::max();
  asks_idle_ = acts_undoubted_ = 0;
  keeps_learned_paths_ = names_plane_ = false;
  for (const Clause& clause : clauses_) {
    const StateSet states = clause.filter.states();
    acts_undoubted_ |= states_acted_on(clause);
    names_plane_ = names_plane_ || clause.filter.names_plane();
    keeps_learned_paths_ = keeps_learned_paths_ || clause.rule.keep_path == KeepPath::Learned;
    for (unsigned s = 0; s < kStates; ++s) {
      const auto state = static_cast<State>(s);
      if (!contains(states, state)) continue;
      const Rule rule = in_state(clause.rule, state);
      least_interval_ = earlier(least_interval_, rule.interval);
      if (rule.probing && contains(rule.idle_states, state)) asks_idle_ |= set_of(state);
    }
  }
}

std::uint32_t Policy::rule_for(const Subject& subject) const {
  std::uint32_t number = 0;
  while (number + 1 < clauses_.size() && clauses_[number].filter.match(subject) != Truth::Yes) ++number;
  return number;
}

// Because of its plane: with the plane not known, the filter would not surely match.
Rule Policy::rule(std::uint32_t number, const Subject& subject) const {
  Rule rule = clauses_[number].rule;
  if (subject.kind != plane::PlaneKind::Kernel) return rule;
  Subject anywhere = subject;
  anywhere.plane_known = false;
  rule.unmeant = clauses_[number].filter.match(anywhere) == Truth::Yes;
  // A peer that has forgotten the connection answers a question with a reset, which ends it: a dry run asks nobody.
  if (!rule.unmeant && rule.act) return rule;
  rule.exempt = rule.unmeant || rule.exempt;
  rule.probing = false;
  rule.keep_path = KeepPath::No;
  return rule;
}

Rule Policy::in_state(const Rule& rule, State state, Duration learned) const {
  Duration shortest = learned;
  if (rule.keep_path == KeepPath::Known)
    for (const PathTimer& timer : path_timers)
      if (contains(timer.states, state)) shortest = earlier(shortest, timer.idle);
  if (rule.keep_path == KeepPath::No || shortest == Duration::max()) return rule;
  Rule kept = rule;
  kept.idle_states = kIdleStatesAllowed;
  kept.interval = later(kLeastSpacing, earlier(rule.interval, interval_within(shortest)));
  return kept;
}

Rule Policy::in_state(const Rule& rule, State state, const HostFacts& host) const {
  Rule known = in_state(rule, state, host.path_timer);
  const double lost = earlier(host.lost, unanswered_share(known.most_loss));
  if (known.probes_derived && lost > unanswered_share(known.assumed_loss)) known.probes_needed = probes_for(lost);
  return known;
}

Duration Policy::fitting_timer(State state, Duration silence) const {
  Duration fitting = Duration::max();
  for (const PathTimer& timer : path_timers)
    if (contains(timer.states, state) && timer.idle <= silence && (fitting == Duration::max() || timer.idle > fitting))
      fitting = timer.idle;
  return fitting;
}

std::string_view message(PolicyError error) {
  switch (error) {
    case PolicyError::NoRules: return "there is no rule: give one that matches everything";
    case PolicyError::LastNotEverything:
      return "the last rule does not match everything: give a rule without `match` at the end";
    case PolicyError::AsksStanding:
      return "a rule cannot match by standing, which follows from the rule: say what to do with `when_gone`";
    case PolicyError::TooManyRules: return "there are more than 256 rules: join some of them with `or`";
    case PolicyError::BudgetOfNothing:
      return "a budget of 0 probes a second asks nobody: set `probing = false` if that is meant";
  }
  return "?";
}

}  // namespace adieu::control
