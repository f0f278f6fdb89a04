// The kernel's sockets as connections of a table: who is who from one sweep to the next.
//
// What lives here: Sweep, which gives each cookie a slot, publishes what is seen and ends what is gone. What does not:
// the dump itself (sock_diag.h), the facts (facts.h), the ring of commands (plane.h).
//
// A sweep is begin(), see() for each socket in any order and any number of times, then poll_missing() until it is
// empty, each answered with see() (it is there after all) or vanished(), then finish(). A sweep that is broken off
// before poll_missing() ends nothing: begin() starts the next one. Between two sweeps, tell() what the kernel told,
// then poll_told() until it is empty, each answered with see() or absent(). What was told and not asked about, the next
// sweep sees. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <queue>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "kernel/bpf_events.h"
#include "kernel/holders.h"
#include "kernel/socket.h"
#include "plane/control_block.h"
#include "plane/table.h"

namespace adieu::kernel {

struct SweepCounts {
  std::uint32_t seen = 0;  // connections, each once
  std::uint32_t opened = 0;
  std::uint32_t vanished = 0;
  std::uint32_t refused = 0;  // sockets for which the table had no slot
};

// Newcomers beyond are left to the next sweep.
inline constexpr std::size_t kMostNewcomers = 65536;

class Sweep {
 public:
  // Both outlive the sweep. `table` has room for what stands beside a record, and no other writer.
  Sweep(plane::TableWriter& table, Holders& holders) : table_(table), holders_(holders) {}

  // input
  void begin(Instant now);
  // In any order with see(), before those that wait in its accept queue.
  void see_listener(const Socket& listener) { listeners_.push_back(listener); }
  void see(const Socket& socket, const plane::ControlView& control);
  void vanished(std::uint64_t cookie);
  // At `now`, between two sweeps: what was told since, in its order.
  void hear(Instant now) { now_ = now; }
  void tell(const BpfEvent& event);
  // What poll_told() or poll_due() named is not there (any more).
  void absent(std::uint64_t cookie);
  // From now on peers can be asked without the kernel (crafter.h), too.
  void can_craft() { can_craft_ = true; }
  // Its peer has been asked.
  void asked(std::uint32_t slot, Instant now);
  // Something of its own forbids a question, which no dump tells. For a minute it counts as one that cannot be asked.
  void unaskable(std::uint32_t slot, Instant now);
  // Its own TCP asks its peer from now on.
  void keepalive_on(std::uint32_t slot);
  // It cannot be told to: its application's settings are in the way, or nobody has a descriptor. For an hour it counts
  // as one that cannot.
  void keepalive_refused(std::uint32_t slot, Instant now);
  // A command has ended it, at any time between two sweeps.
  void ended(std::uint32_t slot, std::uint64_t verdict, Instant now);
  void finish();

  // output
  // The next connection that this sweep has not met, by slot; nullopt: all others are accounted for.
  std::optional<SocketKey> poll_missing();
  // The next socket of which the kernel has told something that only a look at it explains.
  std::optional<SocketKey> poll_told();
  // The next one of which something is due that nobody tells: the end of a minisock, accept() by an application.
  std::optional<SocketKey> poll_due();
  Instant next_due() const { return due_.empty() ? Instant::never() : due_.top().at; }
  // Of a slot that holds a live connection.
  SocketKey key_of(std::uint32_t slot) const;
  const SweepCounts& counts() const { return counts_; }
  std::size_t connections() const { return slots_.size(); }

 private:
  // What the kernel told of a socket, and no sweep has seen yet.
  struct Told {
    State from = State::Closed;   // that it left last
    State state = State::Closed;  // that it entered last; Closed, of one that lives: it may have left a minisock behind
    Instant at{};                 // unknown(): nothing was told
    bool is_waiting = false;      // in told_
    bool was_reset = false;
    bool end_of_stream_read = false;

    // When it came into the state in which it is seen; unknown(): that was not told.
    Instant entered(State seen) const;
  };
  struct Newcomer {
    SocketKey key;
    Told told;
  };
  struct Due {
    Instant at;
    std::uint64_t cookie = 0;
    bool operator<(const Due& other) const { return at > other.at; }  // the first is the greatest
  };
  struct Connection {
    std::uint64_t cookie = 0;  // 0: the slot holds no live connection
    std::uint32_t sweep = 0;   // in which it was met last
    std::uint32_t interface = 0;
    std::uint32_t network = 0;
    std::uint32_t segments_in = 0;
    bool counts_segments = false;  // segments_in is of a whole socket
    // Transmissions of the same octet that the kernel had counted when a segment came in last.
    std::uint8_t retransmits = 0;
    std::uint8_t probes = 0;
    Instant unaskable_until{};
    Instant refused_until{};  // a keepalive
    Told told{};
    Instant look_at{};  // unknown(): at the next sweep, or when something is told
  };

  void meet(std::uint32_t slot, const Socket& socket);
  void open(const Socket& socket, const plane::ControlView& control);
  // `state`: the one that it ended in, `at`: then.
  void end(std::uint32_t slot, State state, EndReason reason, Instant at, std::uint64_t verdict = 0);
  void tell_of_newcomer(const BpfEvent& event);
  void ask_about(std::uint64_t cookie, Told& told);
  void look_later(std::uint32_t slot);
  bool has_run_out(std::uint32_t slot) const;
  EndReason reason_of_absence(std::uint32_t slot) const;

  Held held_by(const Socket& socket, const plane::Record& record);

  plane::TableWriter& table_;
  Holders& holders_;
  std::vector<Socket> listeners_;
  std::unordered_map<std::uint64_t, std::uint32_t> slots_;  // by cookie; looked up only, never walked
  std::vector<Connection> connections_;                     // by slot
  std::priority_queue<Due> due_;
  std::deque<std::uint64_t> told_;                         // cookies to ask about
  std::unordered_map<std::uint64_t, Newcomer> newcomers_;  // of which nothing but what was told is known
  Instant now_;
  std::uint32_t sweep_ = 0;
  std::uint32_t cursor_ = 0;  // of poll_missing()
  bool can_craft_ = false;
  bool previous_missed_none_ = false;  // the sweep before was whole: what is new has come into being since
  SweepCounts counts_;
};

}  // namespace adieu::kernel
