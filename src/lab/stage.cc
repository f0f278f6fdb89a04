// One thread does it all: turns of the engine, of the puppets, and of the question whether it has happened.
#include "lab/stage.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "host/clock.h"

namespace adieu::lab {
namespace {

constexpr Duration kTurn = milliseconds(2);
constexpr Duration kLong = seconds(5);         // for what takes a moment, on a busy machine
constexpr Duration kNear = milliseconds(400);  // a retransmission timeout of a path without delay: 200 ms and a little

sockaddr_in socket_address(const Endpoint& endpoint) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(endpoint.port);
  std::memcpy(&address.sin_addr, endpoint.address.octets.data() + 12, 4);
  return address;
}

Trouble trouble(std::string_view what) { return Trouble(fmt::format("{}: {}", what, std::strerror(errno))); }

}  // namespace

std::string in_seconds(Duration time) { return fmt::format("{:.1f} s", time.seconds()); }

std::string state_text(const std::optional<State>& state) {
  return state ? std::string(adieu::name(*state)) : std::string("gone");
}

// --- building

void Stage::furnish_far(const Net& far) {
  world_.route(*near_, "10.9.0.0/16 via 10.1.0.2");
  world_.forward(*near_);
  puppets_.emplace(far);
  table_.emplace(*near_);
}

void Stage::build() {
  near_ = world_.add("near");
  const Net far = world_.add("far");
  world_.link(*near_, "far", "10.1.0.1/24", far, "near", "10.1.0.2/24");
  world_.route(far, "10.77.0.0/16 via 10.1.0.1");
  furnish_far(far);
}

void Stage::build_router() {
  near_ = world_.add("near");
  router_ = world_.add("router");
  const Net far = world_.add("far");
  world_.link(*near_, "lan", "10.1.0.1/24", *router_, "lan", "10.1.0.2/24");
  world_.link(*router_, "wan", "10.2.0.1/24", far, "wan", "10.2.0.2/24");
  world_.route(*router_, "10.9.0.0/16 via 10.2.0.2");
  world_.route(*router_, "10.77.0.0/16 via 10.1.0.1");
  world_.forward(*router_);
  try {
    world_.filter(*router_,
                  "table ip nat {\n chain post {\n type nat hook postrouting priority srcnat\n"
                  " oifname \"wan\" masquerade\n }\n}\n");
    world_.sysctl(*router_, "net.netfilter.nf_conntrack_tcp_timeout_close_wait");
    router_entry(0);
  } catch (const Trouble& lacking) {
    throw Skip(fmt::format("this kernel tracks and masquerades no connections: {}", lacking.what()));
  }
  furnish_far(far);
}

void Stage::set(const std::string& name, const std::string& value) { set_in(*near_, name, value); }
void Stage::set_on_router(const std::string& name, const std::string& value) { set_in(*router_, name, value); }

void Stage::set_in(const Net& net, const std::string& name, const std::string& value) {
  std::string before;
  try {
    before = world_.sysctl(net, name);
  } catch (const Trouble& lacking) {
    throw Skip(fmt::format("this kernel has no such setting: {}", lacking.what()));
  }
  world_.set_sysctl(net, name, value);
  was_set(fmt::format("{} = {} (was {})", name, value, before));
}

void Stage::set_control(const std::string& flags) {
  if (is_kernel()) return;
  if (settings_.program.empty()) throw Skip("adieu's own program, whose control plane asks, was not named");
  run_dir_ = world_.directory() + "/run";
  auto arguments = words(fmt::format("{} up --plane kernel --run-dir {} {}", settings_.program, run_dir_, flags));
  up_.emplace(world_.start(*near_, arguments));
  await("`adieu up` is up", [&] { return up_->output().find("adieu: up") != std::string::npos; });
  was_set(fmt::format("adieu up {}", flags));
}

std::string Stage::router_entry(std::uint16_t port) const {
  std::istringstream lines(world_.run(*router_, {"cat", "/proc/net/nf_conntrack"}));
  for (std::string line; std::getline(lines, line);) {
    const auto parts = words(line);
    if (line.find(fmt::format(" dport={} ", port)) != std::string::npos && parts.size() > 5)
      return fmt::format("{}, {} s left", parts[5], parts[4]);
  }
  return "none";
}

// --- connecting

host::EngineLoop& Stage::engine() {
  if (!engine_) {
    try {
      engine_ = start_engine(*near_, time_wait_, run_dir_);
    } catch (const Trouble& lacking) {
      throw Skip(fmt::format("no engine can be started here: {}", lacking.what()));
    }
    if (!run_dir_.empty())
      await("the engine is registered", [&] { return engine_->link() != nullptr && engine_->link()->registered(); });
  }
  return *engine_;
}

