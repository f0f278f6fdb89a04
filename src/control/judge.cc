// The judgement, one function a question.
#include "control/judge.h"

#include <algorithm>
#include <optional>

#include "base/assert.h"

namespace adieu::control {
namespace {

constexpr ProbeForm kForms[] = {ProbeForm::DataEcho, ProbeForm::Bare, ProbeForm::Pending};

std::uint64_t number_of(auto e) { return static_cast<std::uint64_t>(e); }

// Questions whose answer may still be under way. Spacing is never below answer_time, so it is one at the most.
std::uint32_t on_its_way(const Evidence& e, const Rule& rule, Instant now) {
  return e.asked > 0 && e.last_ask.is_known() && now - e.last_ask < answer_time(rule) ? 1 : 0;
}

bool every_form_used(const Evidence& e) {
  return std::ranges::all_of(kForms, [&](ProbeForm f) { return !contains(e.possible, f) || e.asks_by(f) > e.spoiled; });
}

// What is outstanding, its plane transmits as often as it likes.
bool enough_askable(const Evidence& e, const Rule& rule) {
  return e.pending || rule.probes_needed + std::uint64_t{e.spoiled} <= e.most_asked();
}

// Questions that can prove something, the one on its way included.
std::uint32_t counted(const Evidence& e) { return e.asked - e.spoiled; }

Wanted wanted_of(const Evidence& e) {
  switch (e.holder) {
    case plane::Holder::Unknown: return Wanted::Unknown;
    case plane::Holder::AcceptQueue: return Wanted::AcceptQueue;
    case plane::Holder::Orphan: return Wanted::Orphan;
    case plane::Holder::Held: break;
  }
  const plane::Beside& beside = e.beside;
  if (beside.looked && beside.process == 0) return beside.looked_everywhere ? Wanted::Hidden : Wanted::NotFound;
  if (beside.inherited && (is_receiving_closed(e.state) || is_sending_closed(e.state))) return Wanted::Inherited;
  if (!is_receiving_closed(e.state)) return Wanted::Held;
  switch (e.end_of_stream_read) {
    case plane::Known::Yes: return Wanted::EndOfStreamReadNotClosed;
    case plane::Known::No: return Wanted::EndOfStreamUnread;
    case plane::Known::Unknown: break;
  }
  // Octets before the FIN that nobody has read: nor has the FIN been. None left proves nothing (linux-tcp.md, G: the
  // last octets may have been read without the end after them).
  if (e.unread == plane::kUnknownCount) return Wanted::Unknown;
  return e.unread > 0 ? Wanted::EndOfStreamUnread : Wanted::AllReadNotClosed;
}

// What the kernel's own clocks will do, where adieu does not rule them (linux-tcp.md, A and B).
std::optional<Ends> ends_by_own_timer(const Evidence& e) {
  switch (e.beside.timer) {
    case plane::OwnTimer::Quarantine: return e.state == State::TimeWait ? Ends::TimeWaitQuarantine : Ends::OwnTimer;
    // Of an orphan in FIN-WAIT-2 this is the first part of its time.
    case plane::OwnTimer::Keepalive:
      return e.holder == plane::Holder::Orphan && e.state == State::FinWait2 ? Ends::OwnTimer : Ends::OwnKeepalive;
    // The first transmission waits for its answer as all do; a FIN in flight has nothing else to end it.
    case plane::OwnTimer::Retransmit:
      if (e.beside.retries > 0 || e.state == State::FinWait1 || e.state == State::Closing || e.state == State::LastAck)
        return Ends::OwnRetransmissions;
      break;
    // Answered, they go on for ever, but for an orphan, which gets so many whoever answers. Unanswered they are counted
    // as retransmissions are: of these one may be on its way.
    case plane::OwnTimer::Persist:
      if (e.holder == plane::Holder::Orphan) return Ends::OwnTimer;
      if (e.attempts > 1) return Ends::OwnRetransmissions;
      break;
    case plane::OwnTimer::Unknown:
    case plane::OwnTimer::None: break;
  }
  return std::nullopt;
}

Ends ends_by_protocol(State state) {
  switch (state) {
    case State::Closed: return Ends::AlreadyEnded;
    case State::Listen:
    case State::SynSent:
    case State::SynReceived: return Ends::ConnectAnswered;
    case State::Established: return Ends::EitherSideCloses;
    case State::FinWait2: return Ends::PeerFin;
    case State::CloseWait: return Ends::ApplicationClose;
    case State::FinWait1:
    case State::Closing:
    case State::LastAck: return Ends::PeerAcknowledges;
    case State::TimeWait: return Ends::TimeWaitQuarantine;
  }
  return Ends::Nothing;
}

struct Doing {
  Cause cause = Cause::None;
  Act act = Act::Tell;
  Instant at = Instant::never();
};

bool is_able(const Evidence& e, const Doing& doing) {
  using plane::Ability;
  // Who is called gone is ended only where a sign of life at the last moment would be seen.
  if (doing.cause == Cause::Gone && !e.can_abort) return false;
  switch (doing.act) {
    case Act::Tell: return false;
    case Act::Finish: {
      // Where it is looked for, a process must have it open; whoever has its listener open has not.
      const bool nobody_can = e.beside.looked && (e.beside.process == 0 || e.holder != plane::Holder::Held);
      return plane::has(e.abilities, Ability::Finish) && !is_sending_closed(e.state) && !nobody_can;
    }
    case Act::Reset: return plane::has(e.abilities, Ability::AbortReset);
    case Act::Silent: return plane::has(e.abilities, Ability::AbortSilent);
    case Act::Keepalive: return can_have_keepalive(e) && !e.beside.keepalive && !e.beside.keepalive_refused;
  }
  return false;
}

// Since when nothing moves either way; unknown(): octets wait, or nobody can tell.
Instant still_since(const Evidence& e) {
  if (e.unsent != plane::kUnknownCount && e.unsent > 0 && e.state == State::CloseWait) return Instant::unknown();
  return later(e.state_entered, later(e.progress_in, e.progress_out));
}

// What the rule does about a connection, by the first of these that is due; else the one that will be due first.
Doing doing_of(const Evidence& e, const Rule& rule, Instant now, Standing standing, Wanted wanted) {
  if (rule.exempt || standing == Standing::Ended || !is_synchronized(e.state) || e.state == State::TimeWait) return {};
  if (e.plane_stopped_since.is_known()) return {};
  Doing first;
  const auto consider = [&](Cause cause, Act act, Instant at) {
    const Doing doing{cause, act, at};
    if (at == Instant::unknown() || !is_able(e, doing)) return;
    if (first.act == Act::Tell || (first.at > now && at < first.at)) first = doing;
  };
  // Whoever is to be ended needs no keepalive.
  const bool keeps = rule.always == Act::Keepalive;
  if (!keeps) consider(Cause::Rule, rule.always, now);
  if (standing == Standing::Gone) consider(Cause::Gone, rule.when_gone, now);
  const Instant still = still_since(e);
  if (wanted == Wanted::EndOfStreamReadNotClosed && e.state == State::CloseWait)
    consider(Cause::Forgotten, rule.when_forgotten, still + rule.forgotten_after);
  if (wanted == Wanted::Orphan) consider(Cause::Orphaned, rule.when_orphaned, still + rule.orphaned_after);
  if (keeps) consider(Cause::Rule, rule.always, now);
  return first;
}

// The rule goes on asking until it is proven that nobody is there, and ends it then.
bool asks_to_the_end(const Evidence& e, const Rule& rule) {
  const bool asks = !rule.unmeant && rule.probing && contains(rule.idle_states, e.state) &&
                    (e.possible != 0 || e.asks_by(ProbeForm::Bare) > 0);
  const bool acts = rule.act && !rule.exempt && is_able(e, {Cause::Gone, rule.when_gone});
  return (e.pending || asks) && acts && enough_askable(e, rule);
}

Ends ends_of(const Evidence& e, const Rule& rule, Standing standing, const Doing& doing) {
  const bool acts = rule.act && doing.act != Act::Tell && doing.act != Act::Keepalive;
  switch (standing) {
    case Standing::Ended: return Ends::AlreadyEnded;
    // A stopped plane does not even run the protocol.
    case Standing::Unknown:
      if (e.plane_stopped_since.is_known()) return Ends::Nothing;
      break;
    case Standing::Gone:
      if (acts) return Ends::CommandedAbort;
      return ends_by_own_timer(e).value_or(Ends::Nothing);
    case Standing::Suspect:
    case Standing::Alive:
    case Standing::Silent: break;
  }
  if (acts) return Ends::Policy;
  if (const auto own = ends_by_own_timer(e)) return *own;
  return standing == Standing::Suspect && asks_to_the_end(e, rule) ? Ends::PeerAnswersOrVerdictGone
                                                                   : ends_by_protocol(e.state);
}

Instant ends_at(const Evidence& e, Ends ends, const Doing& doing, Instant now) {
  switch (ends) {
    case Ends::AlreadyEnded: return now;
    case Ends::Policy:
    case Ends::CommandedAbort: return later(doing.at, now);
    // The first part of such a time is followed by one as long as TIME-WAIT. What fires of a closed window is but the
    // next probe.
    case Ends::OwnTimer:
      if (e.beside.timer == plane::OwnTimer::Persist) return Instant::unknown();
      return e.beside.fires + (e.beside.timer == plane::OwnTimer::Keepalive ? e.time_wait : Duration{});
    case Ends::TimeWaitQuarantine:
      if (e.beside.timer == plane::OwnTimer::Quarantine) return e.beside.fires;
      return e.time_wait > Duration{} && e.state_entered.is_known() ? e.state_entered + e.time_wait
                                                                    : Instant::unknown();
    case Ends::ConnectAnswered:
    case Ends::OwnRetransmissions:
    case Ends::OwnKeepalive:
    case Ends::PeerAnswersOrVerdictGone: return Instant::unknown();
    case Ends::PeerFin:
    case Ends::ApplicationClose:
    case Ends::EitherSideCloses:
    case Ends::PeerAcknowledges:
    case Ends::Nothing: break;
  }
  return Instant::never();
}

void cite_host(const Evidence& e, const Rule& rule, Instant now, Verdict& v) {
  if (v.standing != Standing::Silent && v.standing != Standing::Suspect && v.standing != Standing::Gone) return;
  const Instant heard = later(e.host.heard_at, e.heard_at);
  if (e.host.heard_at > e.heard_at && now - e.host.heard_at <= rule.interval)
    v.grounds.add(GroundKind::HostHeard, 0, now - e.host.heard_at);
  else if (e.host.doubted > 1)
    v.grounds.add(GroundKind::HostSilent, e.host.doubted, now - heard);
  if (rule.probes_derived && rule.probes_needed > probes_needed(rule.assumed_loss))
    v.grounds.add(GroundKind::LossMeasured, static_cast<std::uint64_t>(e.host.lost * 1000));
  if (e.host.path_timer != Duration::max()) v.grounds.add(GroundKind::PathForgets, 0, e.host.path_timer);
}

void cite_holder(const Evidence& e, Verdict& v) {
  if (v.wanted != Wanted::Unknown) v.grounds.add(GroundKind::Here, number_of(v.wanted));
  const bool is_held = e.holder == plane::Holder::Held;  // else they hold its listener
  if (is_held && e.beside.process != 0) v.grounds.add(GroundKind::HeldBy, e.beside.process);
  if (is_held && e.beside.processes > 1) v.grounds.add(GroundKind::HeldByMore, e.beside.processes);
  if (e.beside.looked && !e.beside.looked_everywhere && e.beside.process == 0) v.grounds.add(GroundKind::NotFound);
  if (e.unread != plane::kUnknownCount && e.unread > 0) v.grounds.add(GroundKind::Unread, e.unread);
}

void cite_policy(const Evidence& e, const Rule& rule, Instant now, Verdict& v) {
  // Where nothing could be done, nobody asks why it is not.
  if (rule.unmeant && !plane::has(e.abilities, plane::Ability::AbortReset)) return;
  if (rule.exempt) return v.grounds.add(GroundKind::Exempt, rule.unmeant ? 1 : 0);
  if (v.act == Act::Tell) return;
  const auto cause = static_cast<std::uint64_t>(v.cause);
  const bool ends = v.act != Act::Keepalive;
  if (!rule.act) return v.grounds.add(ends ? GroundKind::DryRun : GroundKind::DryRunKeepalive, cause);
  const GroundKind acts = ends ? GroundKind::Acts : GroundKind::ActsKeepalive;
  v.grounds.add(acts, cause, later(Duration{}, v.acts_at - now));
}

// The earliest instant of a proof: N questions at the rule's spacing, each with time for an answer, over T.
Instant earliest_proof(const Evidence& e, const Rule& rule, Instant now) {
  if (!e.counts_every_sign || !enough_askable(e, rule)) return Instant::never();
  const bool asks = may_ask(e, rule);
  if (!asks && e.asked == 0) return Instant::never();
  const Instant due = later(now, e.heard_at + rule.interval);
  const Instant by_time = e.asked == 0 ? due + rule.proof_span : now + later(Duration{}, rule.proof_span - e.attended);
  // The plane's own retransmissions: nobody knows when the next one is due.
  if (!asks) return e.pending || counted(e) >= rule.probes_needed ? by_time : Instant::never();
  const std::int64_t missing = std::int64_t{rule.probes_needed} - std::int64_t{counted(e)};
  const Instant last = e.last_ask.is_known() ? e.last_ask : now;
  if (missing <= 0) return later(by_time, last + answer_time(rule));
  const Instant next = e.asked == 0 ? due : later(now, last + probe_spacing(rule));
  return later(by_time, next + probe_spacing(rule) * (missing - 1) + answer_time(rule));
}

void cite_why_not_asked(const Evidence& e, const Rule& rule, Grounds& grounds) {
  if (may_ask(e, rule)) return;
  if (e.state == State::TimeWait) return grounds.add(GroundKind::NotAskedQuarantine);
  using plane::Ability;
  const bool can_ask = plane::has(e.abilities, Ability::ProbeEcho) || plane::has(e.abilities, Ability::ProbeBare) ||
                       plane::has(e.abilities, Ability::ProbePending);
  if (!can_ask) return grounds.add(GroundKind::NotAskedUnable);  // whatever the rule says
  if (rule.unmeant) return;                                      // said already (cite_policy)
  if (!rule.probing) return grounds.add(GroundKind::NotAskedProbingOff);
  if (!e.pending && !contains(rule.idle_states, e.state))
    return grounds.add(GroundKind::NotAskedInState, number_of(e.state));
  if (e.holder == plane::Holder::Held && e.beside.timer == plane::OwnTimer::Keepalive)
    return grounds.add(GroundKind::NotAskedOwnAsks);
  grounds.add(GroundKind::NotAskedUnable, e.pending ? 0 : e.asks_by(ProbeForm::Bare));
}

void cite_questions(const Evidence& e, const Rule& rule, Instant now, Verdict& v) {
  if (e.asked == 0) return;
  if (v.unanswered > 0) v.grounds.add(GroundKind::Unanswered, v.unanswered, e.attended);
  if (const auto n = e.asks_by(ProbeForm::DataEcho); n > 0) v.grounds.add(GroundKind::UnansweredEcho, n);
  if (const auto n = e.asks_by(ProbeForm::Bare); n > 0) v.grounds.add(GroundKind::UnansweredBare, n);
  if (const auto n = e.asks_by(ProbeForm::Pending); n > 0) v.grounds.add(GroundKind::UnansweredPending, n);
  if (on_its_way(e, rule, now) > 0) v.grounds.add(GroundKind::OnItsWay, 1);
  if (e.spoiled > 0) v.grounds.add(GroundKind::Spoiled, e.spoiled);
  if (e.unattended > Duration{}) v.grounds.add(GroundKind::Unattended, 0, e.unattended);
  if (v.standing == Standing::Gone || !enough_askable(e, rule)) return;
  if (v.unanswered < rule.probes_needed) v.grounds.add(GroundKind::QuestionsMissing, rule.probes_needed - v.unanswered);
  if (e.attended < rule.proof_span) v.grounds.add(GroundKind::TimeMissing, 0, rule.proof_span - e.attended);
  for (const ProbeForm f : kForms)
    if (contains(e.possible, f) && e.asks_by(f) <= e.spoiled) v.grounds.add(GroundKind::FormUnused, number_of(f));
  if (!e.counts_every_sign) v.grounds.add(GroundKind::SignsMayBeMissed);
}

Standing standing_of(const Evidence& e, const Rule& rule, Instant now, std::uint32_t unanswered) {
  if (e.reason != EndReason::None) return Standing::Ended;
  if (e.plane_stopped_since.is_known() || !is_synchronized(e.state) || !e.heard_at.is_known()) return Standing::Unknown;
  if (now - e.heard_at <= rule.interval) return Standing::Alive;
  if (unanswered == 0 || e.state == State::TimeWait) return Standing::Silent;
  const bool proven =
      unanswered >= rule.probes_needed && e.attended >= rule.proof_span && every_form_used(e) && e.counts_every_sign;
  return proven ? Standing::Gone : Standing::Suspect;
}

Instant next_look(const Evidence& e, const Rule& rule, Instant now, Standing standing) {
  switch (standing) {
    case Standing::Alive: return e.heard_at + rule.interval + nanoseconds(1);
    case Standing::Ended:
    case Standing::Unknown:
    case Standing::Gone: return Instant::never();
    case Standing::Silent:
    case Standing::Suspect: break;
  }
  if (e.asked == 0 || e.state == State::TimeWait) return Instant::never();
  const bool waits = on_its_way(e, rule, now) > 0;
  const Instant answered_by = waits ? e.last_ask + answer_time(rule) : Instant::never();
  if (standing == Standing::Silent || counted(e) < rule.probes_needed || !every_form_used(e) || !e.counts_every_sign)
    return answered_by;
  const Instant span_reached = now + later(Duration{}, rule.proof_span - e.attended);
  return waits ? later(span_reached, answered_by) : span_reached;
}

void cite_state(const Evidence& e, Instant now, Grounds& grounds) {
  if (e.reason != EndReason::None) {
    grounds.add(GroundKind::Ended, number_of(e.reason));
    if (e.ended_by != 0) grounds.add(GroundKind::EndedByVerdict, e.ended_by);
    if (e.reason == EndReason::PeerReset && e.asked > 0) grounds.add(GroundKind::ResetAnswers, e.asked);
    return;
  }
  if (e.plane_stopped_since.is_known()) grounds.add(GroundKind::PlaneStopped, 0, now - e.plane_stopped_since);
  if (!is_synchronized(e.state)) return grounds.add(GroundKind::NotSynchronized, number_of(e.state));
  if (e.heard_at.is_known())
    grounds.add(GroundKind::Heard, 0, later(Duration{}, now - e.heard_at));
  else
    grounds.add(GroundKind::HeardUnknown);
  if (e.peer_window_closed) grounds.add(GroundKind::WindowClosed);
  if (e.passed_r1) grounds.add(GroundKind::PassedR1);
  if (e.soft_error) grounds.add(GroundKind::SoftError);
}

}  // namespace

void Grounds::add(GroundKind kind, std::uint64_t number, Duration span) {
  ADIEU_ASSERT(count_ < items_.size());
  items_[count_++] = {kind, number, span};
}

const Ground* Grounds::find(GroundKind kind) const {
  for (const Ground& ground : all())
    if (ground.kind == kind) return &ground;
  return nullptr;
}

bool may_ask(const Evidence& e, const Rule& rule) {
  if (!rule.probing || e.reason != EndReason::None || e.possible == 0) return false;
  return e.pending ? rule.ask_pending : contains(rule.idle_states, e.state);
}

Verdict judge(const Evidence& e, const Rule& rule, Instant now) {
  Verdict v;
  v.unanswered = counted(e) - std::min(counted(e), on_its_way(e, rule, now));
  v.standing = standing_of(e, rule, now, v.unanswered);
  v.wanted = wanted_of(e);
  const Doing doing = doing_of(e, rule, now, v.standing, v.wanted);
  v.cause = doing.cause;
  v.act = doing.act;
  v.acts_at = doing.at;
  v.ends = ends_of(e, rule, v.standing, doing);
  v.ends_at = ends_at(e, v.ends, doing, now);
  v.next_look = next_look(e, rule, now, v.standing);
  cite_state(e, now, v.grounds);
  cite_policy(e, rule, now, v);
  if (v.standing == Standing::Ended || v.standing == Standing::Unknown) return v;
  cite_holder(e, v);
  cite_host(e, rule, now, v);
  if (e.state != State::TimeWait) {
    v.gone_earliest = v.standing == Standing::Gone ? now : earliest_proof(e, rule, now);
    cite_questions(e, rule, now, v);
  }
  const bool doubted = v.standing == Standing::Silent || v.standing == Standing::Suspect;
  const bool would_ask = !rule.unmeant && rule.probing && contains(rule.idle_states, e.state) &&
                         (e.possible != 0 || e.asks_by(ProbeForm::Bare) > 0);
  if (doubted && would_ask && !enough_askable(e, rule))
    v.grounds.add(GroundKind::TooFewAskable, e.most_asked() - std::min(e.most_asked(), e.spoiled));
  cite_why_not_asked(e, rule, v.grounds);
  return v;
}

std::string_view name(Standing standing) {
  switch (standing) {
    case Standing::Ended: return "ended";
    case Standing::Unknown: return "unknown";
    case Standing::Alive: return "alive";
    case Standing::Silent: return "silent";
    case Standing::Suspect: return "suspect";
    case Standing::Gone: return "gone";
  }
  return "?";
}

std::string_view name(Wanted wanted) {
  switch (wanted) {
    case Wanted::Unknown: return "unknown";
    case Wanted::Held: return "held";
    case Wanted::EndOfStreamUnread: return "held, end of stream unread";
    case Wanted::EndOfStreamReadNotClosed: return "held, end of stream read, not closed";
    case Wanted::AllReadNotClosed: return "held, nothing left to read, not closed";
    case Wanted::AcceptQueue: return "in an accept queue";
    case Wanted::Inherited: return "held only by who inherited it";
    case Wanted::Hidden: return "open in no process: in flight, or io_uring's";
    case Wanted::NotFound: return "held by nobody who was found";
    case Wanted::Orphan: return "orphan";
  }
  return "?";
}

std::string_view name(Ends ends) {
  switch (ends) {
    case Ends::AlreadyEnded: return "has ended";
    case Ends::PeerFin: return "the peer's FIN";
    case Ends::ApplicationClose: return "the application's close";
    case Ends::EitherSideCloses: return "a close by either side";
    case Ends::PeerAcknowledges: return "the peer's acknowledgement of our FIN";
    case Ends::PeerAnswersOrVerdictGone: return "the peer's answer, or the verdict gone";
    case Ends::TimeWaitQuarantine: return "the end of TIME-WAIT";
    case Ends::OwnTimer: return "its kernel's own timer for an orphan";
    case Ends::OwnRetransmissions: return "its kernel giving up its retransmissions, if nobody answers";
    case Ends::OwnKeepalive: return "its kernel's keepalive, if nobody answers";
    case Ends::CommandedAbort: return "a commanded end";
    case Ends::Policy: return "the rule";
    case Ends::ConnectAnswered: return "the handshake's answer, or the connect's own limit";
    case Ends::Nothing: return "nothing: never by itself";
  }
  return "?";
}

std::string_view name(Cause cause) {
  switch (cause) {
    case Cause::None: return "none";
    case Cause::Gone: return "gone";
    case Cause::Forgotten: return "forgotten";
    case Cause::Orphaned: return "orphaned";
    case Cause::Rule: return "rule";
    case Cause::OverBudget: return "over budget";
    case Cause::Person: return "asked for";
  }
  return "?";
}

}  // namespace adieu::control
