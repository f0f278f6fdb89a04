// The loop.
#include "sim/world.h"

#include <algorithm>
#include <tuple>

#include "base/limits.h"

namespace adieu::sim {
namespace {

// After the last connection: long enough for every sweep to see the last end, and the last receipt.
constexpr Duration kLastWords = seconds(10);

}  // namespace

World::World(const Plan& plan, std::FILE* trace)
    : plan_(plan),
      scene_(plan_, trace),
      cuts_(plan_),
      path_{device::Impairment(mix(plan_.seed + 11), plan_.path[0]),
            device::Impairment(mix(plan_.seed + 12), plan_.path[1])},
      hosts_{Host(scene_, 0, path_[0]), Host(scene_, 1, path_[1])},
      buffer_(limits::kPacketBytes) {
  std::ranges::sort(plan_.connections, {},
                    [](const ConnectionPlan& c) { return std::tuple(c.at, c.client, c.client_port); });
  scene_.checkers.push_back(std::make_unique<StreamChecker>(scene_.book));
  scene_.checkers.push_back(std::make_unique<StateChecker>());
  scene_.checkers.push_back(std::make_unique<ReasonChecker>());
  scene_.checkers.push_back(std::make_unique<VerdictChecker>(plan_));
  auto living = std::make_unique<LivingChecker>(plan_, cuts_);
  living_ = living.get();
  scene_.checkers.push_back(std::move(living));
  scene_.checkers.push_back(std::make_unique<WireChecker>(scene_.book));
  scene_.checkers.push_back(std::make_unique<EndingChecker>());
  plan_turns();
  if (plan_.nat) nat_.emplace(*plan_.nat, address_of(plan_, 0, false));
  for (Host& host : hosts_) host.boot(now_);
}

void World::plan_turns() {
  for (const Fault& fault : plan_.faults) {
    if (fault.kind == FaultKind::BlackHole) {
      path_[fault.host].black_hole(fault.at, fault.until());
      continue;
    }
    turns_.push_back({fault.at, fault.kind, fault.host, false});
    if (fault.until() != Instant::never()) turns_.push_back({fault.until(), fault.kind, fault.host, true});
  }
  std::ranges::sort(turns_, {}, [](const Turn& t) { return std::tuple(t.at, t.host, t.kind, t.is_end); });
}

void World::take_turn(const Turn& turn) {
  Host& host = hosts_[turn.host];
  static constexpr const char* kNames[] = {"black hole",    "power off",    "reboot",    "freeze",
                                           "control stops", "control dies", "disk full", "NAT restarts"};
  scene_.trace.event(now_, host_letter(turn.host), {static_cast<std::uint64_t>(turn.kind), turn.is_end}, [&] {
    return std::string(turn.is_end ? "over: " : "now: ") + kNames[static_cast<int>(turn.kind)];
  });
  switch (turn.kind) {
    case FaultKind::BlackHole: return;  // the path's own business
    case FaultKind::PowerOff: return host.vanish(now_);
    case FaultKind::Reboot: return turn.is_end ? host.boot(now_) : host.vanish(now_);
    case FaultKind::Freeze: return turn.is_end ? host.thaw(now_) : host.freeze();
    case FaultKind::ControlStop: return turn.is_end ? host.continue_control() : host.stop_control();
    case FaultKind::DiskFull: return host.fill_disk(!turn.is_end);
    case FaultKind::NatForgets:
      if (!turn.is_end && nat_) nat_->forget();
      return;
    case FaultKind::ControlKill:
      if (!turn.is_end) return host.kill_control();
      if (plan_.hosts[turn.host].control && host.is_up()) host.start_control(now_);
      return;
  }
}

Instant World::next_event() const {
  Instant next = turned_ < turns_.size() ? turns_[turned_].at : Instant::never();
  for (const auto& path : path_) next = earlier(next, path.next_deadline());
  for (const Host& host : hosts_) next = earlier(next, host.next_deadline());
  return later(next, now_);
}

void World::step() {
  for (; turned_ < turns_.size() && turns_[turned_].at <= now_; ++turned_) take_turn(turns_[turned_]);
  deliver();
  for (Host& host : hosts_)
    if (host.next_deadline() <= now_) host.step(now_);
  ++steps_;
}

void World::deliver() {
  for (unsigned from = 0; from < kHosts; ++from) {
    while (const auto packet = path_[from].poll(now_, buffer_)) {
      Host& to = hosts_[other(from)];
      if (nat_)
        pass_nat(from, Bytes(buffer_.data(), packet->length));
      else if (to.is_up())
        to.deliver(Bytes(buffer_.data(), packet->length), packet->offload, now_);
    }
  }
}

void World::pass_nat(unsigned from, Bytes packet) {
  const Nat::Passage passage = nat_->pass(from == 0, packet, now_);
  if (passage.packet.empty()) return;
  Host& to = hosts_[passage.returns ? from : other(from)];
  if (to.is_up()) to.deliver(passage.packet, {}, now_);
}

bool World::is_over() {
  if (now_ >= plan_.horizon) return true;
  const bool is_idle = now_ >= plan_.curfew && turned_ == turns_.size() &&
                       path_[0].in_flight() + path_[1].in_flight() == 0 && hosts_[0].is_idle() && hosts_[1].is_idle();
  if (!is_idle)
    idle_since_ = Instant::never();
  else
    idle_since_ = earlier(idle_since_, now_);
  return is_idle && now_ - idle_since_ > kLastWords;
}

// Nothing is on its way, and no delayed acknowledgment is owed.
void World::look_if_quiet(Instant next) {
  if (path_[0].in_flight() + path_[1].in_flight() > 0 || next - now_ < milliseconds(500)) return;
  if (!hosts_[0].is_up() || !hosts_[1].is_up()) return;  // one who is away has not seen what is true by now
  for (Host& host : hosts_) host.refresh(now_);
  scene_.tell(&Checker::quiet, scene_.book, now_);
}

void World::run_until(Instant until) {
  // A world that stands still at one instant for so long will not go on.
  constexpr int kMostAtOnce = 100'000;
  int at_once = 0;
  while (!is_over()) {
    const Instant next = next_event();
    if (next > until || next == Instant::never()) break;
    if (plan_.close_watch) look_if_quiet(next);
    at_once = next == now_ ? at_once + 1 : 0;
    if (at_once > kMostAtOnce) return scene_.fail("loop", now_, "time stands still");
    now_ = next;
    step();
    if (!plan_.close_watch) continue;
    for (Host& host : hosts_)
      if (host.is_up()) host.engine().check_invariants();
  }
  if (until.is_known() && !is_over()) now_ = later(now_, until);
}

void World::refresh() {
  for (Host& host : hosts_) host.refresh(now_);
}

std::vector<Violation> World::violations() const {
  std::vector<Violation> all = scene_.faults;
  for (const auto& checker : scene_.checkers)
    all.insert(all.end(), checker->violations().begin(), checker->violations().end());
  std::ranges::sort(all, {}, [](const Violation& v) { return std::tie(v.at, v.checker, v.text); });
  return all;
}

Outcome World::settle() {
  Settlement settlement{scene_.book, now_, {}, {}, {}, {}, {}};
  plane::Totals totals[kHosts];
  for (unsigned i = 0; i < kHosts; ++i) {
    Host& host = hosts_[i];
    settlement.is_up[i] = host.is_up();
    settlement.has_control[i] = host.has_control();
    settlement.boot[i] = host.boots() - 1;
    if (!host.is_up()) continue;
    host.refresh(now_);
    totals[i] = host.engine().table().totals();
    settlement.totals[i] = &totals[i];
    settlement.live_connections[i] = host.engine().live_connections();
  }
  scene_.tell(&Checker::settled, settlement);
  Outcome outcome;
  outcome.hash = scene_.trace.hash();
  outcome.events = scene_.trace.events();
  outcome.packets = packets();
  outcome.over = now_;
  outcome.violations = violations();
  outcome.findings = scene_.findings;
  outcome.connections = static_cast<unsigned>(scene_.book.pairs().size());
  for (const End& end : scene_.book.ends()) ++outcome.ended[static_cast<unsigned>(end.reason)];
  outcome.dead = living_->dead();
  outcome.dead_by_rule = living_->dead_by_rule();
  return outcome;
}

Outcome World::run() {
  run_until(Instant::never());
  return settle();
}

std::string describe(const Violation& violation) {
  return violation.checker + " at " + std::to_string((violation.at - kGenesis).seconds()) + " s: " + violation.text;
}

std::string how_to_replay(std::uint64_t seed) { return "adieu-sim --seed " + std::to_string(seed) + " --trace"; }

}  // namespace adieu::sim
