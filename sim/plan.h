// Everything about a world that is decided before it begins: one seed, one plan, one world.
//
// What lives here: Plan and its parts, draw(). What does not: anything that moves (world.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/time.h"
#include "control/rule.h"
#include "device/impairment.h"
#include "sim/nat.h"
#include "sim/trace.h"
#include "stack/settings.h"

namespace adieu::sim {

inline constexpr unsigned kHosts = 2;
inline constexpr unsigned other(unsigned host) { return 1 - host; }

// What an application does with the last octet behind it.
enum class Finish : std::uint8_t {
  HalfClose,  // shutdown(Send), read to the end of the stream, close()
  Close,      // close() at once: an orphan, or a reset if octets are unread
  Abort,
  Hold,  // nothing, until the curfew
};

// What the application at one end does.
struct EndPlan {
  std::uint64_t octets = 0;    // to send in all
  bool echo = false;           // sends back what it receives, and nothing else
  std::uint32_t chunk = 4096;  // octets a call of send()
  Duration pause;              // between two such calls
  Duration start_after;
  bool reads = true;  // false: never, not even at the curfew
  std::uint32_t read_chunk = 65536;
  Duration read_pause;  // between two calls of receive(): a slow reader
  Finish finish = Finish::HalfClose;
  Duration finish_after;  // after the last octet was taken
  Duration linger;        // after the end of the peer's stream was read and our own closed: until close()
  std::optional<Duration> shut_receive_after;  // after the connection stands
  std::uint32_t send_buffer = 1U << 16;
  std::uint32_t receive_buffer = 1U << 16;
  bool no_delay = false;

  // Reads all that comes and closes only then: a stream to it must arrive whole.
  bool is_graceful() const {
    return reads && !shut_receive_after && (finish == Finish::HalfClose || finish == Finish::Hold);
  }
};

struct ConnectionPlan {
  Instant at;
  unsigned client = 0;  // the host
  bool v6 = false;
  bool simultaneous = false;      // both hosts connect, from and to fixed ports (RFC 9293 section 3.5, figure 7)
  std::uint16_t client_port = 0;  // 0: an ephemeral one; a fixed one is used again and again (RFC 6191)
  Duration limit = seconds(180);
  EndPlan ends[kHosts];  // 0: the client's (or host 0's), 1: the server's
};

enum class FaultKind : std::uint8_t {
  BlackHole,    // host's packets leave and never arrive, for `span`
  PowerOff,     // the host vanishes, for ever
  Reboot,       // it is away for `span` and comes back with amnesia
  Freeze,       // it is suspended for `span`, and remembers everything
  ControlStop,  // its control plane is stopped for `span` (SIGSTOP), and goes on
  ControlKill,  // its control plane dies, and another starts after `span`
  DiskFull,     // its ledger keeps nothing for `span`
  NatForgets,   // the NAT on the path restarts with an empty table
};
struct Fault {
  FaultKind kind = FaultKind::BlackHole;
  unsigned host = 0;
  Instant at;
  Duration span;  // Duration::max(): for ever
  Instant until() const { return span == Duration::max() ? Instant::never() : at + span; }
};

// Who decides when a connection has lived long enough.
enum class Keeper : std::uint8_t {
  Control,  // adieu's control plane, or nobody (HostPlan::control)
  Linux,    // timers as Linux has them (timers.h)
  FreeBsd,  // timers as FreeBSD has them
};

struct HostPlan {
  bool control = true;
  Keeper keeper = Keeper::Control;
  control::Rule rule;
  std::uint32_t most_orphans = UINT32_MAX;  // their budget
  Duration sweep = seconds(1);
  Duration command_delay;  // up to so long a command waits in the ring before its plane looks
  tcp::Settings tcp;
  bool offload = false;  // super-segments out; the peer gets them whole only if it has them too
  std::uint32_t slots = 256;
  std::uint32_t events = 256;   // entries of the event ring
  std::uint32_t commands = 64;  // of the command ring; the receipt ring has twice as many
  std::uint32_t quarantine = 64;
  std::uint32_t max_embryonic = 64;
  std::uint32_t backlog = 128;
  Duration accept_delay;
  EndPlan listener;  // only its buffers and no_delay
};

struct Plan {
  std::uint64_t seed = 0;
  device::ImpairmentSettings path[kHosts];  // by the host that sends
  std::uint16_t mtu = 1500;
  // Host 0 is inside a NAT, with a private IPv4 address; host 1 has a public one. Connections go from 0 to 1.
  std::optional<NatTimers> nat;
  // After each step both engines check their invariants, and at rest the states of both ends. Long worlds do without.
  bool close_watch = true;
  HostPlan hosts[kHosts];
  std::vector<ConnectionPlan> connections;
  std::vector<Fault> faults;
  Instant curfew;   // every application finishes from here on
  Instant horizon;  // the world ends here at the latest
};

// Bounds that draw() keeps, so that what a checker asks has an answer: a path is cut either for well under the rule's
// span of proof, or for well over the time in which anybody must be proven gone.
Duration harmless_cut(const control::Rule& rule);
Duration deadly_cut(const control::Rule& rule);

Plan draw(std::uint64_t seed);

}  // namespace adieu::sim
