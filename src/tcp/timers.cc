// Deadlines: what is due, and when something will be.
//
// What lives here: the four timers of transfer.h. None of them ends a connection but TimeWait, and none could:
// reaching R1 is a fact for the control plane, and R2 (RFC 9293 section 3.8.3) is infinite, as MUST-21 allows.
#include <algorithm>

#include "base/assert.h"
#include "tcp/connection.h"

namespace adieu::tcp {

namespace {
// A backed-off interval: doubled `times` times, at most `most`.
Duration backed_off(Duration interval, unsigned times, Duration most) {
  for (unsigned i = 0; i < times && interval < most; ++i) interval = interval * 2;
  return earlier(interval, most);
}
constexpr std::size_t slot(Timer timer) { return static_cast<std::size_t>(timer); }
}  // namespace

Instant Connection::deadline(Timer timer) const {
  if (timer == Timer::TimeWait) return time_wait_until_;
  return transfer_ ? transfer_->deadlines[slot(timer)] : Instant::never();
}

Instant Connection::next_deadline() const {
  Instant next = time_wait_until_;
  if (transfer_)
    for (const Instant at : transfer_->deadlines) next = earlier(next, at);
  return next;
}

void Connection::set_deadline(Timer timer, Instant at) {
  if (timer == Timer::TimeWait) {
    time_wait_until_ = at;
  } else if (transfer_ || at != Instant::never()) {
    transfer().deadlines[slot(timer)] = at;
  }
}

void Connection::expire(const Environment& env) {
  if (deadline(Timer::DelayedAck) <= env.now) {
    set_deadline(Timer::DelayedAck, Instant::never());
    flags_.ack_now = true;
  }
  if (deadline(Timer::Retransmit) <= env.now) retransmission_timeout(env);
  if (deadline(Timer::Persist) <= env.now) persist(env);
  // RFC 9293 section 3.10.8, time-wait timeout: "If the time-wait timeout expires on a connection, delete the TCB,
  // enter the CLOSED state, and return."
  if (deadline(Timer::TimeWait) <= env.now) end(EndReason::BothClosed, false);
}

// RFC 6298 section 5, (5.4) to (5.6).
void Connection::retransmission_timeout(const Environment& env) {
  Transfer& t = *transfer_;
  // RFC 5681 section 3.1: ssthresh is lowered when a segment is lost, not again each time it is sent once more.
  // A lost SYN says nothing about a window that was never used.
  if (t.backoff == 0 && !is_syn_unacked()) t.congestion.retransmission_timeout(distance(snd_una_, snd_nxt_), snd_nxt_);
  ++t.backoff;
  t.timing = false;
  t.retransmit_first = false;
  t.send_next = snd_una_;
  set_deadline(Timer::Retransmit, Instant::never());
  arm_timers(env, true);
}

void Connection::persist(const Environment& env) {
  Transfer& t = *transfer_;
  ++t.backoff;
  t.probe_window = true;
  arm_timers(env, true);
}

void Connection::arm_timers(const Environment& env, bool restart) {
  if (!transfer_) return;
  Transfer& t = *transfer_;
  const bool pending = has_outstanding() || unsent() > 0 || is_fin_unacked();
  // Nobody here waits for a passive handshake to end, and its SYN may have been forged: after some SYN,ACKs it waits in
  // silence, for the peer's next word or for a newer SYN that needs its place (stack/passive_open.cc).
  const bool unasked = state_ == State::SynReceived && flags_.passive && t.backoff > env.settings.syn_ack_retries;
  const bool retransmit = pending && has_outstanding() && (is_syn_unacked() || snd_wnd_ > 0) && !unasked;
  const bool persist = pending && !retransmit && !is_syn_unacked();
  const auto arm = [&](Timer timer, bool wanted, Duration most) {
    if (!wanted) {
      set_deadline(timer, Instant::never());
    } else if (restart || deadline(timer) == Instant::never()) {
      set_deadline(timer, env.now + backed_off(rtt_.rto(env.settings), t.backoff, most));
    }
  };
  arm(Timer::Retransmit, retransmit, env.settings.rto_max);
  arm(Timer::Persist, persist, env.settings.persist_max);
}

void Connection::count_attempt(const Environment& env) {
  Transfer& t = *transfer_;
  if (t.attempts < UINT32_MAX) ++t.attempts;
  // Section 3.8.3: "When the number of transmissions of the same segment reaches or exceeds threshold R1, pass negative
  // advice": here, to the control plane.
  if (t.attempts > env.settings.r1 && !flags_.passed_r1) {
    flags_.passed_r1 = true;
    changes_ |= kPassedR1;
  }
}

}  // namespace adieu::tcp
