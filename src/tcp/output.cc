// What to send next, one segment at a time, into the caller's hands.
//
// What lives here: poll_segment() and the segments it can make. What does not: when a timer makes something due again
// (timers.cc). RFC 9293 sections 3.8.6 (windows, silly window syndrome), 3.7.4 (Nagle), 3.8.4 (probes).
#include <algorithm>

#include "base/assert.h"
#include "tcp/connection.h"

namespace adieu::tcp {

std::optional<wire::Segment> Connection::poll_segment(std::size_t most_payload, const Environment& env) {
  if (state_ == State::Closed) return std::nullopt;
  if (is_syn_unacked()) return poll_syn(env);
  if (auto probe = poll_probe(env)) return probe;
  if (auto again = poll_first_again(env)) return again;
  if (auto window = poll_window_probe(env)) return window;
  if (auto data = poll_data(most_payload, env)) return data;
  if (!flags_.ack_now) return std::nullopt;
  // SEQ=SND.NXT, yet never beyond the peer's window: an octet that probed a closed window has moved SND.NXT out of it,
  // and an acknowledgment from there would not be acceptable to the peer (section 3.10.7.4, first step).
  return bare_segment(earlier(snd_nxt_, snd_una_ + snd_wnd_), env);
}

// --- the handshake

std::optional<wire::Segment> Connection::poll_syn(const Environment& env) {
  Transfer& t = transfer();
  if (t.send_next != snd_una_) {
    if (state_ != State::SynReceived || !flags_.ack_now) return std::nullopt;
    return bare_segment(snd_nxt_, env);
  }
  wire::Segment syn;
  syn.seq = snd_una_;
  syn.syn = true;
  syn.ack_flag = state_ == State::SynReceived;
  if (syn.ack_flag) syn.ack = rcv_nxt_;
  // RFC 7323 section 2.2: the window of a SYN is not scaled.
  syn.window = static_cast<std::uint16_t>(std::min<std::uint32_t>(options_.receive_buffer, 65535));
  syn.mss = local_mss_;
  // Options are offered in a SYN, and in a SYN,ACK only if the SYN offered them.
  const bool answering = syn.ack_flag;
  if (!answering || flags_.scale_offered) syn.window_scale = receive_scale_;
  syn.sack_permitted = !answering || flags_.sack;
  if (!answering || flags_.timestamps) syn.timestamps = {timestamp(env), answering ? ts_recent_ : 0};
  flags_.ack_now = false;
  sent(syn.seq, 1, env);
  return syn;
}

// --- probes: the engine's mechanics, the control plane's decision

std::optional<wire::Segment> Connection::poll_probe(const Environment& env) {
  if (!flags_.probe_echo && !flags_.probe_bare) return std::nullopt;
  const bool echo = flags_.probe_echo;
  flags_.probe_echo = false;
  flags_.probe_bare = flags_.probe_bare && echo;  // one a segment
  // Something went out since it was asked for: that will be answered, and no probe may disturb it (MUST-26).
  if (has_outstanding()) return std::nullopt;
  // The last data octet that the peer has acknowledged is one before SND.NXT, or two when our FIN came after it. The
  // bare form stands where RFC 9293 section 3.8.4 puts it: "SEG.SEQ = SND.NXT-1".
  wire::Segment probe = bare_segment(echo ? snd_nxt_ - (is_fin_acked() ? 2 : 1) : snd_nxt_ - 1, env);
  if (echo) probe.payload = Bytes(&echo_octet_, 1);
  return probe;
}

// --- retransmission of the first segment, once: fast retransmit, or a probe by pending data

std::optional<wire::Segment> Connection::poll_first_again(const Environment& env) {
  if (!transfer_ || !transfer_->retransmit_first) return std::nullopt;
  transfer_->retransmit_first = false;
  if (!has_outstanding()) return std::nullopt;
  const std::uint32_t flight = distance(snd_una_, snd_nxt_);
  const std::uint32_t data_in_flight = std::min(flight, unsent());
  const std::size_t length = transfer_->send.piece(0, std::min<std::uint32_t>(effective_mss(), data_in_flight)).size();
  const bool with_fin = is_fin_unacked() && length == unsent() && flight > unsent();
  return data_segment(snd_una_, length, with_fin, env);
}

// --- RFC 9293 section 3.8.6.1: "The sending TCP peer must regularly transmit at least one octet of new data (if
// available), or retransmit to the receiving TCP peer even if the send window is zero" (MUST-36)

std::optional<wire::Segment> Connection::poll_window_probe(const Environment& env) {
  if (!transfer_ || !transfer_->probe_window) return std::nullopt;
  Transfer& t = *transfer_;
  t.probe_window = false;
  const std::uint32_t most = std::max(1U, std::min<std::uint32_t>(snd_wnd_, effective_mss()));
  const std::size_t length = t.send.piece(0, most).size();  // the ring's end may cut it
  if (length == 0 && !is_fin_unacked()) return std::nullopt;
  wire::Segment probe = data_segment(snd_una_, length, length == 0, env);
  // What a closed window refuses was not sent: it goes out again, from the front, when the window opens.
  if (snd_wnd_ == 0) t.send_next = snd_una_;
  return probe;
}

// --- data and FIN

std::uint32_t Connection::usable_window() const {
  const std::uint32_t window = std::min(snd_wnd_, transfer_->congestion.cwnd());
  const std::uint32_t in_flight = distance(snd_una_, transfer_->send_next);
  return window > in_flight ? window - in_flight : 0;
}

// How many octets from send_next may go out as one segment now; 0: none, or only a FIN.
std::size_t Connection::sendable(std::size_t most_payload) {
  Transfer& t = *transfer_;
  const Seq end = send_front() + unsent();
  if (t.send_next >= end) return 0;
  const std::uint32_t available = distance(t.send_next, end);
  const std::uint32_t usable = usable_window();
  const std::uint32_t mss = effective_mss();
  t.cwnd_limited = usable < available && t.congestion.cwnd() < snd_wnd_;
  std::uint32_t length = std::min(available, usable);
  const bool may_send_less = options_.no_delay || flags_.fin_queued;
  if (length > mss) {
    length = std::min(length, std::max(mss, static_cast<std::uint32_t>(most_payload) / mss * mss));
    if (length < available || !may_send_less) length -= length % mss;
    return length;
  }
  // Section 3.8.6.2.1, the sender's silly window avoidance: "(1) if a maximum-sized segment can be sent", "(2) if the
  // data is pushed and all queued data can be sent now" (with Nagle: and nothing is unacknowledged), "(3) if at least a
  // fraction Fs of the maximum window can be sent". "(4) if the override timeout occurs" is the persist timer here.
  const bool again = t.send_next < snd_nxt_;
  const bool all = length == available && (may_send_less || t.send_next == snd_una_);
  if (length == mss || again || all || (length > 0 && length >= max_snd_wnd_ / 2)) return length;
  return 0;
}

std::optional<wire::Segment> Connection::poll_data(std::size_t most_payload, const Environment& env) {
  if (!transfer_ || (unsent() == 0 && !is_fin_unacked())) return std::nullopt;
  Transfer& t = *transfer_;
  std::size_t length = sendable(most_payload);
  // The ring's end may cut the piece; what follows goes into the next segment.
  if (length > 0) length = t.send.piece(distance(send_front(), t.send_next), length).size();
  const Seq after = t.send_next + static_cast<std::uint32_t>(length);
  const bool with_fin = is_fin_unacked() && after == fin_seq() && usable_window() > length;
  if (length == 0 && !with_fin) {
    arm_timers(env, false);
    return std::nullopt;
  }
  return data_segment(t.send_next, length, with_fin, env);
}

wire::Segment Connection::data_segment(Seq seq, std::size_t length, bool with_fin, const Environment& env) {
  const bool ack_was_due = flags_.ack_now;
  wire::Segment segment = bare_segment(seq, env);
  segment.payload = transfer_->send.piece(distance(send_front(), seq), length);
  ADIEU_ASSERT(segment.payload.size() == length);  // a piece cut short would put the FIN into the middle of the stream
  // RFC 6691 section 2: options count against the MSS. effective_mss() has taken off the timestamp; SACK blocks that no
  // longer fit beside the data go into a segment of their own, now.
  const std::size_t options = wire::tcp_header_bytes(segment) - wire::kTcpHeaderBytes;
  if (segment.sack_count > 0 && length + options > std::min(mss_, local_mss_)) {
    segment.sack_count = 0;
    flags_.ack_now = ack_was_due;
  }
  segment.fin = with_fin;
  segment.psh = seq + static_cast<std::uint32_t>(length) == send_front() + unsent() && length > 0;
  sent(seq, segment.length(), env);
  return segment;
}

// Books the transmission of [seq, seq+length).
void Connection::sent(Seq seq, std::uint32_t length, const Environment& env) {
  Transfer& t = *transfer_;
  const Seq after = seq + length;
  if (seq == snd_nxt_) {
    if (!t.timing) {
      t.timing = true;
      t.timed = after;
      t.timed_sent = env.now;
    }
  } else if (t.timing && seq < t.timed) {
    t.timing = false;  // Karn: RFC 6298 section 3
  }
  if (seq == t.send_next) t.send_next = after;
  snd_nxt_ = later(snd_nxt_, after);
  t.send_next = earlier(t.send_next, snd_nxt_);
  if (t.oldest_unacked == Instant::never()) t.oldest_unacked = env.now;
  if (seq == snd_una_) count_attempt(env);
  arm_timers(env, false);
}

// --- what every segment but a SYN carries

wire::Segment Connection::bare_segment(Seq seq, const Environment& env) {
  wire::Segment segment;
  segment.seq = seq;
  segment.ack_flag = true;
  segment.ack = rcv_nxt_;
  if (flags_.timestamps) segment.timestamps = {timestamp(env), ts_recent_};
  if (flags_.sack && transfer_ && !transfer_->out_of_order.empty()) {
    // 40 octets of options hold four blocks, or three beside a timestamp (RFC 2018 section 3).
    segment.sack_count = transfer_->out_of_order.sack_blocks(segment.sack_blocks, flags_.timestamps ? 3 : 4);
  }
  advertise(segment);
  return segment;
}

// What we could take beyond RCV.NXT now.
std::uint32_t Connection::receive_window() const {
  // After SHUT_RD what arrives takes no room.
  const std::uint32_t unread_octets = flags_.receive_shut ? 0 : unread();
  const std::uint32_t room = options_.receive_buffer > unread_octets ? options_.receive_buffer - unread_octets : 0;
  const std::uint32_t most = std::uint32_t{65535} << receive_scale_;
  return std::min(room, most) >> receive_scale_ << receive_scale_;
}

// Section 3.8.6.2.2, the receiver's silly window avoidance, and 3.8.6: "a TCP receiver SHOULD NOT shrink the window".
void Connection::advertise(wire::Segment& segment) {
  const std::uint32_t promised = distance(rcv_nxt_, rcv_advertised_);
  const std::uint32_t room = receive_window();
  const std::uint32_t worth_telling = std::min<std::uint32_t>(options_.receive_buffer / 2, effective_mss());
  const std::uint32_t window = room >= promised + worth_telling ? room : promised;
  // A promise that the scale cannot express is rounded up while there is room for it: down would be shrinking. Without
  // room it is rounded down (RFC 7323 section 2.4 foresees that), or small segments would move the edge for ever;
  // octets promised earlier stay acceptable, since rcv_advertised_ only grows.
  const std::uint32_t down = window >> receive_scale_;
  const std::uint32_t up = (window + (1U << receive_scale_) - 1) >> receive_scale_;
  const std::uint32_t told = std::min((up << receive_scale_) <= later(room, window) || up == down ? up : down, 65535U);
  segment.window = static_cast<std::uint16_t>(told);
  rcv_advertised_ = later(rcv_advertised_, rcv_nxt_ + (told << receive_scale_));
  last_ack_sent_ = rcv_nxt_;
  flags_.ack_now = false;
  set_deadline(Timer::DelayedAck, Instant::never());
}

std::optional<wire::Segment> Connection::final_reset() {
  if (!flags_.reset_due) return std::nullopt;
  flags_.reset_due = false;
  // RFC 9293 section 3.10.5: "<SEQ=SND.NXT><CTL=RST>". The ACK beside it lets middleboxes see that it belongs.
  wire::Segment reset;
  reset.seq = earlier(snd_nxt_, snd_una_ + snd_wnd_);  // as every segment: where the peer can accept it
  reset.rst = true;
  reset.ack_flag = true;
  reset.ack = rcv_nxt_;
  return reset;
}

}  // namespace adieu::tcp
