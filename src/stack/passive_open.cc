// A SYN reaches a listener, and any connection gets its slot: RFC 9293 section 3.10.7.2, third step.
//
// Embryonic connections (SYN-RECEIVED) are bounded without a timer: a new one takes the place of the oldest.
#include <algorithm>

#include "stack/engine_impl.h"
#include "stack/keyed.h"

namespace adieu::stack {

std::optional<std::uint32_t> Engine::Impl::find_listener(const Endpoint& local) const {
  if (const auto exact = listening.find(local); exact != listening.end()) return exact->second;
  const Address any = local.address.family() == Family::V4 ? Address::v4(0, 0, 0, 0) : Address{};
  if (const auto wild = listening.find({any, local.port}); wild != listening.end()) return wild->second;
  return std::nullopt;
}

bool Engine::Impl::is_backlog_full(std::uint32_t number) const {
  const auto listener = listeners.find(number);
  return listener != listeners.end() && listener->second.queue.size() >= listener->second.options.backlog;
}

tcp::OpenParameters Engine::Impl::open_parameters(const Tuple& tuple, const tcp::Options& options, Instant now) const {
  const Family family = tuple.local.address.family();
  tcp::OpenParameters parameters;
  parameters.iss = initial_sequence(settings.isn_key, tuple.local, tuple.remote, now);
  parameters.local_mss =
      static_cast<std::uint16_t>(settings.mtu - wire::ip_header_bytes(family) - wire::kTcpHeaderBytes);
  parameters.default_mss = family == Family::V4 ? 536 : 1220;
  parameters.timestamp_offset = timestamp_offset(settings.isn_key, tuple.local.address, tuple.remote.address);
  parameters.options = options;
  return parameters;
}

// A slot in the table, a cell beside it, an entry in the demultiplexer; nullopt: full, and nothing has changed.
std::optional<std::uint32_t> Engine::Impl::open(const Tuple& tuple, tcp::Connection&& connection, Instant now) {
  if (live >= settings.max_connections) return std::nullopt;
  plane::Record record;
  record.local = tuple.local;
  record.remote = tuple.remote;
  record.state = connection.state();
  record.state_entered = now;
  const auto slot = table.open(record, control);
  if (!slot) return std::nullopt;
  cells.emplace(*slot, std::move(connection));
  demux.insert(*slot);
  ++live;
  table.event(plane::EventKind::Opened, *slot);
  return slot;
}

void Engine::Impl::passive_open(std::uint32_t number, const Tuple& tuple, const wire::Segment& syn,
                                std::optional<Seq> floor, Instant now) {
  const ListenerState& listener = listeners.at(number);
  if (is_backlog_full(number)) {
    ++counters.backlog_full;  // dropped in silence: the peer sends its SYN again, and may find room
    return;
  }
  if (embryonic_count >= settings.max_embryonic) retire_oldest_embryonic(now);
  tcp::OpenParameters parameters = open_parameters(tuple, listener.options.tcp, now);
  if (floor) parameters.iss = later(parameters.iss, *floor);
  const auto slot = open(tuple, tcp::Connection(parameters, syn, env(now)), now);
  if (!slot) {
    ++counters.table_full;  // "At a hard limit the engine refuses what is new": in silence, as above
    return;
  }
  Cell& cell = cells[*slot];
  cell.listener = number;
  cell.embryonic = true;
  ++embryonic_count;
  // Entries of connections that have moved on are swept when they have become as many as there may be others.
  if (embryonic.size() >= 2 * std::size_t{settings.max_embryonic} + 64) {
    std::erase_if(embryonic, [&](Socket socket) {
      const Cell* other = find_live(socket);
      return other == nullptr || !other->embryonic;
    });
  }
  embryonic.push_back(socket_of(*slot));
  settle(*slot, now);
}

void Engine::Impl::retire_oldest_embryonic(Instant now) {
  while (!embryonic.empty()) {
    const Socket oldest = embryonic.front();
    embryonic.pop_front();
    Cell* cell = find_live(oldest);
    if (cell == nullptr || !cell->embryonic) continue;
    ++counters.embryonic_replaced;
    cell->connection.abort(EndReason::Refused, true, env(now));
    settle(oldest.slot, now);
    return;
  }
}

}  // namespace adieu::stack
