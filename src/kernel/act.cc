// The acts. What does not live here: the order around them (plane.cc).
#include "kernel/act.h"

#include <linux/capability.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "kernel/capability.h"
#include "kernel/duplicate.h"

namespace adieu::kernel {
namespace {

using plane::Ability;
using plane::Outcome;

// `walked`: to the end; else nothing is known of what was not met.
Outcome outcome_of(const DestroyAnswer& answer, bool walked) {
  switch (answer.outcome) {
    case DestroyOutcome::NotFound: return walked ? Outcome::AlreadyEnded : Outcome::Unable;
    case DestroyOutcome::Destroyed: return Outcome::Done;
    case DestroyOutcome::OtherState: return Outcome::WrongState;
    case DestroyOutcome::HeardSince: return Outcome::HeardSince;
    case DestroyOutcome::Minisocket:
    case DestroyOutcome::Refused: return Outcome::Unable;
  }
  return Outcome::Unable;
}

}  // namespace

Acts Acts::open(bool guarded) {
  Acts acts;
  acts.can_destroy_ = has_capability(CAP_NET_ADMIN);
  acts.can_duplicate_ = Duplicate::is_possible();
  if (!guarded) return acts;
  if (auto guard = BpfDestroy::open()) acts.guard_ = std::make_unique<BpfDestroy>(std::move(*guard));
  return acts;
}

plane::Abilities Acts::abilities() const {
  plane::Abilities can = 0;
  if (can_duplicate_) can = can | Ability::Finish;
  if (can_destroy_) can = can | Ability::AbortReset | Ability::Forget;
  if (guard_ && can_destroy_) can = can | Ability::GuardedAbort;
  return can;
}

Outcome Acts::finish(const Socket& found, const Held& who) const {
  if (!can_duplicate_ || who.descriptors == 0) return Outcome::Unable;
  if (!is_synchronized(found.state) || is_sending_closed(found.state)) return Outcome::Unable;
  const auto duplicate = Duplicate::take(who.process, who.descriptor, found.key.cookie);
  if (!duplicate) return Outcome::Unable;
  return ::shutdown(duplicate->get(), SHUT_WR) == 0 ? Outcome::Done : Outcome::Unable;
}

Outcome Acts::may_abort(const Socket& found, std::optional<std::uint32_t> heard) const {
  if (!can_destroy_ || found.state == State::TimeWait) return Outcome::Unable;
  if (!heard) return Outcome::Done;
  // Of a minisocket the kernel counts nothing: nobody could tell whether its peer was heard.
  if (!found.is_whole) return Outcome::Unable;
  return found.segments_in == *heard ? Outcome::Done : Outcome::HeardSince;
}

Outcome Acts::abort(Network& network, const Socket& found, std::optional<std::uint32_t> heard) {
  const Outcome outcome = destroy(network, found);
  return outcome == Outcome::Done && heard ? Outcome::DoneUnguarded : outcome;
}

Outcome Acts::forget(Network& network, const Socket& found) {
  if (!can_destroy_ || found.state != State::TimeWait) return Outcome::Unable;
  return destroy(network, found);
}

Outcome Acts::destroy(Network& network, const Socket& found) {
  const auto destroyed = network.diag.destroy(found.key);
  if (destroyed) return *destroyed ? Outcome::Done : Outcome::AlreadyEnded;
  // A kernel that was built without it says so at the first attempt only.
  if (destroyed.error().kind == ErrorKind::NotSupported) can_destroy_ = false;
  return Outcome::Unable;
}

void Acts::abort_guarded(const Network& network, std::span<const DestroyOrder> orders, std::span<Outcome> outcomes) {
  std::ranges::fill(outcomes, Outcome::Unable);
  const Inside inside(network.file);
  if (!inside.is_in()) return;
  std::vector<DestroyAnswer> answers(orders.size());
  const bool walked = guard_->carry_out(orders, answers).has_value();
  std::ranges::transform(answers, outcomes.begin(), [&](const DestroyAnswer& a) { return outcome_of(a, walked); });
}

}  // namespace adieu::kernel
