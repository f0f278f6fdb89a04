// Which rules are refused, and the sentences that say why.
#include "control/rule.h"

namespace adieu::control {

static_assert(probes_needed(0.3) == 31, "DESIGN section 5");

std::string_view message(RuleError error) {
  switch (error) {
    case RuleError::IntervalTooShort:
      return "interval is below 1 s: peers answer about one bare probe a second, so silence would prove nothing; "
             "give 1 s or more (25 s keeps a half-closed connection in a Linux conntrack)";
    case RuleError::LossOutOfRange:
      return "assumed loss is not between 0 and 0.9: give the share of packets lost each way, such as 0.3";
    case RuleError::TooFewProbes:
      return "fewer than 2 probes: RFC 9293 MUST-29 forbids taking one unanswered probe for a dead connection; "
             "give 2 or more, or leave it out to have it derived from the assumed loss (0.3 gives 31)";
    case RuleError::TooManyProbes:
      return "more than 10000 probes: give 10000 or fewer, or leave it out to have it derived from the assumed loss";
    case RuleError::SpanTooShort:
      return "proof span is below 1 s: give the time over which probes must stay unanswered, such as 100 s";
    case RuleError::StateNotAskable:
      return "a state is listed that is never asked while idle: choose among ESTABLISHED, FIN-WAIT-2 and CLOSE-WAIT";
    case RuleError::CommandLifeOutOfRange:
      return "the life of a command is not between 100 ms and 60 s: give a time in which a plane surely looks, such as "
             "2 s";
    case RuleError::MostLossOutOfRange:
      return "the most loss that is believed is not between 0 and 0.9: give the share of packets lost each way, such "
             "as 0.5";
    case RuleError::TooSoonToForget:
      return "forgotten or orphaned after less than 1 s: an application needs a moment to close; give 1 s or more";
    case RuleError::KeepaliveOfGone:
      return "keepalive for whom nobody answers: who is gone has been asked already; give reset, silent or tell";
    case RuleError::KeepaliveOfOrphan:
      return "keepalive for orphans: nobody holds a descriptor through which it could be switched on; give reset, "
             "silent "
             "or tell";
    case RuleError::KeepaliveOutOfRange:
      return "keepalive beyond what a socket can be told: give idle and interval from 1 s to 32767 s, and count from 1 "
             "to 127";
  }
  return "?";
}

std::expected<void, RuleError> validate(const Rule& rule) {
  if (rule.interval < seconds(1)) return std::unexpected(RuleError::IntervalTooShort);
  // Written so that a NaN is out of range.
  if (!(rule.assumed_loss >= 0 && rule.assumed_loss <= 0.9)) return std::unexpected(RuleError::LossOutOfRange);
  if (rule.probes_needed < kFewestProbes) return std::unexpected(RuleError::TooFewProbes);
  if (rule.probes_needed > kMostProbes) return std::unexpected(RuleError::TooManyProbes);
  if (rule.proof_span < seconds(1)) return std::unexpected(RuleError::SpanTooShort);
  if ((rule.idle_states & ~kIdleStatesAllowed) != 0) return std::unexpected(RuleError::StateNotAskable);
  if (rule.command_life < milliseconds(100) || rule.command_life > seconds(60))
    return std::unexpected(RuleError::CommandLifeOutOfRange);
  if (!(rule.most_loss >= 0 && rule.most_loss <= 0.9)) return std::unexpected(RuleError::MostLossOutOfRange);
  if (rule.forgotten_after < seconds(1) || rule.orphaned_after < seconds(1))
    return std::unexpected(RuleError::TooSoonToForget);
  if (rule.when_gone == Act::Keepalive) return std::unexpected(RuleError::KeepaliveOfGone);
  if (rule.when_orphaned == Act::Keepalive) return std::unexpected(RuleError::KeepaliveOfOrphan);
  if (!plane::is_sane(rule.keepalive)) return std::unexpected(RuleError::KeepaliveOutOfRange);
  return {};
}

std::string_view name(Act act) {
  switch (act) {
    case Act::Tell: return "tell";
    case Act::Finish: return "finish";
    case Act::Reset: return "reset";
    case Act::Silent: return "silent";
    case Act::Keepalive: return "keepalive";
  }
  return "?";
}

}  // namespace adieu::control
