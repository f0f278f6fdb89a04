// `adieu policy`: mistakes of a file, and what the rules in force amount to.
//
// What does not live here: `adieu policy try` (policy_try.cc); reading policies (host/policy.h).
#include "host/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "cli/command.h"
#include "host/census.h"
#include "host/text.h"

namespace adieu::cli {
namespace {

constexpr std::size_t kColumns = 9;
using Row = std::array<std::string, kColumns>;

void print(const std::vector<Row>& rows) {
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i + 1 < kColumns; ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    fmt::print("{}{}\n", line, row.back());
  }
}

std::string asks(const control::Rule& rule) {
  if (!rule.probing) return "nobody";
  std::string states;
  for (unsigned s = 0; s < kStates; ++s)
    if (control::contains(rule.idle_states, static_cast<State>(s)))
      states += fmt::format("{}{}", states.empty() ? "" : ", ", name(static_cast<State>(s)));
  if (rule.ask_pending) states += fmt::format("{}what is outstanding", states.empty() ? "" : ", ");
  return states.empty() ? "nobody" : states;
}

std::string does(const control::Rule& rule) {
  if (rule.exempt) return "nothing: exempt";
  using control::Act;
  std::string all;
  const auto add = [&all](bool is, const std::string& what) {
    if (is) all += (all.empty() ? "" : "; ") + what;
  };
  const auto act = [&rule](Act one) {
    const std::string values = one == Act::Keepalive ? host::text(rule.keepalive) : std::string();
    return values.empty() ? std::string(name(one)) : fmt::format("{} ({})", name(one), values);
  };
  add(rule.always != Act::Tell, fmt::format("whatever matches: {}", act(rule.always)));
  add(true, fmt::format("gone: {}", name(rule.when_gone)));
  add(rule.when_forgotten != Act::Tell,
      fmt::format("forgotten for {}: {}", host::readable(rule.forgotten_after), act(rule.when_forgotten)));
  add(rule.when_orphaned != Act::Tell,
      fmt::format("orphaned for {}: {}", host::readable(rule.orphaned_after), name(rule.when_orphaned)));
  return rule.act ? all : "dry run; would do " + all;
}

// It would ask or end somebody, and leaves the kernel's connections alone: it holds for none of them because of its
// plane.
bool spares_the_kernel(const host::NamedPolicy& policy, std::uint32_t number) {
  const control::Clause& clause = policy.policy.clauses()[number];
  const control::Rule& rule = clause.rule;
  if (rule.exempt || clause.filter.names_plane()) return false;
  using control::Act;
  const bool acts = rule.act && (rule.always != Act::Tell || rule.when_gone != Act::Tell ||
                                 rule.when_forgotten != Act::Tell || rule.when_orphaned != Act::Tell);
  return acts || asks(rule) != "nobody";
}

// When whoever is asked is proven gone. By the kernel's keepalive no more questions are asked in a row than so.
std::string proven_within(const host::NamedPolicy& policy, std::uint32_t number) {
  const auto& [filter, rule] = policy.policy.clauses()[number];
  std::string within = host::readable(host::bound(rule));
  if (rule.probes_needed > limits::kKernelQuestions && filter.names_plane())
    within += fmt::format("; by the kernel's keepalive alone never: N is above {}", limits::kKernelQuestions);
  return within;
}

Row row_of(const host::NamedPolicy& policy, std::uint32_t number) {
  const control::Rule& rule = policy.policy.rule(number);
  const bool can_ask = asks(rule) != "nobody";
  return {policy.rules[number],
          policy.matches[number].empty() ? "everything" : policy.matches[number],
          can_ask ? fmt::format("{}, after {}", asks(rule), host::readable(rule.interval)) : "nobody",
          fmt::format("{}{}", rule.probes_needed, rule.probes_derived ? "" : " (set)"),
          host::readable(probe_spacing(rule)),
          host::readable(rule.proof_span),
          can_ask ? proven_within(policy, number) : "never proven by asking",
          std::string(host::name(rule.keep_path)),
          does(rule) + (spares_the_kernel(policy, number) ? "; not the kernel's" : "")};
}

void print_budgets(const host::NamedPolicy& named) {
  const control::Policy& policy = named.policy;
  fmt::print("questions: at most {} a second in all, {} a second to one host\n", policy.probes.per_second,
             policy.probes.per_host);
  const auto bound = [](const control::OrphanBudget& budget) {
    std::string all = budget.count == UINT32_MAX ? "any number" : fmt::format("at most {}", budget.count);
    if (budget.bytes != UINT64_MAX) all += fmt::format(", holding at most {} MiB", budget.bytes >> 20);
    return all;
  };
  fmt::print("orphans: {}", bound(policy.orphans));
  if (policy.orphans_under_pressure != policy.orphans && policy.orphans_under_pressure != control::OrphanBudget{})
    fmt::print("; {} while less than {:.0f}% of memory is available", bound(policy.orphans_under_pressure),
               named.pressure_below * 100);
  fmt::print("\ntimers of middleboxes known:");
  for (std::size_t i = 0; i < policy.path_timers.size(); ++i)
    fmt::print("{} {} {}", i == 0 ? "" : ",", named.path_timers[i], host::text(policy.path_timers[i].idle));
  fmt::print("\n");
}

// What is no mistake, and yet surprises. [default], the last one, has no match that could say anything.
void print_notes(const host::NamedPolicy& policy) {
  for (std::uint32_t i = 0; i + 1 < policy.rules.size(); ++i)
    if (spares_the_kernel(policy, i))
      fmt::print(
          "note: rule {} (\"{}\"): never asks or ends the kernel's connections: its match does not say `plane "
          "kernel`\n",
          i + 1, host::printable(policy.rules[i]));
}

void print_policy(const host::NamedPolicy& policy) {
  std::vector<Row> rows{{"RULE", "MATCH", "ASKS", "N", "EVERY", "OVER", "GONE WITHIN", "KEEPS PATH", "WHAT IT DOES"}};
  for (std::uint32_t i = 0; i < policy.rules.size(); ++i) rows.push_back(row_of(policy, i));
  print(rows);
  print_budgets(policy);
}

}  // namespace

void run_policy_check(const PolicyCheckCommand& command) {
  const auto text = host::load_policy_text(command.file);
  if (!text) throw Trouble(text.error().text);
  const auto policy = host::read_policy(*text);
  if (!policy) {
    fmt::print("{}\n", host::describe(host::printable(command.file), policy.error()));
    throw Exit{2};
  }
  const std::size_t rules = policy->rules.size();
  fmt::print("{}: no mistakes, {} {}\n", host::printable(command.file), rules, rules == 1 ? "rule" : "rules");
  print_notes(*policy);
}

void run_policy_show(const PolicyShowCommand& command) {
  if (!command.file.empty()) {
    const auto policy = host::load_policy(command.file);
    if (!policy) throw Trouble(policy.error().text);
    fmt::print("{} (fingerprint {})\n", host::printable(command.file), host::hex16(policy->policy.fingerprint));
    return print_policy(*policy);
  }
  const auto census = host::take_census(host::RunDir::chosen(command.run_dir));
  if (!census) throw Trouble(census.error().text);
  if (!census->policy_known)
    throw Trouble("the text of the policy in force cannot be read; what control says on stderr tells why");
  fmt::print("in force (fingerprint {})\n", host::hex16(census->policy.policy.fingerprint));
  print_policy(census->policy);
}

}  // namespace adieu::cli
