// A policy as people write it: TOML in, rules with their names out; and how it reaches those who only read.
//
// What lives here: NamedPolicy, reading and writing of policy files. What does not: what rules mean (control/policy.h,
// control/rule.h; docs/policy.md for people). policy.cc alone knows the TOML library.
//
// A text is read whole or not at all: all its mistakes are told at once, each with its place and what to write instead.
// (Where it is no TOML, there is one: the first.) The control plane writes the text in force into the run directory;
// readers of a table know by its fingerprint that it is the one.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/policy.h"
#include "host/failure.h"
#include "host/run_dir.h"

namespace adieu::host {

struct NamedPolicy {
  control::Policy policy = control::Policy();
  std::vector<std::string> rules;        // names, by the rule's number
  std::vector<std::string> matches;      // filters as written, by the rule's number; empty: everything
  std::vector<std::string> path_timers;  // names, by their place in policy.path_timers
  std::string text;                      // that it was read from
  // This host is short of memory while less than this share of it is available.
  double pressure_below = 0.1;
};

struct PolicyMistake {
  unsigned line = 1;
  unsigned column = 1;  // characters, from 1
  std::string reason;
  std::string remedy;
  bool operator==(const PolicyMistake&) const = default;
};

[[nodiscard]] std::expected<NamedPolicy, std::vector<PolicyMistake>> read_policy(std::string_view text);
// Profile patient and nothing else.
NamedPolicy built_in_policy();
// Never 0, which stands for no policy.
std::uint64_t fingerprint(std::string_view text);

// A policy whose [default] is `rule`, as read_policy() reads it; it says only what differs from the built-in rule, and
// nothing of Rule::always, which no default may have.
std::string policy_text(const control::Rule& rule);

// "rule 3" where the policy gives no name.
std::string rule_name(const NamedPolicy& policy, std::uint32_t rule);

// As a policy spells it.
std::string_view name(control::KeepPath keep);

// "FILE:LINE:COLUMN: reason; remedy", a line each, no end of line behind the last.
std::string describe(std::string_view file, const std::vector<PolicyMistake>& mistakes);

// The text of a policy file; an error says why it cannot be had.
Result<std::string> load_policy_text(const std::string& path);
// Read; the failure's text holds all mistakes, a line each.
Result<NamedPolicy> load_policy(const std::string& path);

// The policy in force, for readers: the file in the run directory is replaced at once or not at all.
Result<void> publish_policy(const RunDir& run_dir, const NamedPolicy& policy);
// nullopt: it is not there, or not the one with this fingerprint.
std::optional<NamedPolicy> published_policy(const RunDir& run_dir, std::uint64_t wanted);

// From no question asked to gone, were nobody there: the rule's own bound, without the controller's jitter (an eighth)
// and its sweep.
Duration bound(const control::Rule& rule);

}  // namespace adieu::host
