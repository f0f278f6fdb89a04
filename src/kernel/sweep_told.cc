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

// From these two an orderly end leaves a minisock behind: TIME-WAIT, or FIN-WAIT-2 of an orphan.
bool may_leave_minisock(const BpfEvent& event, bool was_reset) {
  return !was_reset && event.error == 0 && (event.old_state == State::FinWait2 || event.old_state == State::Closing);
}

// An application that accepts does so within moments; who waits longer than the second is for the sweeps.
constexpr Duration kAcceptSoon = milliseconds(200);
constexpr Duration kAcceptPatience = seconds(30);

bool is_connecting(State state) { return state == State::SynSent || state == State::SynReceived; }

// Why a socket closed that leaves nothing behind.
EndReason reason_of(const BpfEvent& closed, bool was_reset) {
  const State from = closed.old_state;
  if (was_reset) return is_connecting(from) ? EndReason::Refused : EndReason::PeerReset;
  switch (closed.error) {
    case 0: break;
    case ECONNRESET:
    case EPIPE: return EndReason::PeerReset;  // where the kernel does not tell of resets by themselves
    case ECONNREFUSED: return EndReason::Refused;
    case ECONNABORTED:
      return EndReason::Aborted;  // SOCK_DESTROY, and not by a command of ours
    // ETIMEDOUT, or the ICMP error heard last while nobody answered.
    default: return EndReason::OwnTimer;
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
    case BpfEventKind::Retransmitted:  // a sweep counts them
    case BpfEventKind::Destroyed: return;
  }
  if (event.new_state == State::Closed && !may_leave_minisock(event, told.was_reset))
    return end(known->second, event.old_state, reason_of(event, told.was_reset), event.when);
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
  const Told& told = connections_[known->second].told;
  // Else it has closed since it was told of, and the kernel tells that too.
  if (has_run_out(known->second) || (told.at.is_known() && told.state == State::Closed))
    end(known->second, table_.last(known->second).state, reason_of_absence(known->second),
        told.at.is_known() ? told.at : now_);
}

// What nobody tells: that a minisock's timer ended it, and that an application called accept().
void Sweep::look_later(std::uint32_t slot) {
  const plane::Record record = table_.last(slot);
  Instant at = Instant::unknown();
  if (record.beside.timer == plane::OwnTimer::Quarantine) {
    at = record.beside.fires + kTick;
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
  const Told& told = connections_[slot].told;
  if (last.state == State::TimeWait) return EndReason::BothClosed;
  if (last.state == State::Closing && told.at.is_known() && told.state == State::Closed) return EndReason::BothClosed;
  const bool is_orphan = last.state == State::FinWait2 && last.holder == plane::Holder::Orphan;
  // Its minisock makes no difference between a FIN that came at the last moment and none.
  if (is_orphan && has_run_out(slot)) return EndReason::OwnTimer;
  return EndReason::Vanished;
}

}  // namespace adieu::kernel
