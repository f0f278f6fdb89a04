// The order of one sweep, and the receipts. What does not live here: clocks and loops (host).
#include "kernel/plane.h"

#include <optional>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "kernel/dump.h"
#include "kernel/proc_holdings.h"

namespace adieu::kernel {
namespace {

// Each takes until the kernel's next tick, some milliseconds. Meanwhile nothing else is done, the heartbeat among it.
constexpr unsigned kQuestionsAtOnce = 32;

// Where a dump's sockets go, and of which network they are.
struct Into {
  Sweep& sweep;
  const plane::ControlView& control;
  std::uint32_t network;
};
void see_listener(void* context, const Socket& socket) {
  const Into& to = *static_cast<Into*>(context);
  Socket named = socket;
  named.key.network = to.network;
  to.sweep.see_listener(named);
}
void see(void* context, const Socket& socket) {
  const Into& to = *static_cast<Into*>(context);
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
  wanted_ = wanted & ~kReports;
  table_->set_abilities(table_->abilities() | able());
}

plane::Abilities Plane::able() const {
  plane::Abilities can = acts_.abilities();
  // A duplicate is what both take.
  if (prober_.is_possible() && plane::has(can, plane::Ability::Finish)) can = can | plane::Ability::ProbeBare;
  return can & wanted_;
}

void Plane::look(Instant now) {
  if (bpf_.holders && !holders_->looked_at().is_known())
    if (auto holdings = BpfHoldings::open()) holdings_ = std::make_unique<BpfHoldings>(std::move(*holdings));
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
  sight.networks = static_cast<std::uint32_t>(networks_.all().size());
  holders_->finish(sight.processes_closed == 0 && sight.all_processes_visible);
  prober_.put_back(*holders_);
}

std::expected<void, Error> Plane::see_all(Network& network, const plane::ControlView& control) {
  Into into{*sweep_, control, network.inode};
  if (auto dumped = network.diag.dump_listeners(see_listener, &into); !dumped) return dumped;
  return network.diag.dump(see, &into);
}

std::expected<void, Error> Plane::listen() {
  if (!bpf_.events) return {};
  const std::uint32_t wanted = bpf_.end_of_stream ? kHeard : kHeard & ~bit(BpfEventKind::EndOfStreamRead);
  auto events = BpfEvents::open(kRingOctets, wanted);
  if (!events) return std::unexpected(events.error());
  events_ = std::make_unique<BpfEvents>(std::move(*events));
  return {};
}

Heard Plane::hear(Instant now, const plane::ControlView& control) {
  Heard heard;
  sweep_->hear(now);
  std::vector<BpfEvent> batch(kBatch);
  for (unsigned i = 0; events_ && i < kMostBatches; ++i) {
    const std::size_t told = events_->poll(batch);
    heard.anything = heard.anything || told > 0;
    for (std::size_t n = 0; n < told; ++n)
      if (networks_.find(batch[n].network) != nullptr) sweep_->tell(batch[n]);
    if (told < batch.size()) break;
  }
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
      sweep_->vanished(missing->cookie);
    }
  }
  sweep_->finish();
  return {};
}

void Plane::take_commands(Instant now, const plane::ControlView& control) {
  const std::uint64_t first = table_->commands_taken() + 1;
  // Asked once: however fast the ring is filled, one call answers one ring of commands at the most.
  const std::uint64_t end = first + control.waiting(first - 1);
  questions_ = 0;
  for (std::uint64_t number = first; number < end && table_->has_receipt_room(control); ++number) {
    if (questions_ >= kQuestionsAtOnce) return;
    answer(number, now, control);
  }
}

void Plane::answer(std::uint64_t number, Instant now, const plane::ControlView& control) {
  plane::Receipt receipt;  // Malformed, until it turns out to be a command
  receipt.command = number;
  receipt.heard = plane::kUnknownCount;
  receipt.at = now;
  if (const auto command = control.command(number)) {
    receipt.verdict = command->verdict;
    receipt.id = command->id;
    receipt.kind = command->kind;
    receipt.form = command->form;
    receipt.epoch = command->epoch;
    if (table_->is_live(command->id) || table_->is_ended(command->id))
      receipt.state = table_->last(command->id.slot).state;
    if (command->epoch != control.epoch())
      receipt.outcome = plane::Outcome::Void;
    else if (command->expires <= now)
      receipt.outcome = plane::Outcome::Expired;
    else
      receipt.outcome = obey(*command, receipt);
  }
  table_->receipt(receipt);
  table_->set_commands_taken(number);
}

