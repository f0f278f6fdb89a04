// Plans of whole days, and the count at their end.
#include "sim/day.h"

#include <algorithm>

#include "base/rng.h"
#include "sim/bound.h"

namespace adieu::sim {
namespace {

constexpr unsigned kEpisodes = 6;  // in which host 1 dies once each

Duration between(Rng& rng, Duration least, Duration most) {
  return {least.ns + static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>((most - least).ns) + 1))};
}

// ---- connections ----

// Of ten: four whose client has closed its half and waits for octets that come hours later; two orphans, whose client
// has closed altogether; two whose server has closed its half, and whose client speaks once an hour; one on which both
// speak each half hour; one on which nobody ever speaks.
void long_lived(unsigned number, Rng& rng, Duration length, bool may_speak, ConnectionPlan& c) {
  EndPlan& client = c.ends[0];
  EndPlan& server = c.ends[1];
  client.finish = server.finish = Finish::Hold;
  const auto trickles = [&](EndPlan& end, Duration pause) {
    if (!may_speak) return;
    end.chunk = 100;
    end.pause = pause;
    end.octets = 100 * static_cast<std::uint64_t>(length.ns / pause.ns + 1);
    end.start_after = between(rng, {}, pause);
  };
  switch (number % 10) {
    case 0:
    case 1:
    case 2:
    case 3:
      client.finish = Finish::HalfClose;
      server.octets = may_speak ? 1000 : 0;
      server.start_after = between(rng, length / 24, length - length / 24);
      return;
    case 4:
    case 5: client.finish = Finish::Close; return;
    case 6:
    case 7: server.finish = Finish::HalfClose; return trickles(client, hours(1));
    case 8: trickles(client, minutes(30)); return trickles(server, minutes(30));
    default: return;
  }
}

// The server never reads: before a closed window, held or an orphan; or the end of the stream alone stays unread. Or it
// reads all and forgets to close.
void hung(unsigned number, ConnectionPlan& c) {
  EndPlan& client = c.ends[0];
  EndPlan& server = c.ends[1];
  client.finish = server.finish = Finish::Hold;
  server.reads = number % 4 == 3;
  switch (number % 4) {
    case 0: client.octets = 1U << 20; return;
    case 1:  // what the peer's window does not take is in the send buffer when the application closes
      client.octets = 100'000;
      client.send_buffer = 1U << 18;
      client.finish = Finish::Close;
      return;
    case 2:
      client.octets = 1000;
      client.finish = Finish::HalfClose;
      return;
    default: client.finish = Finish::HalfClose; return;
  }
}

// ---- what befalls them ----

void befall(const DayPlan& day, Rng& rng, Plan& plan) {
  const auto at = [&](FaultKind kind, Duration when, Duration span) {
    plan.faults.push_back({kind, 1, kGenesis + when, span});
  };
  const Duration episode = day.length / kEpisodes;
  switch (day.what) {
    case Befalls::Nothing:
    case Befalls::Hung: return;
    case Befalls::NatRestarts:
      for (int i = 1; i <= 12; ++i)
        at(FaultKind::NatForgets, day.length / 13 * i + between(rng, {}, day.length / 26), {});
      [[fallthrough]];
    case Befalls::Nat: plan.nat.emplace(); return;
    case Befalls::Sleeps:
      for (int i = 1; i <= 20; ++i)
        at(FaultKind::Freeze, day.length / 24 * i,
           between(rng, seconds(1), harmless_cut(plan.hosts[0].rule) - seconds(10)));
      at(FaultKind::Freeze, day.length / 24 * 22, day.length / 24);
      return;
    case Befalls::Reboots:
    case Befalls::Vanishes:
      for (unsigned i = 0; i < kEpisodes; ++i) {
        const Duration away = day.what == Befalls::Reboots ? between(rng, seconds(20), seconds(90)) : episode / 4;
        at(FaultKind::Reboot, episode * i + between(rng, episode / 2, episode / 10 * 7), away);
      }
      return;
  }
}

// ---- the count ----

class Counter {
 public:
  Counter(World& world, const DayPlan& day, const Plan& plan) : world_(world), day_(day), plan_(plan) {}

  Tally count() {
    world_.refresh();
    for (const Pair& pair : world_.book().pairs()) {
      if (pair.ends[0] == nullptr || pair.ends[1] == nullptr) continue;
      ++tally_.connections;
      Instant both = world_.now();
      for (const End* end : pair.ends)
        if (over(*end)) both = earlier(both, end->ended);
      tally_.days += (both - pair.ends[0]->opened).seconds() / 86400;
      look_for_false(pair);
      for (const End* end : pair.ends) look_for_late(pair, *end);
    }
    tally_.probes = world_.probes();
    tally_.violations = world_.violations();
    return std::move(tally_);
  }

 private:
  static bool over(const End& end) { return end.ended.is_known(); }
  static bool was_there(const End* peer, Instant at) { return peer != nullptr && (!over(*peer) || peer->ended > at); }

  void look_for_false(const Pair& pair) {
    for (const End* end : pair.ends) {
      const bool by_command = end->reason == EndReason::Commanded;
      if (!by_command && end->reason != EndReason::PeerReset) continue;
      if (!was_there(pair.peer_of(*end), end->ended)) continue;
      // As LivingChecker: questions before the cut may have been lost by chance, so the cut alone need not fill T.
      const control::Rule& rule = plan_.hosts[end->host].rule;
      const Duration cut = world_.cuts().longest(end->host, end->record.last_heard, end->ended);
      if (by_command && cut >= rule.proof_span * 3 / 4) {
        ++tally_.by_rule;
        return;
      }
      ++tally_.false_deaths;
      tally_.by_reset += by_command ? 0U : 1U;
      const auto& asked = end->living.probes;
      tally_.by_own_question += !by_command && (asked[0] | asked[1] | asked[2]) != 0 ? 1U : 0U;
      return tell(*end, "ended by " + std::string(adieu::name(end->reason)) + " while its peer was there");
    }
  }

