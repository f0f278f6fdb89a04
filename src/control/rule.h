// The rule by which connections are asked and judged, and what follows from it.
//
// What lives here: Rule, the numbers derived from it, its validation. What does not: facts (evidence.h), judgement
// (judge.h), which rule holds for which connection (policy.h).
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "base/terms.h"
#include "base/time.h"
#include "plane/command.h"

namespace adieu::control {

using StateSet = std::uint16_t;
constexpr StateSet set_of(State s) { return static_cast<StateSet>(1U << static_cast<unsigned>(s)); }
constexpr bool contains(StateSet set, State s) { return (set & set_of(s)) != 0; }

// States in which a rule may ask a peer that owes us nothing. Never SYN-* (there is no peer yet) and never TIME-WAIT
// (Linux re-arms its 60 s at each probe: a prober could pin the other end's quarantine for ever). In FIN-WAIT-1,
// CLOSING and LAST-ACK our FIN is outstanding, so they are never idle; see Rule::ask_pending.
inline constexpr StateSet kIdleStatesAllowed =
    static_cast<StateSet>(set_of(State::Established) | set_of(State::FinWait2) | set_of(State::CloseWait));

// "[...] it MUST NOT interpret failure to respond to any specific probe as a dead connection" (RFC 9293 section 3.8.4,
// MUST-29): no rule proves anything by one.
inline constexpr std::uint32_t kFewestProbes = 2;
// Counts of probes in a record saturate at 65535 a form.
inline constexpr std::uint32_t kMostProbes = 10'000;
// Stacks answer zero-length segments outside the window once in 500 ms (Linux, gVisor) or a second (smoltcp): a
// question put sooner than that proves nothing when it stays unanswered. The data echo is exempt, but one floor is
// simpler.
inline constexpr Duration kLeastSpacing = seconds(1);

// A probe or its answer is lost, where each is with probability `loss`.
constexpr double unanswered_share(double loss) { return 1 - (1 - loss) * (1 - loss); }
// The least N for which N probes in a row all stay unanswered by a peer that is there with probability < 1e-9:
// unanswered^N < 1e-9. By multiplication, because libm's pow may differ between machines and the answer may not.
constexpr std::uint32_t probes_for(double unanswered) {
  double all = unanswered;
  std::uint32_t n = 1;
  while (!(all < 1e-9) && n < kMostProbes) {
    all *= unanswered;
    ++n;
  }
  return n < kFewestProbes ? kFewestProbes : n;
}
constexpr std::uint32_t probes_needed(double loss) { return probes_for(unanswered_share(loss)); }

// Which middlebox timers (Policy::path_timers) are kept from running out.
enum class KeepPath : std::uint8_t {
  No,
  Learned,  // the one that has been seen to fit, on paths to that host
  Known,    // the shortest one known for the state
};

// What is done to a connection by policy.
enum class Act : std::uint8_t {
  Tell,    // nothing: it is said, and in the ledger
  Finish,  // queue our FIN: the peer reads the end of our stream
  Reset,   // end it with an RST
  Silent,  // end it without a segment
  // Its own TCP (the kernel's) asks the peer from now on, and ends it when nobody answers.
  Keepalive,
};
std::string_view name(Act act);

struct Rule {
  // Whether the control plane asks at all. Off, it only judges what it sees (profile rfc9293).
  bool probing = true;

  // Heard within it, a peer is alive and is asked nothing; after it, it is asked. 25 s, because a Linux conntrack on
  // the path forgets a half-closed connection after 60 idle seconds (nf_conntrack_tcp_timeout_close_wait), and two
  // questions should fit. This departs from RFC 9293 section 3.8.4, MUST-28 (no less than two hours), on purpose.
  Duration interval = seconds(25);

  // Which states are asked while nothing is outstanding. Half-closed ones by default, against MUST-25 ("they MUST
  // default to off"): there one end only waits, so that nothing else would ever show whether the other still exists. An
  // idle ESTABLISHED connection stays unasked as MUST-25 says: either end may speak or close, and both ends may mean
  // the silence.
  StateSet idle_states = static_cast<StateSet>(set_of(State::FinWait2) | set_of(State::CloseWait));

