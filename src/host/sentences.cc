// The words.
#include "host/sentences.h"

#include <fmt/format.h>

#include "host/text.h"

namespace adieu::host {
namespace {

using control::Ends;
using control::GroundKind;
using control::Standing;

// What a rule does with it, and why: "ends it as gone", "ends all that it matches".
std::string does(const control::Ground& ground) {
  const bool is_dry = ground.kind == GroundKind::DryRun || ground.kind == GroundKind::DryRunKeepalive;
  const bool ends = ground.kind == GroundKind::Acts || ground.kind == GroundKind::DryRun;
  const auto cause = static_cast<control::Cause>(ground.number);
  std::string what = is_dry ? (ends ? "would end " : "would switch on ") : (ends ? "ends " : "switches on ");
  if (cause == control::Cause::Rule)
    what += ends ? "all that it matches" : "the kernel's keepalive for all that it matches";
  else
    what += fmt::format("{} as {}", ends ? "it" : "its kernel's keepalive,", control::name(cause));
  if (is_dry) return what + ", and only says so (dry run)";
  return ground.span > Duration{} ? fmt::format("{} in {}", what, readable(ground.span)) : what;
}

template <typename Enum>
std::string_view named(std::uint64_t number) {
  return name(static_cast<Enum>(number));
}

}  // namespace

std::string sentence(const control::Ground& ground, std::string_view rule) {
  const auto n = ground.number;
  const auto the_rule = [&] { return rule.empty() ? "the rule" : fmt::format("rule \"{}\"", printable(rule)); };
  const std::string span = readable(ground.span);
  switch (ground.kind) {
    case GroundKind::Ended: return fmt::format("it has ended: {}", named<EndReason>(n));
    case GroundKind::EndedByVerdict: return fmt::format("verdict {} commanded its end", n);
    case GroundKind::ResetAnswers:
      return fmt::format("the reset came after {}: its answer, as far as can be told", counted(n, "question"));
    case GroundKind::PlaneStopped:
      return fmt::format("its data plane has not moved for {}: what is known is older", span);
    case GroundKind::NotSynchronized: return fmt::format("in {} there is no peer to judge yet", named<State>(n));
    case GroundKind::HeardUnknown: return "its data plane cannot tell when it last heard the peer";
    case GroundKind::Heard: return fmt::format("an acceptable segment was heard {} ago", span);
    case GroundKind::Unanswered:
      return fmt::format("{} unanswered, over {} of attended time", counted(n, "question"), span);
    case GroundKind::UnansweredEcho: return fmt::format("{} by data echo", counted(n, "question"));
    case GroundKind::UnansweredBare: return fmt::format("{} by bare probe", counted(n, "question"));
    case GroundKind::UnansweredPending:
      return fmt::format("{} by data or FIN that waits to be acknowledged", counted(n, "question"));
    case GroundKind::OnItsWay: return fmt::format("{} may still be answered", counted(n, "question"));
    case GroundKind::Spoiled:
      return fmt::format("{} may have been answered while nobody attended, and {} not count", counted(n, "question"),
                         n == 1 ? "does" : "do");
    case GroundKind::Unattended: return fmt::format("{} in which nobody attended are not counted", span);
    case GroundKind::QuestionsMissing:
      return fmt::format("a proof needs {} to stay unanswered", counted(n, "more question"));
    case GroundKind::TimeMissing: return fmt::format("a proof needs {} more of attended time", span);
    case GroundKind::FormUnused: return fmt::format("it has not been asked by {} yet", named<ProbeForm>(n));
    case GroundKind::SignsMayBeMissed: return "its plane may miss signs of life: it can never be proven gone";
    case GroundKind::NotAskedProbingOff: return "it is not asked: probing is off";
    case GroundKind::NotAskedInState: return fmt::format("it is not asked while it idles in {}", named<State>(n));
    case GroundKind::NotAskedQuarantine: return "TIME-WAIT is never asked";
    case GroundKind::TooFewAskable:
      return fmt::format("of the few questions in a row that its kernel is asked, {} can count: never proven gone", n);
    case GroundKind::NotAskedOwnAsks: return "it is not asked: its application has its kernel's own keepalive on";
    case GroundKind::NotAskedUnable:
      return n == 0 ? "it is not asked now: its data plane has no question for it"
                    : fmt::format("it is not asked on: {} in a row is what its data plane allows",
                                  counted(n, "unanswered question"));
    case GroundKind::WindowClosed: return "the peer's window is closed";
    case GroundKind::PassedR1: return "retransmissions have passed R1 (RFC 9293 section 3.8.3)";
    case GroundKind::HostSilent: return fmt::format("its host is silent on {}, for {}", counted(n, "connection"), span);
    case GroundKind::HostHeard: return fmt::format("another connection to its host was heard {} ago", span);
    case GroundKind::LossMeasured:
      return fmt::format("{:.1f} % of questions to its host got lost: a proof takes more", static_cast<double>(n) / 10);
    case GroundKind::PathForgets: return fmt::format("a path to its host was forgotten before, after {}", span);
    case GroundKind::Acts:
    case GroundKind::DryRun:
    case GroundKind::ActsKeepalive:
    case GroundKind::DryRunKeepalive: return fmt::format("{} {}", the_rule(), does(ground));
    case GroundKind::Exempt:
      return n == 1
                 ? "it is the kernel's, and the rule does not say `plane kernel`: it is not asked, and nothing is done"
                 : "the rule exempts it from every act";
    case GroundKind::OverBudget:
      return fmt::format("{} are more than their budget, and it is the first to go", counted(n, "orphan"));
    case GroundKind::Asked: return fmt::format("user {} asked for it", n);
    case GroundKind::Here: return fmt::format("here: {}", named<control::Wanted>(n));
    case GroundKind::HeldBy: return fmt::format("process {} has it open", n);
    case GroundKind::HeldByMore: return fmt::format("{} processes have it open", n);
    case GroundKind::NotFound: return "nobody was found who has it open; not every process could be looked into";
    case GroundKind::Unread: return fmt::format("its application has not read {}", counted(n, "octet"));
    case GroundKind::SoftError: return "a validated ICMP error has been heard since the peer was";
  }
  return "?";
}

std::string age_of(const control::Ground& ground, const control::Evidence& evidence, Instant now) {
  const auto since = [now](Instant at) { return at.is_known() ? readable(later(Duration{}, now - at)) : "?"; };
  switch (ground.kind) {
    case GroundKind::Heard: return since(evidence.heard_at);
    case GroundKind::Unanswered:
    case GroundKind::UnansweredEcho:
    case GroundKind::UnansweredBare:
    case GroundKind::OnItsWay: return since(evidence.last_ask.is_known() ? evidence.last_ask : evidence.first_ask);
    case GroundKind::UnansweredPending: return since(evidence.first_ask);
    case GroundKind::PlaneStopped:
    case GroundKind::HostHeard: return readable(ground.span);
    case GroundKind::Ended:
    case GroundKind::EndedByVerdict:
    case GroundKind::ResetAnswers:
    case GroundKind::NotSynchronized:
    case GroundKind::HeardUnknown:
    case GroundKind::Unattended:
    case GroundKind::QuestionsMissing:
    case GroundKind::TimeMissing:
    case GroundKind::FormUnused:
    case GroundKind::SignsMayBeMissed:
    case GroundKind::TooFewAskable:
    case GroundKind::NotAskedProbingOff:
    case GroundKind::NotAskedInState:
    case GroundKind::NotAskedQuarantine:
    case GroundKind::NotAskedOwnAsks:
    case GroundKind::NotAskedUnable:
    case GroundKind::WindowClosed:
    case GroundKind::PassedR1:
    case GroundKind::SoftError:
    case GroundKind::Here:
    case GroundKind::HeldBy:
    case GroundKind::HeldByMore:
    case GroundKind::NotFound:
    case GroundKind::Unread:
    case GroundKind::HostSilent:
    case GroundKind::LossMeasured:
    case GroundKind::PathForgets:
    case GroundKind::Acts:
    case GroundKind::DryRun:
    case GroundKind::ActsKeepalive:
    case GroundKind::DryRunKeepalive:
    case GroundKind::Exempt:
    case GroundKind::OverBudget:
    case GroundKind::Spoiled:
    case GroundKind::Asked: break;
  }
  return "now";
}

std::string ending(const control::Verdict& verdict, const plane::Record& record, Instant now) {
  if (record.has_ended()) return std::string(name(record.reason));
  if (verdict.grounds.find(control::GroundKind::PlaneStopped) != nullptr)
    return "not known: its data plane has stopped reporting";
  std::string text(name(verdict.ends));
  if (verdict.ends == Ends::PeerAnswersOrVerdictGone && verdict.gone_earliest.is_known())
    text += fmt::format(", {} from now at the earliest", readable(later(Duration{}, verdict.gone_earliest - now)));
  return text;
}

std::string ending_in_short(const control::Verdict& verdict, const plane::Record& record, Instant now) {
  if (record.has_ended()) return std::string(name(record.reason));
  if (verdict.grounds.find(control::GroundKind::PlaneStopped) != nullptr) return "unknown: its plane has stopped";
  if (verdict.ends_at.is_known())
    return verdict.ends_at <= now ? std::string("now") : "in " + readable(verdict.ends_at - now);
  switch (verdict.ends) {
    case Ends::PeerFin: return "never (peer must close)";
    case Ends::ApplicationClose: return "never (app must close)";
    case Ends::EitherSideCloses: return "never (either may close)";
    case Ends::PeerAcknowledges: return "never (peer must ACK)";
    case Ends::PeerAnswersOrVerdictGone:
      return verdict.gone_earliest.is_known()
                 ? fmt::format("unknown: gone in {}?", readable(later(Duration{}, verdict.gone_earliest - now)))
                 : std::string("unknown: peer may answer");
    case Ends::TimeWaitQuarantine: return "unknown: quarantine";
    case Ends::OwnTimer: return "unknown: the kernel's timer";
    case Ends::OwnRetransmissions: return "unknown: the kernel gives up";
    case Ends::OwnKeepalive: return "unknown: keepalive";
    case Ends::ConnectAnswered: return "unknown: handshake";
    case Ends::AlreadyEnded:
    case Ends::CommandedAbort:
    case Ends::Policy:
    case Ends::Nothing: break;
  }
  return "never";
}

namespace {

bool is_blocked(const plane::Record& record) {
  return record.peer_window_closed && record.unsent != plane::kUnknownCount && record.unsent > 0;
}

}  // namespace

bool fin_waits(const plane::Record& record) { return is_blocked(record) && record.send_shut; }

// Of a peer that leaves questions about its window unanswered, its window is the least that is to be said.
bool data_waits(const plane::Record& record) {
  return is_blocked(record) && !record.send_shut && !record.has_ended() && record.attempts <= 1;
}

std::string_view waits_for(const control::Verdict& verdict, const plane::Record& record) {
  if (record.has_ended()) return "nothing: it has ended";
  if (verdict.wanted == control::Wanted::AcceptQueue) return "its application, to accept it";
  if (data_waits(record)) return "the peer to read: its window is closed, and octets wait";
  switch (record.state) {
    case State::Closed:
    case State::Listen:
    case State::SynSent:
    case State::SynReceived: return "the peer's part of the handshake";
    case State::Established: return "either end, to speak or to close";
    case State::FinWait2: return "the peer's FIN: our stream is closed, the peer's is still open";
    case State::FinWait1:
    case State::Closing:
    case State::LastAck:
      return fin_waits(record) ? "the peer to read: its window is closed, and our FIN waits behind unsent octets"
                               : "the peer's acknowledgement of our FIN";
    case State::TimeWait: return "old segments to die out before its ports are used again";
    case State::CloseWait: break;
  }
  if (verdict.wanted == control::Wanted::EndOfStreamUnread)
    return "its application, to read to the end of the peer's stream, and to close";
  if (verdict.wanted == control::Wanted::EndOfStreamReadNotClosed)
    return "its application, to close: it has read the end of the peer's stream";
  return "its application, to close: the peer's stream is closed, ours is still open";
}

namespace {

std::string cause_in_close_wait(const control::Verdict& verdict) {
  switch (verdict.wanted) {
    case control::Wanted::EndOfStreamUnread: return "the peer has closed, and the program does not read on: it hangs?";
    case control::Wanted::EndOfStreamReadNotClosed:
      return "the program has read the end of the stream and not closed: forgotten, or meant";
    case control::Wanted::AllReadNotClosed:
      return "the peer has closed, no octet is left to read, and the program has not closed: forgotten, or meant";
    case control::Wanted::Unknown:
    case control::Wanted::Held:
    case control::Wanted::AcceptQueue:
    case control::Wanted::Inherited:
    case control::Wanted::Hidden:
    case control::Wanted::NotFound:
    case control::Wanted::Orphan: break;
  }
  return "the peer has closed, the program has not";
}

std::string cause_of_unanswered_fin(const plane::Record& record) {
  if (fin_waits(record)) return "the peer lives and does not read: our FIN waits behind octets it has no room for";
  if (record.attempts > 1) return fmt::format("our FIN is not acknowledged, sent {} times", record.attempts);
  return "our FIN is not acknowledged yet";
}

}  // namespace

std::string cause_of(const control::Verdict& verdict, const plane::Record& record) {
  if (record.has_ended()) return std::string(name(record.reason));
  if (verdict.wanted == control::Wanted::AcceptQueue)
    return record.state == State::CloseWait ? "the peer has left, and the listener has never accepted it"
                                            : "the listener has not accepted it: its accept queue is not drained";
  if (verdict.wanted == control::Wanted::Hidden)
    return "open, and in no process: a descriptor in flight (SCM_RIGHTS), or one of io_uring";
  if (verdict.wanted == control::Wanted::NotFound)
    return "open, by nobody who was found: in a process not looked into, or in flight (SCM_RIGHTS)";
  if (verdict.wanted == control::Wanted::Inherited)
    // Or passed on, or accepted by a process that was started for it (socket activation): none can be told from
    // another.
    return "open only in processes younger than it: inherited, or taken over later";
  const bool is_gone = verdict.standing == Standing::Gone;
  if (data_waits(record) && !is_gone)
    return fmt::format("the peer does not read: its window is closed, and {} octets wait", record.unsent);
  switch (record.state) {
    case State::CloseWait: return cause_in_close_wait(verdict);
    case State::FinWait2:
      if (is_gone && record.holder == plane::Holder::Held)
        return "shut down here and not closed; the peer is gone, and its FIN will not come";
      return record.holder == plane::Holder::Orphan ? "closed here, and the peer has not closed"
                                                    : "shut down here and not closed; the peer has not closed";
    case State::FinWait1:
    case State::Closing:
    case State::LastAck: return cause_of_unanswered_fin(record);
    case State::TimeWait: return "closed by both; old segments may still come";
    case State::Closed:
    case State::Listen:
    case State::SynSent:
    case State::SynReceived: return "the handshake is not answered";
    case State::Established: break;
  }
  if (record.attempts > 1) return fmt::format("octets are not acknowledged, sent {} times", record.attempts);
  if (is_gone) return "open, and the peer is gone: it has answered no question";
  return verdict.standing == Standing::Suspect ? "open, and the peer does not answer" : "open";
}

namespace {

// Of several, no single descriptor is the remedy; of several processes, no single process.
std::string who_has(const plane::Beside& beside, const Several& several) {
  if (beside.process == 0) return several.connections > 1 ? "their program" : "its program";
  if (several.processes > 1) return printable(beside.comm_text());
  if (several.connections > 1) return fmt::format("process {}", beside.process);
  return fmt::format("process {} (descriptor {})", beside.process, beside.descriptor);
}

std::string to_close(const plane::Beside& beside, const Several& several) {
  const std::string who = who_has(beside, several);
  if (several.connections == 1) return fmt::format("have {} close it", who);
  if (several.processes == 1) return fmt::format("have {} close them, or restart it", who);
  return fmt::format("fix or restart {}{}{}", who, several.end.empty() ? "" : ", or end them: ", several.end);
}

}  // namespace

std::string next_step(const control::Verdict& verdict, const plane::Record& record, const Several& several) {
  const plane::Beside& beside = record.beside;
  const std::string_view them = several.connections > 1 ? "them" : "it";
  if (verdict.wanted == control::Wanted::AcceptQueue)
    return fmt::format("see what keeps it from accepting; its backlog: ss -ltn sport = :{}", record.local.port);
  if (verdict.wanted == control::Wanted::Hidden)
    return fmt::format("end the program that sent {}, or that was to receive {}", them, them);
  if (verdict.wanted == control::Wanted::Inherited)
    return several.processes > 1
               ? fmt::format("have {} close them, or end its processes; if inherited: SOCK_CLOEXEC",
                             who_has(beside, several))
               : fmt::format("have process {} close {}, or end it; if inherited: SOCK_CLOEXEC", beside.process, them);
  if (data_waits(record) && verdict.standing != Standing::Gone)
    return "see why the peer's program does not read; on its host: ss -tn, Recv-Q";
  if (record.state == State::CloseWait && verdict.wanted == control::Wanted::EndOfStreamUnread) {
    return fmt::format("see what {} waits for{}: gdb -p, or /proc/{}/stack", who_has(beside, several),
                       several.processes == 1 ? "" : fmt::format(", e.g. process {}", beside.process), beside.process);
  }
  if (record.state == State::CloseWait) return to_close(beside, several);
  if (verdict.standing == Standing::Gone && record.holder == plane::Holder::Held)
    return to_close(beside, several) + (several.processes > 1 ? "" : ": nobody is there any more");
  if (record.state == State::FinWait2 && record.holder == plane::Holder::Held &&
      beside.timer != plane::OwnTimer::Keepalive)
    return fmt::format("have {} close {}, or set SO_KEEPALIVE: no timer is armed", who_has(beside, several), them);
  if (fin_waits(record)) return "see why the peer does not read";
  return {};
}

namespace {

std::string_view verb(control::Act act) {
  switch (act) {
    case control::Act::Tell: return "says so";
    case control::Act::Finish: return "closes our side";
    case control::Act::Reset: return "resets it";
    case control::Act::Silent: return "drops it silently";
    case control::Act::Keepalive: return "switches on its kernel's keepalive";
  }
  return "?";
}

// What the rule would do if things went on as they are.
std::string rule_intends(const control::Onlook& seen, State state) {
  const control::Rule& rule = seen.rule;
  using plane::Ability;
  const plane::Abilities abilities = seen.evidence.abilities;
  const bool can_reset = (seen.evidence.can_abort || rule.unmeant) && plane::has(abilities, Ability::AbortReset);
  const bool can_ask = plane::has(abilities, Ability::ProbeEcho) || plane::has(abilities, Ability::ProbeBare) ||
                       plane::has(abilities, Ability::ProbePending);
  if (!can_ask && !can_reset) return "can do nothing: its plane only reports, and takes neither questions nor commands";
  if (rule.unmeant)
    return can_ask ? "asks nobody and ends nothing: it does not say `plane kernel`; `adieu probe` and `adieu end` do"
                   : "ends nothing: it does not say `plane kernel`; `adieu end` does";
  std::string does =
      !can_ask                                ? std::string("cannot ask the peer: its plane takes no questions")
      : control::may_ask(seen.evidence, rule) ? fmt::format("asks the peer after {} of silence", text(rule.interval))
      : !rule.probing                         ? std::string("asks nobody")
      : !control::contains(rule.idle_states, state) ? fmt::format("never asks the peer in {}", name(state))
      : seen.evidence.asks_by(ProbeForm::Bare) > 0  ? std::string("has asked the peer")
                                                    : std::string("cannot ask the peer now");
  if (state == State::TimeWait) return does;
  if (seen.verdict.grounds.find(GroundKind::TooFewAskable) != nullptr)
    return does + fmt::format("; the kernel's are asked {} times in a row at the most, and N is {}: never proven gone",
                              seen.evidence.most_asked(), rule.probes_needed);
  if (!can_reset) return does + "; its plane takes no command to end it";
  if (rule.when_gone == control::Act::Tell && seen.verdict.standing == Standing::Gone)
    return does + "; only says that it is gone";
  does += rule.when_gone == control::Act::Tell ? "; once it is gone, only says so"
                                               : fmt::format("; once it is gone, {}", verb(rule.when_gone));
  return rule.act ? does : does + " (dry run: says so only)";
}

}  // namespace

std::string rule_does(const control::Onlook& seen, const plane::Record& record, Instant now) {
  const control::Verdict& verdict = seen.verdict;
  if (record.has_ended()) return "nothing more";
  if (seen.rule.exempt && !seen.rule.unmeant) return "exempts it from every act";
  if (verdict.act == control::Act::Tell) return rule_intends(seen, record.state);
  const std::string what = verdict.cause == control::Cause::Rule
                               ? fmt::format("{}, because it matches", verb(verdict.act))
                               : fmt::format("{}, because it is {}", verb(verdict.act), name(verdict.cause));
  if (!seen.rule.act) return fmt::format("would do this and only says so (dry run): {}", what);
  return verdict.acts_at <= now ? what + ", now" : fmt::format("{}, in {}", what, readable(verdict.acts_at - now));
}

Instant next_question(const control::Onlook& seen, Instant now) {
  const control::Evidence& e = seen.evidence;
  const control::Standing standing = seen.verdict.standing;
  if (standing != Standing::Alive && standing != Standing::Silent && standing != Standing::Suspect)
    return Instant::never();
  if (seen.not_judged_since || !control::may_ask(e, seen.rule) || !e.heard_at.is_known()) return Instant::never();
  if (e.asked == 0 || !e.last_ask.is_known()) return later(now, e.heard_at + seen.rule.interval);
  return later(now, e.last_ask + control::probe_spacing(seen.rule));
}

namespace {

// Of one of the kernel's, whose peer nobody asks.
std::string question_to_ask(const control::Verdict& verdict, const plane::Record& record, plane::Abilities abilities) {
  const control::Ground* const few = verdict.grounds.find(GroundKind::TooFewAskable);
  if (few != nullptr && few->number >= control::kFewestProbes)
    return fmt::format("to have it proven gone, write `probes = {}` in its rule", few->number);
  const bool is_doubted = verdict.standing == Standing::Silent || verdict.standing == Standing::Suspect;
  const auto cites = [&](GroundKind kind) { return verdict.grounds.find(kind) != nullptr; };
  const bool is_left_alone = cites(GroundKind::Exempt) || cites(GroundKind::NotAskedProbingOff) ||
                             cites(GroundKind::NotAskedInState) || cites(GroundKind::NotAskedUnable);
  // In CLOSE-WAIT it is the program's turn, whether the peer is there or not.
  const bool matters = record.state == State::Established || record.state == State::FinWait2;
  if (!record.can_probe || !is_doubted || !is_left_alone || !matters) return {};
  return fmt::format("ask whether the peer is there: {}adieu probe {} {}",
                     plane::has(abilities, plane::Ability::ProbeBare) ? "" : "adieu up --plane kernel, then ",
                     text(record.local), text(record.remote));
}

}  // namespace

std::vector<std::string> advice(const control::Verdict& verdict, const plane::Record& record, plane::PlaneKind kind,
                                plane::Abilities abilities) {
  std::vector<std::string> lines;
  if (record.has_ended()) return lines;
  if (verdict.grounds.find(control::GroundKind::PlaneStopped) != nullptr) {
    lines.push_back("see why its data plane has stopped: what stands here is as old as its last report");
    return lines;
  }
  if (kind == plane::PlaneKind::Kernel) {
    if (std::string step = next_step(verdict, record); !step.empty()) lines.push_back(std::move(step));
    if (std::string line = question_to_ask(verdict, record, abilities); !line.empty()) lines.push_back(std::move(line));
    if (verdict.ends == Ends::Nothing && !plane::has(abilities, plane::Ability::AbortReset))
      lines.push_back(fmt::format("end it yourself: ss -K src {} dst {}", text(record.local), text(record.remote)));
    return lines;
  }
  if (verdict.wanted == control::Wanted::AcceptQueue) lines.push_back("its application has to accept it");
  if (record.state == State::CloseWait && verdict.wanted == control::Wanted::EndOfStreamUnread)
    lines.push_back("its application has to read to the end of the stream");
  if (record.state == State::CloseWait && record.holder == plane::Holder::Held)
    lines.push_back("its application has to close it; the peer sends no more and still listens");
  if (verdict.standing == Standing::Suspect || verdict.standing == Standing::Silent)
    lines.push_back("wait: nothing is done to a connection whose peer is not proven gone");
  return lines;
}

std::string_view name(plane::Holder holder) {
  switch (holder) {
    case plane::Holder::Unknown: return "unknown";
    case plane::Holder::Held: return "held";
    case plane::Holder::AcceptQueue: return "accept queue";
    case plane::Holder::Orphan: return "orphan";
  }
  return "?";
}

std::string_view name(plane::Known known) {
  switch (known) {
    case plane::Known::Unknown: return "unknown";
    case plane::Known::No: return "no";
    case plane::Known::Yes: return "yes";
  }
  return "?";
}

std::string_view name(plane::PlaneKind kind) {
  switch (kind) {
    case plane::PlaneKind::Engine: return "engine";
    case plane::PlaneKind::Kernel: return "kernel";
  }
  return "?";
}

}  // namespace adieu::host
