// Names of commands and outcomes, for people and for JSON.
#include "plane/command.h"

namespace adieu::plane {

std::string_view name(CommandKind kind) {
  switch (kind) {
    case CommandKind::Probe: return "probe";
    case CommandKind::Finish: return "finish";
    case CommandKind::Abort: return "abort";
    case CommandKind::Forget: return "forget";
    case CommandKind::Keepalive: return "keepalive";
  }
  return "?";
}

std::string_view name(Outcome outcome) {
  switch (outcome) {
    case Outcome::Done: return "done";
    case Outcome::WrongIdentity: return "wrong identity";
    case Outcome::AlreadyEnded: return "already ended";
    case Outcome::WrongState: return "wrong state";
    case Outcome::HeardSince: return "heard since";
    case Outcome::Expired: return "expired";
    case Outcome::Void: return "void";
    case Outcome::Unable: return "unable";
    case Outcome::TooSoon: return "too soon";
    case Outcome::Malformed: return "malformed";
    case Outcome::DoneUnguarded: return "done, unguarded";
  }
  return "?";
}

}  // namespace adieu::plane
