// Evidence, a rule and an instant in; a verdict out.
//
// What lives here: the two questions of DESIGN section 5 (is the peer there? does anyone here still want it?), their
// answers, and the grounds each answer rests on, as data. What does not: what is done about it (controller.h),
// sentences (host). judge() is a pure function: the same evidence gives the same verdict in `adieu up`, in `adieu why`
// and in a test.
//
// The ladder:  alive    heard within the rule's interval
//              silent   not heard lately, and no question has stayed unanswered
//              suspect  asked, and not answered
//              gone     N questions unanswered over at least T of attended time, every form that the connection allows
//                       among them (RFC 9293 MUST-29: never by one)
// Any acceptable segment leads back to alive. Nothing destructive happens before gone.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "control/evidence.h"
#include "control/rule.h"

namespace adieu::control {

// Is the peer there?
enum class Standing : std::uint8_t { Ended, Unknown, Alive, Silent, Suspect, Gone };
inline constexpr unsigned kStandings = 6;

// Does anyone here still want it?
enum class Wanted : std::uint8_t {
  Unknown,
  Held,
  EndOfStreamUnread,
  EndOfStreamReadNotClosed,  // forgotten, or meant
  AllReadNotClosed,          // no octet is left unread; nobody can prove that the end after them was read
  AcceptQueue,
  Inherited,  // a stream of it is closed, and every process that has it open is younger than the connection
  Hidden,     // open, and in no process's descriptor table: in flight between processes, or held by io_uring
  NotFound,   // open, and nobody was found who has it open; not every process could be looked into
  Orphan,
};

// What will end it, as far as this host can see.
enum class Ends : std::uint8_t {
  AlreadyEnded,
  PeerFin,                   // FIN-WAIT-2: our stream is closed, the peer's is not
  ApplicationClose,          // CLOSE-WAIT: the peer's stream is closed, ours is not
  EitherSideCloses,          // ESTABLISHED
  PeerAcknowledges,          // our FIN is outstanding
  PeerAnswersOrVerdictGone,  // the ladder is being climbed; Verdict::gone_earliest is where it can lead
  TimeWaitQuarantine,
  OwnTimer,            // its TCP has a timer that ends it: the kernel's for an orphan in FIN-WAIT-2
  OwnRetransmissions,  // its TCP ends it once so many retransmissions stay unanswered
  OwnKeepalive,        // its TCP asks, and ends it if nobody answers
  CommandedAbort,      // it is gone, and the rule acts
  Policy,              // the rule acts in some time, whoever is there: Verdict::acts_at
  ConnectAnswered,     // not yet synchronized: the handshake, or the application's own limit
  Nothing,             // never, by itself: it is gone and nobody may act, or its plane is stopped
};

// Why the control plane does something to a connection.
enum class Cause : std::uint8_t {
  None,
  Gone,        // the peer is not there
  Forgotten,   // held, the end of stream read, nothing moving, and not closed
  Orphaned,    // nobody holds it, and nothing moves
  Rule,        // a rule acts on whatever it matches
  OverBudget,  // orphans are more than their budget, and this one is first to go
  Person,      // somebody asked for it
};
inline constexpr unsigned kCauses = 7;

// One ground of a verdict; which of `number` and `span` it carries is said here.
enum class GroundKind : std::uint8_t {
  Ended,              // number: EndReason
  EndedByVerdict,     // number: the verdict
  ResetAnswers,       // number: questions unanswered when the reset came
  PlaneStopped,       // span: for how long; what stands in its table is older
  NotSynchronized,    // number: State
  HeardUnknown,       // the plane cannot tell when it last heard
  Heard,              // span: how long ago
  Unanswered,         // number: questions, of all forms; span: attended time since the first
  UnansweredEcho,     // number: of them
  UnansweredBare,     // number: of them
  UnansweredPending,  // number: of them
  OnItsWay,           // number: questions too young to count as unanswered
  Spoiled,            // number: questions that may have been answered while nobody attended
  Unattended,         // span: of the time since the first question, not counted
  QuestionsMissing,   // number: how many more must stay unanswered
  TimeMissing,        // span: how much more attended time
  FormUnused,         // number: ProbeForm that the connection allows and nobody has used
  SignsMayBeMissed,   // the plane does not report every sign of life: it can never be proven gone
  TooFewAskable,      // number: questions that could count, fewer than the rule needs: it can never be proven gone
  NotAskedProbingOff,
  NotAskedInState,     // number: State; the rule does not ask idle connections in it
  NotAskedQuarantine,  // TIME-WAIT is never asked
  NotAskedOwnAsks,     // its application has its kernel's keepalive on, which asks
  NotAskedUnable,      // no form that the rule, the plane and the connection all allow; number: bare ones unanswered
  WindowClosed,        // the peer accepts nothing at present; while it says so it is alive
  PassedR1,
  SoftError,
  Here,             // number: Wanted; what is known of those who hold it
  HeldBy,           // number: a process that has it open, or its listener
  HeldByMore,       // number: processes that have it open, when they are more than one
  NotFound,         // nobody was found who has it open, and not every process could be looked into
  Unread,           // number: octets that its application has not read
  HostSilent,       // number: connections to the peer's host that are doubted; span: since any of them was heard
  HostHeard,        // span: how long ago another connection to the peer's host was heard
  LossMeasured,     // number: permille of questions to the peer's host that got lost, more than the rule assumes
  PathForgets,      // span: the timer of a middlebox that fits what a path to the peer's host has forgotten before
  Acts,             // number: Cause; span: in how long the rule acts
  DryRun,           // number: Cause; the rule would act, and is told not to
  ActsKeepalive,    // number: Cause; span: in how long the rule has its own TCP ask
  DryRunKeepalive,  // number: Cause
  Exempt,  // the rule exempts it from every act and budget; number: 1 if by not meaning the kernel's (Rule::unmeant)
  OverBudget,  // number: orphans, more than their budget; this one is first to go
  Asked,       // number: the user who asked for it (a uid)
};

// Where a ground comes from, and what it is worth.
enum class Source : std::uint8_t { Segments, Probes, Retransmissions, Icmp, Holder, Host, Path, Plane, Policy, Person };
enum class Strength : std::uint8_t {
  Proof,    // alone decides: an acceptable segment, an end
  Counts,   // one of many that together prove
  Hint,     // explains; never decides
  Lacking,  // what is not known, or not done
};
Source source_of(GroundKind kind);
Strength strength_of(GroundKind kind);

struct Ground {
  GroundKind kind = GroundKind::Heard;
  std::uint64_t number = 0;
  Duration span;
  bool operator==(const Ground&) const = default;
};

class Grounds {
 public:
  void add(GroundKind kind, std::uint64_t number = 0, Duration span = {});
  std::span<const Ground> all() const { return {items_.data(), count_}; }
  // nullptr: this kind is not among them.
  const Ground* find(GroundKind kind) const;

