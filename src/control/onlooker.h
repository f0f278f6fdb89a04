// A standing for whoever reads a table without controlling anything: `adieu ls` and `adieu why`, also while the control
// plane is stopped.
//
// What lives here: Onlook, look_on(). What does not: judgement, which is the same judge() that the control plane uses.
#pragma once

#include <optional>

#include "base/time.h"
#include "control/controller.h"
#include "control/evidence.h"
#include "control/judge.h"
#include "control/rule.h"
#include "plane/control_block.h"
#include "plane/record.h"

namespace adieu::control {

// What of the rule in force a control block tells; the rest as in the built-in rule. Values that validate() refuses
// (the block is another process's memory) are replaced by the built-in ones.
Rule rule_of(const plane::ControlStatus& status);

struct Onlook {
  Rule rule;
  Evidence evidence;
  Verdict verdict;
  // When control is late: "not judged since" this instant; unknown(): it has never been. nullopt: control attends.
  std::optional<Instant> not_judged_since;
};

// `status`: of the plane's control block, if there ever was a control plane. Time since its last sweep is no evidence,
// so that an onlooker never calls gone whom no control plane could have called so.
Onlook look_on(const plane::Record& record, plane::Abilities abilities, Instant heartbeat,
               const std::optional<plane::ControlStatus>& status, Instant now,
               const Controller::Settings& settings = {});

}  // namespace adieu::control
