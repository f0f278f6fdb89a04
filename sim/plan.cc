// How a seed becomes a plan.
#include "sim/plan.h"

#include <algorithm>

#include "base/rng.h"

namespace adieu::sim {
namespace {

Duration between(Rng& rng, Duration least, Duration most) {
  return {least.ns + static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(most.ns - least.ns) + 1))};
}

template <typename T, std::size_t N>
T one_of(Rng& rng, const T (&choices)[N]) {
  return choices[rng.below(N)];
}

// Small numbers as likely as great ones: uniform in the number of bits.
std::uint64_t some_octets(Rng& rng, unsigned most_bits) {
  const std::uint64_t bits = rng.below(most_bits + 1);
  return bits == 0 ? 0 : rng.below(std::uint64_t{1} << bits);
}

device::ImpairmentSettings draw_path(Rng& rng) {
  device::ImpairmentSettings path;
  path.loss = one_of(rng, {0.0, 0.0, 0.0, 0.01, 0.05, 0.1, 0.3});
  path.duplicate = one_of(rng, {0.0, 0.0, 0.02, 0.2});
  path.reorder = one_of(rng, {0.0, 0.0, 0.05, 0.3});
  path.corrupt = one_of(rng, {0.0, 0.0, 0.0, 0.01});
  path.delay = one_of(rng, {microseconds(50), milliseconds(1), milliseconds(20), milliseconds(150)});
  path.jitter = one_of(rng, {Duration{}, milliseconds(1), milliseconds(10)});
  path.capacity = one_of(rng, {4096U, 4096U, 4096U, 6U});
  path.reorder_delay = one_of(rng, {milliseconds(2), milliseconds(50), seconds(2)});
  return path;
}

EndPlan draw_end(Rng& rng, unsigned most_bits) {
  EndPlan end;
  end.octets = some_octets(rng, most_bits);
  end.chunk = static_cast<std::uint32_t>(1 + rng.below(one_of(rng, {64U, 2000U, 30000U})));
  if (end.octets / end.chunk > 400) end.chunk = static_cast<std::uint32_t>(end.octets / 400 + 1);
  end.pause = one_of(rng, {Duration{}, Duration{}, milliseconds(5), milliseconds(700)});
  end.start_after = rng.chance(0.6) ? Duration{} : between(rng, {}, seconds(90));
  end.read_chunk = static_cast<std::uint32_t>(1 + rng.below(one_of(rng, {100U, 5000U, 65536U})));
  if (rng.chance(0.15)) {
    end.read_pause = between(rng, milliseconds(1), milliseconds(200));
    end.read_chunk = std::max(end.read_chunk, 1024U);
  }
  end.reads = !rng.chance(0.05);
  end.finish = one_of(rng, {Finish::HalfClose, Finish::HalfClose, Finish::HalfClose, Finish::HalfClose, Finish::Close,
                            Finish::Close, Finish::Abort, Finish::Hold, Finish::Hold});
  end.finish_after = rng.chance(0.7) ? Duration{} : between(rng, {}, minutes(4));
  end.linger = rng.chance(0.7) ? Duration{} : between(rng, {}, minutes(2));
  if (rng.chance(0.1)) end.shut_receive_after = between(rng, {}, seconds(20));
  end.send_buffer = one_of(rng, {1U << 10, 1U << 11, 1U << 14, 1U << 16, 1U << 18});
  end.receive_buffer = one_of(rng, {1U << 10, 1U << 11, 1U << 14, 1U << 16, 1U << 18});
  end.no_delay = rng.chance(0.3);
  return end;
}

ConnectionPlan draw_connection(Rng& rng, unsigned most_bits) {
  ConnectionPlan c;
  c.at = kGenesis + between(rng, milliseconds(1), rng.chance(0.7) ? seconds(5) : minutes(3));
  c.client = static_cast<unsigned>(rng.below(kHosts));
  c.v6 = rng.chance(0.5);
  c.simultaneous = rng.chance(0.08);
  if (!c.simultaneous && rng.chance(0.2)) c.client_port = static_cast<std::uint16_t>(25000 + rng.below(2));
  c.limit = rng.chance(0.9) ? seconds(180) : seconds(20);
  for (EndPlan& end : c.ends) end = draw_end(rng, most_bits);
  if (!c.simultaneous && rng.chance(0.2)) {
    c.ends[1].echo = true;
    c.ends[1].reads = true;
    c.ends[1].shut_receive_after.reset();
  }
  return c;
}

