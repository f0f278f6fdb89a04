// How late a verdict may be at the most: the rule's own bound, from a peer's death to the end of the connection.
//
// What lives here: verdict_bound(). What does not: the rule (control/rule.h), and the two numbers of the controller
// that are repeated here, because they are its own (controller_decisions.cc: patience_outside(); jitter.h: an eighth).
#pragma once

#include "base/time.h"
#include "control/rule.h"

namespace adieu::sim {

struct BoundTerms {
  bool may_be_outside = false;  // neither of its addresses is private (Evidence::may_be_outside)
  Duration sweep;               // of the attendant
  Duration command_delay;       // until the plane looks into its ring
};

// From the last instant at which it could have been heard, or the first at which the rule asks it if that is later.
//
//   interval                     heard, it is asked nothing
//   + patience outside           the outside of a NAT leaves the first question to the inside
//   + 1/8 interval               jitter of the first question
//   + max(T, N spacings + 1/8)   the ladder, each question later by its jitter
//   + answer time                of the last question
//   + sweep                      nobody looks sooner at one that nobody attends to yet
//   + 2 command delays           the first question's and the abort's; those between are measured from the plane's time
constexpr Duration verdict_bound(const control::Rule& rule, const BoundTerms& terms) {
  const Duration patience = terms.may_be_outside ? control::patience_outside(rule) : Duration{};
  const Duration ladder = control::probe_spacing(rule) * rule.probes_needed;
  return rule.interval + patience + rule.interval / 8 + later(rule.proof_span, ladder + ladder / 8) +
         control::answer_time(rule) + terms.sweep + terms.command_delay * 2;
}

}  // namespace adieu::sim
