// What an application asks, and how connections begin and end.
//
// What lives here: OPEN, SEND, RECEIVE, CLOSE and ABORT of RFC 9293 section 3.10 in the shapes of the socket interface,
// where CLOSE is two things: shutdown_send() (the RFC's CLOSE) and close() (the application lets go of both
// directions).
#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "tcp/connection.h"

namespace adieu::tcp {

namespace {
// RFC 7323 section 2.3: the smallest shift with which the whole receive buffer can be advertised.
std::uint8_t scale_for(std::uint32_t receive_buffer) {
  std::uint8_t scale = 0;
  while (scale < 14 && (receive_buffer >> scale) > 65535) ++scale;
  return scale;
}
}  // namespace

Connection::Connection(const OpenParameters& parameters, const Environment& env)
    : snd_una_(parameters.iss),
      snd_nxt_(parameters.iss),
      timestamp_offset_(parameters.timestamp_offset),
      options_(parameters.options),
      mss_(parameters.default_mss),
      local_mss_(parameters.local_mss) {
  receive_scale_ = scale_for(options_.receive_buffer);
  transfer();
  enter(State::SynSent);
  arm_timers(env, true);
}

Connection::Connection(const OpenParameters& parameters, const wire::Segment& syn, const Environment& env)
    : Connection(parameters, env) {
  // RFC 9293 section 3.10.7.2, third step: "RCV.NXT is set to SEG.SEQ+1, IRS is set to SEG.SEQ, and any other control
  // or text should be queued for processing later" (it is not: the peer sends it again).
  flags_.passive = true;
  rcv_nxt_ = syn.seq + 1;
  rcv_advertised_ = rcv_nxt_ + std::min<std::uint32_t>(options_.receive_buffer, 65535);
  last_ack_sent_ = rcv_nxt_;
  snd_wl1_ = syn.seq;
  snd_wnd_ = syn.window;
  take_syn_options(syn, env);
  enter(State::SynReceived);
  heard();
}

Transfer& Connection::transfer() {
  if (!transfer_) transfer_ = std::make_unique<Transfer>(effective_mss(), snd_nxt_);
  return *transfer_;
}

bool Connection::is_quiet() const {
  if (!transfer_) return true;
  const Transfer& t = *transfer_;
  const bool any_deadline = t.deadlines != std::array{Instant::never(), Instant::never(), Instant::never()};
  return !is_syn_unacked() && !has_outstanding() && t.send.empty() && t.receive.empty() && t.out_of_order.empty() &&
         !t.fin_at && !flags_.ack_now && !is_fin_unacked() && !any_deadline && !flags_.probe_echo && !flags_.probe_bare;
}

void Connection::release_transfer() {
  ADIEU_ASSERT(is_quiet());
  transfer_.reset();
}

std::uint32_t Connection::timestamp(const Environment& env) const {
  return static_cast<std::uint32_t>(env.now.ns / 1'000'000) + timestamp_offset_;
}

// RFC 6691: the MSS option counts no options; each segment's payload gives way for those it carries.
std::uint16_t Connection::effective_mss() const {
  const std::uint16_t mss = std::min(mss_, local_mss_);
  return static_cast<std::uint16_t>(mss - (flags_.timestamps ? 12 : 0));
}

std::size_t Connection::send_room() const {
  return options_.send_buffer > unsent() ? options_.send_buffer - unsent() : 0;
}

void Connection::set_buffers(std::uint32_t send, std::uint32_t receive) {
  options_.send_buffer = std::clamp(send, 1024U, 1U << 30);
  // The scale is agreed in the handshake: a larger buffer than it can tell would be memory for nothing, a smaller one
  // than two of its units could never be told.
  options_.receive_buffer =
      std::clamp(receive, std::max(1024U, 2U << receive_scale_), std::uint32_t{65535} << receive_scale_);
}

bool Connection::is_peer_window_closed() const {
  return is_synchronized(state_) && snd_wnd_ == 0 && (unsent() > 0 || is_fin_unacked());
}

std::expected<std::size_t, CallError> Connection::send(Bytes bytes, const Environment& env) {
  if (reason_ == EndReason::Refused) return std::unexpected(CallError::Refused);
  if (reason_ != EndReason::None && reason_ != EndReason::BothClosed) return std::unexpected(CallError::Reset);
  if (flags_.fin_queued || state_ == State::Closed) return std::unexpected(CallError::SendingClosed);
  const std::size_t taken = std::min(bytes.size(), send_room());
  if (taken == 0 && !bytes.empty()) return std::unexpected(CallError::WouldBlock);
  if (taken > 0) {
    transfer().send.append(bytes.first(taken));
    arm_timers(env, false);
  }
  return taken;
}

std::expected<std::size_t, CallError> Connection::receive(MutableBytes out, bool peek, const Environment& env) {
  (void)env;
  const std::size_t copied = transfer_ ? transfer_->receive.peek(out) : 0;
  if (copied > 0) {
    if (peek) return copied;
    transfer_->receive.consume(copied);
    // A window that opens by much is told at once; by little, with the next segment (section 3.8.6.2.2).
    const std::uint32_t promised = distance(rcv_nxt_, rcv_advertised_);
    const std::uint32_t worth_a_segment = std::min<std::uint32_t>(options_.receive_buffer / 2, 2U * effective_mss());
    const bool peer_may_send = is_synchronized(state_) && !flags_.peer_fin;
    if (peer_may_send && receive_window() >= promised + worth_a_segment && promised < options_.receive_buffer / 2) {
      flags_.ack_now = true;
    }
    return copied;
  }
  if (out.empty() && unread() > 0) return 0;
  if (flags_.peer_fin || flags_.receive_shut) {
    if (!peek && flags_.peer_fin) flags_.end_of_stream_read = true;
    return 0;
  }
  if (state_ != State::Closed) return std::unexpected(CallError::WouldBlock);
  if (reason_ == EndReason::Refused) return std::unexpected(CallError::Refused);
  return std::unexpected(reason_ == EndReason::BothClosed ? CallError::NotConnected : CallError::Reset);
}

std::expected<void, CallError> Connection::shutdown_send(const Environment& env) {
  if (state_ == State::Closed || state_ == State::SynSent) return std::unexpected(CallError::NotConnected);
  if (flags_.fin_queued) return {};
  flags_.fin_queued = true;
  changes_ |= kWritable;
  // RFC 9293 section 3.10.4. ESTABLISHED: "Queue this until all preceding SENDs have been segmentized, then form a FIN
  // segment and send it. In any case, enter FIN-WAIT-1 state." CLOSE-WAIT: the same, "enter LAST-ACK state".
  // SYN-RECEIVED: "queue for processing after entering ESTABLISHED state" (established()).
  if (state_ == State::Established) enter(State::FinWait1);
  if (state_ == State::CloseWait) enter(State::LastAck);
  transfer();
  arm_timers(env, false);
  return {};
}

std::expected<void, CallError> Connection::shutdown_receive(const Environment& env) {
  (void)env;
  if (state_ == State::Closed || state_ == State::SynSent) return std::unexpected(CallError::NotConnected);
  // What was read in order stays readable; what waits behind a hole was never given to the application, and is
  // discarded when the hole is filled (accept_text).
  flags_.receive_shut = true;
  changes_ |= kReadable;
  // Octets that nobody had read may have closed the window; it is open now, and the peer is told.
  if (is_synchronized(state_) && !flags_.peer_fin && rcv_nxt_ == rcv_advertised_) flags_.ack_now = true;
  return {};
}

void Connection::close(const Environment& env) {
  if (flags_.closed) return;
  flags_.closed = true;
  if (state_ == State::Closed) return;
  if (state_ == State::SynSent) {
    // Section 3.10.4, SYN-SENT: "Delete the TCB".
    end(EndReason::Aborted, false);
    return;
  }
  // RFC 1122 section 4.2.2.13: "If such a host issues a CLOSE call while received data is still pending in TCP, or if
  // new data is received after CLOSE is called, its TCP SHOULD send a RST to show that data was lost."
  if (unread() > 0 && state_ != State::TimeWait) {
    end(EndReason::DataAfterClose, true);
    return;
  }
  // In TIME-WAIT both ends have closed, and the quarantine stays: nobody is told, and nobody will read.
  if (state_ == State::TimeWait) transfer_.reset();
  (void)shutdown_send(env);  // fails only where there is nothing to shut
}

void Connection::abort(EndReason reason, bool silent, const Environment& env) {
  (void)env;
  if (state_ == State::Closed) return;
  // Section 3.10.5: SYN-RECEIVED to CLOSE-WAIT "Send a reset segment"; CLOSING, LAST-ACK, TIME-WAIT: "delete the TCB".
  // The peer of CLOSING and LAST-ACK may not have our FIN yet, and would wait for it: it is told as well. In TIME-WAIT
  // both ends have closed, and in SYN-SENT there is nothing at the other end to reset.
  end(reason, !silent && state_ != State::SynSent && state_ != State::TimeWait);
}

bool Connection::can_probe(ProbeForm form) const {
  if (!is_synchronized(state_) || state_ == State::TimeWait) return false;
  // RFC 9293 section 3.8.4, MUST-26: keep-alives only "when no sent data is outstanding".
  const bool pending = has_outstanding() || unsent() > 0 || is_fin_unacked();
  switch (form) {
    case ProbeForm::DataEcho: return !pending && flags_.has_echo;
    case ProbeForm::Bare: return !pending;
    case ProbeForm::Pending: return pending && (has_outstanding() || snd_wnd_ == 0);
  }
  return false;
}

bool Connection::probe(ProbeForm form, const Environment& env) {
  (void)env;
  if (!can_probe(form)) return false;
  switch (form) {
    case ProbeForm::DataEcho: flags_.probe_echo = true; break;
    case ProbeForm::Bare: flags_.probe_bare = true; break;
    case ProbeForm::Pending:
      if (snd_wnd_ == 0) {
        transfer().probe_window = true;
      } else {
        transfer().retransmit_first = true;
      }
      break;
  }
  return true;
}

void Connection::packet_too_big(std::uint16_t mss, const Environment& env) {
  if (mss >= mss_) return;
  mss_ = mss;
  if (!transfer_) return;
  transfer_->congestion.set_smss(effective_mss());
  // RFC 8201 section 5.4: what was too big is sent again, smaller, at once.
  transfer_->send_next = snd_una_;
  transfer_->timing = false;
  arm_timers(env, false);
}

void Connection::enter(State state) {
  state_ = state;
  changes_ |= kStateChanged;
}

void Connection::enter_time_wait(const Environment& env) {
  enter(State::TimeWait);
  // "Start the time-wait timer, turn off the other timers."
  if (transfer_) transfer_->deadlines.fill(Instant::never());
  set_deadline(Timer::TimeWait, env.now + env.settings.time_wait);
}

void Connection::end(EndReason reason, bool reset) {
  ADIEU_ASSERT(reason_ == EndReason::None);
  enter(State::Closed);
  reason_ = reason;
  flags_.reset_due = reset;
  changes_ |= kReadable | kWritable;
  time_wait_until_ = Instant::never();
  if (!transfer_) return;
  // What arrived in order can still be read; nothing more is sent.
  ByteRing unread_octets = std::move(transfer_->receive);
  transfer_.reset();
  if (unread_octets.empty()) return;
  transfer().receive = std::move(unread_octets);
}

std::uint8_t Connection::take_changes() {
  const std::uint8_t changes = changes_;
  changes_ = 0;
  return changes;
}

std::size_t Connection::heap_bytes() const {
  return transfer_ ? sizeof(Transfer) + transfer_->send.bytes() + transfer_->receive.bytes() : 0;
}

void Connection::check_invariants() const {
  ADIEU_ASSERT((state_ == State::Closed) == (reason_ != EndReason::None));
  ADIEU_ASSERT(snd_una_ <= snd_nxt_);
  ADIEU_ASSERT(rcv_nxt_ <= rcv_advertised_ || flags_.peer_fin || state_ == State::SynSent);
  ADIEU_ASSERT((state_ == State::TimeWait) == (time_wait_until_ != Instant::never()));
  ADIEU_ASSERT(state_ == State::Closed || flags_.peer_fin == is_receiving_closed(state_));
  ADIEU_ASSERT(state_ == State::Closed || state_ == State::SynReceived ||
               flags_.fin_queued == is_sending_closed(state_));
  if (is_fin_acked()) ADIEU_ASSERT(!has_outstanding() && unsent() == 0);
  if (state_ == State::Closed || !transfer_) {
    if (state_ != State::Closed) ADIEU_ASSERT(!has_outstanding() && !is_syn_unacked());
    return;
  }
  const Transfer& t = *transfer_;
  ADIEU_ASSERT(snd_una_ <= t.send_next && t.send_next <= snd_nxt_);
  ADIEU_ASSERT(snd_nxt_ <= fin_seq() + 1);
  ADIEU_ASSERT((t.oldest_unacked != Instant::never()) == has_outstanding());
  // Whatever is owed to the peer or by the peer has a timer: nothing waits for luck.
  const bool clocked = deadline(Timer::Retransmit) != Instant::never() || deadline(Timer::Persist) != Instant::never();
  ADIEU_ASSERT(!has_outstanding() || clocked || (state_ == State::SynReceived && flags_.passive));
  ADIEU_ASSERT(deadline(Timer::Retransmit) == Instant::never() || deadline(Timer::Persist) == Instant::never());
  t.out_of_order.check_invariants(rcv_nxt_);
}

}  // namespace adieu::tcp
