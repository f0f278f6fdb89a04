// A standing for whoever reads a table without controlling anything: `adieu ls` and `adieu why`, also while the control
// plane is stopped.
//
// What lives here: Onlook, look_on(). What does not: judgement, which is the same judge() that the control plane uses.
// What a control plane has learned of hosts (loss, forgetful paths) is in no table but in its ledger: an onlooker who
// is given a HostBook of that takes as many questions for a proof as control does. Without one it may take fewer, and
// says "gone" a little before control acts.
#pragma once

#include <optional>

#include "base/time.h"
#include "control/controller.h"
#include "control/evidence.h"
#include "control/judge.h"
#include "control/policy.h"
#include "plane/control_block.h"
#include "plane/record.h"

namespace adieu::control {

struct Onlook {
  std::uint32_t rule_number = 0;
  Rule rule;  // as it holds in this state
  Evidence evidence;
  Verdict verdict;
  // When control is late: "not judged since" this instant; unknown(): it has never been. nullopt: control attends.
  std::optional<Instant> not_judged_since;
};

// `hosts`: what is known of them; `status`: of the plane's control block, if there ever was a control plane. Time since
// its last sweep is no evidence, so that an onlooker never calls gone whom no control plane could have called so.
Onlook look_on(const plane::Record& record, const PlaneFacts& plane, Instant heartbeat, const Policy& policy,
               const std::optional<plane::ControlStatus>& status, const HostBook& hosts, Instant now,
               const Controller::Settings& settings = {});

}  // namespace adieu::control
