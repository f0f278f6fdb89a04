// The field's terms that both sides of the seam use: RFC states, reasons for an end, forms of a probe.
//
// What lives here: closed enumerations and their names. What does not: opinions. The words for liveness
// (alive, silent, suspect, gone) belong to `control` and may not occur here.
#pragma once

#include <cstdint>
#include <string_view>

namespace adieu {

// RFC 9293 section 3.3.2. The numbers are part of the seam's layout.
enum class State : std::uint8_t {
  Closed = 0,
  Listen = 1,
  SynSent = 2,
  SynReceived = 3,
  Established = 4,
  FinWait1 = 5,
  FinWait2 = 6,
  CloseWait = 7,
  Closing = 8,
  LastAck = 9,
  TimeWait = 10,
};
inline constexpr unsigned kStates = 11;

// Why a connection ended. Every connection that ends does so with exactly one of these.
enum class EndReason : std::uint8_t {
  None = 0,            // it has not ended
  BothClosed = 1,      // both FINs sent and acknowledged, TIME-WAIT over where it applies
  PeerReset = 2,       // an RST at exactly RCV.NXT (RFC 5961 section 3.2): the path or the peer forgot it
  DataAfterClose = 3,  // data arrived that nobody can read any more (RFC 9293 section 3.6.1; RFC 1122 section 4.2.2.13)
  Aborted = 4,         // the application aborted, or its own limit on connect ran out; or somebody did on its host
  Commanded = 5,       // the control plane commanded it; the record names the verdict
  Refused = 6,         // it never came to be: RST or hard ICMP error in SYN-SENT, or dropped while embryonic
  PlaneFailed = 7,     // its data plane died
  Vanished = 8,        // a plane that only observes saw it go, and cannot know why
  OwnTimer = 9,  // a TCP that is not ours gave it up: nobody answered it, or a timer of its own for orphans ran out
};
inline constexpr unsigned kEndReasons = 10;

// How a peer can be asked for a sign. DESIGN section 3; stacks.md section 6.
enum class ProbeForm : std::uint8_t {
  DataEcho = 0,  // the last acknowledged data octet, sent again
  Bare = 1,      // no data, SEQ = SND.NXT-1 (RFC 9293 section 3.8.4)
  Pending = 2,   // unacknowledged data or FIN is its own probe: its retransmission, made now
};
inline constexpr unsigned kProbeForms = 3;

// As the RFC spells them: "FIN-WAIT-2".
std::string_view name(State state);
// In words for a person: "both closed".
std::string_view name(EndReason reason);
std::string_view name(ProbeForm form);

// The states in which both sequence spaces are agreed (RFC 9293 section 3.5.2, group 3).
constexpr bool is_synchronized(State s) { return s >= State::Established && s <= State::TimeWait; }
// Our FIN is queued or sent: the application can send no more.
constexpr bool is_sending_closed(State s) {
  return s == State::FinWait1 || s == State::FinWait2 || s == State::Closing || s == State::LastAck ||
         s == State::TimeWait;
}
// The peer's FIN has been received in order.
constexpr bool is_receiving_closed(State s) {
  return s == State::CloseWait || s == State::Closing || s == State::LastAck || s == State::TimeWait;
}

}  // namespace adieu
