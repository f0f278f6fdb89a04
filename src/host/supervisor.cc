// Registration, hand-over, restarts, the orderly end.
#include "host/supervisor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "host/clock.h"
#include "host/log.h"
#include "host/shared_memory.h"
#include "plane/table.h"

namespace adieu::host {
namespace {

enum Token : std::uint64_t { kListener, kSignals };

constexpr std::size_t kMostClients = 256;
constexpr std::size_t kMostPlanes = 128;
constexpr std::size_t kMostOutgoing = 2 * kMostPlanes + 8;
// Tables of failed planes kept for `adieu ls`; the ledger keeps their connections' ends.
constexpr int kFailedKept = 4;
constexpr int kShare = 64;
constexpr Duration kHelloLimit = seconds(5);
constexpr Duration kStopLimit = seconds(3);
constexpr Duration kLookHome = seconds(1);

Message reply(MessageKind kind, std::string_view text = {}) {
  Message message;
  message.kind = kind;
  message.process = static_cast<std::uint32_t>(::getpid());
  set_text(message.text, text);
  return message;
}

bool is_on_terminal() { return static_cast<bool>(Descriptor(::open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY))); }

// A name that can stand in "name/12.3" and on a terminal.
std::string clean_name(std::string name) {
  for (char& c : name)
    if (c == '/' || c == ' ' || c == '@' || static_cast<unsigned char>(c) >= 0x7f) c = '-';
  return name.empty() ? "plane" : name;
}

}  // namespace

Supervisor::Supervisor(RunDir run_dir, Lock lock, Descriptor listener, Descriptor home)
    : run_dir_(std::move(run_dir)),
      lock_(std::move(lock)),
      listener_(std::move(listener)),
      home_(std::move(home)),
      signals_(signals({SIGTERM, SIGINT, SIGHUP, SIGCHLD})),
      has_terminal_(is_on_terminal()) {
  poller_.add(listener_.get(), kListener);
  poller_.add(signals_.get(), kSignals);
}