  // The first instant at which the rule asks such an end; never(): it does not.
  Instant asked_from(const End& end) const {
    const plane::Record& r = end.living;
    if (control::contains(plan_.hosts[end.host].rule.idle_states, r.state)) return r.state_entered;
    if (r.oldest_unacked.is_known()) return r.oldest_unacked;
    return r.peer_window_closed ? r.progress_out : Instant::never();
  }

  void look_for_late(const Pair& pair, const End& end) {
    const End* peer = pair.peer_of(end);
    if (end.lost || !over(*peer) || peer->reason == EndReason::BothClosed) return;
    if (over(end) && end.ended <= peer->ended) return;
    ++tally_.bereaved;
    const Instant until = over(end) ? end.ended : world_.now();
    if (over(end))
      tally_.reclaim.push_back(end.ended - peer->ended);
    else
      ++tally_.kept;
    const HostPlan& host = plan_.hosts[end.host];
    if (host.keeper != Keeper::Control) return;
    if (asked_from(end) == Instant::never()) {
      tally_.kept_unasked += over(end) ? 0U : 1U;
      return;
    }
    // Who sleeps judges nobody.
    const Instant from = later(later(peer->ended, asked_from(end)), world_.cuts().last_return(end.host, until));
    const bool outside = !end.local.address.is_private() && !end.remote.address.is_private();
    const Duration left = verdict_bound(host.rule, {outside, host.sweep, host.command_delay}) - (until - from);
    if (over(end)) tally_.slack = earlier(tally_.slack, left);
    if (left >= Duration{}) return;
    ++tally_.late;
    tell(end, "is late by " + std::to_string(-left.seconds()) + " s");
  }

  void tell(const End& end, const std::string& what) {
    if (tally_.found.size() >= Tally::kMostFound) return;
    tally_.found.push_back(std::string(name(day_.what)) + ", loss " + std::to_string(day_.loss) + ", seed " +
                           std::to_string(day_.seed) + ", at " +
                           std::to_string(((over(end) ? end.ended : world_.now()) - kGenesis).seconds()) +
                           " s: " + label(end) + " " + what);
  }

  World& world_;
  const DayPlan& day_;
  const Plan& plan_;
  Tally tally_;
};

}  // namespace

std::string_view name(Befalls what) {
  switch (what) {
    case Befalls::Nothing: return "nothing";
    case Befalls::Nat: return "NAT";
    case Befalls::NatRestarts: return "NAT restarts";
    case Befalls::Hung: return "hung peer";
    case Befalls::Sleeps: return "peer sleeps";
    case Befalls::Reboots: return "peer reboots";
    case Befalls::Vanishes: return "peer vanishes";
  }
  return "?";
}

Plan day_of(const DayPlan& day) {
  Rng rng(day.seed);
  Plan plan;
  plan.seed = day.seed;
  plan.close_watch = false;
  for (auto& path : plan.path) {
    path.loss = day.loss;
    path.delay = milliseconds(20);
  }
  for (HostPlan& host : plan.hosts) {
    host.keeper = day.keeper;
    host.slots = 1024;
    host.max_embryonic = 256;
  }
  plan.hosts[1].listener.receive_buffer = 1U << 14;
  const bool dies = day.what == Befalls::Reboots || day.what == Befalls::Vanishes;
  const unsigned episodes = dies ? kEpisodes : 1;
  for (unsigned i = 0; i < episodes; ++i) {
    for (unsigned number = 0; number < day.connections; ++number) {
      ConnectionPlan c;
      c.at = kGenesis + day.length / episodes * i + between(rng, milliseconds(1), minutes(1));
      if (day.what == Befalls::Hung)
        hung(number, c);
      else  // A NAT that has just restarted answers an application's octets from outside with a reset: no TCP can help.
        long_lived(number, rng, day.length / episodes, day.what != Befalls::NatRestarts, c);
      plan.connections.push_back(c);
    }
  }
  befall(day, rng, plan);
  plan.curfew = kGenesis + day.length + hours(1);
  plan.horizon = plan.curfew + hours(1);
  return plan;
}

void Tally::add(const Tally& other) {
  connections += other.connections;
  days += other.days;
  probes += other.probes;
  packets += other.packets;
  false_deaths += other.false_deaths;
  by_reset += other.by_reset;
  by_own_question += other.by_own_question;
  by_rule += other.by_rule;
  bereaved += other.bereaved;
  kept += other.kept;
  kept_unasked += other.kept_unasked;
  reclaim.insert(reclaim.end(), other.reclaim.begin(), other.reclaim.end());
  late += other.late;
  slack = earlier(slack, other.slack);
  violations.insert(violations.end(), other.violations.begin(), other.violations.end());
  for (const std::string& text : other.found)
    if (found.size() < kMostFound) found.push_back(text);
}

Tally run_day(const DayPlan& day, std::FILE* trace) {
  const Plan plan = day_of(day);
  World world(plan, trace);
  world.run_until(kGenesis + day.length);
  Tally tally = Counter(world, day, plan).count();
  tally.packets = world.packets();
  return tally;
}

}  // namespace adieu::sim
