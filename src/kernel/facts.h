// What a Linux socket says, as the facts of the seam. Pure.
//
// What lives here: Socket -> plane::Record and what stands beside it, and which facts this plane can know at all. What
// does not: identity and ends (sweep.h), reading the kernel (sock_diag.h), who has what open (holders.h).
//
// Known exactly: endpoints, state, who holds it (but in SYN-RECEIVED and TIME-WAIT), send_shut, unread, unsent, oldest
// unacknowledged where there is none, peer_window_closed.
// Known in part:
//   last_heard     later of the last acceptable ACK and the last in-order data. A zero-length keepalive probe from the
//                  peer refreshes neither: the kernel discards it before it looks at the acknowledgment. Where the
//                  count of segments has moved and these two have not, the sweep that saw it. To the kernel's tick
//                  (kTick). Unknown for a minisock.
//   heard          tcpi_segs_in, of a whole socket: it counts unacceptable segments too, a stranger's with a guessed
//                  port included. Whoever takes each for a sign of the peer errs on the harmless side: no acceptable
//                  segment is missed, so that this plane may claim ReportsHeard, and silence is proven later, or not
//                  at all while strangers send.
//   attempts       the kernel's own transmissions since the sweep that saw the count of segments move: rather too few.
//                  At first sight all that the kernel counts, some of which may be older than the last segment heard.
//   progress_in    last in-order data; once the peer's FIN is in, when it came, as state_entered: the kernel keeps no
//                  clock for a FIN.
//   state_entered  when the kernel told of the change (bpf_events.h); where it does not, the sweep that saw it (or saw
//                  the connection appear), late by less than the time between two sweeps; else unknown.
//   end_of_stream_read  No is certain; Yes where the kernel told of the read that returned 0. A dump cannot prove it (a
//                  FIN that came with data counts as read with it).
//   receive_shut   only before the peer's FIN: from then on the kernel says so itself.
// Never known: progress_out, when the oldest unacknowledged octet was first sent, soft_error. Probes are those that
// adieu commanded (probe.h); the kernel's own keepalives without an answer are Socket::probes.
#pragma once

#include <optional>

#include "base/time.h"
#include "kernel/holders.h"
#include "kernel/socket.h"
#include "plane/command.h"
#include "plane/record.h"

namespace adieu::kernel {

// What a sweep reports, and what such a plane may be able to do beside (act.h).
inline constexpr plane::Abilities kReports = plane::Ability::ReportsHolder | plane::Ability::ReportsHeard;
inline constexpr plane::Abilities kAbilities =
    kReports | plane::Ability::ProbeBare | plane::Ability::Finish | plane::Ability::AbortReset |
    plane::Ability::GuardedAbort | plane::Ability::Forget | plane::Ability::Keepalive | plane::Ability::ProbeUncounted;

// The kernel's clocks in tcp_info move in ticks (CONFIG_HZ is 100 to 1000), and are read a moment after they were
// written: two readings of one instant differ by that, and are one.
inline constexpr Duration kTick = milliseconds(20);

// RFC 9293 section 3.8.3: "The value of R1 SHOULD correspond to at least 3 retransmissions, at the current RTO"; also
// the default of tcp_retries1.
inline constexpr std::uint8_t kR1 = 3;

struct Seen {
  Instant now;                      // of the sweep
  bool is_new = false;              // not there in the sweep before, which missed nothing: it came into being since
  bool can_craft = false;           // its peer can be asked by a segment of ours (crafter.h)
  bool is_quiet = false;            // no segment has come in since the previous record
  bool has_heard = false;           // some have; with neither, nobody knows
  Instant entered_at{};             // its state, as the kernel told; unknown(): it did not
  bool end_of_stream_read = false;  // the kernel told so
  // Retransmissions and zero-window probes that the kernel counts and that went out before a segment came in last.
  std::uint8_t retransmits_answered = 0;
  std::uint8_t probes_answered = 0;
};

// `who`: who has it open, or the listener in whose accept queue it waits.
plane::Beside beside_of(const Socket& socket, const plane::Record& record, const Held& who, Holders& holders);

// `previous`: what was published of this connection before, if anything.
plane::Record record_of(const Socket& socket, const plane::Record* previous, const Seen& seen);

}  // namespace adieu::kernel
