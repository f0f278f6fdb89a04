// The native API: an engine in the program's own process, with blocking sockets.
//
// What lives here: NativeEngine, NativeSocket, NativeListener. What does not: readiness and loops of the program's own
// (stack/engine.h has calls that never block), command lines (examples).
//
//   auto engine = NativeEngine::start({.engine = {.tun = "adieu1"}});
//   auto socket = engine->connect(peer);
//   socket->send_all(octets);
//   socket->shutdown(Shut::Send);                 // half-closed, for as long as both ends wish
//   while (auto got = socket->receive(buffer); got && *got > 0) ...
//
// A thread of the engine's own moves packets; calls may come from any thread, one mutex guards the engine. The engine
// registers with `adieu up` when a run directory is named (by option or $ADIEU_RUN_DIR), whenever one appears there,
// and works as well without.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "host/failure.h"
#include "host/options.h"
#include "stack/engine.h"

namespace adieu::host {

struct SocketError {
  stack::Error kind = stack::Error::BadSocket;
  std::string text;  // one line for a person
};
template <typename T>
using SocketResult = std::expected<T, SocketError>;
using stack::Shut;

inline EngineOptions native_defaults() {
  EngineOptions options;
  options.services = false;
  options.slots = 65536;
  return options;
}

struct NativeOptions {
  EngineOptions engine = native_defaults();
  std::string name;     // in `adieu ls`; empty: the program's name and its process id
  std::string run_dir;  // empty: $ADIEU_RUN_DIR, else none
  // When the engine ends, what was sent on closed sockets may still be under way: it waits so long for
  // acknowledgements.
  Duration linger = seconds(5);
};

// Closes itself: what was sent is delivered, nothing more is read (data that comes then resets the connection, as
// everywhere). Movable; use one from one thread at a time, or send in one and receive in another.
class NativeSocket {
 public:
  NativeSocket(NativeSocket&&) noexcept = default;
  NativeSocket& operator=(NativeSocket&&) noexcept;
  ~NativeSocket();

  // As much as there is room for, at least one octet; waits for room.
  SocketResult<std::size_t> send(Bytes octets, Instant until = Instant::never());
  SocketResult<void> send_all(Bytes octets);
  SocketResult<void> send_all(std::string_view text);
  // Waits for at least one octet. 0: the end of the peer's stream. After `until`: Error::WouldBlock.
  SocketResult<std::size_t> receive(MutableBytes out, Instant until = Instant::never());
  SocketResult<void> shutdown(Shut how);
  void close();
  void abort();

  SocketResult<Endpoint> local() const;
  SocketResult<Endpoint> remote() const;
  State state() const;     // Closed once it has ended
  std::string id() const;  // as `adieu ls` shows it

 private:
  friend class NativeEngine;
  friend class NativeListener;
  class Core;
  NativeSocket(std::shared_ptr<Core> core, stack::Socket socket) : core_(std::move(core)), socket_(socket) {}
  std::shared_ptr<Core> core_;
  stack::Socket socket_;
};

class NativeListener {
 public:
  NativeListener(NativeListener&&) noexcept = default;
  NativeListener& operator=(NativeListener&&) noexcept;
  ~NativeListener();

  SocketResult<NativeSocket> accept(Instant until = Instant::never());
  SocketResult<Endpoint> local() const;
  void close();

 private:
  friend class NativeEngine;
  using Core = NativeSocket::Core;
  NativeListener(std::shared_ptr<Core> core, stack::Listener listener) : core_(std::move(core)), listener_(listener) {}
  std::shared_ptr<Core> core_;
  stack::Listener listener_;
};

class NativeEngine {
 public:
  // Makes a TUN interface: needs CAP_NET_ADMIN.
  static Result<NativeEngine> start(const NativeOptions& options);
  NativeEngine(NativeEngine&&) noexcept = default;
  NativeEngine& operator=(NativeEngine&&) = delete;
  // Sockets still open are aborted.
  ~NativeEngine();

  SocketResult<NativeSocket> connect(const Endpoint& remote, const stack::ConnectOptions& options = {});
  SocketResult<NativeListener> listen(const Endpoint& local, const stack::ListenOptions& options = {});
  std::uint32_t live_connections() const;
  bool registered() const;  // with `adieu up`, now

 private:
  using Core = NativeSocket::Core;
  explicit NativeEngine(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  std::shared_ptr<Core> core_;
  Duration linger_;
};

}  // namespace adieu::host
