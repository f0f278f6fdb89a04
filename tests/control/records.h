// Records as the stories need them. What does not live here: a plane that changes them (world.h).
#pragma once

#include "base/time.h"
#include "control/controller.h"
#include "control/evidence.h"
#include "control/judge.h"
#include "plane/command.h"
#include "plane/record.h"

namespace adieu::control::testing {

using namespace adieu::literals;

inline constexpr plane::Abilities kAllAbilities = [] {
  using plane::Ability;
  return Ability::ProbeEcho | Ability::ProbeBare | Ability::ProbePending | Ability::AbortReset | Ability::AbortSilent |
         Ability::Finish | Ability::GuardedAbort | Ability::ReportsHeard | Ability::ReportsHolder |
         Ability::ReportsReading | Ability::ReportsReason | Ability::ProbeUncounted;
}();
inline constexpr PlaneFacts kPlane = [] {
  PlaneFacts facts;
  facts.abilities = kAllAbilities;
  return facts;
}();
constexpr plane::Abilities without(plane::Ability ability) {
  return kAllAbilities & ~static_cast<plane::Abilities>(ability);
}

constexpr Instant at(Duration since_start) { return Instant{since_start.ns}; }

// Half-closed by its own application, held, has sent data; heard at `heard`.
inline plane::Record half_closed(Instant heard, State state = State::FinWait2) {
  plane::Record r;
  r.generation = 1;
  r.local = {Address::v4(10, 0, 0, 1), 443};
  r.remote = {Address::v4(10, 0, 0, 2), 50000};
  r.state = state;
  r.holder = plane::Holder::Held;
  r.can_echo = true;
  r.can_probe = true;
  r.send_shut = is_sending_closed(state);
  r.last_heard = heard;
  r.state_entered = heard;
  r.oldest_unacked = Instant::never();
  r.heard = 7;
  r.unread = 0;
  r.unsent = 0;
  return r;
}

// As above, asked and not answered.
inline plane::Record asked(plane::Record r, std::uint16_t echo, std::uint16_t bare, Instant first, Instant last) {
  r.probes[static_cast<unsigned>(ProbeForm::DataEcho)] = echo;
  r.probes[static_cast<unsigned>(ProbeForm::Bare)] = bare;
  r.probe_first = first;
  r.probe_last = last;
  return r;
}

inline Verdict judged(const plane::Record& r, Instant now, const Rule& rule = {},
                      const Attention& attention = {kAllAbilities, {}, {}, {}}) {
  return judge(gather(r, attention, now), rule, now);
}

}  // namespace adieu::control::testing
