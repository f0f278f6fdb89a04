// After anything has happened to a connection: its facts go to the table, its deadline to the wheel, its segments and
// its application to their queues; and when it has ended, it leaves.
#include <algorithm>

#include "stack/engine_impl.h"

namespace adieu::stack {

void Engine::Impl::settle(std::uint32_t slot, Instant now) {
  Cell& cell = cells[slot];
  tcp::Connection& connection = cell.connection;
  const std::uint8_t changes = connection.take_changes();
  plane::Record record = table.last(slot);
  if (cell.embryonic && connection.state() != State::SynReceived) {
    cell.embryonic = false;
    --embryonic_count;
    const auto listener = listeners.find(cell.listener);
    if (connection.state() != State::Closed && listener != listeners.end()) {
      listener->second.queue.push_back(socket_of(slot));
      wake_listener(cell.listener);
    }
  }
  if (connection.state() != State::SynSent && connection.state() != State::SynReceived) connect_limits.erase(slot);
  fill(record, slot, changes, now);
  if (connection.state() == State::Closed) return finish(slot, record);
  table.publish(slot, record);
  if ((changes & tcp::kStateChanged) != 0) table.event(plane::EventKind::StateChanged, slot);
  if ((changes & tcp::kPassedR1) != 0) table.event(plane::EventKind::PassedR1, slot);
  if ((changes & (tcp::kStateChanged | tcp::kReadable | tcp::kWritable)) != 0) wake(slot);
  arm(slot);
  queue_output(slot);
  note_quiet(slot, now);
}

void Engine::Impl::fill(plane::Record& record, std::uint32_t slot, std::uint8_t changes, Instant now) {
  const Cell& cell = cells[slot];
  const tcp::Connection& connection = cell.connection;
  if ((changes & tcp::kHeard) != 0) {
    const bool answers_probe = record.probe_first.is_known();
    record.last_heard = now;
    ++record.heard;
    std::ranges::fill(record.probes, std::uint16_t{0});
    record.probe_first = record.probe_last = Instant::unknown();
    record.soft_error = false;
    if (answers_probe) table.event(plane::EventKind::Heard, slot);
  }
  if ((changes & tcp::kProgressIn) != 0) record.progress_in = now;
  if ((changes & tcp::kProgressOut) != 0) record.progress_out = now;
  if ((changes & tcp::kStateChanged) != 0) record.state_entered = now;
  record.state = connection.state();
  record.holder = connection.is_orphan() ? plane::Holder::Orphan
                  : cell.accepted        ? plane::Holder::Held
                                         : plane::Holder::AcceptQueue;
  record.end_of_stream_read = connection.is_end_of_stream_read() ? plane::Known::Yes : plane::Known::No;
  record.receive_shut = connection.is_receive_shut();
  record.send_shut = connection.is_send_shut();
  record.peer_window_closed = connection.is_peer_window_closed();
  record.can_echo = connection.can_probe(ProbeForm::DataEcho);
  record.can_probe = connection.can_probe(ProbeForm::Bare);
  record.passed_r1 = connection.has_passed_r1();
  record.oldest_unacked = connection.oldest_unacked();
  record.attempts = connection.attempts();
  record.unread = connection.unread();
  record.unsent = connection.unsent();
}

void Engine::Impl::finish(std::uint32_t slot, const plane::Record& record) {
  Cell& cell = cells[slot];
  const Socket socket = socket_of(slot);
  const Tuple tuple{record.local, record.remote};
  if (const auto reset = cell.connection.final_reset()) queue_reply(tuple, *reset);
  if (cell.timer != TimingWheel::kNone) wheel.cancel(cell.timer);
  connect_limits.erase(slot);
  demux.erase(slot);
  --live;
  const EndReason reason = cell.connection.reason();
  table.end(slot, record, reason, reason == EndReason::Commanded ? ending_verdict : 0);

  const auto listener = listeners.find(cell.listener);
  const bool queued = !cell.accepted && listener != listeners.end() &&
                      std::ranges::find(listener->second.queue, socket) != listener->second.queue.end();
  if ((cell.accepted && !cell.connection.is_orphan()) || queued) {
    Remains left{std::move(cell.connection), tuple, ending_error};
    if (!left.error) {
      switch (reason) {
        case EndReason::Refused: left.error = Error::Refused; break;
        case EndReason::PeerReset:
        case EndReason::DataAfterClose: left.error = Error::Reset; break;
        case EndReason::Aborted:
        case EndReason::Commanded: left.error = Error::Aborted; break;
        case EndReason::None:
        case EndReason::BothClosed:
        case EndReason::PlaneFailed:
        case EndReason::Vanished:
        case EndReason::OwnTimer: break;
      }
    }
    if (cell.accepted) wakes.push_back({socket, {}});
    remains.emplace(key_of(socket), std::move(left));
  }
  cells.erase(slot);
}

// At most one entry in the wheel for each connection. A deadline that has moved later is found out when the old one
// comes, so that a transfer does not touch the wheel with each segment.
void Engine::Impl::arm(std::uint32_t slot) {
  Cell& cell = cells[slot];
  Instant at = cell.connection.next_deadline();
  if (const auto limit = connect_limits.find(slot); limit != connect_limits.end()) at = earlier(at, limit->second);
  if (at == Instant::never()) {
    if (cell.timer != TimingWheel::kNone) wheel.cancel(cell.timer);
    cell.timer = TimingWheel::kNone;
  } else if (cell.timer == TimingWheel::kNone) {
    cell.timer = wheel.arm(slot, at);
  } else if (at < wheel.deadline(cell.timer)) {
    wheel.move(cell.timer, at);
  }
}

void Engine::Impl::note_quiet(std::uint32_t slot, Instant now) {
  Cell& cell = cells[slot];
  if (cell.quiet_queued || !cell.connection.has_transfer() || !cell.connection.is_quiet()) return;
  cell.quiet_queued = true;
  quiet.push_back({socket_of(slot), now});
}

void Engine::Impl::queue_output(std::uint32_t slot) {
  Cell& cell = cells[slot];
  if (cell.output_queued) return;
  cell.output_queued = true;
  output.push_back(slot);
}

void Engine::Impl::wake(std::uint32_t slot) {
  Cell& cell = cells[slot];
  if (cell.wake_queued || !cell.accepted || cell.connection.is_orphan()) return;
  cell.wake_queued = true;
  wakes.push_back({socket_of(slot), {}});
}

void Engine::Impl::wake_listener(std::uint32_t number) {
  ListenerState& listener = listeners.at(number);
  if (listener.wake_queued) return;
  listener.wake_queued = true;
  wakes.push_back({{}, {number}});
}

}  // namespace adieu::stack
