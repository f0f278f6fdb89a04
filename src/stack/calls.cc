// What applications ask of the engine. None of it blocks; WouldBlock is answered by a wake later.
#include <algorithm>

#include "stack/engine_impl.h"
#include "stack/keyed.h"

namespace adieu::stack {

namespace {
Error error_of(tcp::CallError error) {
  switch (error) {
    case tcp::CallError::WouldBlock: return Error::WouldBlock;
    case tcp::CallError::SendingClosed: return Error::SendingClosed;
    case tcp::CallError::NotConnected: return Error::NotConnected;
    case tcp::CallError::Reset: return Error::Reset;
    case tcp::CallError::Refused: return Error::Refused;
  }
  return Error::InvalidArgument;
}
bool is_sane(const tcp::Options& options) {
  return options.send_buffer >= 1024 && options.receive_buffer >= 1024 && options.send_buffer <= (1U << 30) &&
         options.receive_buffer <= (1U << 30);
}
}  // namespace

Cell* Engine::Impl::find_live(Socket socket) {
  Cell* cell = cells.find(socket.slot);
  return cell != nullptr && table.generation(socket.slot) == socket.generation ? cell : nullptr;
}

Engine::Impl::Remains* Engine::Impl::find_remains(Socket socket) {
  const auto it = remains.find(key_of(socket));
  return it == remains.end() ? nullptr : &it->second;
}

tcp::Connection* Engine::Impl::find(Socket socket) {
  if (Cell* cell = find_live(socket))
    return cell->accepted && !cell->connection.is_orphan() ? &cell->connection : nullptr;
  Remains* left = find_remains(socket);
  return left != nullptr ? &left->connection : nullptr;
}

// --- opening

std::optional<std::uint16_t> Engine::Impl::ephemeral_port(const Endpoint& local, const Endpoint& remote) {
  // RFC 6056 section 3.3.3, simple hash-based port selection: a stranger cannot guess, and ports are used in turn.
  const std::uint32_t range = settings.last_ephemeral_port - settings.first_ephemeral_port + 1U;
  const auto offset = static_cast<std::uint32_t>(keyed_hash(settings.isn_key, {local.address, 0}, remote, 'p'));
  for (std::uint32_t tries = 0; tries < range; ++tries) {
    const auto port = static_cast<std::uint16_t>(settings.first_ephemeral_port + (offset + port_counter++) % range);
    if (!demux.find({{local.address, port}, remote})) return port;
  }
  return std::nullopt;
}

std::expected<Endpoint, Error> Engine::Impl::choose_local(const Endpoint& remote, const ConnectOptions& options) {
  Endpoint local = options.local.value_or(Endpoint{});
  const Family family = remote.address.family();
  const auto ours = [&](const Address& a) { return a.family() == family; };
  if (!options.local || local.address.is_unspecified()) {
    const auto first = std::ranges::find_if(settings.addresses, ours);
    if (first == settings.addresses.end()) return std::unexpected(Error::AddressNotAvailable);
    local.address = *first;
  } else if (!ours(local.address) || std::ranges::find(settings.addresses, local.address) == settings.addresses.end()) {
    return std::unexpected(Error::AddressNotAvailable);
  }
  if (local.port == 0) {
    const auto port = ephemeral_port(local, remote);
    if (!port) return std::unexpected(Error::NoPorts);
    local.port = *port;
  } else if (demux.find({local, remote})) {
    return std::unexpected(Error::AddressInUse);
  }
  return local;
}

std::expected<Socket, Error> Engine::Impl::connect(const Endpoint& remote, const ConnectOptions& options, Instant now) {
  if (remote.port == 0 || remote.address.is_unspecified() || remote.address.is_multicast_or_broadcast() ||
      !is_sane(options.tcp) || options.limit <= Duration{}) {
    return std::unexpected(Error::InvalidArgument);
  }
  const auto local = choose_local(remote, options);
  if (!local) return std::unexpected(local.error());
  const Tuple tuple{*local, remote};
  const auto slot = open(tuple, tcp::Connection(open_parameters(tuple, options.tcp, now), env(now)), now);
  if (!slot) {
    ++counters.table_full;
    return std::unexpected(Error::Full);
  }
  cells[*slot].accepted = true;
  if (options.limit != Duration::max()) connect_limits[*slot] = now + options.limit;
  settle(*slot, now);
  return socket_of(*slot);
}

std::expected<Socket, Error> Engine::connect(const Endpoint& remote, const ConnectOptions& options, Instant now) {
  return impl_->connect(remote, options, now);
}

std::expected<Listener, Error> Engine::listen(const Endpoint& local, const ListenOptions& options) {
  Impl& e = *impl_;
  const bool known = std::ranges::find(e.settings.addresses, local.address) != e.settings.addresses.end();
  if (!local.address.is_unspecified() && !known) return std::unexpected(Error::AddressNotAvailable);
  if (options.backlog == 0 || !is_sane(options.tcp)) return std::unexpected(Error::InvalidArgument);
  Endpoint at = local;
  for (std::uint32_t port = e.settings.first_ephemeral_port; local.port == 0 && port <= e.settings.last_ephemeral_port;
       ++port) {
    at.port = static_cast<std::uint16_t>(port);
    if (!e.listening.contains(at)) break;
    at.port = 0;
  }
  if (at.port == 0) return std::unexpected(Error::NoPorts);
  if (e.listening.contains(at)) return std::unexpected(Error::AddressInUse);
  const std::uint32_t number = e.next_listener++;
  e.listening.emplace(at, number);
  e.listeners.emplace(number, Impl::ListenerState{at, options, {}, false});
  return Listener{number};
}

std::expected<Socket, Error> Engine::accept(Listener listener, Instant now) {
  Impl& e = *impl_;
  const auto it = e.listeners.find(listener.number);
  if (it == e.listeners.end()) return std::unexpected(Error::BadSocket);
  Impl::ListenerState& state = it->second;
  if (state.queue.empty()) return std::unexpected(Error::WouldBlock);
  const Socket socket = state.queue.front();
  state.queue.pop_front();
  if (!state.queue.empty()) e.wake_listener(listener.number);
  if (Cell* cell = e.find_live(socket)) {
    cell->accepted = true;
    e.settle(socket.slot, now);
    e.wake(socket.slot);
  } else if (e.find_remains(socket) != nullptr) {
    // It has ended while it waited: its application may still read what arrived, and learns why.
    e.wakes.push_back({socket, {}});
  }
  return socket;
}

void Engine::close_listener(Listener listener, Instant now) {
  Impl& e = *impl_;
  const auto it = e.listeners.find(listener.number);
  if (it == e.listeners.end()) return;
  const std::deque<Socket> queue = std::move(it->second.queue);
  e.listening.erase(it->second.local);
  e.listeners.erase(it);
  // Nobody could ever accept a handshake that is under way: its last acknowledgment will be answered by RST.
  for (const Socket socket : e.embryonic) {
    Cell* cell = e.find_live(socket);
    if (cell == nullptr || !cell->embryonic || cell->listener != listener.number) continue;
    cell->connection.abort(EndReason::Refused, true, e.env(now));
    e.settle(socket.slot, now);
  }
  for (const Socket socket : queue) {
    if (Cell* cell = e.find_live(socket)) {
      cell->connection.abort(EndReason::Aborted, false, e.env(now));
      e.settle(socket.slot, now);
    }
    e.remains.erase(Impl::key_of(socket));
  }
}

// --- moving octets

std::expected<std::size_t, Error> Engine::send(Socket socket, Bytes bytes, Instant now) {
  tcp::Connection* connection = impl_->find(socket);
  if (connection == nullptr) return std::unexpected(Error::BadSocket);
  const auto taken = connection->send(bytes, impl_->env(now));
  if (!taken) {
    if (const auto why = error(socket); why && taken.error() != tcp::CallError::SendingClosed)
      return std::unexpected(*why);
    return std::unexpected(error_of(taken.error()));
  }
  if (impl_->find_live(socket)) impl_->settle(socket.slot, now);
  return *taken;
}

std::expected<std::size_t, Error> Engine::receive(Socket socket, MutableBytes out, bool peek, Instant now) {
  tcp::Connection* connection = impl_->find(socket);
  if (connection == nullptr) return std::unexpected(Error::BadSocket);
  const auto copied = connection->receive(out, peek, impl_->env(now));
  if (!copied) {
    if (const auto why = error(socket)) return std::unexpected(*why);
    return std::unexpected(error_of(copied.error()));
  }
  if (!peek && impl_->find_live(socket)) impl_->settle(socket.slot, now);
  return *copied;
}

// --- closing

std::expected<void, Error> Engine::shutdown(Socket socket, Shut how, Instant now) {
  tcp::Connection* connection = impl_->find(socket);
  if (connection == nullptr) return std::unexpected(Error::BadSocket);
  if (how != Shut::Send) {
    if (const auto done = connection->shutdown_receive(impl_->env(now)); !done)
      return std::unexpected(error_of(done.error()));
  }
  if (how != Shut::Receive) {
    if (const auto done = connection->shutdown_send(impl_->env(now)); !done)
      return std::unexpected(error_of(done.error()));
  }
  impl_->settle(socket.slot, now);
  return {};
}

std::expected<void, Error> Engine::close(Socket socket, Instant now) {
  if (impl_->find(socket) == nullptr) return std::unexpected(Error::BadSocket);
  if (Cell* cell = impl_->find_live(socket)) {
    cell->connection.close(impl_->env(now));
    impl_->settle(socket.slot, now);
  }
  impl_->remains.erase(Impl::key_of(socket));
  return {};
}

std::expected<void, Error> Engine::abort(Socket socket, Instant now) {
  if (impl_->find(socket) == nullptr) return std::unexpected(Error::BadSocket);
  if (Cell* cell = impl_->find_live(socket)) {
    cell->connection.abort(EndReason::Aborted, false, impl_->env(now));
    impl_->settle(socket.slot, now);
  }
  impl_->remains.erase(Impl::key_of(socket));
  return {};
}

void Engine::abort_all(Instant now) {
  for (std::uint32_t slot = 0; slot < impl_->cells.end(); ++slot) {
    Cell* cell = impl_->cells.find(slot);
    if (cell == nullptr) continue;
    cell->connection.abort(EndReason::Aborted, false, impl_->env(now));
    impl_->settle(slot, now);
  }
}

std::expected<void, Error> Engine::set_no_delay(Socket socket, bool on, Instant now) {
  tcp::Connection* connection = impl_->find(socket);
  if (connection == nullptr) return std::unexpected(Error::BadSocket);
  connection->set_no_delay(on);
  if (impl_->find_live(socket)) impl_->settle(socket.slot, now);
  return {};
}

std::expected<void, Error> Engine::set_buffers(Socket socket, std::uint32_t send, std::uint32_t receive) {
  tcp::Connection* connection = impl_->find(socket);
  if (connection == nullptr) return std::unexpected(Error::BadSocket);
  connection->set_buffers(send, receive);
  return {};
}

// --- asking

Readiness Engine::readiness(Socket socket) const {
  Readiness ready;
  const tcp::Connection* connection = impl_->find(socket);
  if (connection == nullptr) return ready;
  const State state = connection->state();
  ready.ended = state == State::Closed;
  const bool never = connection->reason() == EndReason::Refused || error(socket) == Error::TimedOut;
  ready.connected = is_synchronized(state) || (ready.ended && !never);
  ready.peer_closed = connection->has_peer_fin();
  ready.readable =
      connection->unread() > 0 || connection->has_peer_fin() || connection->is_receive_shut() || ready.ended;
  ready.writable =
      ready.ended || (is_synchronized(state) && (connection->is_send_shut() || connection->send_room() > 0));
  return ready;
}

std::optional<Error> Engine::error(Socket socket) const {
  const Impl::Remains* left = impl_->find_remains(socket);
  return left != nullptr ? left->error : std::nullopt;
}

std::expected<Details, Error> Engine::details(Socket socket) const {
  const tcp::Connection* c = impl_->find(socket);
  if (c == nullptr) return std::unexpected(Error::BadSocket);
  Details d;
  d.state = c->state();
  d.reason = c->reason();
  d.mss = c->effective_mss();
  d.ssthresh = UINT32_MAX;
  if (const tcp::Transfer* t = c->transfer()) {
    d.cwnd = t->congestion.cwnd();
    d.ssthresh = t->congestion.ssthresh();
  }
  d.in_flight = distance(c->snd_una(), c->snd_nxt());
  d.unsent = c->unsent();
  d.unread = c->unread();
  d.send_window = c->snd_wnd();
  d.attempts = c->attempts();
  d.srtt = c->rtt().srtt();
  d.rttvar = c->rtt().rttvar();
  d.rto = c->rtt().rto(impl_->settings.tcp);
  d.send_scale = c->send_scale();
  d.receive_scale = c->receive_scale();
  d.timestamps = c->uses_timestamps();
  d.sack = c->uses_sack();
  return d;
}

std::expected<Endpoint, Error> Engine::local(Socket socket) const {
  if (impl_->find(socket) == nullptr) return std::unexpected(Error::BadSocket);
  const Impl::Remains* left = impl_->find_remains(socket);
  return left != nullptr ? left->tuple.local : impl_->table.local(socket.slot);
}

std::expected<Endpoint, Error> Engine::remote(Socket socket) const {
  if (impl_->find(socket) == nullptr) return std::unexpected(Error::BadSocket);
  const Impl::Remains* left = impl_->find_remains(socket);
  return left != nullptr ? left->tuple.remote : impl_->table.remote(socket.slot);
}

std::expected<Endpoint, Error> Engine::local(Listener listener) const {
  const auto it = impl_->listeners.find(listener.number);
  if (it == impl_->listeners.end()) return std::unexpected(Error::BadSocket);
  return it->second.local;
}

plane::ConnectionId Engine::id(Socket socket) const {
  return {impl_->table.incarnation(), socket.slot, socket.generation};
}

}  // namespace adieu::stack