Result<std::unique_ptr<Supervisor>> Supervisor::open(const RunDir& run_dir, const ChildCommands& commands) {
  if (auto made = run_dir.make(); !made) return std::unexpected(made.error());
  pid_t holder = 0;
  auto lock = Lock::take(run_dir.lock("supervisor"), &holder);
  if (!lock && holder != 0)
    return failed(
        fmt::format("`adieu up` runs there already (process {}, run directory {}): end it, or choose another "
                    "--run-dir",
                    holder, run_dir.path()));
  if (!lock) return std::unexpected(lock.error());
  auto listener = listen_at(run_dir.socket());
  if (!listener) return std::unexpected(listener.error());
  Descriptor home(::open(run_dir.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!home) return failed_by_system("opening the run directory " + run_dir.path(), errno);
  std::unique_ptr<Supervisor> made(new Supervisor(run_dir, std::move(*lock), std::move(*listener), std::move(home)));
  const auto child = [&](const char* name, const std::vector<std::string>& arguments) {
    if (!arguments.empty()) made->children_.emplace_back(name, arguments, run_dir.lock(name));
  };
  child("engine", commands.engine);
  child("kernel", commands.kernel);
  child("control", commands.control);
  return made;
}

Result<bool> Supervisor::start() {
  const auto ready = [](const Child& child) { return child.is_connected(); };
  while (!std::ranges::all_of(children_, ready)) {
    const bool go_on = turn();
    for (const Child& child : children_) {
      if (!child.refused_to_start()) continue;
      stop_children();
      return failed(fmt::format("{} did not start; its reason stands above", child.name()));
    }
    if (go_on) continue;
    stop_children();
    return false;
  }
  return true;
}

void Supervisor::run() {
  while (turn()) {
  }
  stop_children();
}

bool Supervisor::turn() {
  Instant now = host::now();
  for (Child& child : children_) child.advance(now);
  look_home(now);
  const auto ready = poller_.wait(next_deadline());
  const std::vector<std::uint64_t> tokens(ready.begin(), ready.end());
  now = host::now();
  for (const std::uint64_t token : tokens) {
    if (token == kListener)
      accept_clients(now);
    else if (token == kSignals)
      take_signals(now);
    else
      hear(token, now);
  }
  std::vector<std::uint64_t> late;
  for (const auto& [token, client] : clients_)
    if (client.role == Role::Unknown && client.hello_until <= now) late.push_back(token);
  for (const std::uint64_t token : late) lost(token, now);
  return !stop_;
}

Instant Supervisor::next_deadline() const {
  Instant next = look_home_at_;
  for (const Child& child : children_) next = earlier(next, child.next_deadline());
  for (const auto& [token, client] : clients_)
    if (client.role == Role::Unknown) next = earlier(next, client.hello_until);
  return next;
}

void Supervisor::look_home(Instant now) {
  if (now < look_home_at_) return;
  look_home_at_ = now + kLookHome;
  struct stat there{}, ours{};
  const bool is_home = ::stat(run_dir_.path().c_str(), &there) == 0 && ::fstat(home_.get(), &ours) == 0 &&
                       there.st_dev == ours.st_dev && there.st_ino == ours.st_ino;
  if (is_home == is_home_) return;
  is_home_ = is_home;
  if (is_home) return log_warning(fmt::format("the run directory {} is back", run_dir_.path()));
  log_error(
      fmt::format("the run directory {} was moved, removed or replaced: data planes go on, but no command finds this "
                  "`adieu up` any "
                  "more. Put it back; if it is gone for good, end this one (process {}) and start another",
                  run_dir_.path(), ::getpid()));
}

void Supervisor::take_signals(Instant now) {
  while (const int signal = next_signal(signals_.get())) {
    // A terminal that goes away says so by the same signal as a person who wants a reload.
    if (signal == SIGHUP && (!has_terminal_ || is_on_terminal()))
      reload();
    else if (signal != SIGCHLD)
      stop_ = true;
  }
  reap(now);
}

// A control plane that does not attend at this moment reads its policy when it starts.
void Supervisor::reload() {
  log_info("SIGHUP: the policy is read again");
  for (const auto& [token, client] : clients_) {
    if (client.role != Role::Control) continue;
    send(token, reply(MessageKind::Reload));
    return;
  }
}

void Supervisor::reap(Instant now) {
  int status = 0;
  while (const pid_t pid = ::waitpid(-1, &status, WNOHANG)) {
    if (pid < 0) break;
    for (Child& child : children_)
      if (child.ended(pid, status, now)) break;
  }
}

// --- clients

void Supervisor::accept_clients(Instant now) {
  for (;;) {
    Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    const auto peer = peer_of(socket.get());
    if (!peer) continue;
    const std::uint64_t token = next_token_++;
    poller_.add(socket.get(), token);
    Client client;
    client.socket = std::move(socket);
    client.peer = *peer;
    client.hello_until = now + kHelloLimit;
    clients_.emplace(token, std::move(client));
    if (peer->user != ::geteuid() && peer->user != 0)
      refuse(token, fmt::format("this `adieu up` belongs to user {}, and you are user {}", ::geteuid(), peer->user));
    else if (clients_.size() > kMostClients)
      refuse(token, fmt::format("more than {} clients at one time", kMostClients));
  }
}

void Supervisor::hear(std::uint64_t token, Instant now) {
  flush(token);
  // A client that talks without end has its share of a turn, as everybody.
  for (int share = 0; share < kShare; ++share) {
    const auto found = clients_.find(token);
    if (found == clients_.end()) return;
    auto received = receive_message(found->second.socket.get());
    const auto trouble = received ? ReceiveTrouble::Malformed : received.error().trouble;
    if (trouble == ReceiveTrouble::Nothing) return;
    if (trouble == ReceiveTrouble::Closed) return lost(token, now);
    if (found->second.over) continue;  // it has been told
    if (received)
      take(token, std::move(*received), now);
    else
      refuse(token, received.error().text);
  }
}

void Supervisor::take(std::uint64_t token, Received received, Instant now) {
  Client& client = clients_.at(token);
  const MessageKind kind = received.message.kind;
  if (client.role == Role::Unknown) {
    if (kind == MessageKind::RegisterPlane) return register_plane(token, received);
    if (kind == MessageKind::Attend) return attend(token);
    if (kind == MessageKind::Read) return read(token);
  } else if (kind == MessageKind::Goodbye) {
    if (client.role == Role::Plane) plane_gone(client.incarnation, false);
    return lost(token, now);
  }
  refuse(token, fmt::format("message {} makes no sense here", static_cast<unsigned>(kind)));
}

void Supervisor::lost(std::uint64_t token, Instant now) {
  const auto found = clients_.find(token);
  if (found == clients_.end()) return;
  const Role role = found->second.role;
  const std::uint64_t incarnation = found->second.incarnation;
  if (found->second.child != nullptr) found->second.child->disconnected(now);
  clients_.erase(found);
  if (role != Role::Plane) return;
  const bool registered = std::ranges::any_of(
      planes_, [&](const RegisteredPlane& p) { return p.client == token && p.message.incarnation == incarnation; });
  if (registered) plane_gone(incarnation, true);
}

void Supervisor::refuse(std::uint64_t token, const std::string& why) {
  Client& client = clients_.at(token);
  log_warning(fmt::format("refused process {}: {}", client.peer.process, why));
  if (client.role == Role::Plane) plane_gone(client.incarnation, true);
  if (client.child != nullptr) client.child->disconnected(host::now());
  client.child = nullptr;
  // It stays open a while, so that whoever is still about to say hello finds our reason and not a broken pipe.
  client.role = Role::Unknown;
  client.hello_until = host::now() + kHelloLimit;
  send(token, reply(MessageKind::Refused, why));
  if (const auto found = clients_.find(token); found != clients_.end()) found->second.over = true;
  if (clients_.size() > kMostClients) lost(token, host::now());
}

void Supervisor::send(std::uint64_t token, const Message& message, std::initializer_list<int> descriptors) {
  const auto found = clients_.find(token);
  if (found == clients_.end() || found->second.over) return;
  Outgoing outgoing{message, {}};
  for (const int descriptor : descriptors) outgoing.descriptors.emplace_back(::fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
  found->second.outbox.push_back(std::move(outgoing));
  flush(token);
}

void Supervisor::flush(std::uint64_t token) {
  const auto found = clients_.find(token);
  if (found == clients_.end()) return;
  Client& client = found->second;
  bool full = false;
  while (!client.outbox.empty() && !full) {
    std::vector<int> descriptors;
    for (const Descriptor& one : client.outbox.front().descriptors) descriptors.push_back(one.get());
    const auto sent = send_message(client.socket.get(), client.outbox.front().message, descriptors);
    if (!sent) {
      // It is gone. What it said last, a goodbye perhaps, is still to be heard: hear() finds the end behind it.
      client.outbox.clear();
      return;
    }
    if (*sent) client.outbox.pop_front();
    full = !*sent;
  }
  // Who does not take what it asked for is let go; it can ask again.
  if (client.outbox.size() > kMostOutgoing) return lost(token, host::now());
  poller_.change(client.socket.get(), token, !client.outbox.empty());
}

// --- who they are

Child* Supervisor::child_of(const char* name, pid_t process) {
  for (Child& child : children_)
    if (child.name() == name && Lock::holder(child.lock()) == process) return &child;
  return nullptr;
}

void Supervisor::register_plane(std::uint64_t token, Received& received) {
  Client& client = clients_.at(token);
  auto plane = examine(received, client.peer);
  if (!plane) return refuse(token, plane.error().text);
  plane->client = token;
  client.role = Role::Plane;
  client.incarnation = plane->message.incarnation;
  if (plane->message.child != 0)
    client.child =
        child_of(plane->message.plane_kind == plane::PlaneKind::Kernel ? "kernel" : "engine", client.peer.process);
  if (client.child != nullptr) client.child->connected(client.peer.process);
  // Taken for dead, and it was not.
  std::erase_if(planes_, [&](const RegisteredPlane& p) { return p.message.incarnation == client.incarnation; });
  planes_.push_back(std::move(*plane));
  const RegisteredPlane& made = planes_.back();
  log_info(fmt::format("plane {} registered (process {})", text_of(made.message.name), client.peer.process));
  send(token, reply(MessageKind::Welcome, run_dir_.path()));
  for (const auto& [other, one] : clients_) {
    if (one.role != Role::Control) continue;
    send_plane(other, made);
    break;
  }
}

Result<Supervisor::RegisteredPlane> Supervisor::examine(const Received& received, const Peer& peer) const {
  const auto& [message, descriptors] = received;
  if (descriptors.size() != kMostDescriptors)
    return failed(fmt::format("a plane comes with {} descriptors (table, control block, two eventfds), not with {}",
                              kMostDescriptors, descriptors.size()));
  const auto table_bytes = check_shared(descriptors[0].get());
  if (!table_bytes) return failed("the table: " + table_bytes.error().text);
  const auto control_bytes = check_shared(descriptors[1].get());
  if (!control_bytes) return failed("the control block: " + control_bytes.error().text);
  if (*control_bytes < plane::control_block_bytes())
    return failed(
        fmt::format("the control block has {} octets, {} are needed", *control_bytes, plane::control_block_bytes()));
  if ((::fcntl(descriptors[1].get(), F_GETFL) & O_ACCMODE) != O_RDWR)
    return failed("the control block cannot be written by control");
  if (!is_bell(descriptors[2].get()) || !is_bell(descriptors[3].get()))
    return failed("the wake-up descriptors must be non-blocking eventfds");
  auto table = reopen_read_only(descriptors[0].get());
  auto control_read_only = reopen_read_only(descriptors[1].get());
  if (!table || !control_read_only) return std::unexpected((!table ? table : control_read_only).error());
  const auto mapping = Mapping::of(table->get(), *table_bytes, Mapping::Access::Read);
  if (!mapping) return std::unexpected(mapping.error());
  const auto reader = plane::TableReader::over(mapping->bytes());
  if (!reader) return failed(fmt::format("the table: {}", name(reader.error())));
  if (reader->incarnation() != message.incarnation || reader->kind() != message.plane_kind)
    return failed("the table is another one than the message says");
  if (planes_.size() >= kMostPlanes) return failed(fmt::format("more than {} planes", kMostPlanes));
  for (const RegisteredPlane& other : planes_)
    if (other.client != 0 && other.message.incarnation == message.incarnation)
      return failed("this plane is registered already");

  const auto copy = [](const Descriptor& from) { return Descriptor(::fcntl(from.get(), F_DUPFD_CLOEXEC, 3)); };
  RegisteredPlane plane;
  plane.message = message;
  plane.message.kind = MessageKind::Plane;
  plane.message.process = static_cast<std::uint32_t>(peer.process);
  plane.message.failed = 0;
  set_text(plane.message.name, free_name(clean_name(text_of(message.name))));
  plane.table = std::move(*table);
  plane.control = copy(descriptors[1]);
  plane.control_read_only = std::move(*control_read_only);
  plane.wake_plane = copy(descriptors[2]);
  plane.wake_control = copy(descriptors[3]);
  return plane;
}

std::string Supervisor::free_name(std::string name) const {
  const auto taken = [this](const std::string& wanted) {
    return std::ranges::any_of(planes_, [&](const RegisteredPlane& p) { return text_of(p.message.name) == wanted; });
  };
  if (!taken(name)) return name;
  for (int number = 2;; ++number)
    if (std::string other = fmt::format("{}-{}", name, number); !taken(other)) return other;
}

void Supervisor::attend(std::uint64_t token) {
  Client& client = clients_.at(token);
  if (const Client* const other = control_client())
    return refuse(token, fmt::format("a control plane attends already (process {})", other->peer.process));
  client.role = Role::Control;
  client.child = child_of("control", client.peer.process);
  if (client.child != nullptr) client.child->connected(client.peer.process);
  send(token, reply(MessageKind::Welcome, run_dir_.path()));
  for (const RegisteredPlane& plane : planes_)
    if (plane.client != 0) send_plane(token, plane);
  send(token, reply(MessageKind::EndOfList));
}

void Supervisor::read(std::uint64_t token) {
  clients_.at(token).role = Role::Reader;
  send(token, reply(MessageKind::Welcome, run_dir_.path()));
  for (const RegisteredPlane& plane : planes_) send_plane(token, plane);
  Message end = reply(MessageKind::EndOfList);
  const Client* const control = control_client();
  end.process = control == nullptr ? 0 : static_cast<std::uint32_t>(control->peer.process);
  send(token, end);
}

void Supervisor::send_plane(std::uint64_t token, const RegisteredPlane& plane) {
  const auto found = clients_.find(token);
  if (found == clients_.end()) return;
  if (found->second.role == Role::Control)
    send(token, plane.message,
         {plane.table.get(), plane.control.get(), plane.wake_plane.get(), plane.wake_control.get()});
  else
    send(token, plane.message, {plane.table.get(), plane.control_read_only.get()});
}

void Supervisor::plane_gone(std::uint64_t incarnation, bool failed) {
  const auto found =
      std::ranges::find_if(planes_, [&](const RegisteredPlane& p) { return p.message.incarnation == incarnation; });
  if (found == planes_.end()) return;
  const std::string name = text_of(found->message.name);
  if (failed)
    log_warning(fmt::format("plane {} failed: it went without a goodbye", name));
  else
    log_info(fmt::format("plane {} ended", name));
  Message message = reply(MessageKind::PlaneEnded);
  message.incarnation = incarnation;
  message.failed = failed ? 1 : 0;
  for (const auto& [token, client] : clients_) {
    if (client.role != Role::Control) continue;
    send(token, message);
    break;
  }
  // A kernel plane only observes: its process's end ends no connection, and its table would only mislead.
  if (failed && found->message.plane_kind == plane::PlaneKind::Engine) {
    found->message.failed = 1;
    found->client = 0;
    set_text(found->message.name, fmt::format("{}@{:04x}", name, incarnation >> 48));
    forget_old_failures();
  } else {
    planes_.erase(found);
  }
}

void Supervisor::forget_old_failures() {
  const auto is_failed = [](const RegisteredPlane& plane) { return plane.client == 0; };
  while (std::ranges::count_if(planes_, is_failed) > kFailedKept)
    planes_.erase(std::ranges::find_if(planes_, is_failed));
}

Supervisor::Client* Supervisor::control_client() {
  for (auto& [token, client] : clients_)
    if (client.role == Role::Control) return &client;
  return nullptr;
}

// --- the end

// Planes first, so that control hears their goodbyes and keeps what they said last.
void Supervisor::stop_children() {
  const auto stop = [this](bool control) {
    const auto of_this_round = [control](const Child& child) { return (child.name() == "control") == control; };
    for (Child& child : children_)
      if (of_this_round(child)) child.stop(false);
    std::vector<std::uint64_t> told;
    for (const auto& [token, client] : clients_)
      if (client.child != nullptr && of_this_round(*client.child)) told.push_back(token);
    for (const std::uint64_t token : told) send(token, reply(MessageKind::Stop));
    // One that was adopted is none of ours to wait for: its lock tells when it is gone.
    const auto lives = [&](const Child& child) {
      return of_this_round(child) && (child.is_running() || Lock::holder(child.lock()).has_value());
    };
    for (int round = 0; round < 2; ++round) {
      const Instant until = host::now() + kStopLimit;
      while (std::ranges::any_of(children_, lives) && host::now() < until) {
        const auto ready = poller_.wait(earlier(until, host::now() + milliseconds(50)));
        const std::vector<std::uint64_t> tokens(ready.begin(), ready.end());
        for (const std::uint64_t token : tokens)
          if (token >= 16) hear(token, host::now());
        take_signals(host::now());
      }
      if (!std::ranges::any_of(children_, lives)) return;
      for (Child& child : children_)
        if (lives(child)) child.stop(true);
    }
  };
  stop(false);
  stop(true);
}

}  // namespace adieu::host
