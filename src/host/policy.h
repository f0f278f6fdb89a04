// A policy as people write it: TOML in, rules with their names out; and how it reaches those who only read.
//
// What lives here: NamedPolicy, reading and writing of policy files. What does not: what rules mean (control/policy.h,
// control/rule.h). policy.cc alone knows the TOML library.
#pragma once

#include <string>
#include <vector>

#include "control/policy.h"
#include "host/failure.h"

namespace adieu::host {

struct NamedPolicy {
  control::Policy policy;
  std::vector<std::string> rules;        // names, by the rule's number
  std::vector<std::string> path_timers;  // names, by their place in policy.path_timers
  std::string text;                      // that it was read from
};

}  // namespace adieu::host
