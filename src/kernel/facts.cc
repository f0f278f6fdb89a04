// The rules of facts.h, one function a group of facts. What does not live here: memory between sweeps (sweep.cc).
#include "kernel/facts.h"

#include <algorithm>

#include "kernel/crafter.h"
#include "kernel/probe.h"

namespace adieu::kernel {
namespace {

using plane::Holder;
using plane::Known;
using plane::Record;

Holder holder_of(const Socket& socket) {
  if (socket.inode != 0) return Holder::Held;
  switch (socket.state) {
    // close() moves these two on (to FIN-WAIT-1, LAST-ACK): without a descriptor, nobody has accepted it yet.
    case State::Established:
    case State::CloseWait: return Holder::AcceptQueue;
    // Only the application's own close or shutdown leads here.
    case State::FinWait1:
    case State::FinWait2:
    case State::Closing:
    case State::LastAck: return Holder::Orphan;
    // The minisock of TIME-WAIT is cut off from its socket, whose descriptor may still be open, with data to read.
    case State::TimeWait:
    // A connection request belongs to its listener.
    case State::SynReceived:
    case State::SynSent:
    case State::Listen:
    case State::Closed: return Holder::Unknown;
  }
  return Holder::Unknown;
}

// Octets of ours without an acknowledgment, less the SYN or FIN that the kernel counts among them.
std::uint32_t unsent_of(const Socket& socket) {
  const bool counts_one = socket.state == State::SynSent || socket.state == State::SynReceived ||
                          socket.state == State::FinWait1 || socket.state == State::Closing ||
                          socket.state == State::LastAck;
  return socket.send_queue - (counts_one && socket.send_queue > 0 ? 1U : 0U);
}

void set_reading(const Socket& socket, const Seen& seen, Record& record) {
  if (!is_receiving_closed(socket.state)) {
    record.end_of_stream_read = Known::No;  // there is none to read
    if (socket.is_whole || socket.state == State::SynReceived) record.unread = socket.receive_queue;
  } else if (socket.is_whole) {
    // The FIN is the last to be read, and counts one.
    const bool fin_unread = socket.receive_queue > 0;
    record.end_of_stream_read = fin_unread ? Known::No : Known::Unknown;
    record.unread = fin_unread ? socket.receive_queue - 1 : 0;
  }
  if (seen.end_of_stream_read && record.end_of_stream_read == Known::Unknown) record.end_of_stream_read = Known::Yes;
}

// Two readings of one instant keep the first.
Instant settled(Instant before, Instant reading) {
  return before.is_known() && reading <= before + kTick ? before : reading;
}

void set_clocks(const Socket& socket, const Record* previous, const Seen& seen, Record& record) {
  const bool entered =
      previous == nullptr ? seen.is_new || seen.entered_at.is_known() : previous->state != socket.state;
  const Instant entered_at = seen.entered_at.is_known() ? seen.entered_at : seen.now;
  if (entered) {
    record.state_entered = entered_at;
  } else if (previous != nullptr) {
    record.state_entered = previous->state_entered;
  }

  const Instant read_at = socket.read_at;
  const Instant before_heard = previous != nullptr ? previous->last_heard : Instant::unknown();
  const Instant before_in = previous != nullptr ? previous->progress_in : Instant::unknown();
  const bool has_clocks = socket.is_whole && is_synchronized(socket.state);
  if (has_clocks) {
    const Instant heard = read_at - earlier(socket.since_data, socket.since_ack);
    record.last_heard = seen.is_quiet && before_heard.is_known() ? before_heard : settled(before_heard, heard);
    // A segment came, and neither clock tells of it: a keepalive of the peer's, or one that was not acceptable.
    if (seen.has_heard && record.last_heard == before_heard) record.last_heard = seen.now;
  }

  if (is_receiving_closed(socket.state)) {
    const bool fin_came = previous != nullptr ? !is_receiving_closed(previous->state) : seen.is_new;
    record.progress_in = fin_came ? entered_at : before_in;
  } else if (has_clocks && socket.octets_in > 0) {
    const Instant data = read_at - socket.since_data;
    record.progress_in = seen.is_quiet && before_in.is_known() ? before_in : settled(before_in, data);
  } else {
    record.progress_in = before_in;
  }
}

void set_sending(const Socket& socket, const Seen& seen, Record& record) {
  if (!socket.is_whole && socket.state != State::SynReceived) {
    // FIN-WAIT-2 and TIME-WAIT: everything of ours, the FIN included, has been acknowledged.
    record.unsent = 0;
    record.oldest_unacked = Instant::never();
    return;
  }
  record.unsent = unsent_of(socket);
  // A connection request waits for the acknowledgment of its SYN,ACK; the timer's retries are its retransmissions.
  const bool request = !socket.is_whole;
  const bool in_flight = request || socket.unacked > 0;
  const std::uint32_t repeated = request ? socket.timer_retries : socket.retransmits;
  const auto unanswered = [](std::uint32_t all, std::uint32_t answered) { return all - std::min(all, answered); };
  record.oldest_unacked = in_flight ? Instant::unknown() : Instant::never();
  if (in_flight) {
    record.attempts = 1 + unanswered(repeated, seen.retransmits_answered);
    record.passed_r1 = repeated >= kR1;
  } else if (socket.timer == Timer::Persist) {
    record.attempts = unanswered(socket.probes, seen.probes_answered);
  }
  record.peer_window_closed =
      socket.peer_window_known && socket.peer_window == 0 && socket.send_queue > 0 && is_synchronized(socket.state);
}

plane::OwnTimer timer_of(Timer timer) {
  switch (timer) {
    case Timer::None: return plane::OwnTimer::None;
    case Timer::Retransmit: return plane::OwnTimer::Retransmit;
    case Timer::Keepalive: return plane::OwnTimer::Keepalive;
    case Timer::TimeWait: return plane::OwnTimer::Quarantine;
    case Timer::Persist: return plane::OwnTimer::Persist;
    case Timer::Other: break;
  }
  return plane::OwnTimer::Unknown;
}

// When it was heard or heard of for the first time that the kernel still tells: it lived then.
Instant lived_by(const Socket& socket) {
  if (!socket.is_whole || !is_synchronized(socket.state)) return Instant::unknown();
  return socket.read_at - later(socket.since_data, socket.since_ack);
}

// The last acceptable acknowledgment came with or after the segment that led into these states. Of FIN-WAIT-1 and
// LAST-ACK the kernel keeps no clock that says so: the application's close led there.
Instant in_state_by(const Socket& socket) {
  switch (socket.state) {
    case State::Established: return lived_by(socket);
    case State::FinWait2:
    case State::CloseWait: return socket.is_whole ? socket.read_at - socket.since_ack : Instant::unknown();
    case State::Closed:
    case State::Listen:
    case State::SynSent:
    case State::SynReceived:
    case State::FinWait1:
    case State::Closing:
    case State::LastAck:
    case State::TimeWait: break;
  }
  return Instant::unknown();
}

std::uint16_t saturated(std::uint32_t count) { return static_cast<std::uint16_t>(std::min(count, 65535U)); }

}  // namespace

plane::Beside beside_of(const Socket& socket, const Record& record, const Held& who, Holders& holders) {
  plane::Beside beside;
  beside.network = socket.key.network;
  beside.timer = timer_of(socket.timer);
  beside.retries = socket.timer_retries;
  if (socket.timer != Timer::None) beside.fires = socket.read_at + socket.expires;
  beside.in_state_by = in_state_by(socket);

  beside.keepalive = record.holder == Holder::Held && socket.is_whole && socket.timer == Timer::Keepalive;

  const Instant lived = lived_by(socket);
  const bool has_holders = record.holder == Holder::Held || record.holder == Holder::AcceptQueue;
  // Of a socket that may be younger than the look, the look says nothing.
  const bool looked = holders.looked_at().is_known() && lived.is_known() && lived < holders.looked_at();
  if (who.descriptors == 0) {
    beside.looked = has_holders && looked;
    beside.looked_everywhere = beside.looked && holders.everywhere();
    return beside;
  }
  const Process& first = holders.process(who.process);
  beside.looked = true;
  beside.looked_everywhere = holders.everywhere();
  beside.process = who.process;
  beside.descriptor = who.descriptor;
  beside.comm = first.comm;
  beside.processes = saturated(who.processes);
  beside.descriptors = saturated(who.descriptors);
  beside.references = who.references;
  // The kernel's clocks are a tick apart, a process's beginning is told in ticks of its own (10 ms).
  beside.inherited = record.holder == Holder::Held && lived.is_known() && first.began > lived + kTick * 2;
  return beside;
}

Record record_of(const Socket& socket, const Record* previous, const Seen& seen) {
  Record record;
  if (previous != nullptr) record.generation = previous->generation;
  record.local = socket.key.local;
  record.remote = socket.key.remote;
  record.state = socket.state;
  record.holder = holder_of(socket);
  record.receive_shut = socket.receive_shut && record.holder == Holder::Held && !is_receiving_closed(socket.state);
  record.send_shut = socket.send_shut || is_sending_closed(socket.state);
  record.heard = socket.is_whole ? socket.segments_in : plane::kUnknownCount;
  set_reading(socket, seen, record);
  set_clocks(socket, previous, seen, record);
  set_sending(socket, seen, record);
  record.can_probe = is_askable(socket) || (seen.can_craft && is_craftable(socket));
  if (previous != nullptr && !seen.has_heard) {
    std::ranges::copy(previous->probes, record.probes);
    record.probe_first = previous->probe_first;
    record.probe_last = previous->probe_last;
  }
  return record;
}

}  // namespace adieu::kernel