 private:
  std::array<Ground, 28> items_{};
  std::uint8_t count_ = 0;
};

struct Verdict {
  Standing standing = Standing::Unknown;
  Wanted wanted = Wanted::Unknown;
  Ends ends = Ends::Nothing;
  // When `ends` comes about by time alone; never(): it does not; unknown(): it does, and nobody can say when.
  Instant ends_at = Instant::never();
  // What the rule does about it, why, and since when it has been due; never(): not as things stand.
  Cause cause = Cause::None;
  Act act = Act::Tell;
  Instant acts_at = Instant::never();
  // The earliest instant at which it could be gone, were nothing heard from now on; never(): no proof can be reached.
  Instant gone_earliest = Instant::never();
  // When the verdict changes by time alone, no fact and no gap added; never(): it does not.
  Instant next_look = Instant::never();
  std::uint32_t unanswered = 0;
  Grounds grounds;
};

[[nodiscard]] Verdict judge(const Evidence& evidence, const Rule& rule, Instant now);

// Whether the rule has such a connection asked at all, whenever that may be due.
[[nodiscard]] bool may_ask(const Evidence& evidence, const Rule& rule);

std::string_view name(Standing standing);
std::string_view name(Wanted wanted);
std::string_view name(Ends ends);
std::string_view name(Cause cause);
std::string_view name(Source source);
std::string_view name(Strength strength);

}  // namespace adieu::control
