// The same judge, over what the control plane left in its block.
#include "control/onlooker.h"

#include <algorithm>
#include <array>

namespace adieu::control {

Onlook look_on(const plane::Record& record, const PlaneFacts& plane, Instant heartbeat, const Policy& policy,
               const std::optional<plane::ControlStatus>& status, const HostBook& hosts, Instant now,
               const Controller::Settings& settings) {
  Onlook seen;
  const SubjectOf subject(plane, record, now);
  if (policy.only_rule() == nullptr) seen.rule_number = policy.rule_for(subject);
  const HostFacts host = hosts.facts(record.remote.address);
  seen.rule = policy.in_state(policy.rule(seen.rule_number, subject), record.state, host);
  std::array<plane::Gap, plane::kGaps + 1> gaps{};
  if (status) std::ranges::copy(status->gaps, gaps.begin());
  const Instant judged_at = status && status->swept_at <= now ? status->swept_at : Instant::unknown();
  if (!judged_at.is_known() || now - judged_at > settings.gap_after) {
    seen.not_judged_since = judged_at;
    gaps.back() = {judged_at.is_known() ? judged_at : Instant{0}, now};
  }
  const bool stopped = heartbeat.is_known() && now - heartbeat > settings.plane_stopped_after;
  const Instant stopped_since = stopped ? heartbeat : Instant::unknown();
  seen.evidence = gather(record, {plane.abilities, gaps, stopped_since, plane.time_wait}, now);
  seen.evidence.host = host;
  seen.verdict = judge(seen.evidence, seen.rule, now);
  return seen;
}

}  // namespace adieu::control