// The kernel is asked before and after: what a sweep has told is as old as the sweep.
plane::Outcome Plane::obey(const plane::Command& command, plane::Receipt& receipt) {
  using plane::Outcome;
  if (table_->is_ended(command.id)) return Outcome::AlreadyEnded;
  if (!table_->is_live(command.id)) return Outcome::WrongIdentity;
  const SocketKey key = sweep_->key_of(command.id.slot);
  Network* const network = networks_.find(key.network);
  if (network == nullptr) return Outcome::Unable;
  auto found = network->diag.find(key);
  if (!found) return Outcome::Unable;
  receipt.state = *found ? (*found)->state : State::Closed;
  if (!*found) return Outcome::AlreadyEnded;  // the next sweep will say so
  if ((*found)->is_whole) receipt.heard = (*found)->segments_in;
  if (receipt.state != command.expected_state) return Outcome::WrongState;

  (*found)->key.network = key.network;
  const Outcome outcome = carry_out(command, *network, **found, receipt.at);
  if (!plane::is_done(outcome) || command.kind == plane::CommandKind::Probe) return outcome;
  const auto after = network->diag.find(key);
  if (!after) return Outcome::Unable;
  receipt.state = *after ? (*after)->state : State::Closed;
  if (command.kind == plane::CommandKind::Finish)
    return !*after || is_sending_closed(receipt.state) ? outcome : Outcome::Unable;
  if (*after) return Outcome::Unable;
  sweep_->ended(command.id.slot, command.verdict);
  return outcome;
}

plane::Outcome Plane::ask(std::uint32_t slot, const Socket& found, Instant now) {
  using plane::Outcome;
  // Peers answer such a question once in 500 ms (RFC 5961) or less often.
  const Instant last = table_->last(slot).probe_last;
  if (last.is_known() && now - last < seconds(1)) return Outcome::TooSoon;
  const Held who = holders_->of(found.inode);
  ++questions_;
  const Outcome outcome = prober_.ask(found, who);
  if (outcome == Outcome::Done) sweep_->asked(slot, now);
  if (outcome == Outcome::Unable && is_askable(found) && who.descriptors > 0 && !prober_.owes())
    sweep_->unaskable(slot, now);
  return outcome;
}

plane::Outcome Plane::carry_out(const plane::Command& command, Network& network, const Socket& found, Instant now) {
  using plane::Ability;
  using plane::Outcome;
  const auto may = [this](Ability ability) { return plane::has(wanted_, ability); };
  Outcome outcome = Outcome::Unable;
  switch (command.kind) {
    case plane::CommandKind::Probe:
      if (may(Ability::ProbeBare) && command.form == ProbeForm::Bare) outcome = ask(command.id.slot, found, now);
      break;
    case plane::CommandKind::Finish:
      if (!may(Ability::Finish)) break;
      outcome = acts_.finish(found, holders_->of(found.inode));
      if (outcome != Outcome::Unable || found.inode == 0 || holders_->looked_at() >= now) break;
      look(now);  // who had it open may have passed it on since
      outcome = acts_.finish(found, holders_->of(found.inode));
      break;
    case plane::CommandKind::Abort:
      if (!may(Ability::AbortReset) || command.silent) break;
      outcome = acts_.abort(network, found, command.regardless ? std::nullopt : std::optional(command.heard),
                            may(Ability::GuardedAbort));
      break;
    case plane::CommandKind::Forget:
      if (may(Ability::Forget)) outcome = acts_.forget(network, found);
      break;
  }
  table_->set_abilities((table_->abilities() & kReports) | able());
  return outcome;
}

}  // namespace adieu::kernel
