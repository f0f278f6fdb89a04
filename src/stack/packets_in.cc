// A packet arrives, or time does. The first room of trip 1 (ARCHITECTURE.md).
#include "stack/engine_impl.h"

#include <algorithm>

namespace adieu::stack {

void Engine::Impl::receive_packet(Bytes packet, const Offload& offload, Instant now) {
  ++counters.packets_in;
  const auto ip = wire::parse_ip(packet);
  if (!ip) {
    ++counters.malformed[static_cast<std::size_t>(ip.error())];
    return;
  }
  if (std::ranges::find(settings.addresses, ip->destination) == settings.addresses.end()) {
    ++counters.not_for_us;
    return;
  }
  if (ip->protocol == wire::kProtocolTcp) return receive_tcp(*ip, offload, now);
  if (ip->protocol == wire::kProtocolIcmp || ip->protocol == wire::kProtocolIcmpV6) return receive_icmp(*ip, now);
  ++counters.not_for_us;
}

void Engine::Impl::receive_tcp(const wire::IpPacket& ip, const Offload& offload, Instant now) {
  const auto segment = wire::parse_tcp(ip, offload);
  if (!segment) {
    ++counters.malformed[static_cast<std::size_t>(segment.error())];
    return;
  }
  const Tuple tuple{{ip.destination, segment->destination_port}, {ip.source, segment->source_port}};
  std::optional<Seq> floor;
  if (const auto slot = demux.find(tuple)) {
    const Cell& cell = cells[*slot];
    if (cell.embryonic && !segment->rst && is_backlog_full(cell.listener)) {
      ++counters.backlog_full;  // the handshake does not end while nobody accepts; the peer repeats what ends it
      return;
    }
    tcp::Connection& connection = cells[*slot].connection;
    const tcp::Disposition disposition = connection.input(*segment, env(now));
    if (disposition == tcp::Disposition::Reset) answer_without_connection(tuple, *segment);
    if (disposition != tcp::Disposition::Reopen) return settle(*slot, now);
    // RFC 6191: "the TIME-WAIT state is ended" for this SYN, and the new ISN lies above all that was used before.
    const auto heir = find_listener(tuple.local);
    if (!heir || is_backlog_full(*heir)) return settle(*slot, now);
    floor = connection.snd_nxt() + 1;
    connection.abort(EndReason::BothClosed, true, env(now));
    settle(*slot, now);
  }
  const auto listener = find_listener(tuple.local);
  const bool opens = segment->syn && !segment->ack_flag && !segment->rst;
  if (listener && opens) return passive_open(*listener, tuple, *segment, floor, now);
  // Section 3.10.7.2, fourth: in LISTEN what has neither SYN nor ACK is dropped. (Only CLOSED answers it.)
  if (listener && !segment->syn && !segment->ack_flag) {
    ++counters.no_connection;
    return;
  }
  answer_without_connection(tuple, *segment);
}

void Engine::Impl::advance(Instant now) {
  while (const auto slot = wheel.pop_due(now)) {
    Cell& cell = cells[*slot];
    cell.timer = TimingWheel::kNone;
    const auto limit = connect_limits.find(*slot);
    if (limit != connect_limits.end() && limit->second <= now) {
      // The application's own limit on its connect (RFC 9293 section 3.8.3, MUST-23): it ends as its abort.
      ending_error = Error::TimedOut;
      cell.connection.abort(EndReason::Aborted, false, env(now));
    } else {
      cell.connection.expire(env(now));
    }
    settle(*slot, now);
    ending_error.reset();
  }
  while (!quiet.empty() && quiet.front().since + settings.transfer_idle <= now) {
    const Quiet oldest = quiet.front();
    quiet.pop_front();
    Cell* cell = find_live(oldest.socket);
    if (cell == nullptr) continue;
    cell->quiet_queued = false;
    if (cell->connection.has_transfer() && cell->connection.is_quiet()) cell->connection.release_transfer();
  }
}

}  // namespace adieu::stack