  // Where data, a FIN or a zero-window probe is outstanding, its retransmission is the question; asking by it is no
  // keep-alive, so MUST-25 does not speak of it, and MUST-26 ("Keep-alive packets MUST only be sent when no sent data
  // is outstanding") forbids any other form. It is asked in every synchronized state but TIME-WAIT. The plane's own
  // retransmissions back off to a minute and more; without these questions a proof would take half an hour. A segment
  // in `probe_spacing` (3.2 s by default) stays within what RFC 8085 section 3.1.1 grants a sender that knows no RTT:
  // one in 3 s.
  bool ask_pending = true;

  // The loss each way that a path is assumed to have; N follows from it.
  double assumed_loss = 0.3;
  // N: probes that must stay unanswered. Whoever sets assumed_loss sets this to control::probes_needed(assumed_loss).
  std::uint32_t probes_needed = control::probes_needed(0.3);
  // T: attended time over which they must stay unanswered; RFC 9293 section 3.8.3: R2 "SHOULD correspond to at least
  // 100 s".
  Duration proof_span = seconds(100);

  // The loss each way that is believed at most when more than assumed_loss is measured; beyond it a peer is dead by
  // rule (DESIGN section 5).
  double most_loss = 0.5;
  // N follows from assumed_loss, and grows with the loss that is measured to the peer's host. False: N is the
  // operator's.
  bool probes_derived = true;

  // Ask in every state that may be asked, and so often that no middlebox timer runs out.
  KeepPath keep_path = KeepPath::No;

  // False is a dry run: verdicts are reached and nobody is ended by them. Probes are evidence, harmless, and go on;
  // they have a switch of their own (`probing`). Of the kernel's connections nobody is asked either.
  bool act = true;
  // Nothing below is ever done, and no budget takes it.
  bool exempt = false;
  // It is the kernel's, and the rule does not say that it means such connections (Policy::rule_for()): exempt, and not
  // asked, but on a person's word. No file sets this.
  bool unmeant = false;
  Act when_gone = Act::Reset;
  // The application has read the end of the peer's stream so long ago, and has not closed: forgotten, or meant.
  Act when_forgotten = Act::Tell;
  Duration forgotten_after = hours(1);
  // Nobody on this host holds it, for so long.
  Act when_orphaned = Act::Tell;
  Duration orphaned_after = seconds(60);
  // To whatever the rule's filter matches, at once: a filter with `age` or `attempts` imitates a stack's timers.
  Act always = Act::Tell;
  // How, where an act is Keepalive.
  plane::Keepalive keepalive;

  // How long a command may wait for its plane. Shorter than any spacing between two of them would be of no use.
  Duration command_life = seconds(2);

  bool operator==(const Rule&) const = default;
};

// Between two questions to a peer that has not answered the first: N of them fit T, but never below the floor, and
// never further apart than the interval (a NAT on the path must not forget the connection while it is being asked).
constexpr Duration probe_spacing(const Rule& rule) {
  const std::int64_t n = rule.probes_needed == 0 ? 1 : rule.probes_needed;
  const Duration even = milliseconds((rule.proof_span.ns / 1'000'000 + n - 1) / n);
  return later(kLeastSpacing, earlier(even, rule.interval));
}
// A question younger than this may still be answered: it is on its way, not unanswered.
constexpr Duration answer_time(const Rule& rule) { return earlier(seconds(3), probe_spacing(rule)); }

// An end outside a NAT leaves the first question to the inside for so much longer: asked from outside, a router that
// has forgotten the connection answers with a reset (linux-tcp.md, D). In as long again the inside asks eight times, so
// that at 30 % loss the outside hears none of them once in 15,000; and of the 60 s of a Linux conntrack enough are left
// for the outside's own two questions, should the inside never ask.
constexpr Duration patience_outside(const Rule& rule) {
  return rule.interval <= seconds(60) ? rule.interval : Duration{};
}

enum class RuleError : std::uint8_t {
  IntervalTooShort,
  LossOutOfRange,
  TooFewProbes,
  TooManyProbes,
  SpanTooShort,
  StateNotAskable,
  CommandLifeOutOfRange,
  MostLossOutOfRange,
  TooSoonToForget,
  KeepaliveOfGone,
  KeepaliveOfOrphan,
  KeepaliveOutOfRange,
};
// What is wrong and what to do, as one sentence for a person.
std::string_view message(RuleError error);

[[nodiscard]] std::expected<void, RuleError> validate(const Rule& rule);

}  // namespace adieu::control
