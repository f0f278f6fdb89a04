// One thread that turns the loop, one mutex, one condition that everybody waits on.
#include "host/native.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include "host/clock.h"
#include "host/engine_loop.h"

namespace adieu::host {
namespace {

using stack::Error;

SocketError error_of(Error kind, std::string_view what) { return {kind, fmt::format("{}: {}", what, name(kind))}; }

bool is_patience(Error error) { return error == Error::WouldBlock || error == Error::InProgress; }

}  // namespace

class NativeSocket::Core {
 public:
  explicit Core(Descriptor stop) : stop_(std::move(stop)) {}
  ~Core() { end({}); }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  Result<void> start(EngineSetup setup);
  // Aborts what is open, waits `linger` for what is under way, ends the thread.
  void end(Duration linger);

  // Runs `call(engine, now)` until it has something better to say than "not now", or `until` passes.
  template <typename T>
  SocketResult<T> until(std::string_view what, Instant limit,
                        const std::function<std::expected<T, Error>(stack::Engine&, Instant)>& call);
  template <typename T>
  T now(const std::function<T(stack::Engine&, Instant)>& call, T otherwise);

  void opened(stack::Socket socket) { open_.insert({socket.slot, socket.generation}); }
  void closed(stack::Socket socket) { open_.erase({socket.slot, socket.generation}); }
  bool registered();
  const std::string& name() const { return name_; }

 private:
  void run();
  void after_call();
  bool settled();
  SocketError over(std::string_view what) const;

  Descriptor stop_;
  std::string name_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<EngineLoop> loop_;
  bool running_ = false;
  std::set<std::pair<std::uint32_t, std::uint32_t>> open_;  // sockets the program holds
  std::thread thread_;
};

Result<void> NativeSocket::Core::start(EngineSetup setup) {
  setup.stop = stop_.get();
  name_ = setup.name;
  auto opened = EngineLoop::open(setup);
  if (!opened) return std::unexpected(opened.error());
  loop_ = std::move(*opened);
  running_ = true;
  // The program's signals are for the program's own threads.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return {};
}

void NativeSocket::Core::run() {
  for (;;) {
    loop_->wait();
    const std::lock_guard lock(mutex_);
    const bool go_on = loop_->take_in();
    after_call();
    if (go_on) continue;
    running_ = false;
    changed_.notify_all();
    return;
  }
}

// Packets out, and whoever waits may look again.
void NativeSocket::Core::after_call() {
  loop_->send_out();
  bool woken = false;
  while (loop_->engine().poll_wake()) woken = true;
  if (woken) changed_.notify_all();
}

void NativeSocket::Core::end(Duration linger) {
  std::unique_lock lock(mutex_);
  if (!loop_) return;
  if (running_) {
    const Instant now = loop_->start_call();
    for (const auto& [slot, generation] : open_) {
      [[maybe_unused]] const auto aborted = loop_->engine().abort({slot, generation}, now);
    }
    after_call();
  }
  open_.clear();
  const Instant until = host::now() + linger;
  while (running_ && !settled() && host::now() < until) {
    lock.unlock();
    ::usleep(5000);
    lock.lock();
  }
  if (running_) {
    loop_->abort_all();  // an orphan dies with this process: its peer is told
    after_call();
  }
  lock.unlock();
  ring(stop_.get());
  if (thread_.joinable()) thread_.join();
  lock.lock();
  if (loop_->link() != nullptr) loop_->link()->goodbye();
  loop_.reset();
  running_ = false;
  changed_.notify_all();
}

// Nothing that a closed socket has sent is unacknowledged.
bool NativeSocket::Core::settled() {
  const auto table = loop_->table();
  plane::Record record;
  for (std::uint32_t slot = 0; slot < table.slots_used(); ++slot) {
    if (table.read(slot, record) != plane::SlotReading::Whole || record.has_ended()) continue;
    if (record.state == State::FinWait1 || record.state == State::Closing || record.state == State::LastAck)
      return false;
  }
  return true;
}

SocketError NativeSocket::Core::over(std::string_view what) const {
  const bool device = loop_ && loop_->failure();
  return {Error::NotConnected, fmt::format("{}: the engine has ended{}", what,
                                           device ? " (" + loop_->failure()->text + ")" : std::string{})};
}

template <typename T>
SocketResult<T> NativeSocket::Core::until(std::string_view what, Instant limit,
                                          const std::function<std::expected<T, Error>(stack::Engine&, Instant)>& call) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!running_) return std::unexpected(over(what));
    auto done = call(loop_->engine(), loop_->start_call());
    after_call();
    if (done) return std::move(*done);
    if (!is_patience(done.error())) return std::unexpected(error_of(done.error(), what));
    if (limit == Instant::never()) {
      changed_.wait(lock);
      continue;
    }
    const Duration left = limit - host::now();
    if (left <= Duration{}) return std::unexpected(error_of(Error::WouldBlock, what));
    changed_.wait_for(lock, std::chrono::nanoseconds(left.ns));
  }
}

