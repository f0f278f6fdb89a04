// The acts. What does not live here: the order around them (plane.cc).
#include "kernel/act.h"

#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "kernel/duplicate.h"

namespace adieu::kernel {
namespace {

using plane::Ability;
using plane::Outcome;

bool has_capability(unsigned capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) < 0) return false;
  return (data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
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

Outcome Acts::abort(Network& network, const Socket& found, std::optional<std::uint32_t> heard, bool guarded) {
  if (!can_destroy_ || found.state == State::TimeWait) return Outcome::Unable;
  if (!heard) return destroy(network, found);
  // Of a minisocket the kernel counts nothing: nobody could tell whether its peer was heard.
  if (!found.is_whole) return Outcome::Unable;
  if (found.segments_in != *heard) return Outcome::HeardSince;
  if (guard_ && guarded) return destroy_guarded(network, found, *heard).value_or(Outcome::Unable);
  const Outcome outcome = destroy(network, found);
  return outcome == Outcome::Done ? Outcome::DoneUnguarded : outcome;
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

// nullopt: it could not be done.
std::optional<Outcome> Acts::destroy_guarded(const Network& network, const Socket& found, std::uint32_t heard) {
  const Inside inside(network.file);
  if (!inside.is_in()) return std::nullopt;
  const DestroyOrder order{.cookie = found.key.cookie, .state = found.state, .segments_in = heard};
  // A walk over the kernel's table can miss a socket that is there; twice in a row hardly.
  for (int attempt = 0; attempt < 2; ++attempt) {
    DestroyAnswer answer;
    if (!guard_->carry_out({&order, 1}, {&answer, 1})) return std::nullopt;
    switch (answer.outcome) {
      case DestroyOutcome::NotFound: break;
      case DestroyOutcome::Destroyed: return Outcome::Done;
      case DestroyOutcome::OtherState: return Outcome::WrongState;
      case DestroyOutcome::HeardSince: return Outcome::HeardSince;
      case DestroyOutcome::Minisocket:
      case DestroyOutcome::Refused: return Outcome::Unable;
    }
  }
  return std::nullopt;
}

}  // namespace adieu::kernel
