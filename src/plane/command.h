// What the control plane may ask of a data plane, and what the plane answers.
//
// What lives here: Command, Receipt and their closed enumerations. What does not: their rings (control_block.h,
// table.h), why (control).
// A verdict of silence can never overtake a sign of life: its abort names the count of segments heard on which it
// rests, and the plane refuses if the count has moved. An abort that rests on something else (a person's word, a
// budget, an application that forgot) says so: `regardless`. Doing a command twice is harmless.
#pragma once

#include <cstdint>

#include "base/terms.h"
#include "base/time.h"
#include "plane/connection_id.h"

namespace adieu::plane {

enum class CommandKind : std::uint8_t {
  Probe = 1,      // ask the peer for a sign, in the form given
  Finish = 2,     // queue our FIN, as the application's shutdown would
  Abort = 3,      // end it: with an RST, or silently
  Forget = 4,     // end TIME-WAIT before its time
  Keepalive = 5,  // have its own TCP ask the peer from now on, and end it if nobody answers; it lives on meanwhile
};
inline constexpr unsigned kCommandKinds = 6;  // index 0 unused

// How its own TCP is to ask. 0: as the connection has it.
struct Keepalive {
  std::uint16_t idle = 0;      // seconds without a segment, then the first question
  std::uint16_t interval = 0;  // seconds to the next one, or to the end
  std::uint8_t count = 0;      // questions without an answer, then the end
  bool operator==(const Keepalive&) const = default;
};
// What Linux lets a socket be told (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT).
inline constexpr unsigned kLongestKeepalive = 32767;
inline constexpr unsigned kMostKeepalives = 127;
constexpr bool is_sane(const Keepalive& k) {
  return k.idle <= kLongestKeepalive && k.interval <= kLongestKeepalive && k.count <= kMostKeepalives;
}

struct Command {
  CommandKind kind = CommandKind::Probe;
  ConnectionId id{};
  State expected_state = State::Closed;  // the plane refuses if the connection is in another
  ProbeForm form = ProbeForm::Bare;      // Probe only
  bool silent = false;                   // Abort only: no RST
  bool regardless = false;               // Abort only: it rests on no silence, and signs of life do not stop it
  Keepalive keepalive{};                 // Keepalive only; sane
  std::uint32_t heard = 0;               // Abort only: Record::heard on which the verdict rests
  std::uint32_t epoch = 0;               // of the control plane that wrote it; an older one is void
  Instant expires{};                     // refused from this instant on
  std::uint64_t verdict = 0;             // the ledger's number for the verdict behind it; never 0
};

enum class Outcome : std::uint8_t {
  Done = 1,
  WrongIdentity = 2,  // another incarnation or generation, or no such slot
  AlreadyEnded = 3,
  WrongState = 4,
  HeardSince = 5,  // a segment has been heard since the verdict
  Expired = 6,
  Void = 7,        // written by an earlier control plane, not taken before the next one started
  Unable = 8,      // this plane cannot do that (abilities), or not in this state
  TooSoon = 9,     // a bare probe less than a second after the last (peers limit such answers)
  Malformed = 10,  // not a command; the plane skipped it
  // An abort that rests on silence: the count heard was compared just before it, and not at the very moment.
  DoneUnguarded = 11,
};
inline constexpr unsigned kOutcomes = 12;  // index 0 unused
constexpr bool is_done(Outcome outcome) { return outcome == Outcome::Done || outcome == Outcome::DoneUnguarded; }

struct Receipt {
  std::uint64_t command = 0;  // the command's number in its ring, from 1
  std::uint64_t verdict = 0;
  ConnectionId id{};
  CommandKind kind = CommandKind::Probe;
  ProbeForm form = ProbeForm::Bare;
  Outcome outcome = Outcome::Malformed;
  State state = State::Closed;  // after the command
  std::uint32_t epoch = 0;      // of the command
  std::uint32_t heard = 0;      // Record::heard when the plane decided
  Instant at{};
};

std::string_view name(CommandKind kind);
std::string_view name(Outcome outcome);

// What a plane can report and do; a bit set. Policy honours it; each can be switched off for tests.
enum class Ability : std::uint64_t {
  ProbeEcho = 1U << 0,
  ProbeBare = 1U << 1,
  ProbePending = 1U << 2,
  Finish = 1U << 3,
  AbortReset = 1U << 4,
  AbortSilent = 1U << 5,
  Forget = 1U << 6,
  GuardedAbort = 1U << 7,  // checks the count heard at the very moment of the abort
  ReportsHeard = 1U << 8,  // counts every acceptable segment
  ReportsHolder = 1U << 9,
  ReportsReading = 1U << 10,  // knows whether the end of stream was read
  ReportsReason = 1U << 11,   // knows why a connection ended
  Keepalive = 1U << 12,
  // Nobody but us counts its questions: any number in a row. Else limits::kKernelQuestions.
  ProbeUncounted = 1U << 13,
};
using Abilities = std::uint64_t;
constexpr Abilities operator|(Ability a, Ability b) { return static_cast<Abilities>(a) | static_cast<Abilities>(b); }
constexpr Abilities operator|(Abilities a, Ability b) { return a | static_cast<Abilities>(b); }
constexpr bool has(Abilities set, Ability one) { return (set & static_cast<Abilities>(one)) != 0; }

}  // namespace adieu::plane
