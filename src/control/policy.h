// Which rule holds for which connection, and what holds for all of them together: budgets, known timers on paths.
//
// What lives here: Policy, as a value. What does not: the file it is read from, names of rules and timers
// (host/policy), judgement (judge.h), spending (controller.h).
//
// Rules are matched from the top; the first whose filter surely matches holds, and the last matches everything. A
// filter may not ask for a standing: that follows from the rule.
// The kernel's connections belong to programs that know nothing of adieu. A rule asks and ends them only if it holds
// for them because they are the kernel's: because of `plane kernel` in its filter. The last rule never does.
#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "base/time.h"
#include "control/evidence.h"
#include "control/filter.h"
#include "control/rule.h"

namespace adieu::control {

struct Clause {
  Filter filter;
  Rule rule;
};

// After so much idle time a middlebox of some kind forgets a connection in such a state.
struct PathTimer {
  Duration idle;
  StateSet states = 0;
};

// Orphans of planes that can end them. TIME-WAIT does not count: it has its own bound (RFC 6191).
struct OrphanBudget {
  std::uint32_t count = UINT32_MAX;
  std::uint64_t bytes = UINT64_MAX;  // received and unread, and given and unacknowledged
  bool operator==(const OrphanBudget&) const = default;
};

struct ProbeBudget {
  std::uint32_t per_second = 5000;
  std::uint32_t per_host = 200;  // a second, to one remote address
  bool operator==(const ProbeBudget&) const = default;
};

enum class PolicyError : std::uint8_t { NoRules, LastNotEverything, AsksStanding, TooManyRules, BudgetOfNothing };
std::string_view message(PolicyError error);

class Policy {
 public:
  static constexpr std::size_t kMostRules = 256;

  // One rule for everything.
  explicit Policy(const Rule& rule = {});
  // `clauses`: rules that validate() accepts.
  static std::expected<Policy, PolicyError> make(std::vector<Clause> clauses);

  OrphanBudget orphans;
  OrphanBudget orphans_under_pressure;
  ProbeBudget probes;
  std::vector<PathTimer> path_timers;
  // Of the text it was read from; readers of a table know by it which policy was in force. 0: the built-in one.
  std::uint64_t fingerprint = 0;

  // output
  const std::vector<Clause>& clauses() const { return clauses_; }
  std::uint32_t rule_for(const Subject& subject) const;
  const Rule& rule(std::uint32_t number) const { return clauses_[number].rule; }
  // That rule as it holds for this subject.
  Rule rule(std::uint32_t number, const Subject& subject) const;
  // `rule` as it holds in this state: with keep_path, asked before the shortest timer that is known, or `learned`
  // (Duration::max(): none), runs out.
  Rule in_state(const Rule& rule, State state, Duration learned = Duration::max()) const;
  // And as it holds with what is known of the peer's host: the timer of its path, and N by the loss that was measured.
  Rule in_state(const Rule& rule, State state, const HostFacts& host) const;
  // No rule asks whoever was heard within it, nor doubts him.
  Duration least_interval() const { return least_interval_; }
  // Some rule keeps the paths to hosts by what has been learned of them.
  bool keeps_learned_paths() const { return keeps_learned_paths_; }
  // Some rule may ask an idle connection in this state; some rule may act on one that nobody doubts.
  bool asks_idle(State state) const { return contains(asks_idle_, state); }
  bool acts_undoubted(State state) const { return contains(acts_undoubted_, state); }
  // No rule asks or ends any of the kernel's connections.
  bool leaves_the_kernel_alone() const { return !names_plane_; }
  bool has_orphan_budget() const { return orphans != OrphanBudget{} || orphans_under_pressure != OrphanBudget{}; }
  // The one and only rule, or nullptr: nothing needs matching then.
  const Rule* only_rule() const { return clauses_.size() == 1 ? &clauses_.front().rule : nullptr; }
  // After path_timers has changed.
  void derive();
  // The longest timer that `silence` in this state has outlasted: what most likely forgot the path; max(): none.
  Duration fitting_timer(State state, Duration silence) const;

 private:
  std::vector<Clause> clauses_;
  Duration least_interval_;
  bool keeps_learned_paths_ = false;
  StateSet asks_idle_ = 0;
  StateSet acts_undoubted_ = 0;
  bool names_plane_ = false;
};

// Asked within 5/12 of a timer, two questions fit into it, each later by the controller's jitter: 60 s gives 25 s.
constexpr Duration interval_within(Duration timer) { return timer == Duration::max() ? timer : timer / 12 * 5; }

}  // namespace adieu::control
