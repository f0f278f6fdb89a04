// The acts. What does not live here: the order around them (plane.cc).
#include "kernel/act.h"

#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "kernel/capability.h"
#include "kernel/duplicate.h"
#include "kernel/option.h"

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

// One of a keepalive's three values.
struct Setting {
  int name;
  int wanted;  // 0: as the socket has it
  int has = 0;
};

bool has_all(int file, std::span<const Setting> settings) {
  return std::ranges::all_of(settings,
                             [&](const Setting& s) { return option(file, IPPROTO_TCP, s.name) == s.wanted; }) &&
         option(file, SOL_SOCKET, SO_KEEPALIVE) == 1;
}

Outcome switch_on(int file, const Socket& found, const plane::Keepalive& wanted, Acts::AfterStep after_step) {
  Setting settings[] = {{.name = TCP_KEEPIDLE, .wanted = wanted.idle},
                        {.name = TCP_KEEPINTVL, .wanted = wanted.interval},
                        {.name = TCP_KEEPCNT, .wanted = wanted.count}};
  for (Setting& s : settings) {
    s.has = option(file, IPPROTO_TCP, s.name);
    if (s.has < 0) return Outcome::Unable;
    if (s.wanted == 0) s.wanted = s.has;
  }
  if (has_all(file, settings)) return Outcome::Done;
  if (option(file, IPPROTO_TCP, TCP_USER_TIMEOUT) != 0 || found.probes >= settings[2].wanted) return Outcome::Unable;
  int steps = 0;
  const auto set = [&](int level, int name, int value) {
    if (!set_option(file, level, name, value)) return false;
    if (after_step != nullptr) after_step(++steps);
    return true;
  };
  for (const bool growing : {true, false})
    for (const Setting& s : settings)
      if (s.wanted != s.has && (s.wanted > s.has) == growing && !set(IPPROTO_TCP, s.name, s.wanted))
        return Outcome::Unable;
  if (!set(SOL_SOCKET, SO_KEEPALIVE, 1)) return Outcome::Unable;
  return has_all(file, settings) ? Outcome::Done : Outcome::Unable;
}

}  // namespace

bool can_have_keepalive(const Socket& socket) {
  const bool idles =
      socket.state == State::Established || socket.state == State::FinWait2 || socket.state == State::CloseWait;
  return idles && socket.is_whole && socket.inode != 0;
}

Acts Acts::open(bool guarded, AfterStep after_step) {
  Acts acts;
  acts.after_step_ = after_step;
  acts.can_destroy_ = has_capability(CAP_NET_ADMIN);
  acts.can_duplicate_ = Duplicate::is_possible();
  if (!guarded) return acts;
  if (auto guard = BpfDestroy::open()) acts.guard_ = std::make_unique<BpfDestroy>(std::move(*guard));
  return acts;
}

plane::Abilities Acts::abilities() const {
  plane::Abilities can = 0;
  if (can_duplicate_) can = can | Ability::Finish | Ability::Keepalive;
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

Outcome Acts::keepalive(const Socket& found, const Held& who, const plane::Keepalive& wanted) const {
  if (!can_duplicate_ || who.descriptors == 0 || !can_have_keepalive(found)) return Outcome::Unable;
  const auto duplicate = Duplicate::take(who.process, who.descriptor, found.key.cookie);
  return duplicate ? switch_on(duplicate->get(), found, wanted, after_step_) : Outcome::Unable;
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
