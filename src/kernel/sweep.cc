// Identity: a cookie keeps its slot until the kernel has forgotten it. What does not live here: the facts (facts.cc).
#include "kernel/sweep.h"

#include "base/assert.h"
#include "kernel/facts.h"
#include "kernel/probe.h"

namespace adieu::kernel {
namespace {

// In one state, two readings of one timer are one, and what is heard again makes the state no younger.
void settle(const plane::Beside& before, plane::Beside& reading) {
  const Instant fires = before.fires;
  if (fires.is_known() && fires - kTick <= reading.fires && reading.fires <= fires + kTick) reading.fires = fires;
  const Instant by = before.in_state_by;
  if (by.is_known() && reading.in_state_by >= by - kTick) reading.in_state_by = by;
}

// What is in flight has a timer that is told instead of the keepalive's, which goes on behind it.
bool hides_keepalive(Timer timer) {
  return timer == Timer::Retransmit || timer == Timer::Persist || timer == Timer::Other;
}

}  // namespace

void Sweep::begin(Instant now) {
  now_ = now;
  ++sweep_;
  cursor_ = 0;
  counts_ = {};
  listeners_.clear();
  told_.clear();  // it sees them all
}

// What waits in an accept queue belongs to whoever has the listener open: the one at its address, else at any address
// of its family; at :: for IPv4 as well, where nobody listens at 0.0.0.0. Of several (SO_REUSEPORT, SO_BINDTODEVICE)
// nobody knows which.
Held Sweep::held_by(const Socket& socket, const plane::Record& record) {
  if (record.holder != plane::Holder::AcceptQueue) return holders_.of(socket.inode);
  const auto fit = [&](const Socket& listener) {
    const Endpoint& at = listener.key.local;
    if (listener.key.network != socket.key.network || at.port != socket.key.local.port) return 0;
    if (at.address == socket.key.local.address) return 3;
    if (!at.address.is_unspecified()) return 0;
    if (at.address.family() == socket.key.local.address.family()) return 2;
    return at.address.family() == Family::V6 ? 1 : 0;
  };
  int best = 0;
  std::uint32_t inode = 0;
  for (const Socket& listener : listeners_) {
    const int how_well = fit(listener);
    if (how_well == 0 || how_well < best) continue;
    inode = how_well > best ? listener.inode : 0;
    best = how_well;
  }
  return holders_.of(inode);
}

void Sweep::see(const Socket& socket, const plane::ControlView& control) {
  const auto known = slots_.find(socket.key.cookie);
  if (known == slots_.end()) return open(socket, control);
  const std::uint32_t slot = known->second;
  if (table_.local(slot) == socket.key.local && table_.remote(slot) == socket.key.remote) return meet(slot, socket);
  // connect() to AF_UNSPEC, and to somebody else then: the same socket, and another connection.
  end(slot, table_.last(slot).state, EndReason::Aborted, now_);
  open(socket, control);
}

void Sweep::open(const Socket& socket, const plane::ControlView& control) {
  const auto newcomer = newcomers_.find(socket.key.cookie);
  const Told told = newcomer != newcomers_.end() ? newcomer->second.told : Told{};
  if (newcomer != newcomers_.end()) newcomers_.erase(newcomer);
  const plane::Record record = record_of(socket, nullptr,
                                         {.now = now_,
                                          .is_new = previous_missed_none_,
                                          .can_craft = can_craft_,
                                          .entered_at = told.entered(socket.state),
                                          .end_of_stream_read = told.end_of_stream_read});
  const auto slot = table_.open(record, control);
  if (!slot) {
    ++counts_.refused;
    return;
  }
  if (*slot >= connections_.size()) connections_.resize(*slot + std::size_t{1});
  connections_[*slot] = {.cookie = socket.key.cookie,
                         .sweep = sweep_,
                         .interface = socket.key.interface,
                         .network = socket.key.network,
                         .segments_in = socket.segments_in,
                         .counts_segments = socket.is_whole};
  connections_[*slot].told.end_of_stream_read = told.end_of_stream_read;
  slots_.emplace(socket.key.cookie, *slot);
  table_.set_beside(*slot, beside_of(socket, record, held_by(socket, record), holders_));
  look_later(*slot);
  table_.event(plane::EventKind::Opened, *slot);
  ++counts_.opened;
  ++counts_.seen;
}

void Sweep::meet(std::uint32_t slot, const Socket& socket) {
  Connection& connection = connections_[slot];
  const plane::Record previous = table_.last(slot);
  const bool counts = socket.is_whole && connection.counts_segments;
  const bool is_quiet = counts && connection.segments_in == socket.segments_in;
  if (!is_quiet) {
    connection.retransmits = socket.retransmits;
    connection.probes = socket.probes;
  }
  plane::Record record = record_of(socket, &previous,
                                   {.now = now_,
                                    .is_new = false,
                                    .can_craft = can_craft_,
                                    .is_quiet = is_quiet,
                                    .has_heard = counts && !is_quiet,
                                    .entered_at = connection.told.entered(socket.state),
                                    .end_of_stream_read = connection.told.end_of_stream_read,
                                    .retransmits_answered = connection.retransmits,
                                    .probes_answered = connection.probes});
  if (now_ < connection.unaskable_until) record.can_probe = false;
  record.beside = beside_of(socket, record, held_by(socket, record), holders_);
  if (record.state == previous.state) settle(previous.beside, record.beside);
  if (previous.beside.keepalive && record.holder == plane::Holder::Held && hides_keepalive(socket.timer))
    record.beside.keepalive = true;
  // Its program has switched it off again: nobody fights it.
  if (previous.beside.keepalive && !record.beside.keepalive && record.holder == plane::Holder::Held)
    connection.refused_until = Instant::never();
  record.beside.keepalive_refused = now_ < connection.refused_until && !record.beside.keepalive;
  // A slot that says the same is left alone: its readers and the cache keep it as it is.
  if (record.beside != previous.beside) table_.set_beside(slot, record.beside);
  record.beside = previous.beside;
  if (record != previous) table_.publish(slot, record);
  if (record.state != previous.state) table_.event(plane::EventKind::StateChanged, slot);
  if (connection.sweep != sweep_) ++counts_.seen;
  connection.sweep = sweep_;
  connection.interface = socket.key.interface;
  connection.segments_in = socket.segments_in;
  connection.counts_segments = socket.is_whole;
  connection.told.at = Instant::unknown();
  connection.told.is_waiting = false;
  look_later(slot);
}

std::optional<SocketKey> Sweep::poll_missing() {
  while (cursor_ < connections_.size()) {
    const std::uint32_t slot = cursor_++;
    const Connection& connection = connections_[slot];
    if (connection.cookie == 0 || connection.sweep == sweep_) continue;
    return key_of(slot);
  }
  return std::nullopt;
}

SocketKey Sweep::key_of(std::uint32_t slot) const {
  const Connection& connection = connections_[slot];
  const plane::Record last = table_.last(slot);
  return {.cookie = connection.cookie,
          .local = last.local,
          .remote = last.remote,
          .interface = connection.interface,
          .network = connection.network};
}

void Sweep::vanished(std::uint64_t cookie) {
  const auto known = slots_.find(cookie);
  if (known == slots_.end()) return;  // its end has been told meanwhile
  ADIEU_ASSERT(connections_[known->second].sweep != sweep_);
  end(known->second, table_.last(known->second).state, reason_of_absence(known->second), now_);
  ++counts_.vanished;
}

void Sweep::asked(std::uint32_t slot, Instant now) {
  plane::Record record = table_.last(slot);
  std::uint16_t& count = record.probes[static_cast<std::size_t>(ProbeForm::Bare)];
  if (count == 0) record.probe_first = now;
  if (count < UINT16_MAX) ++count;
  record.probe_last = now;
  if (count >= kMostUnanswered && !can_craft_) record.can_probe = false;  // before the next sweep says so
  table_.publish(slot, record);
}

void Sweep::unaskable(std::uint32_t slot, Instant now) {
  connections_[slot].unaskable_until = now + minutes(1);
  plane::Record record = table_.last(slot);
  record.can_probe = false;
  table_.publish(slot, record);
}

// Before the next sweep says so.
void Sweep::keepalive_on(std::uint32_t slot) {
  plane::Beside beside = table_.last(slot).beside;
  beside.keepalive = true;
  beside.keepalive_refused = false;
  table_.set_beside(slot, beside);
  plane::Record record = table_.last(slot);
  record.can_probe = record.can_probe && can_craft_;
  table_.publish(slot, record);
}

void Sweep::keepalive_refused(std::uint32_t slot, Instant now) {
  connections_[slot].refused_until = now + hours(1);
  plane::Beside beside = table_.last(slot).beside;
  beside.keepalive_refused = true;
  table_.set_beside(slot, beside);
}

void Sweep::ended(std::uint32_t slot, std::uint64_t verdict, Instant now) {
  end(slot, table_.last(slot).state, EndReason::Commanded, now, verdict);
}

void Sweep::end(std::uint32_t slot, State state, EndReason reason, Instant at, std::uint64_t verdict) {
  plane::Record last = table_.last(slot);
  last.state = state;
  last.state_entered = at;  // CLOSED, in truth
  table_.end(slot, last, reason, verdict);
  slots_.erase(connections_[slot].cookie);
  connections_[slot] = {};
}

void Sweep::finish() {
  ADIEU_ASSERT(!poll_missing());
  newcomers_.clear();  // the sweep has met them, or they are gone
  // What had no slot is not new when it gets one.
  previous_missed_none_ = counts_.refused == 0;
}

}  // namespace adieu::kernel
