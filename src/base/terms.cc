// Names of the shared terms, for people and for JSON.
#include "base/terms.h"

namespace adieu {

std::string_view name(State state) {
  switch (state) {
    case State::Closed: return "CLOSED";
    case State::Listen: return "LISTEN";
    case State::SynSent: return "SYN-SENT";
    case State::SynReceived: return "SYN-RECEIVED";
    case State::Established: return "ESTABLISHED";
    case State::FinWait1: return "FIN-WAIT-1";
    case State::FinWait2: return "FIN-WAIT-2";
    case State::CloseWait: return "CLOSE-WAIT";
    case State::Closing: return "CLOSING";
    case State::LastAck: return "LAST-ACK";
    case State::TimeWait: return "TIME-WAIT";
  }
  return "?";
}

std::string_view name(EndReason reason) {
  switch (reason) {
    case EndReason::None: return "none";
    case EndReason::BothClosed: return "both closed";
    case EndReason::PeerReset: return "reset by path or peer";
    case EndReason::DataAfterClose: return "data after close";
    case EndReason::Aborted: return "application aborted";
    case EndReason::Commanded: return "commanded";
    case EndReason::Refused: return "refused";
    case EndReason::PlaneFailed: return "plane failed";
    case EndReason::Vanished: return "vanished, reason unknown";
    case EndReason::OwnTimer: return "given up by its own TCP";
  }
  return "?";
}

std::string_view name(ProbeForm form) {
  switch (form) {
    case ProbeForm::DataEcho: return "data echo";
    case ProbeForm::Bare: return "bare";
    case ProbeForm::Pending: return "pending";
  }
  return "?";
}

}  // namespace adieu
