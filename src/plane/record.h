// What every connection has, as its plane reports it: facts, never opinions.
//
// What lives here: Record, the value that a slot of the connection table holds, and Beside, what only a plane knows
// that watches another's TCP. What does not: their octets (table.h), verdicts (control). A fact that a plane cannot
// know is marked unknown (Instant::unknown(), Known::Unknown, kUnknownCount), never guessed.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/address.h"
#include "base/terms.h"
#include "base/time.h"

namespace adieu::plane {

enum class Known : std::uint8_t { Unknown = 0, No = 1, Yes = 2 };

// Who on this host still refers to the connection.
enum class Holder : std::uint8_t {
  Unknown = 0,
  Held = 1,         // an application holds it
  AcceptQueue = 2,  // established, but no application has accepted it yet
  Orphan = 3,       // nobody: closed by its application, or the application died
};

inline constexpr std::uint32_t kUnknownCount = UINT32_MAX;

// The clock that somebody else's TCP runs for a connection, beyond our control.
enum class OwnTimer : std::uint8_t {
  Unknown = 0,
  None = 1,        // nothing is armed: by itself it stays as it is for ever
  Retransmit = 2,  // ends the connection after some more retransmissions
  Keepalive = 3,
  Quarantine = 4,  // TIME-WAIT, or an orphan's FIN-WAIT-2: ends it when it fires
  Persist = 5,     // zero-window probes: endless as long as the peer answers them
};
inline constexpr unsigned kOwnTimers = 6;
// In the words of ss: "on", "keepalive", "timewait", "persist"; "none", "unknown".
std::string_view name(OwnTimer timer);

// What a plane knows that finds connections in another's TCP, the kernel's: who has them open, and which clock is set.
struct Beside {
  // One of the processes that have it open, the longest-lived first; of one that waits in an accept queue, of those
  // that have its listener open. 0: none was found.
  std::uint32_t process = 0;
  std::int32_t descriptor = -1;
  std::array<char, 16> comm{};     // of `process`; what follows the name is 0
  std::uint16_t processes = 0;     // that have it open; saturating
  std::uint16_t descriptors = 0;   // in all of them; saturating
  std::uint32_t references = 0;    // to the open file, also from outside all descriptor tables; 0: not known
  bool looked = false;             // somebody looked for holders
  bool looked_everywhere = false;  // into every process: one that was not found is in no descriptor table
  bool inherited = false;          // the connection is older than every process that has it open
  bool keepalive = false;          // held, and its own TCP asks the peer by itself
  bool keepalive_refused = false;  // it could not be told to do so, lately
  std::uint32_t network = 0;       // inode of its network namespace; 0: not known
  OwnTimer timer = OwnTimer::Unknown;
  std::uint8_t retries = 0;  // of that timer, so far
  Instant fires{};           // when the timer does
  Instant in_state_by{};     // it was in its present state at that time already; unknown(): nothing is known

  constexpr std::string_view comm_text() const {
    const std::string_view all(comm.data(), comm.size());
    return all.substr(0, all.find(char{}));
  }
  bool operator==(const Beside&) const = default;
};

struct Record {
  std::uint32_t generation = 0;  // of the slot; 0: never used
  Endpoint local{};
  Endpoint remote{};
  State state = State::Closed;
  EndReason reason = EndReason::None;  // not None: it has ended, and `ended_by` is set where a verdict did it

  Holder holder = Holder::Unknown;
  Known end_of_stream_read = Known::Unknown;  // the application has read the end of the peer's stream
  bool receive_shut = false;                  // SHUT_RD: what arrives is acknowledged and discarded
  bool send_shut = false;                     // SHUT_WR or close: our FIN is queued, sent or acknowledged
  bool peer_window_closed = false;            // the peer advertises a window of zero, and we have something to send
  bool can_echo = false;    // a data octet that the peer acknowledged is at hand: the data echo is possible
  bool can_probe = false;   // this plane can probe this connection now, in at least the bare form
  bool passed_r1 = false;   // retransmissions reached R1 (RFC 9293 section 3.8.3) without an answer
  bool soft_error = false;  // a validated ICMP error has been heard since the peer was last heard

  // Each fact has a clock of its own. CLOCK_MONOTONIC.
  Instant state_entered{};
  Instant last_heard{};      // last acceptable segment
  Instant progress_in{};     // last new data octet or FIN from the peer
  Instant progress_out{};    // last time SND.UNA moved
  Instant oldest_unacked{};  // since when the oldest unacknowledged octet waits as the oldest; never(): there is none

  std::uint32_t heard = 0;     // acceptable segments heard, modulo 2^32
  std::uint32_t attempts = 0;  // transmissions of the oldest unacknowledged octet since the peer was last heard

  // Probes sent since the peer was last heard, none of them answered. Saturating.
  std::uint16_t probes[kProbeForms] = {};
  Instant probe_first{};
  Instant probe_last{};

  std::uint32_t unread = kUnknownCount;  // octets received that the application has not read
  std::uint32_t unsent = kUnknownCount;  // octets the application gave that the peer has not acknowledged
  std::uint64_t ended_by = 0;            // the verdict that commanded the end; 0: none did. Only once ended.

  Beside beside;  // as it was given when a table has room for it (Capacity::beside)

  constexpr bool has_ended() const { return reason != EndReason::None; }
  bool operator==(const Record&) const = default;
};

// What a sweep needs to know of a connection in order to pass it by.
struct Glance {
  Address remote{};
  Instant last_heard{};
  State state = State::Closed;
  EndReason reason = EndReason::None;
  Holder holder = Holder::Unknown;
  bool is_owed = false;    // something is unacknowledged, or the peer's window is closed
  bool was_asked = false;  // transmissions or probes that nobody has answered
  bool operator==(const Glance&) const = default;
};
constexpr Glance glance_at(const Record& r) {
  return {.remote = r.remote.address,
          .last_heard = r.last_heard,
          .state = r.state,
          .reason = r.reason,
          .holder = r.holder,
          .is_owed = r.oldest_unacked.is_known() || r.peer_window_closed,
          .was_asked = r.attempts != 0 || r.probes[0] != 0 || r.probes[1] != 0 || r.probes[2] != 0};
}

}  // namespace adieu::plane
