// The calls of a socket, with Linux's answers.
#include "packetdrill/socket.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>

#include "packetdrill/address.h"

namespace adieu::packetdrill {

namespace {

constexpr std::uint32_t kInput = POLLIN | POLLRDNORM;
constexpr std::uint32_t kOutput = POLLOUT | POLLWRNORM;
constexpr std::uint32_t kAnything = UINT32_MAX;

int errno_of(stack::Error error) {
  switch (error) {
    case stack::Error::BadSocket: return EBADF;
    case stack::Error::WouldBlock: return EAGAIN;
    case stack::Error::InProgress: return EINPROGRESS;
    case stack::Error::NotConnected: return ENOTCONN;
    case stack::Error::SendingClosed: return EPIPE;
    case stack::Error::Refused: return ECONNREFUSED;
    case stack::Error::Reset: return ECONNRESET;
    case stack::Error::Aborted: return ECONNABORTED;
    case stack::Error::TimedOut: return ETIMEDOUT;
    case stack::Error::AddressInUse: return EADDRINUSE;
    case stack::Error::AddressNotAvailable:
    case stack::Error::NoPorts: return EADDRNOTAVAIL;
    case stack::Error::Full: return ENOBUFS;
    case stack::Error::InvalidArgument: return EINVAL;
  }
  return EINVAL;
}

Endpoint any_of(int domain) { return {domain == AF_INET ? Address::v4(0, 0, 0, 0) : Address{}, 0}; }

}  // namespace

// --- opening

bool Socket::is_port_taken(Machine& machine, const Endpoint& local) const {
  return std::ranges::any_of(machine.files(), [&](const auto& entry) {
    if (entry.second.get() == this || entry.second->kind() != Kind::Socket) return false;
    const auto& other = static_cast<const Socket&>(*entry.second);
    if (!other.bound_ || other.bound_->port != local.port) return false;
    const Address& theirs = other.bound_->address;
    const bool overlap = theirs == local.address || theirs.is_unspecified() || local.address.is_unspecified();
    return overlap && !(reuse_address_ && other.reuse_address_ && !other.is_listening());
  });
}

long Socket::bind(Call& call, const sockaddr* address, socklen_t length) {
  auto local = endpoint_from(domain_, address, length);
  if (!local) return -local.error();
  if (bound_ || connection_ || is_listening()) return -EINVAL;
  if (local->address.is_multicast_or_broadcast()) return -EADDRNOTAVAIL;
  const stack::Settings& settings = call.machine.settings();
  if (local->port == 0) {
    local->port = settings.first_ephemeral_port;
    while (is_port_taken(call.machine, *local)) {
      if (local->port++ == settings.last_ephemeral_port) return -EADDRINUSE;
    }
  } else if (is_port_taken(call.machine, *local)) {
    return -EADDRINUSE;
  }
  call.machine.learn(local->address);
  bound_ = *local;
  return 0;
}

long Socket::open_doors(Machine& machine) {
  std::vector<Endpoint> locals{*bound_};
  const bool any_v6 = domain_ == AF_INET6 && bound_->address.is_unspecified() && bound_->address.family() == Family::V6;
  if (any_v6 && !v6_only_) locals.push_back({Address::v4(0, 0, 0, 0), bound_->port});
  for (const Endpoint& local : locals) {
    // Linux lets in one more than the backlog says.
    const auto listener = machine.engine().listen(local, {tcp_, backlog_ + 1});
    if (!listener) {
      close_doors(machine);
      return -errno_of(listener.error());
    }
    doors_.push_back({*listener});
    machine.watch(*listener, this);
  }
  return 0;
}

void Socket::close_doors(Machine& machine) {
  for (const Door& door : std::exchange(doors_, {})) {
    machine.unwatch(door.listener);
    machine.engine().close_listener(door.listener, machine.now());
  }
}

void Socket::listen_again(Machine& machine) {
  doors_.clear();
  (void)open_doors(machine);  // it could before, and the engine is as empty as it was then
}

long Socket::listen(Call& call, int backlog) {
  constexpr int kMost = 4096;  // net.core.somaxconn
  if (connection_) return -EINVAL;
  backlog_ = static_cast<std::uint32_t>(backlog < 0 || backlog > kMost ? kMost : backlog);
  if (is_listening()) return 0;
  if (!bound_) {
    Endpoint local = any_of(domain_);
    local.port = call.machine.settings().first_ephemeral_port;
    while (is_port_taken(call.machine, local)) ++local.port;
    bound_ = local;
  }
  return open_doors(call.machine);
}

void Socket::adopt(Machine& machine, stack::Socket connection) {
  connection_ = connection;
  last_ = machine.engine().readiness(connection);
  last_unread_ = 0;
  told_error_ = receive_shut_ = send_shut_ = wants_room_ = false;
  machine.watch(connection, this);
}

long Socket::accept(Call& call, sockaddr* address, socklen_t* length) {
  if (!is_listening()) return -EINVAL;
  while (true) {
    for (Door& door : doors_) {
      const auto connection = call.engine().accept(door.listener, call.now());
      door.somebody_waits = false;  // if there are more, the engine says so again
      if (!connection) continue;
      const auto accepted = std::make_shared<Socket>(domain_);
      accepted->adopt(call.machine, *connection);
      accepted->told_connected_ = true;
      accepted->tcp_ = tcp_;
      accepted->reuse_address_ = reuse_address_;
      accepted->linger_ = linger_;
      accepted->receive_limit_ = receive_limit_;
      accepted->send_limit_ = send_limit_;
      accepted->kept_ = kept_;
      accepted->bound_ = bound_;
      const int fd = call.machine.add(accepted);
      if (fd < 0) {
        accepted->let_go(call, true);
      } else if (const auto remote = call.engine().remote(*connection)) {
        write_endpoint(domain_, *remote, address, length);
      }
      return fd;
    }
    if (nonblocking) return -EAGAIN;
    const auto somebody = [this] { return can_accept() || !is_listening(); };
    if (!call.wait(deadline(call.now(), receive_limit_), somebody)) return -EAGAIN;
    if (!is_listening()) return -EINVAL;
  }
}

bool Socket::has_failed(Machine& machine) {
  const auto error = machine.engine().error(*connection_);
  return error == stack::Error::Refused || error == stack::Error::TimedOut;
}

long Socket::await_connected(Call& call) {
  const auto decided = [this, &call] {
    if (!connection_) return true;  // closed by another thread
    const stack::Readiness ready = call.engine().readiness(*connection_);
    return ready.connected || ready.ended;
  };
  if (!decided()) {
    if (nonblocking) return -EINPROGRESS;
    if (!call.wait(deadline(call.now(), send_limit_), decided)) return -EINPROGRESS;
  }
  if (!connection_) return -EBADF;
  if (!has_failed(call.machine)) {
    told_connected_ = true;
    return 0;
  }
  // Told once here; the socket can try again.
  const int error = take_error(call.machine);
  let_go(call, false);
  return error != 0 ? -error : -ECONNABORTED;
}

long Socket::connect(Call& call, const sockaddr* address, socklen_t length) {
  if (address != nullptr && length >= sizeof(sa_family_t) && address->sa_family == AF_UNSPEC) {
    let_go(call, true);
    return 0;
  }
  const auto remote = endpoint_from(domain_, address, length);
  if (!remote) return -remote.error();
  if (remote->address.is_multicast_or_broadcast()) return -ENETUNREACH;
  if (is_listening() || (connection_ && told_connected_)) return -EISCONN;
  if (connection_) {
    const stack::Readiness ready = call.engine().readiness(*connection_);
    if (nonblocking && !ready.connected && !ready.ended) return -EALREADY;
    return await_connected(call);
  }
  stack::ConnectOptions options;
  options.tcp = tcp_;
  options.local = bound_;
  const auto connection = call.engine().connect(*remote, options, call.now());
  if (!connection) {
    const bool in_use = connection.error() == stack::Error::AddressInUse;  // the four numbers together
    return in_use ? -EADDRNOTAVAIL : -errno_of(connection.error());
  }
  adopt(call.machine, *connection);
  return await_connected(call);
}

// --- errors and events

int Socket::pending_error(Machine& machine) {
  if (!connection_ || told_error_) return 0;
  const auto error = machine.engine().error(*connection_);
  if (!error) return 0;
  // Linux: a reset that finds the peer's stream ended is a broken pipe.
  const bool half_closed = machine.engine().readiness(*connection_).peer_closed && !send_shut_;
  return *error == stack::Error::Reset && half_closed ? EPIPE : errno_of(*error);
}

int Socket::take_error(Machine& machine) {
  const int error = pending_error(machine);
  if (error != 0) told_error_ = true;
  return error;
}

std::uint32_t Socket::events(Machine& machine) {
  if (is_listening()) return can_accept() ? kInput : 0;
  if (!connection_) return kOutput | POLLHUP;
  const stack::Readiness ready = machine.engine().readiness(*connection_);
  const bool no_input = ready.peer_closed || receive_shut_ || ready.ended;
  const bool no_output = send_shut_ || ready.ended;
  std::uint32_t now = 0;
  if (pending_error(machine) != 0) now |= POLLERR;
  if (no_input && no_output) now |= POLLHUP;
  if (no_input) now |= kInput | POLLRDHUP;
  if (!ready.connected && !ready.ended) return now;
  if (ready.readable) now |= kInput;
  if (ready.writable) {
    now |= kOutput;
  } else {
    wants_room_ = true;
  }
  return now;
}

void Socket::woken(stack::Listener listener) {
  for (Door& door : doors_) door.somebody_waits = door.somebody_waits || door.listener == listener;
  spread(kInput);
}

void Socket::woken(Machine& machine) {
  const stack::Readiness ready = machine.engine().readiness(*connection_);
  const auto details = machine.engine().details(*connection_);
  const std::uint32_t unread = details ? details->unread : 0;
  std::uint32_t news = unread > last_unread_ ? kInput : 0;
  if (wants_room_ && ready.writable) news |= kOutput;
  if (ready.writable) wants_room_ = false;
  if (ready.connected != last_.connected || ready.peer_closed != last_.peer_closed || ready.ended != last_.ended) {
    news = kAnything;
  }
  last_ = ready;
  last_unread_ = unread;
  if (news != 0) spread(news);
}

// --- moving octets

long Socket::receive(Call& call, MutableBytes out, int flags) {
  if ((flags & MSG_ERRQUEUE) != 0) return -EAGAIN;
  if (!connection_) return -ENOTCONN;
  if ((flags & MSG_OOB) != 0) return -EINVAL;
  if (out.empty()) return 0;
  const bool peek = (flags & MSG_PEEK) != 0;
  const std::size_t enough = (flags & MSG_WAITALL) != 0 && !peek ? out.size() : 1;
  const Instant until = deadline(call.now(), receive_limit_);
  std::size_t done = 0;
  while (done < enough) {
    const auto got = call.engine().receive(*connection_, out.subspan(done), peek, call.now());
    if (got) {
      if (*got == 0) break;
      done += *got;
      if (!peek) last_unread_ -= std::min(last_unread_, static_cast<std::uint32_t>(*got));
      continue;
    }
    if (got.error() != stack::Error::WouldBlock) {
      if (done == 0) return -take_error(call.machine);
      break;
    }
    const auto there = [&] { return !connection_ || call.engine().readiness(*connection_).readable; };
    if (!may_wait(flags) || !call.wait(until, there)) return done > 0 ? static_cast<long>(done) : -EAGAIN;
    if (!connection_) return -ENOTCONN;
  }
  return static_cast<long>(done);
}

long Socket::send(Call& call, Bytes bytes, int flags) {
  if ((flags & (MSG_OOB | MSG_FASTOPEN)) != 0) return -EOPNOTSUPP;
  if (!connection_) return -EPIPE;
  const Instant until = deadline(call.now(), send_limit_);
  std::size_t done = 0;
  const auto result = [&](int error) { return done > 0 ? static_cast<long>(done) : -error; };
  while (true) {
    const stack::Readiness ready = call.engine().readiness(*connection_);
    if (!ready.connected && !ready.ended) {
      const auto decided = [&] {
        if (!connection_) return true;
        const stack::Readiness now = call.engine().readiness(*connection_);
        return now.connected || now.ended;
      };
      if (!may_wait(flags) || !call.wait(until, decided)) return -EAGAIN;
      if (!connection_) return -EPIPE;
      continue;
    }
    const auto taken = call.engine().send(*connection_, bytes.subspan(done), call.now());
    if (taken) {
      done += *taken;
      if (done == bytes.size()) return static_cast<long>(done);
      continue;
    }
    if (taken.error() != stack::Error::WouldBlock) {
      const int error = done > 0 ? 0 : take_error(call.machine);
      return result(error != 0 ? error : EPIPE);
    }
    wants_room_ = true;
    const auto room = [&] { return !connection_ || call.engine().readiness(*connection_).writable; };
    if (!may_wait(flags) || !call.wait(until, room)) return result(EAGAIN);
    if (!connection_) return result(EPIPE);
  }
}

long Socket::ioctl(Call& call, unsigned long request, int* value) {
  if (is_listening()) return -EINVAL;
  stack::Details details;
  if (connection_) details = call.engine().details(*connection_).value_or(details);
  const bool opening = details.state == State::SynSent || details.state == State::SynReceived;
  const bool fin_waits =
      details.state == State::FinWait1 || details.state == State::Closing || details.state == State::LastAck;
  switch (request) {
    case SIOCINQ: *value = opening ? 0 : static_cast<int>(details.unread); return 0;
    // A FIN that is not acknowledged counts as one, as its sequence number does.
    case SIOCOUTQ: *value = opening ? 0 : static_cast<int>(details.unsent + (fin_waits ? 1 : 0)); return 0;
    case SIOCOUTQNSD:
      *value = opening ? 0 : static_cast<int>(details.unsent - std::min(details.unsent, details.in_flight));
      return 0;
    default: return -ENOTTY;
  }
}

// --- closing

void Socket::let_go(Call& call, bool abort) {
  close_doors(call.machine);
  if (connection_) {
    call.machine.unwatch(*connection_);
    // Neither can fail: the connection is ours until now.
    (void)(abort ? call.engine().abort(*connection_, call.now()) : call.engine().close(*connection_, call.now()));
    connection_.reset();
  }
  told_connected_ = told_error_ = receive_shut_ = send_shut_ = false;
}

void Socket::close(Call& call) { let_go(call, linger_.l_onoff != 0 && linger_.l_linger == 0); }

long Socket::shutdown(Call& call, int how) {
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
  if (is_listening()) {
    if (how != SHUT_WR) let_go(call, false);
    return 0;
  }
  if (!connection_) return -ENOTCONN;
  const stack::Readiness ready = call.engine().readiness(*connection_);
  if (ready.ended) return -ENOTCONN;
  if (const auto details = call.engine().details(*connection_); details && details->state == State::SynSent) {
    let_go(call, true);
    return 0;
  }
  const stack::Shut which = how == SHUT_RD   ? stack::Shut::Receive
                            : how == SHUT_WR ? stack::Shut::Send
                                             : stack::Shut::Both;
  if (const auto done = call.engine().shutdown(*connection_, which, call.now()); !done) return -errno_of(done.error());
  receive_shut_ = receive_shut_ || how != SHUT_WR;
  send_shut_ = send_shut_ || how != SHUT_RD;
  spread(kAnything);
  return 0;
}

}  // namespace adieu::packetdrill
