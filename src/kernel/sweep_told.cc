// What the kernel tells between two sweeps, and why a connection has ended. What does not live here: the sweeps
// (sweep.cc), the ring that the kernel tells it in (bpf_events.h).
//
// A change of state is looked at once more: only the socket itself says who has it open now and what is unread. An end
// is not: nothing is left to look at.
#include <cerrno>
#include <optional>

#include "kernel/facts.h"
#include "kernel/sweep.h"

namespace adieu::kernel {
namespace {

// From these two an orderly end leaves a minisock behind: TIME-WAIT, or FIN-WAIT-2 of an orphan. An error may be an old
// one that nobody has asked for (IP_RECVERR).
bool may_leave_minisock(const BpfEvent& event, bool was_reset) {
  const bool is_abrupt = was_reset || event.error == ETIMEDOUT || event.error == ECONNABORTED;
  return !is_abrupt && (event.old_state == State::FinWait2 || event.old_state == State::Closing);
}

// An application that accepts does so within moments; who waits longer than the second is for the sweeps.
constexpr Duration kAcceptSoon = milliseconds(200);
constexpr Duration kAcceptPatience = seconds(30);
// The kernel's timers of a minute fire up to some seconds late.
constexpr Duration kTimerSlack = seconds(1);

bool is_connecting(State state) { return state == State::SynSent || state == State::SynReceived; }

// Whom the kernel resets because data came that nobody can read any more, it tells as it tells a reset that came in.
bool may_be_data_after_close(const plane::Record& last, const BpfEvent& closed, bool is_fresh) {
  if (closed.old_state != State::FinWait1 && closed.old_state != State::FinWait2) return false;
  return !is_fresh || last.holder != plane::Holder::Held || last.receive_shut;
}

// Why a socket closed that leaves nothing behind. `last`: what was known of it, `is_fresh`: and nothing told since.
EndReason reason_of(const plane::Record& last, const BpfEvent& closed, bool was_reset, bool is_fresh) {
  const State from = closed.old_state;
  if (was_reset && may_be_data_after_close(last, closed, is_fresh)) return EndReason::Vanished;
  if (was_reset) return is_connecting(from) ? EndReason::Refused : EndReason::PeerReset;
  switch (closed.error) {
    case 0: break;
    case ETIMEDOUT: return EndReason::OwnTimer;
    case ECONNABORTED: return EndReason::Aborted;  // SOCK_DESTROY, and not by a command of ours
    case ECONNRESET:
    case EPIPE: return EndReason::PeerReset;  // where the kernel does not tell of resets by themselves
    default:
      // Hard ICMP errors end a handshake. Later an error may be old; that it ended LAST-ACK is not certain.
      if (is_connecting(from)) return EndReason::Refused;
      return from == State::LastAck ? EndReason::Vanished : EndReason::OwnTimer;
  }
  switch (from) {
    case State::LastAck: return EndReason::BothClosed;
    // close() with octets unread, SO_LINGER of 0, connect() to AF_UNSPEC, or a connect that was given up.
    case State::SynSent:
    case State::SynReceived:
    case State::Established:
    case State::CloseWait: return EndReason::Aborted;
    // Data that came for an orphan, a shortage of memory or an abort: the kernel does not say which.
    case State::FinWait1:
    case State::FinWait2:
    case State::Closing:
    case State::TimeWait:
    case State::Listen:
    case State::Closed: break;
  }
  return EndReason::Vanished;
}

}  // namespace

Instant Sweep::Told::entered(State seen) const {
  const bool is_minisock = state == State::Closed && seen == State::TimeWait;
  return state == seen || is_minisock ? at : Instant::unknown();
}

void Sweep::ask_about(std::uint64_t cookie, Told& told) {
  if (!told.is_waiting) told_.push_back(cookie);
  told.is_waiting = true;
}

void Sweep::tell(const BpfEvent& event) {
  const auto known = slots_.find(event.cookie);
  if (known == slots_.end()) return tell_of_newcomer(event);
  Told& told = connections_[known->second].told;
  switch (event.kind) {
    case BpfEventKind::ResetReceived: told.was_reset = true; return;
    case BpfEventKind::EndOfStreamRead: told.end_of_stream_read = true; return ask_about(event.cookie, told);
    case BpfEventKind::StateChanged: break;
  }
  if (event.new_state == State::Closed && !may_leave_minisock(event, told.was_reset)) {
    const bool is_fresh = !told.at.is_known();
    const EndReason reason = reason_of(table_.last(known->second), event, told.was_reset, is_fresh);
    return end(known->second, event.old_state, reason, event.when);
  }
  told.from = event.old_state;
  told.state = event.new_state;
  told.at = event.when;
  ask_about(event.cookie, told);
}

// One that comes and goes between two calls of poll_told() is not in the table at all.
void Sweep::tell_of_newcomer(const BpfEvent& event) {
  if (event.kind == BpfEventKind::EndOfStreamRead)
    if (const auto newcomer = newcomers_.find(event.cookie); newcomer != newcomers_.end())
      newcomer->second.told.end_of_stream_read = true;
  if (event.kind != BpfEventKind::StateChanged) return;
  if (event.new_state == State::Closed) {
    newcomers_.erase(event.cookie);
    return;
  }
  // In SYN-SENT it has no local port yet, and cannot be asked for by name.
  if (event.local.port == 0 || newcomers_.size() >= kMostNewcomers) return;
  Newcomer& newcomer = newcomers_[event.cookie];
  newcomer.key = {
      .cookie = event.cookie, .local = event.local, .remote = event.remote, .interface = 0, .network = event.network};
  newcomer.told.state = event.new_state;
  newcomer.told.at = event.when;
  ask_about(event.cookie, newcomer.told);
}

std::optional<SocketKey> Sweep::poll_told() {
  while (!told_.empty()) {
    const std::uint64_t cookie = told_.front();
    told_.pop_front();
    if (const auto known = slots_.find(cookie); known != slots_.end()) {
      connections_[known->second].told.is_waiting = false;
      return key_of(known->second);
    }
    if (const auto newcomer = newcomers_.find(cookie); newcomer != newcomers_.end()) return newcomer->second.key;
  }
  return std::nullopt;
}

void Sweep::absent(std::uint64_t cookie) {
  newcomers_.erase(cookie);
  const auto known = slots_.find(cookie);
  if (known == slots_.end()) return;
  const std::uint32_t slot = known->second;
  const Told& told = connections_[slot].told;
  // Else it has closed since it was told of, and the kernel tells that too.
  const bool is_closed = told.at.is_known() && told.state == State::Closed;
  if (is_closed) return end(slot, told.from, reason_of_absence(slot), told.at);
  if (has_run_out(slot)) end(slot, table_.last(slot).state, reason_of_absence(slot), now_);
}

// What nobody tells: that a minisock's timer ended it, and that an application called accept().
void Sweep::look_later(std::uint32_t slot) {
  const plane::Record record = table_.last(slot);
  Instant at = Instant::unknown();
  if (record.beside.timer == plane::OwnTimer::Quarantine) {
    at = record.beside.fires + kTick;
    if (at <= now_) at = now_ + kTimerSlack;
  } else if (record.holder == plane::Holder::AcceptQueue && record.state_entered.is_known()) {
    const Duration waits = now_ - record.state_entered;
    if (waits < kAcceptPatience) at = now_ + later(waits, kAcceptSoon);
  }
  Connection& connection = connections_[slot];
  if (at.is_known() && at != connection.look_at) due_.push({at, connection.cookie});
  connection.look_at = at;
}

bool Sweep::has_run_out(std::uint32_t slot) const {
  const plane::Beside beside = table_.last(slot).beside;
  return beside.timer == plane::OwnTimer::Quarantine && beside.fires.is_known() && beside.fires <= now_ + kTick;
}

std::optional<SocketKey> Sweep::poll_due() {
  while (!due_.empty() && due_.top().at <= now_) {
    const Due due = due_.top();
    due_.pop();
    const auto known = slots_.find(due.cookie);
    // What was put off or brought forward has an entry of its own.
    if (known != slots_.end() && connections_[known->second].look_at == due.at) return key_of(known->second);
  }
  return std::nullopt;
}

// Where nothing was told of its end: what a connection that stood like this can only have come to.
EndReason Sweep::reason_of_absence(std::uint32_t slot) const {
  const plane::Record last = table_.last(slot);
  if (last.state == State::TimeWait) return EndReason::BothClosed;
  const bool is_orphan = last.state == State::FinWait2 && last.holder == plane::Holder::Orphan;
  // Its minisock makes no difference between a FIN that came at the last moment and none.
  if (is_orphan && has_run_out(slot)) return EndReason::OwnTimer;
  return EndReason::Vanished;
}

}  // namespace adieu::kernel
