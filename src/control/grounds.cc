// Where each ground of a verdict comes from, and what it is worth. What does not live here: which grounds a verdict
// cites (judge.cc), their sentences (host).
#include "control/judge.h"

namespace adieu::control {

Source source_of(GroundKind kind) {
  switch (kind) {
    case GroundKind::Ended:
    case GroundKind::ResetAnswers:
    case GroundKind::NotSynchronized:
    case GroundKind::Heard:
    case GroundKind::WindowClosed: return Source::Segments;
    case GroundKind::Unanswered:
    case GroundKind::UnansweredEcho:
    case GroundKind::UnansweredBare:
    case GroundKind::OnItsWay:
    case GroundKind::QuestionsMissing:
    case GroundKind::TimeMissing:
    case GroundKind::FormUnused: return Source::Probes;
    case GroundKind::UnansweredPending:
    case GroundKind::PassedR1: return Source::Retransmissions;
    case GroundKind::SoftError: return Source::Icmp;
    case GroundKind::Here:
    case GroundKind::HeldBy:
    case GroundKind::HeldByMore:
    case GroundKind::NotFound:
    case GroundKind::Unread: return Source::Holder;
    case GroundKind::HostSilent:
    case GroundKind::HostHeard:
    case GroundKind::LossMeasured: return Source::Host;
    case GroundKind::PathForgets: return Source::Path;
    case GroundKind::PlaneStopped:
    case GroundKind::HeardUnknown:
    case GroundKind::Spoiled:
    case GroundKind::Unattended:
    case GroundKind::SignsMayBeMissed:
    case GroundKind::TooFewAskable:
    case GroundKind::NotAskedOwnAsks:
    case GroundKind::NotAskedUnable: return Source::Plane;
    case GroundKind::EndedByVerdict:
    case GroundKind::NotAskedProbingOff:
    case GroundKind::NotAskedInState:
    case GroundKind::NotAskedQuarantine:
    case GroundKind::Acts:
    case GroundKind::DryRun:
    case GroundKind::ActsKeepalive:
    case GroundKind::DryRunKeepalive:
    case GroundKind::OverBudget:
    case GroundKind::Exempt: return Source::Policy;
    case GroundKind::Asked: return Source::Person;
  }
  return Source::Plane;
}

Strength strength_of(GroundKind kind) {
  switch (kind) {
    case GroundKind::Ended:
    case GroundKind::EndedByVerdict:
    case GroundKind::Heard:
    case GroundKind::NotSynchronized:
    case GroundKind::Acts:
    case GroundKind::ActsKeepalive:
    case GroundKind::OverBudget:
    case GroundKind::Asked: return Strength::Proof;
    case GroundKind::Unanswered:
    case GroundKind::UnansweredEcho:
    case GroundKind::UnansweredBare:
    case GroundKind::UnansweredPending: return Strength::Counts;
    case GroundKind::ResetAnswers:
    case GroundKind::WindowClosed:
    case GroundKind::PassedR1:
    case GroundKind::SoftError:
    case GroundKind::Here:
    case GroundKind::HeldBy:
    case GroundKind::HeldByMore:
    case GroundKind::Unread:
    case GroundKind::HostSilent:
    case GroundKind::HostHeard:
    case GroundKind::LossMeasured:
    case GroundKind::PathForgets: return Strength::Hint;
    case GroundKind::PlaneStopped:
    case GroundKind::HeardUnknown:
    case GroundKind::OnItsWay:
    case GroundKind::Spoiled:
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
    case GroundKind::NotFound:
    case GroundKind::DryRun:
    case GroundKind::DryRunKeepalive:
    case GroundKind::Exempt: return Strength::Lacking;
  }
  return Strength::Lacking;
}

std::string_view name(Source source) {
  switch (source) {
    case Source::Segments: return "segments";
    case Source::Probes: return "probes";
    case Source::Retransmissions: return "retransmissions";
    case Source::Icmp: return "ICMP";
    case Source::Holder: return "holder";
    case Source::Host: return "host";
    case Source::Path: return "path";
    case Source::Plane: return "plane";
    case Source::Policy: return "policy";
    case Source::Person: return "person";
  }
  return "?";
}

std::string_view name(Strength strength) {
  switch (strength) {
    case Strength::Proof: return "proof";
    case Strength::Counts: return "counts";
    case Strength::Hint: return "hint";
    case Strength::Lacking: return "lacking";
  }
  return "?";
}

}  // namespace adieu::control
