// `adieu policy try`: the ledger's verdicts, judged by another policy. Only files are read: nothing needs to run.
#include "host/policy_try.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/command.h"

namespace adieu::cli {
namespace {

// Of each kind; the counts tell how many there are.
constexpr std::size_t kShown = 20;

void print_rules(const host::NamedPolicy& policy, const host::Trial& trial) {
  std::size_t width = 4;
  for (const std::string& name : policy.rules) width = std::max(width, name.size());
  fmt::print("{:<{}}  {:>9}  {:>9}  {:>9}  {:>11}  {:>15}\n", "RULE", width, "VERDICTS", "THE SAME", "WOULD END",
             "WOULD SPARE", "STANDING DIFFERS");
  for (std::size_t i = 0; i < policy.rules.size(); ++i) {
    const host::RuleTrial& rule = trial.rules[i];
    fmt::print("{:<{}}  {:>9}  {:>9}  {:>9}  {:>11}  {:>15}\n", policy.rules[i], width, rule.verdicts, rule.same,
               rule.ends, rule.spares, rule.stands);
  }
}

std::string doing(const std::string& standing, const std::string& act) {
  return act.empty() ? standing : fmt::format("{}, {}", standing, act);
}

void print_differences(const host::NamedPolicy& policy, const host::Trial& trial) {
  std::size_t shown = 0;
  for (const host::Difference& d : trial.differences) {
    if (++shown > kShown) break;
    fmt::print("verdict {}  {}  {} -> {}  {}: was {}; would be {} (rule {})\n", d.verdict, host::text(d.id), d.local,
               d.remote, d.state, doing(d.was, d.did), doing(d.would_be, d.would_do), policy.rules[d.rule]);
  }
  if (trial.differences.size() > kShown) fmt::print("and {} more\n", trial.differences.size() - kShown);
}

}  // namespace

void run_policy_try(const PolicyTryCommand& command) {
  const auto policy = host::load_policy(command.file);
  if (!policy) throw Trouble(policy.error().text);
  const auto ledger = host::LedgerReader::open(host::RunDir::chosen(command.run_dir).ledger());
  if (!ledger) throw Trouble(ledger.error().text);
  const auto trial = host::try_policy(*policy, *ledger);
  if (!trial) throw Trouble(trial.error().text);
  if (trial->verdicts == 0) {
    fmt::print("the ledger holds no verdict that a rule has reached\n");
    throw Exit{1};
  }
  print_rules(*policy, *trial);
  print_differences(*policy, *trial);
  if (trial->not_rules > 0)
    fmt::print("{} more were asked for by a person, or taken by a budget: no rule decides them\n", trial->not_rules);
  if (trial->unreadable > 0) fmt::print("{} more cannot be read by this version\n", trial->unreadable);
  if (trial->needs_processes)
    fmt::print("who held a connection is not kept: rules that match by comm or pid have matched nothing here\n");
}

}  // namespace adieu::cli
