// The same judge, over what the control plane left in its block.
#include "control/onlooker.h"

#include <algorithm>
#include <array>

namespace adieu::control {

Rule rule_of(const plane::ControlStatus& status) {
  Rule rule;
  rule.probing = status.probing;
  rule.interval = status.interval;
  rule.probes_needed = status.probes_needed;
  rule.proof_span = status.proof_span;
  return validate(rule) ? rule : Rule{};
}

Onlook look_on(const plane::Record& record, plane::Abilities abilities, Instant heartbeat,
               const std::optional<plane::ControlStatus>& status, Instant now, const Controller::Settings& settings) {
  Onlook seen;
  if (status) seen.rule = rule_of(*status);
  std::array<plane::Gap, plane::kGaps + 1> gaps{};
  if (status) std::ranges::copy(status->gaps, gaps.begin());
  const Instant judged_at = status && status->swept_at <= now ? status->swept_at : Instant::unknown();
  if (!judged_at.is_known() || now - judged_at > settings.gap_after) {
    seen.not_judged_since = judged_at;
    gaps.back() = {judged_at.is_known() ? judged_at : Instant{0}, now};
  }
  const bool stopped = heartbeat.is_known() && now - heartbeat > settings.plane_stopped_after;
  seen.evidence = gather(record, {abilities, gaps, stopped ? heartbeat : Instant::unknown()}, now);
  seen.verdict = judge(seen.evidence, seen.rule, now);
  return seen;
}

}  // namespace adieu::control
