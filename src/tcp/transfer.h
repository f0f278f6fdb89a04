// What a connection needs only while bytes move: buffers, congestion state, retransmission, timers.
//
// What lives here: Transfer, a bundle without rules of its own; `Connection` keeps its invariants. What does not:
// anything a quiet connection must remember (connection.h). It is made when the first octet or SYN goes in or out and
// given back when everything is acknowledged, read and acknowledged by us: an idle connection has none.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/time.h"
#include "tcp/byte_ring.h"
#include "tcp/congestion.h"
#include "tcp/reassembly.h"

namespace adieu::tcp {

// The closed list of timers. None of them is the lifetime of a connection, and none can be: a timer that would end a
// connection for having been quiet has no name here. Only TimeWait ends one, as the protocol says.
enum class Timer : std::uint8_t {
  Retransmit,  // the oldest unacknowledged octet is sent again (RFC 6298 section 5)
  Persist,     // a closed window is probed (RFC 9293 section 3.8.6.1)
  DelayedAck,  // an acknowledgment may wait no longer (RFC 9293 section 3.8.6.3)
  TimeWait,    // 2 MSL have passed (RFC 9293 section 3.10.8)
};
inline constexpr unsigned kTimers = 4;

struct Transfer {
  Transfer(std::uint32_t smss, Seq next) : congestion(smss), send_next(next) {}

  ByteRing send;     // from SND.UNA on: sent and not acknowledged, then not sent
  ByteRing receive;  // in order and not read, then holes and octets out of order
  Reassembly out_of_order;
  std::optional<Seq> fin_at;  // the peer's FIN, when it came before the octets in front of it

  NewReno congestion;
  Seq send_next;                  // the next octet to transmit; SND.UNA again after a timeout, at most SND.NXT
  bool retransmit_first = false;  // send the segment at SND.UNA again, once, whatever the window says
  bool probe_window = false;      // send one octet although the window is closed
  bool cwnd_limited = false;      // the congestion window, not the peer's or the application, held the last octet back
  unsigned backoff = 0;           // retransmission timeouts in a row
  std::uint32_t attempts = 0;     // transmissions of the oldest unacknowledged octet since the peer was last heard
  // Since when the octet at SND.UNA waits for its acknowledgment as the oldest: the later of its first transmission and
  // the last move of SND.UNA.
  Instant oldest_unacked = Instant::never();

  // One octet at a time is timed (Karn); it is not timed again once it has been retransmitted.
  bool timing = false;
  Seq timed;
  Instant timed_sent;

  // Deadlines of Retransmit, Persist, DelayedAck. TimeWait's stands in the connection: that state has no transfer.
  std::array<Instant, 3> deadlines{Instant::never(), Instant::never(), Instant::never()};
};

}  // namespace adieu::tcp
