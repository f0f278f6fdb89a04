// Virtual time, and who goes first in it.
#include "packetdrill/machine.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <set>
#include <utility>

#include "base/limits.h"
#include "packetdrill/socket.h"

namespace adieu::packetdrill {

namespace {
constexpr plane::Capacity kCapacity{1024, 64, 64};
constexpr std::uint32_t kQuarantine = 64;
constexpr int kFirstDescriptor = 3;
constexpr int kDescriptors = 1024;
// What a script that never looks leaves behind, in packets; then the device's queue is full.
constexpr std::size_t kDepartures = 65536;

// Wall time. How long a thread whose blocking call is over has to come back and read the clock, before time goes on.
constexpr std::chrono::milliseconds kToReadTheClock{5};
// And how long nobody may call before one who waits takes it that all are waiting.
constexpr std::chrono::milliseconds kNobodyElse{200};
}  // namespace

Machine::Machine(const Flags& flags)
    : settings_(flags.settings), patience_(flags.patience), now_{seconds(1'000'000).ns}, buffer_(limits::kPacketBytes) {
  build();
}

Machine::~Machine() = default;

void Machine::build() {
  engine_.reset();
  constexpr std::size_t kAlign = 64;
  const std::size_t bytes = plane::table_bytes(kCapacity);
  table_memory_.assign((bytes + kAlign) / sizeof(std::uint64_t) + 1, 0);
  void* start = table_memory_.data();
  std::size_t space = table_memory_.size() * sizeof(std::uint64_t);
  std::align(kAlign, bytes, start, space);
  plane::TableSetup setup;
  setup.incarnation = 1;
  setup.capacity = kCapacity;
  setup.quarantine = kQuarantine;
  setup.name = "packetdrill";
  const MutableBytes table(static_cast<std::uint8_t*>(start), bytes);
  engine_ = std::make_unique<stack::Engine>(settings_, table, setup, now_);
}

void Machine::learn(const Address& address) {
  if (address.is_unspecified() || address.is_multicast_or_broadcast()) return;
  if (std::ranges::find(settings_.addresses, address) != settings_.addresses.end()) return;
  if (engine_->table().totals().opened != 0) return;
  settings_.addresses.insert(settings_.addresses.begin(), address);
  std::set<Socket*> listening;
  for (const auto& [number, file] : std::exchange(listeners_, {})) listening.insert(file);
  build();
  for (Socket* file : listening) file->listen_again(*this);
}

void Machine::receive(Bytes packet) {
  if (const auto ip = wire::parse_ip(packet); ip && ip->protocol == wire::kProtocolTcp) learn(ip->destination);
  engine_->receive_packet(packet, {}, now_);
}

int Machine::add(std::shared_ptr<File> file) {
  int fd = kFirstDescriptor;
  while (files_.contains(fd)) ++fd;
  if (fd >= kDescriptors) return -EMFILE;
  files_.emplace(fd, std::move(file));
  return fd;
}

std::shared_ptr<File> Machine::find(int fd) const {
  const auto it = files_.find(fd);
  return it == files_.end() ? nullptr : it->second;
}

std::shared_ptr<File> Machine::remove(int fd) {
  const auto node = files_.extract(fd);
  return node ? node.mapped() : nullptr;
}

void Machine::settle() {
  while (const auto out = engine_->poll_packet(buffer_, now_)) {
    if (departures_.size() >= kDepartures) continue;
    departures_.push_back({now_, {buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(out->length)}});
  }
  while (const auto wake = engine_->poll_wake()) {
    if (const auto listener = listeners_.find(wake->listener.number); listener != listeners_.end()) {
      listener->second->woken(wake->listener);
    } else if (const auto socket = sockets_.find(key_of(wake->socket)); socket != sockets_.end()) {
      socket->second->woken(*this);
    }
  }
  for (Waiter& waiter : waiters_) {
    if (waiter.woken || !(closing_ || waiter.until <= now_ || waiter.ready())) continue;
    waiter.woken = true;
    signal_.notify_all();
  }
}

Instant Machine::next_event() const {
  Instant next = engine_->next_deadline();
  for (const Waiter& waiter : waiters_) next = earlier(next, waiter.until);
  return next;
}

void Machine::advance(Instant to) {
  now_ = later(now_, to);
  engine_->advance(now_);
}

void Machine::evacuate() {
  std::unique_lock lock(mutex_);
  closing_ = true;
  settle();
  signal_.notify_all();
  signal_.wait(lock, [this] { return inside_ == 0; });
}

// --- calls

Call::Call(Machine& owner) : machine(owner), lock_(owner.mutex_) {
  ++machine.inside_;
  ++machine.entries_;
  if (machine.released_ == std::this_thread::get_id()) machine.released_.reset();
  machine.signal_.notify_all();
}

Call::~Call() {
  machine.settle();
  --machine.inside_;
  if (has_waited_) machine.released_ = std::this_thread::get_id();
  machine.signal_.notify_all();
}

bool Call::wait(Instant until, const std::function<bool()>& ready) {
  has_waited_ = true;
  const auto waiter = machine.waiters_.insert(machine.waiters_.end(), Machine::Waiter{until, ready});
  machine.settle();
  while (!waiter->woken) {
    const std::uint64_t entries = machine.entries_;
    const auto status = machine.signal_.wait_for(lock_, kNobodyElse);
    if (status == std::cv_status::no_timeout || waiter->woken || entries != machine.entries_) continue;
    const Instant next = machine.next_event();
    if (next == Instant::never() || !machine.departures_.empty()) continue;
    machine.advance(next);
    machine.settle();
  }
  machine.waiters_.erase(waiter);
  machine.signal_.notify_all();
  return !machine.closing_ && ready();
}

void Call::let_others_go() {
  const auto going = [this] { return std::ranges::any_of(machine.waiters_, &Machine::Waiter::woken); };
  machine.settle();
  machine.signal_.wait(lock_, [&] { return !going(); });
  if (!machine.released_) return;
  machine.signal_.wait_for(lock_, kToReadTheClock, [&] { return !machine.released_; });
  machine.released_.reset();
}

void Call::run_until(Instant until) {
  let_others_go();
  while (machine.next_event() <= until) {
    machine.advance(machine.next_event());
    let_others_go();
  }
  machine.advance(until);
}

std::optional<Departure> Call::next_packet() {
  const Instant cap = now() + machine.patience_;
  let_others_go();
  while (machine.departures_.empty()) {
    const Instant next = machine.next_event();
    if (next > cap) return std::nullopt;
    machine.advance(next);
    let_others_go();
  }
  Departure first = std::move(machine.departures_.front());
  machine.departures_.pop_front();
  return first;
}

}  // namespace adieu::packetdrill