template <typename T>
T NativeSocket::Core::now(const std::function<T(stack::Engine&, Instant)>& call, T otherwise) {
  const std::lock_guard lock(mutex_);
  if (!running_) return otherwise;
  T done = call(loop_->engine(), loop_->start_call());
  after_call();
  return done;
}

bool NativeSocket::Core::registered() {
  const std::lock_guard lock(mutex_);
  return running_ && loop_->link() != nullptr && loop_->link()->registered();
}

// --- sockets

NativeSocket& NativeSocket::operator=(NativeSocket&& other) noexcept {
  std::swap(core_, other.core_);
  std::swap(socket_, other.socket_);
  return *this;
}
NativeSocket::~NativeSocket() { close(); }

SocketResult<std::size_t> NativeSocket::send(Bytes octets, Instant until) {
  return core_->until<std::size_t>(
      "send", until, [&](stack::Engine& engine, Instant now) { return engine.send(socket_, octets, now); });
}

SocketResult<void> NativeSocket::send_all(Bytes octets) {
  while (!octets.empty()) {
    const auto sent = send(octets);
    if (!sent) return std::unexpected(sent.error());
    octets = octets.subspan(*sent);
  }
  return {};
}

SocketResult<void> NativeSocket::send_all(std::string_view text) {
  return send_all(Bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

SocketResult<std::size_t> NativeSocket::receive(MutableBytes out, Instant until) {
  return core_->until<std::size_t>(
      "receive", until, [&](stack::Engine& engine, Instant now) { return engine.receive(socket_, out, false, now); });
}

SocketResult<void> NativeSocket::shutdown(Shut how) {
  const auto done = core_->until<bool>("shutdown", Instant::never(), [&](stack::Engine& engine, Instant now) {
    const auto shut = engine.shutdown(socket_, how, now);
    return shut ? std::expected<bool, Error>(true) : std::unexpected(shut.error());
  });
  if (!done) return std::unexpected(done.error());
  return {};
}

void NativeSocket::close() {
  if (!core_) return;
  core_->now<bool>(
      [&](stack::Engine& engine, Instant now) {
        core_->closed(socket_);
        return engine.close(socket_, now).has_value();
      },
      false);
  core_.reset();
}

void NativeSocket::abort() {
  if (!core_) return;
  core_->now<bool>(
      [&](stack::Engine& engine, Instant now) {
        core_->closed(socket_);
        return engine.abort(socket_, now).has_value();
      },
      false);
  core_.reset();
}

SocketResult<Endpoint> NativeSocket::local() const {
  return core_->until<Endpoint>("local", Instant::never(),
                                [&](stack::Engine& engine, Instant) { return engine.local(socket_); });
}
SocketResult<Endpoint> NativeSocket::remote() const {
  return core_->until<Endpoint>("remote", Instant::never(),
                                [&](stack::Engine& engine, Instant) { return engine.remote(socket_); });
}
State NativeSocket::state() const {
  return core_->now<State>(
      [&](stack::Engine& engine, Instant) {
        const auto details = engine.details(socket_);
        return details ? details->state : State::Closed;
      },
      State::Closed);
}
std::string NativeSocket::id() const {
  const auto id = core_->now<plane::ConnectionId>([&](stack::Engine& engine, Instant) { return engine.id(socket_); },
                                                  plane::ConnectionId{});
  return text(NamedId{core_->name(), id.slot, id.generation});
}

// --- listeners

NativeListener& NativeListener::operator=(NativeListener&& other) noexcept {
  std::swap(core_, other.core_);
  std::swap(listener_, other.listener_);
  return *this;
}
NativeListener::~NativeListener() { close(); }

SocketResult<NativeSocket> NativeListener::accept(Instant until) {
  const auto socket = core_->until<stack::Socket>("accept", until, [&](stack::Engine& engine, Instant now) {
    const auto accepted = engine.accept(listener_, now);
    if (accepted) core_->opened(*accepted);
    return accepted;
  });
  if (!socket) return std::unexpected(socket.error());
  return NativeSocket(core_, *socket);
}

SocketResult<Endpoint> NativeListener::local() const {
  return core_->until<Endpoint>("local", Instant::never(),
                                [&](stack::Engine& engine, Instant) { return engine.local(listener_); });
}

void NativeListener::close() {
  if (!core_) return;
  core_->now<bool>(
      [&](stack::Engine& engine, Instant now) {
        engine.close_listener(listener_, now);
        return true;
      },
      false);
  core_.reset();
}

// --- the engine

Result<NativeEngine> NativeEngine::start(const NativeOptions& options) {
  EngineSetup setup;
  setup.options = options.engine;
  setup.name = options.name.empty() ? fmt::format("{}-{}", program_invocation_short_name, ::getpid()) : options.name;
  setup.run_dir = RunDir::named(options.run_dir);
  auto core = std::make_shared<Core>(make_bell());
  if (auto started = core->start(std::move(setup)); !started) return std::unexpected(started.error());
  NativeEngine engine(std::move(core));
  engine.linger_ = options.linger;
  return engine;
}

NativeEngine::~NativeEngine() {
  if (core_) core_->end(linger_);
}

SocketResult<NativeSocket> NativeEngine::connect(const Endpoint& remote, const stack::ConnectOptions& options) {
  std::optional<stack::Socket> socket;
  const std::string what = "connect to " + text(remote);
  const auto done =
      core_->until<bool>(what, Instant::never(), [&](stack::Engine& engine, Instant now) -> std::expected<bool, Error> {
        if (!socket) {
          const auto begun = engine.connect(remote, options, now);
          if (!begun) return std::unexpected(begun.error());
          socket = *begun;
          core_->opened(*socket);
        }
        const auto ready = engine.readiness(*socket);
        if (ready.ended) {
          const Error why = engine.error(*socket).value_or(Error::NotConnected);
          core_->closed(*socket);
          [[maybe_unused]] const auto closed = engine.close(*socket, now);
          return std::unexpected(why);
        }
        if (!ready.connected) return std::unexpected(Error::InProgress);
        return true;
      });
  if (!done) return std::unexpected(done.error());
  return NativeSocket(core_, *socket);
}

SocketResult<NativeListener> NativeEngine::listen(const Endpoint& local, const stack::ListenOptions& options) {
  const auto listener =
      core_->until<stack::Listener>("listen at " + text(local), Instant::never(),
                                    [&](stack::Engine& engine, Instant) { return engine.listen(local, options); });
  if (!listener) return std::unexpected(listener.error());
  return NativeListener(core_, *listener);
}

std::uint32_t NativeEngine::live_connections() const {
  return core_->now<std::uint32_t>([](stack::Engine& engine, Instant) { return engine.live_connections(); }, 0);
}
bool NativeEngine::registered() const { return core_->registered(); }

}  // namespace adieu::host
