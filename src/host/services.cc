// Echo, discard, chargen.
#include "host/services.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace adieu::host {
namespace {

// One connection's share of a turn, so that a fast one does not starve a thousand others.
constexpr std::size_t kShare = 64 * 1024;
// Buffers of a service's connection: enough for a local path, and little enough for a hundred thousand of them.
constexpr std::uint32_t kBuffer = 256 * 1024;

// RFC 864 section "Data Syntax": lines of 72 characters, each begins one character later in the printable ring of 95.
constexpr std::size_t kLine = 74;
constexpr std::size_t kPattern = kLine * 95;
const std::array<std::uint8_t, kPattern + kShare>& pattern() {
  static const auto* const made = [] {
    auto* octets = new std::array<std::uint8_t, kPattern + kShare>;
    for (std::size_t i = 0; i < octets->size(); ++i) {
      const std::size_t line = i / kLine % 95;
      const std::size_t column = i % kLine;
      (*octets)[i] = static_cast<std::uint8_t>(column == 72 ? '\r' : column == 73 ? '\n' : ' ' + (line + column) % 95);
    }
    return octets;
  }();
  return *made;
}

// The call will succeed later; anything else is the end of the connection.
bool is_patience(stack::Error error) { return error == stack::Error::WouldBlock || error == stack::Error::InProgress; }

}  // namespace

Result<void> Services::listen() {
  stack::ListenOptions options;
  options.tcp.send_buffer = kBuffer;
  options.tcp.receive_buffer = kBuffer;
  options.backlog = 4096;
  for (const auto& [port, kind] : {std::pair{std::uint16_t{7}, Kind::Echo},
                                   {std::uint16_t{9}, Kind::Discard},
                                   {std::uint16_t{19}, Kind::Chargen}}) {
    for (const Address any : {Address::v4(0, 0, 0, 0), Address{}}) {
      const auto listener = engine_.listen({any, port}, options);
      if (!listener && listener.error() == stack::Error::AddressNotAvailable)
        continue;  // a family it has no address of
      if (!listener) return failed(fmt::format("listening on port {}: {}", port, name(listener.error())));
      doors_.push_back({*listener, kind});
    }
  }
  return {};
}

bool Services::run(Instant now) {
  while (const auto wake = engine_.poll_wake()) {
    if (wake->listener != stack::Listener{}) {
      for (const Door& door : doors_)
        if (door.listener == wake->listener) accept_all(door, now);
    } else {
      queue(wake->socket.slot);
    }
  }
  for (std::size_t turns = ready_.size(); turns > 0; --turns) {
    const std::uint32_t slot = ready_.front();
    ready_.pop_front();
    const auto found = sessions_.find(slot);
    if (found == sessions_.end()) continue;
    found->second.queued = false;
    switch (serve(found->second, now)) {
      case Turn::Waits: break;
      case Turn::More: queue(slot); break;
      case Turn::Over:
        // All is sent or will be: our FIN goes out behind it. A connection that has ended is only let go by this.
        [[maybe_unused]] const auto closed = engine_.close(found->second.socket, now);
        sessions_.erase(found);
        break;
    }
  }
  return !ready_.empty();
}

void Services::accept_all(const Door& door, Instant now) {
  while (const auto socket = engine_.accept(door.listener, now)) {
    Session session;
    session.socket = *socket;
    session.kind = door.kind;
    sessions_.insert_or_assign(socket->slot, std::move(session));
    queue(socket->slot);
  }
}

void Services::queue(std::uint32_t slot) {
  const auto found = sessions_.find(slot);
  if (found == sessions_.end() || std::exchange(found->second.queued, true)) return;
  ready_.push_back(slot);
}

Services::Turn Services::serve(Session& session, Instant now) {
  switch (session.kind) {
    case Kind::Echo: return echo(session, now);
    case Kind::Discard: return read_away(session, now);
    case Kind::Chargen: break;
  }
  const Turn read = read_away(session, now);
  // Over: the peer's stream has ended, or the whole connection; sending shows which.
  const Turn sent = generate(session, now);
  return sent == Turn::Waits && read == Turn::More ? Turn::More : sent;
}

Services::Turn Services::echo(Session& session, Instant now) {
  std::array<std::uint8_t, kShare> buffer;
  for (std::size_t moved = 0; moved < kShare;) {
    if (session.owed.empty() && !session.end_read) {
      const auto got = engine_.receive(session.socket, buffer, false, now);
      if (!got) return is_patience(got.error()) ? Turn::Waits : Turn::Over;
      session.end_read = *got == 0;
      session.owed.assign(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*got));
    }
    if (session.owed.empty()) return Turn::Over;
    const auto sent = engine_.send(session.socket, session.owed, now);
    if (!sent) return is_patience(sent.error()) ? Turn::Waits : Turn::Over;
    moved += *sent;
    session.owed.erase(session.owed.begin(), session.owed.begin() + static_cast<std::ptrdiff_t>(*sent));
    // A quiet connection is small: an empty vector's memory is given back.
    if (session.owed.empty()) session.owed = {};
  }
  return Turn::More;
}

Services::Turn Services::read_away(Session& session, Instant now) {
  if (session.end_read) return Turn::Over;
  std::array<std::uint8_t, kShare> buffer;
  const auto got = engine_.receive(session.socket, buffer, false, now);
  if (!got) return is_patience(got.error()) ? Turn::Waits : Turn::Over;
  session.end_read = *got == 0;
  return session.end_read ? Turn::Over : Turn::More;
}

Services::Turn Services::generate(Session& session, Instant now) {
  const auto sent = engine_.send(session.socket, Bytes(pattern()).subspan(session.line, kShare), now);
  if (!sent) return is_patience(sent.error()) ? Turn::Waits : Turn::Over;
  session.line = static_cast<std::uint32_t>((session.line + *sent) % kPattern);
  return Turn::More;
}

}  // namespace adieu::host