HostPlan draw_host(Rng& rng) {
  HostPlan h;
  h.control = !rng.chance(0.1);
  h.sweep = one_of(rng, {seconds(1), seconds(1), seconds(2)});
  h.command_delay = one_of(rng, {Duration{}, milliseconds(3), milliseconds(300)});
  h.tcp.time_wait = one_of(rng, {seconds(60), seconds(20), seconds(240)});
  h.tcp.delayed_ack = one_of(rng, {milliseconds(40), milliseconds(40), milliseconds(200)});
  h.offload = rng.chance(0.4);
  h.max_embryonic = one_of(rng, {64U, 64U, 64U, 2U});
  h.backlog = one_of(rng, {128U, 128U, 128U, 1U});
  h.slots = one_of(rng, {256U, 256U, 256U, 6U});
  h.quarantine = one_of(rng, {64U, 2U});
  h.accept_delay = rng.chance(0.8) ? Duration{} : between(rng, {}, seconds(3));
  h.listener.send_buffer = one_of(rng, {1U << 11, 1U << 16, 1U << 18});
  h.listener.receive_buffer = one_of(rng, {1U << 11, 1U << 16, 1U << 18});
  if (rng.chance(0.3)) {
    h.rule.interval = one_of(rng, {seconds(5), seconds(60)});
    h.rule.idle_states = control::kIdleStatesAllowed;
  }
  if (rng.chance(0.1)) h.most_orphans = static_cast<std::uint32_t>(rng.below(3));
  return h;
}

// What befalls one world: nothing in most, or a few things far enough apart.
void draw_faults(Rng& rng, Plan& plan) {
  const control::Rule& rule =
      plan.hosts[0].rule.interval > plan.hosts[1].rule.interval ? plan.hosts[0].rule : plan.hosts[1].rule;
  Instant at = kGenesis + between(rng, seconds(1), minutes(3));
  while (rng.chance(0.45) && plan.faults.size() < 3) {
    Fault fault;
    fault.at = at;
    fault.host = static_cast<unsigned>(rng.below(kHosts));
    fault.kind = one_of(rng, {FaultKind::BlackHole, FaultKind::BlackHole, FaultKind::PowerOff, FaultKind::Reboot,
                              FaultKind::Freeze, FaultKind::ControlStop, FaultKind::ControlKill, FaultKind::DiskFull});
    fault.span = rng.chance(0.6) ? between(rng, seconds(1), harmless_cut(rule)) : deadly_cut(rule);
    if (fault.kind == FaultKind::PowerOff) fault.span = Duration::max();
    if (fault.kind == FaultKind::BlackHole && rng.chance(0.4)) {
      Fault back = fault;
      back.host = other(fault.host);
      plan.faults.push_back(back);
    }
    plan.faults.push_back(fault);
    if (fault.kind == FaultKind::PowerOff) return;
    at = fault.until() + between(rng, minutes(3), minutes(6));
  }
}

}  // namespace

Duration harmless_cut(const control::Rule& rule) { return rule.proof_span / 2; }
Duration deadly_cut(const control::Rule& rule) { return rule.interval * 2 + rule.proof_span * 3; }

Plan draw(std::uint64_t seed) {
  Rng rng(seed);
  Plan plan;
  plan.seed = seed;
  for (HostPlan& host : plan.hosts) host = draw_host(rng);
  const bool kind_path = rng.chance(0.25);
  for (auto& path : plan.path) {
    path = draw_path(rng);
    if (kind_path) path.loss = path.duplicate = path.reorder = path.corrupt = 0;
  }
  plan.mtu = one_of(rng, {std::uint16_t{1500}, std::uint16_t{1500}, std::uint16_t{1280}, std::uint16_t{9000}});
  const bool is_lossy = plan.path[0].loss + plan.path[1].loss > 0.09;
  const std::uint64_t count = 1 + rng.below(rng.chance(0.1) ? 40 : 8);
  for (std::uint64_t i = 0; i < count; ++i) plan.connections.push_back(draw_connection(rng, is_lossy ? 14 : 18));
  draw_faults(rng, plan);
  Instant last = kGenesis + minutes(5);
  for (const Fault& fault : plan.faults)
    if (fault.span != Duration::max()) last = later(last, fault.until());
  plan.curfew = last + between(rng, seconds(10), minutes(20));
  plan.horizon = plan.curfew + hours(8);
  return plan;
}

}  // namespace adieu::sim
