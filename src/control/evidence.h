// What one record says about one connection at one instant, as a value that a verdict can cite.
//
// What lives here: Evidence, and how it is gathered from a record and from the spans in which nobody attended.
// What does not: what it means (judge.h). Nothing here is remembered: the record alone carries the ladder, so that a
// control plane that starts late or again stands where the last one stood.
#pragma once

#include <cstdint>
#include <span>

#include "base/address.h"
#include "base/limits.h"
#include "base/terms.h"
#include "base/time.h"
#include "plane/command.h"
#include "plane/control_block.h"
#include "plane/record.h"

namespace adieu::control {

using FormSet = std::uint8_t;
constexpr FormSet set_of(ProbeForm f) { return static_cast<FormSet>(1U << static_cast<unsigned>(f)); }
constexpr bool contains(FormSet set, ProbeForm f) { return (set & set_of(f)) != 0; }

// What must be known about a plane, beside a record of it.
struct Attention {
  plane::Abilities abilities = 0;
  std::span<const plane::Gap> gaps;  // time that nobody attended; may overlap, in any order
  Instant plane_stopped_since;       // unknown(): it runs
  Duration time_wait{};              // of the plane; 0: not known
};

// What is known of the peer's host from its other connections: its silence is one fact, however many there are.
struct HostFacts {
  std::uint32_t doubted = 0;  // connections to it that are suspect or gone now
  Instant heard_at;           // last sign on any of its connections while one is doubted; unknown(): none
  double lost = 0;            // share of questions and answers that got lost among those that it answered at last
  Duration path_timer = Duration::max();  // of the middlebox that is believed to have forgotten a path to it
};

struct Evidence {
  Endpoint local;
  Endpoint remote;
  State state = State::Closed;
  EndReason reason = EndReason::None;
  std::uint64_t ended_by = 0;
  Instant state_entered;
  Instant plane_stopped_since;
  Duration time_wait;

  // What was heard.
  Instant heard_at;
  std::uint32_t heard = 0;
  Instant progress_in;
  Instant progress_out;
  bool counts_every_sign = false;  // the plane reports every acceptable segment

  // What was asked since, none of it answered. asks[Pending] holds the transmissions of what is outstanding, without
  // the latest, whose instant no record tells and which may be on its way.
  std::uint32_t asks[kProbeForms] = {};
  std::uint32_t asked = 0;  // their sum
  std::uint32_t attempts = 0;
  Instant first_ask;
  Instant last_ask;   // the last probe; unknown() where only the plane's own retransmissions asked
  Duration attended;  // since first_ask, without the time that nobody attended
  Duration unattended;
  // Questions whose answers may have come while nobody attended: a host that sleeps hears none. One a gap, since no
  // more than one is ever on its way.
  std::uint32_t spoiled = 0;

  // What can be asked now.
  bool pending = false;  // something is outstanding: it is its own question
  FormSet possible = 0;
  bool can_abort = false;  // the plane can, and checks for a sign of life at the very moment
  plane::Abilities abilities = 0;

  // Who wants it.
  plane::Holder holder = plane::Holder::Unknown;
  plane::Known end_of_stream_read = plane::Known::Unknown;
  std::uint32_t unread = plane::kUnknownCount;
  std::uint32_t unsent = plane::kUnknownCount;
  bool receive_shut = false;
  bool send_shut = false;
  bool peer_window_closed = false;
  bool passed_r1 = false;
  bool soft_error = false;
  plane::Beside beside;

  // Neither address is private: this end may be the one outside a NAT, whose question a router that has forgotten the
  // connection answers with a reset (linux-tcp.md, D). The inside asks first.
  bool may_be_outside = false;
  HostFacts host;  // the controller's to fill in

  // In a row, while nothing is outstanding.
  std::uint32_t most_asked() const {
    return plane::has(abilities, plane::Ability::ProbeUncounted) ? UINT32_MAX : limits::kKernelQuestions;
  }
  std::uint32_t asks_by(ProbeForm f) const { return asks[static_cast<unsigned>(f)]; }
};

Evidence gather(const plane::Record& record, const Attention& attention, Instant now);

// Its plane can have its own TCP ask the peer by itself: somebody holds it, in a state that idles.
bool can_have_keepalive(const Evidence& evidence);

// How much of [from, to) lies in a gap, overlapping gaps counted once.
Duration unattended(Instant from, Instant to, std::span<const plane::Gap> gaps);

}  // namespace adieu::control
