// What the world knows of every connection: its two ends, which no engine sees together.
//
// What lives here: End, Pair, Book (all of them, and who belongs to whom), what a state says about the past (Facts).
// What does not: rules (checkers.h). The facts of an end come from its record in the table, read after each step.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "base/seq.h"
#include "base/terms.h"
#include "plane/connection_id.h"
#include "plane/record.h"
#include "sim/plan.h"
#include "wire/tcp.h"

namespace adieu::sim {

// What must have happened at an end for it to be in its state; none of it is ever undone.
struct Facts {
  bool syn_sent = false;
  bool syn_received = false;
  bool syn_acked = false;  // it knows that the other end took its SYN
  bool fin_sent = false;   // its FIN is queued, sent or acknowledged
  bool fin_acked = false;
  bool fin_received = false;

  constexpr bool operator==(const Facts&) const = default;
};
// RFC 9293 section 3.3.2, figure 5: the arrows on every way into a state.
Facts facts_of(State state);

struct Pair;

struct End {
  unsigned host = 0;
  unsigned boot = 0;  // of the host; another boot knows nothing of this end
  plane::ConnectionId id;
  Endpoint local;
  Endpoint remote;
  Pair* pair = nullptr;
  unsigned side = 0;       // its index in the pair
  bool is_active = false;  // opened by connect()
  Instant opened;

  State state = State::Closed;  // the last one while it lived
  Facts facts;
  EndReason reason = EndReason::None;
  std::uint64_t ended_by = 0;
  Instant ended;         // or lost
  plane::Record record;  // as last read
  plane::Record living;  // as last read while it lived
  bool lost = false;     // its host rebooted or vanished: it has no end, it is no more

  // What its application did.
  bool connect_ran_out = false;
  bool aborted = false;
  bool closed = false;  // close() was called: nobody reads any more
  bool receive_shut = false;
  bool finished = false;   // shutdown(Send) or close(): no more octets will be written
  bool clean_end = false;  // it has read the end of the peer's stream
  std::uint64_t written = 0;
  std::uint64_t read = 0;

  // What the wire showed.
  bool has_iss = false;
  bool has_promised = false;
  Seq iss;
  Seq highest;                        // after the last sequence number sent
  Seq promised;                       // the right edge of the widest window that it told of
  Seq granted;                        // the same, of its peer's window
  std::uint32_t syn_window = 0;       // in its peer's SYN
  std::optional<std::uint8_t> scale;  // as its SYN offered it
  std::optional<std::uint8_t> peer_scale;
  Instant bare_sent;
  Instant delivered;  // the last segment for it
  bool reset_delivered = false;

  // Of windows that it tells of, and of those that it is told; RFC 7323 section 2.2: both SYNs must offer it.
  unsigned shift() const { return scale && peer_scale ? *scale : 0U; }
  unsigned peer_shift() const { return scale && peer_scale ? *peer_scale : 0U; }
  bool lives() const { return !lost && reason == EndReason::None; }
};

// Two ends of one connection, from the connect() that began it.
struct Pair {
  std::uint32_t number = 0;
  const ConnectionPlan* plan = nullptr;
  End* ends[kHosts] = {nullptr, nullptr};  // 0: the client's. 1: the server's, once it knows that the client knows it
  End* tentative = nullptr;                // the latest SYN-RECEIVED that answers to this pair's numbers
  // What the end of side `side` sends. An echo sends back the other's stream.
  std::uint64_t stream(unsigned side, std::uint64_t seed) const;
  const End* peer_of(const End& end) const { return ends[1 - end.side]; }
};

class Book {
 public:
  explicit Book(const Plan& plan) : plan_(plan) {}

  // The second connect() of a simultaneous open joins the first.
  Pair& begin(const ConnectionPlan& plan);
  // The latest pair that began with these numbers, seen from its server; nullptr: there is none.
  Pair* find(const Endpoint& client, const Endpoint& server);
  End& add(unsigned host, unsigned boot, const plane::ConnectionId& id, const plane::Record& record);
  // The end that lives on this host with these numbers, or the one that ended last; nullptr: none ever did.
  End* find(unsigned host, unsigned boot, const Endpoint& local, const Endpoint& remote);
  End* find(const plane::ConnectionId& id);

  std::deque<End>& ends() { return ends_; }
  const std::deque<End>& ends() const { return ends_; }
  const std::deque<Pair>& pairs() const { return pairs_; }
  const Plan& plan() const { return plan_; }
  std::uint64_t stream_of(const End& end) const { return end.pair->stream(end.side, plan_.seed); }

 private:
  // Who has these numbers; looked up, never walked, so that no order of theirs shows.
  struct Numbers {
    unsigned host = 0;
    unsigned boot = 0;
    Endpoint local;
    Endpoint remote;
    bool operator==(const Numbers&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Numbers& n) const;
    std::size_t operator()(const plane::ConnectionId& id) const;
  };

  const Plan& plan_;
  std::deque<End> ends_;
  std::deque<Pair> pairs_;
  std::unordered_map<Numbers, End*, Hash> by_numbers_;  // the latest
  std::unordered_map<plane::ConnectionId, End*, Hash> by_id_;
};

// "A0 32768>7000 FIN-WAIT-2": host, boot, ports.
std::string label(const End& end);
// A bare probe (RFC 9293 section 3.8.4): no octets, one before the end of what was sent, and nothing unacknowledged. An
// ordinary acknowledgment stands at the end; or before it, where the peer's window closed in front of what was sent.
bool is_bare_probe(const End& end, const wire::Segment& segment);
inline char host_letter(unsigned host) { return static_cast<char>('A' + host); }

}  // namespace adieu::sim
