// The words. What follows from a FIN and from a reset is RFC 9293's: sections 3.6, 3.9.1 (ABORT) and 3.10.
#include "host/api_prospect.h"

#include <fmt/format.h>

#include "host/kernel_prospect.h"

namespace adieu::host {
namespace {

using plane::Ability;

Ability ability_for(EndHow how) {
  switch (how) {
    case EndHow::Finish: return Ability::Finish;
    case EndHow::Reset: return Ability::AbortReset;
    case EndHow::Silent: return Ability::AbortSilent;
    case EndHow::Keepalive: return Ability::Keepalive;
  }
  return Ability::AbortReset;
}

std::optional<control::Refusal> refusal_of(EndHow how, const plane::Record& record, plane::Abilities abilities) {
  if (record.has_ended()) return control::Refusal::Ended;
  if (record.state == State::TimeWait) return control::Refusal::Unable;
  if (!plane::has(abilities, ability_for(how))) return control::Refusal::Unable;
  if (how == EndHow::Finish && (!is_synchronized(record.state) || is_sending_closed(record.state)))
    return control::Refusal::Unable;
  return std::nullopt;
}

std::string why_not(EndHow how, const plane::Record& record, plane::Abilities abilities) {
  if (record.has_ended()) return std::string(message(control::Refusal::Ended));
  if (record.state == State::TimeWait)
    return "TIME-WAIT is the protocol's own quarantine: both ends have closed, and it ends by itself";
  if (how == EndHow::Keepalive)
    return "the engine has no keepalive of its own: the control plane asks, by the rule that holds for it, and ends it";
  if (how == EndHow::Finish && plane::has(abilities, Ability::Finish))
    return is_sending_closed(record.state)
               ? fmt::format("in {} our stream is closed already: there is no FIN left to send; --reset ends it",
                             name(record.state))
               : fmt::format("in {} there is no peer yet that could read a FIN; --reset ends it", name(record.state));
  return fmt::format("its data plane cannot {} a connection", how == EndHow::Finish ? "finish" : "end");
}

std::string application_after_abort(const plane::Record& record) {
  switch (record.holder) {
    case plane::Holder::Orphan: return "nothing: no application holds it";
    case plane::Holder::AcceptQueue: return "its listener never gets it from accept";
    case plane::Holder::Held:
    case plane::Holder::Unknown: break;
  }
  std::string lost;
  if (record.unread != plane::kUnknownCount && record.unread > 0)
    lost = fmt::format("; {} octets that it has not read are lost", record.unread);
  return "its next call fails: the connection was ended" + lost;
}

std::string peer_after_reset(const plane::Record& record) {
  if (!is_synchronized(record.state)) return "its attempt to connect is refused, or it never hears of it";
  std::string lost;
  if (record.unsent != plane::kUnknownCount && record.unsent > 0)
    lost = fmt::format("; {} octets that it has not acknowledged may never reach it", record.unsent);
  return "if it is there: ECONNRESET, whatever it was reading or writing" + lost;
}

}  // namespace

std::string_view name(EndHow how) {
  switch (how) {
    case EndHow::Finish: return "finish";
    case EndHow::Reset: return "reset";
    case EndHow::Silent: return "silent";
    case EndHow::Keepalive: return "keepalive";
  }
  return "?";
}

std::optional<EndHow> parse_end_how(std::string_view text) {
  for (const EndHow how : {EndHow::Finish, EndHow::Reset, EndHow::Silent, EndHow::Keepalive})
    if (text == name(how)) return how;
  return std::nullopt;
}

EndHow default_end(State state) {
  return state == State::Established || state == State::CloseWait ? EndHow::Finish : EndHow::Reset;
}

control::Request request_of(EndHow how, std::uint32_t user, const plane::Keepalive& keepalive) {
  using plane::CommandKind;
  control::Request request;
  request.kind = how == EndHow::Finish      ? CommandKind::Finish
                 : how == EndHow::Keepalive ? CommandKind::Keepalive
                                            : CommandKind::Abort;
  request.keepalive = keepalive;
  request.silent = how == EndHow::Silent;
  request.user = user;
  return request;
}

Prospect prospect_of(EndHow how, const plane::Record& record, plane::Abilities abilities, plane::PlaneKind kind) {
  if (kind == plane::PlaneKind::Kernel) return kernel_prospect_of(how, record, abilities);
  Prospect prospect;
  prospect.how = how;
  prospect.refused = refusal_of(how, record, abilities);
  if (prospect.refused) {
    prospect.here = why_not(how, record, abilities);
    return prospect;
  }
  switch (how) {
    case EndHow::Finish: {
      const bool last = is_receiving_closed(record.state);
      prospect.here = fmt::format("our FIN is sent after what still waits; {} leads to {}", name(record.state),
                                  last ? "LAST-ACK, and to its end with the peer's acknowledgement"
                                       : "FIN-WAIT-1, and it lives on until the peer closes as well");
      prospect.application = last ? "it can send no more: its next write fails"
                                  : "it can send no more, its next write fails; it reads on until the peer closes";
      prospect.peer = "if it is there: the end of our stream, after all that was sent; nothing is lost";
      return prospect;
    }
    case EndHow::Reset:
      prospect.here = "a RST is sent and the connection ends at once, whatever the peer does";
      prospect.application = application_after_abort(record);
      prospect.peer = peer_after_reset(record);
      return prospect;
    case EndHow::Silent:
      prospect.here = "the connection ends at once, and no segment tells the peer";
      prospect.application = application_after_abort(record);
      prospect.peer = "nothing now; if it is there, a reset once it sends anything";
      return prospect;
    case EndHow::Keepalive: break;  // no engine has it
  }
  return prospect;
}

}  // namespace adieu::host
