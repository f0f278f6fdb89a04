// A segment arrives: RFC 9293 section 3.10.7, one function a step, in the RFC's order.
//
// What lives here: SYN-SENT (3.10.7.3) and all other states (3.10.7.4). CLOSED (3.10.7.1) and LISTEN (3.10.7.2) have no
// connection yet: they are stack/no_connection.cc and stack/passive_open.cc.
// Where a later RFC replaces a step, it is quoted: RFC 5961 (resets, SYN, ACK), RFC 7323 (timestamps), RFC 6191.
#include <algorithm>

#include "base/assert.h"
#include "tcp/connection.h"

namespace adieu::tcp {

Disposition Connection::input(const wire::Segment& segment, const Environment& env) {
  if (state_ == State::Closed) return Disposition::Done;
  if (state_ == State::SynSent) return input_syn_sent(segment, env);
  // RFC 9293 section 3.10.7.4, fourth step, TIME-WAIT: "If the SYN bit is set in these synchronized states, it may be
  // either a legitimate new connection attempt ...". Asked first: an old PAWS or sequence check must not answer it.
  if (state_ == State::TimeWait && segment.syn && !segment.ack_flag && !segment.rst && may_reopen(segment)) {
    challenge(segment, env);  // "For all other cases": should nobody listen
    return Disposition::Reopen;
  }
  // Simultaneous open, RFC 9293 figure 8, line 5: the peer's SYN,ACK repeats a SYN that we have; what is new is its
  // ACK.
  if (state_ == State::SynReceived && !flags_.passive && segment.syn && segment.ack_flag &&
      segment.seq + 1 == rcv_nxt_) {
    wire::Segment ack = segment;
    ack.syn = false;
    ack.seq += 1;
    // RFC 7323 section 2.2: a SYN's window is not scaled; this is what a scaled field can say of it.
    ack.window = static_cast<std::uint16_t>(segment.window >> send_scale_);
    return input(ack, env);
  }
  if (!check_timestamps(segment, env)) return Disposition::Done;
  if (!check_sequence(segment, env)) return Disposition::Done;
  if (!check_reset(segment, env)) return Disposition::Done;
  // Third, security and compartment: not used on the Internet (RFC 9293 appendix A.1).
  if (!check_syn(segment, env)) return Disposition::Done;
  if (const auto ended_here = check_ack(segment, env)) return *ended_here;
  // Sixth, the urgent bit: data is delivered in line whatever it says (RFC 6093).
  process_text(segment, env);
  process_fin(segment, env);
  return Disposition::Done;
}

// --- 3.10.7.3 SYN-SENT

Disposition Connection::input_syn_sent(const wire::Segment& segment, const Environment& env) {
  // "First, check the ACK bit: If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset (unless the RST bit is set, if so
  // drop the segment and return)".
  if (segment.ack_flag && (segment.ack <= snd_una_ || segment.ack > snd_nxt_)) {
    return segment.rst ? Disposition::Done : Disposition::Reset;
  }
  // "Second, check the RST bit: ... If the ACK was acceptable, then signal to the user 'error: connection reset', drop
  // the segment, enter CLOSED state". Without an ACK it is dropped.
  if (segment.rst) {
    if (segment.ack_flag) end(EndReason::Refused, false);
    return Disposition::Done;
  }
  // "Fifth, if neither of the SYN or RST bits is set, then drop the segment and return."
  if (!segment.syn) return Disposition::Done;

  // "Fourth, check the SYN bit: ... RCV.NXT is set to SEG.SEQ+1, IRS is set to SEG.SEQ."
  rcv_nxt_ = segment.seq + 1;
  rcv_advertised_ = rcv_nxt_ + std::min<std::uint32_t>(options_.receive_buffer, 65535);
  last_ack_sent_ = rcv_nxt_;
  take_syn_options(segment, env);
  snd_wl1_ = segment.seq;
  heard();
  if (!segment.ack_flag) {
    // "Otherwise, enter SYN-RECEIVED, form a SYN,ACK segment and send it." Simultaneous open.
    enter(State::SynReceived);
    transfer().send_next = snd_una_;
    snd_wnd_ = segment.window;
    return Disposition::Done;
  }
  established(segment, env);
  flags_.ack_now = true;
  // "If there are other controls or text in the segment, then continue processing at the sixth step".
  if (!segment.payload.empty() || segment.fin) {
    wire::Segment rest = segment;
    rest.syn = false;
    rest.seq += 1;
    process_text(rest, env);
    process_fin(rest, env);
  }
  return Disposition::Done;
}

void Connection::take_syn_options(const wire::Segment& syn, const Environment& env) {
  if (syn.mss) mss_ = std::max<std::uint16_t>(*syn.mss, 64);
  flags_.scale_offered = syn.window_scale.has_value();
  if (syn.window_scale) {
    // RFC 7323 section 2.3: "the TCP SHOULD log the error but MUST use 14 instead of the specified value".
    send_scale_ = std::min<std::uint8_t>(*syn.window_scale, 14);
  } else {
    send_scale_ = 0;
    receive_scale_ = 0;
  }
  flags_.sack = syn.sack_permitted;
  flags_.timestamps = syn.timestamps.has_value();
  if (syn.timestamps) {
    ts_recent_ = syn.timestamps->value;
    ts_recent_at_s_ = static_cast<std::uint32_t>(env.now.ns / 1'000'000'000);
    flags_.ts_recent_valid = true;
  }
  if (transfer_) transfer_->congestion = NewReno(effective_mss());
}

// Our SYN has been acknowledged, and the peer's has arrived.
void Connection::established(const wire::Segment& segment, const Environment& env) {
  enter(State::Established);
  Transfer& t = transfer();
  if (t.timing) rtt_.sample(env.now - t.timed_sent);
  t.timing = false;
  snd_una_ = segment.ack;
  t.send_next = later(t.send_next, snd_una_);
  t.backoff = 0;
  t.attempts = 0;
  t.oldest_unacked = Instant::never();
  // RFC 9293 section 3.10.7.4, fifth step: "SND.WND <- SEG.WND, SND.WL1 <- SEG.SEQ, SND.WL2 <- SEG.ACK". RFC 7323
  // section 2.2: "The window field in a segment where the SYN bit is set ... MUST NOT be scaled."
  snd_wnd_ = std::uint32_t{segment.window} << (segment.syn ? 0 : send_scale_);
  max_snd_wnd_ = std::max(max_snd_wnd_, snd_wnd_);
  snd_wl1_ = segment.seq;
  snd_wl2_ = segment.ack;
  changes_ |= kProgressOut | kWritable;
  if (flags_.fin_queued) enter(State::FinWait1);  // CLOSE was called in SYN-RECEIVED and "queue[d] for processing"
  arm_timers(env, true);
}

// --- 3.10.7.4, before the first step: RFC 7323 section 5.3, PAWS

bool Connection::check_timestamps(const wire::Segment& segment, const Environment& env) {
  if (!flags_.timestamps || segment.rst) return true;  // "RST segments ... MUST NOT be subjected to the PAWS check"
  // RFC 7323 section 3.2: "If a non-<RST> segment is received without a TSopt, a TCP SHOULD silently drop the segment."
  if (!segment.timestamps) return false;
  const auto now_s = static_cast<std::uint32_t>(env.now.ns / 1'000'000'000);
  // Section 5.5: a connection idle for more than 24 days must not take the peer's wrapped clock for an old one.
  constexpr std::uint32_t kOutdated = 24 * 86400;
  if (now_s - ts_recent_at_s_ > kOutdated) flags_.ts_recent_valid = false;
  const bool old = static_cast<std::int32_t>(segment.timestamps->value - ts_recent_) < 0;
  if (old && flags_.ts_recent_valid) {
    // R1: "If SEG.TSval < TS.Recent and TS.Recent is valid ... Send an acknowledgment in reply as specified in
    // [RFC 793] page 69, and drop the segment."
    challenge(segment, env);
    return false;
  }
  return true;
}

// --- first step: sequence number

bool Connection::is_acceptable(const wire::Segment& segment) const {
  const std::uint32_t length = segment.length();
  const std::uint32_t window = distance(rcv_nxt_, rcv_advertised_);
  const auto in_window = [&](Seq seq) { return rcv_nxt_ <= seq && seq < rcv_advertised_; };
  // A segment without length may stand at the right edge as well: a peer that has filled our window sends all its
  // acknowledgments from there (docs/departures.md).
  if (length == 0) return rcv_nxt_ <= segment.seq && segment.seq <= rcv_advertised_;
  if (window == 0) return false;
  return in_window(segment.seq) || in_window(segment.end() - 1);
}

// Octets that we have, from within one window before RCV.NXT, with an acknowledgment that could be: the peer repeats
// itself because our acknowledgments do not reach it. Not acceptable, but no stranger could easily have sent it: it
// counts as heard (docs/departures.md), or a peer that calls us all the time would be taken for silent.
bool Connection::is_recent_duplicate(const wire::Segment& segment) const {
  if (!segment.ack_flag || segment.rst) return false;
  const std::int32_t window = 65535 << receive_scale_;
  return segment.seq < rcv_nxt_ && rcv_nxt_ - segment.seq <= window && snd_una_ - max_snd_wnd_ <= segment.ack &&
         segment.ack <= snd_nxt_;
}

bool Connection::check_sequence(const wire::Segment& segment, const Environment& env) {
  if (is_acceptable(segment)) return true;
  // "If the RCV.WND is zero, no segments will be acceptable, but special allowance should be made to accept valid ACKs,
  // URGs, and RSTs." The text is not taken (process_text finds no window); the acknowledgment is. A peer that has
  // probed our window may acknowledge from one octet beyond it.
  const std::int32_t beyond = segment.seq - rcv_nxt_;
  if (rcv_nxt_ == rcv_advertised_ && (beyond == 0 || beyond == 1) && !segment.syn) {
    if (segment.length() > 0) flags_.ack_now = true;
    return true;
  }
  // "unless the RST bit is set, if so drop the segment and return"
  if (segment.rst) return false;
  if (is_recent_duplicate(segment)) {
    heard();
    // Its acknowledgment is as good as any: two ends that probed each other's closed windows at once would else refuse
    // each other's for ever, each one octet behind.
    if (is_synchronized(state_) && !segment.syn) {
      if (segment.ack > snd_una_) {
        process_ack(segment, env);
      } else {
        update_window(segment, env);
      }
      if (state_ == State::Closed) return false;
    }
  }
  // A SYN that is repeated while we wait for its last acknowledgment wants our SYN,ACK again.
  if (state_ == State::SynReceived && segment.syn && !segment.ack_flag && segment.seq + 1 == rcv_nxt_) {
    transfer().send_next = snd_una_;
    return false;
  }
  // TIME-WAIT, eighth step: "Remain in the TIME-WAIT state. Restart the 2 MSL time-wait timeout", for the FIN that is
  // repeated; and for nothing else, or a prober could pin the state for ever.
  if (state_ == State::TimeWait && segment.fin && segment.end() == rcv_nxt_) {
    time_wait_until_ = env.now + env.settings.time_wait;
  }
  // "If an incoming segment is not acceptable, an acknowledgment should be sent in reply".
  challenge(segment, env);
  return false;
}

// An acknowledgment in reply to what was not acceptable. RFC 5961 section 7 limits its rate; a segment with data or FIN
// "can't realistically be part of an ACK loop" and is always answered, as Linux does.
// What only the peer can easily have sent (its keep-alives, its probes) has an allowance of its own: a stranger who
// spends the other one must not make us look gone.
void Connection::challenge(const wire::Segment& segment, const Environment& env) {
  if (segment.payload.empty() && !segment.fin) {
    std::uint32_t& answered_at_ms = is_recent_duplicate(segment) ? answered_duplicate_at_ms_ : challenged_at_ms_;
    const auto now_ms = static_cast<std::uint32_t>(env.now.ns / 1'000'000) | 1U;  // 0: never
    const auto interval_ms = static_cast<std::uint32_t>(env.settings.challenge_interval.milliseconds());
    if (answered_at_ms != 0 && now_ms - answered_at_ms < interval_ms) return;
    answered_at_ms = now_ms;
  }
  flags_.ack_now = true;
}

// --- second step: the RST bit, as RFC 5961 section 3.2 replaces it

bool Connection::check_reset(const wire::Segment& segment, const Environment& env) {
  if (!segment.rst) return true;
  // "2) If the RST bit is set and the sequence number exactly matches the next expected sequence number (RCV.NXT), then
  // TCP endpoints MUST reset the connection". "3) ... does not exactly match ... yet is within the current receive
  // window, TCP endpoints MUST send an acknowledgment (challenge ACK)."
  if (segment.seq != rcv_nxt_) {
    challenge(segment, env);
    return false;
  }
  switch (state_) {
    case State::SynReceived:
      // "If this connection was initiated with a passive OPEN, then return this connection to LISTEN state", which the
      // stack has kept all the time; an active one "was refused".
      end(EndReason::Refused, false);
      break;
    case State::TimeWait:
      end(EndReason::BothClosed, false);  // both FINs were sent and acknowledged: nothing is lost
      break;
    case State::Established:
    case State::FinWait1:
    case State::FinWait2:
    case State::CloseWait:
    case State::Closing:
    case State::LastAck: end(EndReason::PeerReset, false); break;
    case State::Closed:
    case State::Listen:
    case State::SynSent: ADIEU_ASSERT(false);
  }
  return false;
}

// --- fourth step: the SYN bit

bool Connection::check_syn(const wire::Segment& segment, const Environment& env) {
  // RFC 5961 section 4.2: "If the SYN bit is set, irrespective of the sequence number, TCP endpoints MUST send an ACK
  // (also referred to as challenge ACK) to the remote peer". SYN-RECEIVED is no synchronized state, yet treated alike:
  // a passive one that returned to LISTEN would let a stranger undo the handshake.
  if (segment.syn) challenge(segment, env);
  return !segment.syn;
}

// RFC 6191 section 2: when may a SYN end TIME-WAIT?
bool Connection::may_reopen(const wire::Segment& syn) const {
  if (flags_.timestamps && syn.timestamps) {
    const auto newer = static_cast<std::int32_t>(syn.timestamps->value - ts_recent_);
    return newer > 0 || (newer == 0 && syn.seq > rcv_nxt_);
  }
  // "the sequence number of the incoming SYN segment ... is larger than the last sequence number seen".
  return syn.seq > rcv_nxt_;
}

// --- fifth step: the ACK field

// nullopt: the segment's text is still to be processed.
std::optional<Disposition> Connection::check_ack(const wire::Segment& segment, const Environment& env) {
  // "if the ACK bit is off, drop the segment and return"
  if (!segment.ack_flag) return Disposition::Done;
  if (state_ == State::SynReceived) {
    // "If SND.UNA < SEG.ACK =< SND.NXT, then enter ESTABLISHED state and continue processing". "If the segment
    // acknowledgment is not acceptable, form a reset segment".
    if (segment.ack <= snd_una_ || segment.ack > snd_nxt_) return Disposition::Reset;
    heard();
    remember_timestamp(segment, env);
    established(segment, env);
    return std::nullopt;
  }
  // RFC 5961 section 5.2: "The ACK value is considered acceptable only if it is in the range of
  // ((SND.UNA - MAX.SND.WND) <= SEG.ACK <= SND.NXT). All incoming segments whose ACK value doesn't satisfy the above
  // condition MUST be discarded and an ACK sent back."
  if (segment.ack < snd_una_ - max_snd_wnd_ || segment.ack > snd_nxt_) {
    challenge(segment, env);
    return Disposition::Done;
  }
  heard();
  remember_timestamp(segment, env);
  process_ack(segment, env);
  return std::nullopt;
}

// RFC 7323 section 4.3 (2): "If SEG.TSval >= TS.Recent and SEG.SEQ <= Last.ACK.sent, then SEG.TSval is copied". After
// the ACK field has been checked: a stranger who guesses the one window could else make PAWS refuse the true peer.
void Connection::remember_timestamp(const wire::Segment& segment, const Environment& env) {
  if (!segment.timestamps || segment.seq > last_ack_sent_) return;
  ts_recent_ = segment.timestamps->value;
  ts_recent_at_s_ = static_cast<std::uint32_t>(env.now.ns / 1'000'000'000);
  flags_.ts_recent_valid = true;
}

void Connection::process_ack(const wire::Segment& segment, const Environment& env) {
  const bool window_changed = (std::uint32_t{segment.window} << send_scale_) != snd_wnd_;
  if (segment.ack > snd_una_) {
    update_window(segment, env);
    acknowledged(segment.ack, segment, env);
    return;
  }
  // RFC 5681 section 2: a duplicate acknowledgment has outstanding data before it, no data, no SYN or FIN, the
  // acknowledgment number of the greatest before, and the same window.
  const bool duplicate =
      segment.ack == snd_una_ && has_outstanding() && segment.payload.empty() && !segment.fin && !window_changed;
  if (duplicate && transfer_ && snd_wnd_ > 0) {
    if (transfer_->congestion.duplicate_ack(distance(snd_una_, snd_nxt_), snd_nxt_)) transfer_->retransmit_first = true;
  }
  update_window(segment, env);
}

void Connection::update_window(const wire::Segment& segment, const Environment& env) {
  // "If (SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK)), set SND.WND <- SEG.WND".
  if (segment.ack < snd_una_) return;
  // An acknowledgment that is new is no old segment, whatever its SEQ: one out of order may have raised SND.WL1
  // already.
  const bool is_new = segment.ack > snd_una_;
  if (!is_new && !(snd_wl1_ < segment.seq || (snd_wl1_ == segment.seq && snd_wl2_ <= segment.ack))) return;
  const std::uint32_t before = snd_wnd_;
  snd_wnd_ = std::uint32_t{segment.window} << send_scale_;
  max_snd_wnd_ = std::max(max_snd_wnd_, snd_wnd_);
  snd_wl1_ = segment.seq;
  snd_wl2_ = segment.ack;
  if (!transfer_ || before == snd_wnd_) return;
  if ((before == 0) != (snd_wnd_ == 0)) {
    transfer_->backoff = 0;
    transfer_->probe_window = false;
    // The octet that probed the closed window was refused and is sent again. What else may be in flight is the
    // retransmission timer's: a peer that opens and shuts its window must not make us repeat it all.
    if (before == 0 && distance(snd_una_, snd_nxt_) <= 1) transfer_->send_next = snd_una_;
    arm_timers(env, true);
  } else {
    arm_timers(env, false);
  }
}

void Connection::acknowledged(Seq ack, const wire::Segment& segment, const Environment& env) {
  Transfer& t = transfer();
  const std::uint32_t octets = distance(snd_una_, ack);
  const bool fin_acked = is_fin_unacked() && ack > fin_seq();
  if (t.timing && ack >= t.timed) {
    rtt_.sample(env.now - t.timed_sent);
    t.timing = false;
  } else if (t.backoff > 0 && flags_.timestamps && segment.timestamps && segment.timestamps->echo != 0) {
    // RFC 7323 section 4.1: the echoed timestamp says which transmission is meant, so that Karn's rule is not needed.
    const auto ms = static_cast<std::int32_t>(timestamp(env) - segment.timestamps->echo);
    if (ms >= 0) rtt_.sample(milliseconds(ms));
  }
  const std::size_t data = octets - (fin_acked ? 1 : 0);
  if (data > 0) {
    echo_octet_ = t.send.piece(data - 1, 1).front();
    flags_.has_echo = true;
    t.send.consume(data);
    changes_ |= kWritable;
  }
  snd_una_ = ack;
  t.send_next = later(t.send_next, snd_una_);
  t.backoff = 0;
  t.attempts = 0;
  t.oldest_unacked = has_outstanding() ? env.now : Instant::never();
  changes_ |= kProgressOut;
  if (t.congestion.acknowledged(octets, snd_una_, distance(snd_una_, snd_nxt_), t.cwnd_limited))
    t.retransmit_first = has_outstanding();
  if (fin_acked) fin_acknowledged(env);
  // RFC 6298 (5.3): "When an ACK is received that acknowledges new data, restart the retransmission timer".
  if (state_ != State::Closed) arm_timers(env, true);
}

void Connection::fin_acknowledged(const Environment& env) {
  switch (state_) {
    case State::FinWait1:
      // "if the FIN segment is now acknowledged, then enter FIN-WAIT-2 and continue processing in that state".
      enter(State::FinWait2);
      break;
    case State::Closing:
      // "if the ACK acknowledges our FIN, then enter the TIME-WAIT state".
      enter_time_wait(env);
      break;
    case State::LastAck:
      // "The only thing that can arrive in this state is an acknowledgment of our FIN. If our FIN is now acknowledged,
      // delete the TCB, enter the CLOSED state, and return."
      end(EndReason::BothClosed, false);
      break;
    case State::Closed:
    case State::Listen:
    case State::SynSent:
    case State::SynReceived:
    case State::Established:
    case State::FinWait2:
    case State::CloseWait:
    case State::TimeWait: ADIEU_ASSERT(false);
  }
}

// --- seventh step: the segment text

void Connection::process_text(const wire::Segment& segment, const Environment& env) {
  // ESTABLISHED, FIN-WAIT-1, FIN-WAIT-2; in the other states the peer's FIN has been taken: "This should not occur ...
  // Ignore the segment text."
  if (segment.payload.empty() || flags_.peer_fin || state_ == State::Closed) return;
  const Seq left = later(segment.seq, rcv_nxt_);
  const Seq right = earlier(segment.seq + static_cast<std::uint32_t>(segment.payload.size()), rcv_advertised_);
  if (left >= right) {
    flags_.ack_now = true;
    return;
  }
  if (flags_.closed) {
    // RFC 9293 section 3.6.1: "If such a host issues a CLOSE call while received data is still pending in the TCP
    // connection, or if new data is received after CLOSE is called, its TCP implementation SHOULD send a RST".
    end(EndReason::DataAfterClose, true);
    return;
  }
  accept_text(left, segment.payload.subspan(distance(segment.seq, left), distance(left, right)), env);
}

void Connection::accept_text(Seq seq, Bytes text, const Environment& env) {
  Transfer& t = transfer();
  const std::uint32_t gap = distance(rcv_nxt_, seq);
  // After SHUT_RD octets are counted and acknowledged but not kept, so that the window never closes on the peer.
  if (!flags_.receive_shut) t.receive.place(t.receive.size() + gap, text);
  if (gap > 0) {
    // "Segments ... out of order ... SHOULD be held for later processing" (SHLD-31), and RFC 5681 section 4.2: "A TCP
    // receiver SHOULD send an immediate duplicate ACK when an out-of-order segment arrives".
    flags_.ack_now = true;
    if (!t.out_of_order.insert(seq, seq + static_cast<std::uint32_t>(text.size()))) return;  // no room: it comes again
    return;
  }
  const bool had_hole = !t.out_of_order.empty();
  const Seq before = rcv_nxt_;
  rcv_nxt_ = t.out_of_order.advance(rcv_nxt_ + static_cast<std::uint32_t>(text.size()));
  if (!flags_.receive_shut) t.receive.extend(distance(before, rcv_nxt_));
  changes_ |= kProgressIn | kReadable;
  if (had_hole) flags_.ack_now = true;  // RFC 5681 section 4.2: a segment that fills a gap is acknowledged at once
  acknowledge_later(distance(last_ack_sent_, rcv_nxt_), env);
}

// RFC 9293 section 3.8.6.3: "an ACK SHOULD be generated for at least every second full-sized segment".
void Connection::acknowledge_later(std::uint32_t octets, const Environment& env) {
  if (octets >= 2U * effective_mss()) {
    flags_.ack_now = true;
  } else if (deadline(Timer::DelayedAck) == Instant::never()) {
    set_deadline(Timer::DelayedAck, env.now + env.settings.delayed_ack);
  }
}

// --- eighth step: the FIN bit

void Connection::process_fin(const wire::Segment& segment, const Environment& env) {
  // "Do not process the FIN if the state is CLOSED, LISTEN, or SYN-SENT since the SEG.SEQ cannot be validated".
  if (state_ == State::Closed) return;
  if (flags_.peer_fin) {
    // A second one, behind the end of the stream: "Remain in the ... state", and "send an acknowledgment for the FIN".
    if (segment.fin) flags_.ack_now = true;
    return;
  }
  if (segment.fin) {
    const Seq fin = segment.seq + static_cast<std::uint32_t>(segment.payload.size());
    if (fin == rcv_nxt_ && rcv_nxt_ < rcv_advertised_) return take_fin(env);
    if (fin > rcv_nxt_ && fin < rcv_advertised_) {
      transfer().fin_at = fin;
      flags_.ack_now = true;
    }
  }
  if (transfer_ && transfer_->fin_at && *transfer_->fin_at == rcv_nxt_) take_fin(env);
}

void Connection::take_fin(const Environment& env) {
  // "If the FIN bit is set, signal the user 'connection closing' and return any pending RECEIVEs with same message,
  // advance RCV.NXT over the FIN, and send an acknowledgment for the FIN."
  rcv_nxt_ += 1;
  flags_.peer_fin = true;
  flags_.ack_now = true;
  changes_ |= kProgressIn | kReadable;
  if (transfer_) {
    transfer_->fin_at.reset();
    transfer_->out_of_order = {};  // octets from behind the end of the stream are no octets of it
  }
  switch (state_) {
    case State::SynReceived:
    case State::Established: enter(State::CloseWait); break;
    case State::FinWait1:
      // "If our FIN has been ACKed (perhaps in this segment), then enter TIME-WAIT ...; otherwise, enter the CLOSING
      // state." Had it been, step five would have left FIN-WAIT-1.
      enter(State::Closing);
      break;
    case State::FinWait2: enter_time_wait(env); break;
    case State::Closed:
    case State::Listen:
    case State::SynSent:
    case State::CloseWait:
    case State::Closing:
    case State::LastAck:
    case State::TimeWait: ADIEU_ASSERT(false);
  }
}

void Connection::heard() {
  changes_ |= kHeard;
  flags_.passed_r1 = false;
  if (transfer_) transfer_->attempts = 0;
}

}  // namespace adieu::tcp
