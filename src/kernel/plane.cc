// The order of one sweep. What does not live here: commands (plane_commands.cc), clocks and loops (host).
#include "kernel/plane.h"

#include <optional>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "kernel/dump.h"
#include "kernel/proc_holdings.h"

namespace adieu::kernel {
namespace {

// Where a dump's sockets go, and of which network they are.
struct Into {
  Sweep& sweep;
  const plane::ControlView& control;
  std::uint32_t network;
  std::uint32_t connections = 0;
};
void see_listener(void* context, const Socket& socket) {
  const Into& to = *static_cast<Into*>(context);
  Socket named = socket;
  named.key.network = to.network;
  to.sweep.see_listener(named);
}
void see(void* context, const Socket& socket) {
  Into& to = *static_cast<Into*>(context);
  if (socket.is_whole) ++to.connections;
  Socket named = socket;
  named.key.network = to.network;
  to.sweep.see(named, to.control);
}

constexpr std::uint32_t kHeard =
    bit(BpfEventKind::StateChanged) | bit(BpfEventKind::ResetReceived) | bit(BpfEventKind::EndOfStreamRead);
// Some 50,000 events: what 5,000 connections a second tell in two seconds.
constexpr std::size_t kRingOctets = std::size_t{4} << 20;
constexpr std::size_t kBatch = 512;
constexpr unsigned kMostBatches = 128;  // a ring of them
// So many questions to the kernel take some ten milliseconds; what is left of them the next sweep sees.
constexpr unsigned kMostLookedAtAgain = 1024;

}  // namespace

std::expected<Plane, Error> Plane::open(plane::TableWriter& table, const Bpf& bpf) {
  ADIEU_ASSERT((table.abilities() & ~kAbilities) == 0);
  auto networks = Networks::open();
  if (!networks) return std::unexpected(networks.error());
  table.set_abilities(table.abilities() & kReports);
  return Plane(table, std::move(*networks), bpf);
}

Plane::Plane(plane::TableWriter& table, Networks networks, const Bpf& bpf)
    : table_(&table), networks_(std::move(networks)), bpf_(bpf), sweep_(std::make_unique<Sweep>(table, *holders_)) {}

void Plane::act(plane::Abilities wanted, Prober prober) {
  acts_ = Acts::open(bpf_.guard);
  prober_ = std::move(prober);
  if (bpf_.probe) crafter_ = Crafter::open();
  if (crafter_.is_possible()) sweep_->can_craft();
  wanted_ = wanted & ~kReports;
  table_->set_abilities(table_->abilities() | able());
}

plane::Abilities Plane::able() const {
  plane::Abilities can = acts_.abilities();
  // A duplicate is what both take.
  if (prober_.is_possible() && plane::has(can, plane::Ability::Finish)) can = can | plane::Ability::ProbeBare;
  if (crafter_.is_possible()) can = can | plane::Ability::ProbeBare | plane::Ability::ProbeUncounted;
  return can & wanted_;
}

void Plane::prepare_to_look() {
  if (!bpf_.holders || is_prepared_) return;
  is_prepared_ = true;
  if (auto holdings = BpfHoldings::open()) holdings_ = std::make_unique<BpfHoldings>(std::move(*holdings));
}

void Plane::look(Instant now) {
  prepare_to_look();
  holders_->begin(now);
  std::vector<std::uint32_t> processes;
  const VisitHolding keep = [](void* context, const Holding& holding) { static_cast<Holders*>(context)->add(holding); };
  Sight& sight = *sight_;
  sight.by_bpf = holdings_ && holdings_->each(keep, holders_.get());
  if (sight.by_bpf) {
    processes = all_processes();
    sight.processes_closed = 0;
  } else {
    holders_->begin(now);  // without what a walk that failed in its midst has told
    sight.processes_closed = walk_proc(keep, holders_.get(), processes);
  }
  sight.processes = static_cast<std::uint32_t>(processes.size());
  sight.all_processes_visible = sees_all_processes();
  sight.networks_closed = every_network_ ? networks_.look(processes, holders_->processes()) : 0;
  sight.own_network_only = !every_network_;
  sight.networks = static_cast<std::uint32_t>(networks_.all().size());
  holders_->finish(sight.processes_closed == 0 && sight.all_processes_visible);
  prober_.put_back(*holders_);
}

std::expected<void, Error> Plane::see_all(Network& network, const plane::ControlView& control) {
  Into into{*sweep_, control, network.inode};
  if (auto dumped = network.diag.dump_listeners(see_listener, &into); !dumped) return dumped;
  auto dumped = network.diag.dump(see, &into);
  network.connections = into.connections;
  return dumped;
}

std::expected<void, Error> Plane::listen() {
  if (!bpf_.events) return {};
  const std::uint32_t wanted = bpf_.end_of_stream ? kHeard : kHeard & ~bit(BpfEventKind::EndOfStreamRead);
  auto events = BpfEvents::open(kRingOctets, wanted);
  if (!events) return std::unexpected(events.error());
  events_ = std::make_unique<BpfEvents>(std::move(*events));
  return {};
}

// True: there was something.
bool Plane::take_told() {
  bool anything = false;
  std::vector<BpfEvent> batch(kBatch);
  for (unsigned i = 0; events_ && i < kMostBatches; ++i) {
    const std::size_t told = events_->poll(batch);
    anything = anything || told > 0;
    for (std::size_t n = 0; n < told; ++n)
      if (networks_.find(batch[n].network) != nullptr) sweep_->tell(batch[n]);
    if (told < batch.size()) break;
  }
  return anything;
}

Heard Plane::hear(Instant now, const plane::ControlView& control) {
  Heard heard;
  sweep_->hear(now);
  heard.anything = take_told();
  for (unsigned i = 0; i < kMostLookedAtAgain; ++i) {
    auto key = sweep_->poll_told();
    if (!key) key = sweep_->poll_due();
    if (!key) break;
    heard.anything = true;
    look_again(*key, control);
  }
  if (events_) heard.lost = events_->lost() - events_lost_;
  return heard;
}

void Plane::look_again(const SocketKey& key, const plane::ControlView& control) {
  Network* const network = networks_.find(key.network);
  if (network == nullptr) return;
  auto found = network->diag.find(key);
  if (!found) return;  // the next sweep finds out
  if (!*found) return sweep_->absent(key.cookie);
  (*found)->key.network = key.network;
  sweep_->see(**found, control);
}

std::expected<void, Error> Plane::sweep(Instant now, const plane::ControlView& control) {
  take_commands(now, control);
  if (events_) events_lost_ = events_->lost();
  sweep_->begin(now);
  for (Network& network : networks_.all())
    if (auto seen = see_all(network, control); !seen) return seen;
  if (auto seen = see_rest(control); !seen) return seen;
  table_->beat(now);
  return {};
}

std::expected<void, Error> Plane::look_and_sweep(Instant now, const plane::ControlView& control) {
  Dump dump;
  look(now);
  sweep_->begin(now);
  Into own{*sweep_, control, networks_.own().inode};
  for (bool listens = true; auto part = dump.poll_part(); listens = false)
    for (const Socket& socket : *part) listens ? see_listener(&own, socket) : see(&own, socket);
  if (!dump.taken()) return dump.taken();
  for (Network& network : networks_.all())
    if (network.inode != own.network)
      if (auto seen = see_all(network, control); !seen) return seen;
  return see_rest(control);
}

std::expected<void, Error> Plane::see_rest(const plane::ControlView& control) {
  take_told();  // why those ended that closed during the dump
  // A dump can miss a socket that is there (sock_diag.h): it is gone when the kernel does not know its name either. One
  // whose network is no more is gone with it.
  while (const auto missing = sweep_->poll_missing()) {
    Network* const network = networks_.find(missing->network);
    std::expected<std::optional<Socket>, Error> found;
    if (network != nullptr) found = network->diag.find(*missing);
    if (!found) return std::unexpected(found.error());
    if (*found) {
      (*found)->key.network = missing->network;
      sweep_->see(**found, control);
    } else {
      take_told();
      sweep_->vanished(missing->cookie);
    }
  }
  sweep_->finish();
  return {};
}

}  // namespace adieu::kernel