// A kernel's timers follow what it measured of the path. Where this machine was slow to answer, the next one is better.
End Stage::connect() {
  constexpr int kTries = 5;
  for (int i = 1;; ++i) {
    End end = connect_to(puppets_->add());
    if (!is_kernel() || kernel(end).rto() < kNear || i == kTries) return end;
  }
}

End Stage::connect_far(Duration delay) {
  Puppet& peer = puppets_->add();
  peer.delay = delay;
  return connect_to(peer);
}

End Stage::connect_to(Puppet& peer) {
  if (is_kernel()) {
    const Inside inside(*near_);
    host::Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_in there = socket_address(peer.own());
    if (!socket ||
        (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&there), sizeof there) != 0 && errno != EINPROGRESS))
      throw trouble("cannot connect");
    subjects_.push_back(std::make_unique<KernelSubject>(std::move(socket), *table_, peer.own()));
  } else {
    const auto socket = engine().engine().connect(peer.own(), {}, engine().start_call());
    if (!socket) throw Trouble(fmt::format("the engine cannot connect: {}", name(socket.error())));
    subjects_.push_back(std::make_unique<EngineSubject>(engine(), *socket));
  }
  Subject& it = *subjects_.back();
  // Its last ACK included: what is heard from now on belongs to what is tried.
  await("a connection is established", [&] {
    return peer.is_connected() && peer.acknowledged() == peer.snd_nxt() && it.state() == State::Established;
  });
  return {it, peer};
}

void Stage::listen(std::uint16_t port) {
  listener_ = {is_kernel() ? Address::v4(10, 1, 0, 1) : Address::v4(10, 77, 0, 2), port};
  if (is_kernel()) {
    const Inside inside(*near_);
    kernel_listener_ = host::Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_in own = socket_address(listener_);
    if (bind(kernel_listener_.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0 ||
        ::listen(kernel_listener_.get(), 8) != 0)
      throw trouble("cannot listen");
  } else {
    const auto made = engine().engine().listen(listener_, {});
    if (!made) throw Trouble(fmt::format("the engine cannot listen: {}", name(made.error())));
    engine_listener_ = *made;
  }
}

// What others left in the queue is closed on the way.
End Stage::accept(Puppet& from) {
  std::unique_ptr<Subject> subject;
  await("a connection is accepted", [&] {
    if (is_kernel()) {
      sockaddr_in peer{};
      socklen_t size = sizeof peer;
      host::Descriptor socket(
          accept4(kernel_listener_.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (socket && ntohs(peer.sin_port) == from.own().port)
        subject = std::make_unique<KernelSubject>(std::move(socket), *table_, from.own());
    } else if (const auto socket = engine().engine().accept(engine_listener_, engine().start_call())) {
      auto accepted = std::make_unique<EngineSubject>(engine(), *socket);
      if (engine().engine().remote(*socket) == from.own())
        subject = std::move(accepted);
      else
        accepted->close();
    }
    return subject != nullptr;
  });
  subjects_.push_back(std::move(subject));
  return {*subjects_.back(), from};
}

// --- time

void Stage::turn() {
  if (engine_) {
    engine_->poll();
    if (!engine_->take_in()) throw Trouble("the engine has ended");
    engine_->send_out();
  }
  if (puppets_) puppets_->turn();
}

bool Stage::until(Duration limit, const std::function<bool()>& condition) {
  const Instant end = host::now() + limit;
  for (;;) {
    turn();
    if (condition()) return true;
    if (host::now() >= end) return false;
    puppets_->wait(kTurn);
  }
}

void Stage::await(std::string_view what, const std::function<bool()>& condition) {
  if (!until(kLong, condition)) throw Trouble(fmt::format("after {} it is not so that {}", in_seconds(kLong), what));
}

void Stage::pass(Duration time) {
  until(time, [] { return false; });
}

std::optional<Duration> Stage::gone_after(End& end, Instant since, Duration limit) {
  if (!until(limit, [&] { return !end.it.state(); })) return std::nullopt;
  return host::now() - since;
}

// --- states

void Stage::into_fin_wait_2(End& end) {
  end.it.shut_send();
  await("an end is in FIN-WAIT-2", [&] { return end.it.state() == State::FinWait2; });
}

void Stage::into_close_wait(End& end) {
  end.peer.send_fin();
  await("an end is in CLOSE-WAIT", [&] { return end.it.state() == State::CloseWait; });
}

void Stage::into_time_wait(End& end) {
  into_fin_wait_2(end);
  end.peer.send_fin();
  await("an end is in TIME-WAIT", [&] { return end.it.state() == State::TimeWait; });
}

}  // namespace adieu::lab
