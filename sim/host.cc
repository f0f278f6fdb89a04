// A host's life: boot, calls, segments, sweeps.
#include "sim/host.h"

#include <algorithm>

#include "sim/offload.h"
#include "sim/pattern.h"
#include "wire/ip.h"
#include "wire/tcp.h"

namespace adieu::sim {
namespace {

stack::Key key_from(std::uint64_t seed, std::uint64_t what) {
  stack::Key key;
  fill(mix(seed + what), 0, key);
  return key;
}

tcp::Options options_of(const EndPlan& plan) {
  return {.send_buffer = plan.send_buffer, .receive_buffer = plan.receive_buffer, .no_delay = plan.no_delay};
}

std::string in_words(const wire::Segment& s) {
  std::string text = std::to_string(s.source_port) + ">" + std::to_string(s.destination_port) + " ";
  text += s.syn ? "S" : "";
  text += s.fin ? "F" : "";
  text += s.rst ? "R" : "";
  text += s.ack_flag ? "." : "";
  text += " seq " + std::to_string(s.seq.value) + " len " + std::to_string(s.payload.size());
  if (s.ack_flag) text += " ack " + std::to_string(s.ack.value);
  text += " win " + std::to_string(s.window);
  for (unsigned i = 0; i < s.sack_count; ++i)
    text += " sack " + std::to_string(s.sack_blocks[i].left.value) + "-" + std::to_string(s.sack_blocks[i].right.value);
  return text;
}

}  // namespace

Address address_of(const Plan& plan, unsigned host, bool v6) {
  if (plan.nat && host == 1) return kOutside;
  if (!v6) return Address::v4(10, 77, 0, static_cast<std::uint8_t>(host + 1));
  Address address;
  address.octets = {0xfd, 0x77};
  address.octets[15] = static_cast<std::uint8_t>(host + 1);
  return address;
}

Host::Host(Scene& scene, unsigned number, device::Impairment& out)
    : scene_(scene),
      plan_(scene.plan.hosts[number]),
      number_(number),
      out_(out),
      rng_(mix(scene.plan.seed * 2 + number)),
      ledger_(scene, number),
      buffer_(limits::kPacketBytes),
      cut_(limits::kPacketBytes) {}

// ---- life ----

void Host::boot(Instant now) {
  scene_.trace.event(now, host_letter(number_), {boots_},
                     [&] { return "boots, for the " + std::to_string(boots_ + 1) + ". time"; });
  const plane::Capacity capacity{.slots = plan_.slots, .receipts = 2 * plan_.commands, .events = plan_.events};
  table_memory_ = std::make_unique<SharedMemory>(plane::table_bytes(capacity));
  control_memory_ = std::make_unique<SharedMemory>(plane::control_block_bytes(plan_.commands));
  view_ = plane::ControlView(control_memory_->bytes());
  stack::Settings settings;
  settings.tcp = plan_.tcp;
  settings.addresses = {address_of(scene_.plan, number_, false)};
  if (!scene_.plan.nat) settings.addresses.push_back(address_of(scene_.plan, number_, true));
  settings.mtu = scene_.plan.mtu;
  settings.segmentation_offload = settings.checksum_offload = plan_.offload;
  settings.isn_key = key_from(scene_.plan.seed, 2 * number_);
  settings.demux_key = key_from(scene_.plan.seed, 2 * number_ + 1);
  settings.max_connections = plan_.slots;
  settings.max_embryonic = plan_.max_embryonic;
  plane::TableSetup setup;
  setup.incarnation = mix(scene_.plan.seed + 1000 * number_ + boots_) | 1U;
  setup.capacity = capacity;
  setup.name = number_ == 0 ? "A" : "B";
  setup.quarantine = plan_.quarantine;
  engine_ = std::make_unique<stack::Engine>(settings, table_memory_->bytes(), setup, now);
  engine_->set_control(view_);
  const auto reader = plane::TableReader::over(table_memory_->bytes());
  ADIEU_ASSERT(reader);
  reader_ = *reader;
  ++boots_;
  frozen_ = false;
  slots_.clear();
  events_seen_ = 0;
  listen(now);
  if (plan_.keeper != Keeper::Control)
    timers_.emplace(plan_.keeper, *reader_, plane::ControlWriter(control_memory_->bytes(), boots_, plan_.commands));
  else if (plan_.control)
    start_control(now);
}

void Host::listen(Instant now) {
  for (const Address& address : {Address::v4(0, 0, 0, 0), Address{}}) {
    const stack::ListenOptions options{.tcp = options_of(plan_.listener), .backlog = plan_.backlog};
    const auto listener = engine_->listen({address, kListenPort}, options);
    if (!listener) scene_.fail("calls", now, "listen() failed");
  }
}

void Host::vanish(Instant now) {
  scene_.trace.event(now, host_letter(number_), {1}, [] { return "vanishes"; });
  attendant_.reset();
  timers_.reset();
  applications_.clear();
  accepts_.clear();
  next_call_.reset();
  commands_at_ = Instant::never();
  reader_.reset();
  engine_.reset();
  for (End& end : scene_.book.ends())
    if (end.host == number_ && end.boot + 1 == boots_ && end.lives()) {
      end.lost = true;
      end.ended = now;
    }
}

void Host::thaw(Instant now) {
  frozen_ = false;
  if (attendant_) attendant_->slept(now);
  step(now);
}

void Host::start_control(Instant now) {
  const auto before = view_.status();
  const plane::ControlWriter writer(control_memory_->bytes(), boots_ + 1, plan_.commands);
  control::Attendant::Settings settings;
  settings.sweep_period = plan_.sweep;
  settings.controller.gap_after = plan_.sweep * 3;
  control::Policy policy(plan_.rule);
  policy.orphans.count = plan_.most_orphans;
  attendant_.emplace(policy, ledger_, now, settings);
  attendant_->watch({}, *reader_, writer, before, now, plan_.commands);
}

bool Host::is_idle() const { return engine_ == nullptr || (engine_->live_connections() == 0 && applications_.empty()); }

// ---- time ----

Instant Host::next_deadline() const {
  if (!is_up()) return Instant::never();
  Instant next = earlier(engine_->next_deadline(), commands_at_);
  if (has_control()) next = earlier(next, attendant_->next_deadline());
  if (timers_) next = earlier(next, timers_->next_deadline());
  next = earlier(next, next_call());
  if (begun_ < scene_.plan.connections.size()) next = earlier(next, scene_.plan.connections[begun_].at);
  return next;
}

Instant Host::next_call() const {
  if (next_call_) return *next_call_;
  Instant next = Instant::never();
  for (const auto& application : applications_) next = earlier(next, application->next_deadline());
  for (const Waiting& waiting : accepts_) next = earlier(next, waiting.at);
  next_call_ = next;
  return next;
}

void Host::step(Instant now) {
  if (!is_up()) return;
  engine_->advance(now);
  engine_->table().beat(now);
  if (commands_at_ <= now) {
    commands_at_ = Instant::never();
    engine_->take_commands(view_, now);
  }
  observe(now);
  begin_connections(now);
  if (next_call() <= now) {
    call(now);
    next_call_.reset();
  }
  pump(now);
  if (timers_ && timers_->next_deadline() <= now) attend(now);
  if (has_control() && attendant_->next_deadline() <= now) attend(now);
}

void Host::call(Instant now) {
  const std::vector<Waiting> due = accepts_;
  for (const Waiting& waiting : due)
    if (waiting.at <= now) accept(waiting.listener, now);
  std::erase_if(accepts_, [now](const Waiting& waiting) { return waiting.at <= now; });
  for (std::size_t i = 0; i < applications_.size(); ++i)
    if (applications_[i]->next_deadline() <= now) applications_[i]->step(now);
}

void Host::attend(Instant now) {
  if (timers_)
    timers_->attend(now, scene_.probes);
  else
    attendant_->attend(now);
  if (commands_at_ != Instant::never() || view_.waiting(engine_->table().commands_taken()) == 0) return;
  const auto most = static_cast<std::uint64_t>(plan_.command_delay.ns) + 1;
  commands_at_ = now + nanoseconds(static_cast<std::int64_t>(rng_.below(most)));
}

// ---- applications ----

void Host::begin_connections(Instant now) {
  const auto& plans = scene_.plan.connections;
  for (; begun_ < plans.size() && plans[begun_].at <= now; ++begun_)
    if (plans[begun_].client == number_ || plans[begun_].simultaneous) connect(plans[begun_], begun_, now);
}

void Host::connect(const ConnectionPlan& plan, std::size_t number, Instant now) {
  const unsigned side = plan.simultaneous ? number_ : 0;
  const EndPlan& mine = plan.ends[side];
  const auto fixed = [number](unsigned host) { return static_cast<std::uint16_t>(20000 + 10000 * host + number); };
  Endpoint remote{address_of(scene_.plan, other(number_), plan.v6), kListenPort};
  stack::ConnectOptions options;
  options.tcp = options_of(mine);
  options.limit = plan.limit;
  if (plan.client_port != 0) options.local = Endpoint{address_of(scene_.plan, number_, plan.v6), plan.client_port};
  if (plan.simultaneous) {
    remote.port = fixed(other(number_));
    options.local = Endpoint{address_of(scene_.plan, number_, plan.v6), fixed(number_)};
  }
  const auto socket = engine_->connect(remote, options, now);
  if (!socket) {
    const bool is_expected =
        socket.error() == stack::Error::Full || (socket.error() == stack::Error::AddressInUse && plan.client_port != 0);
    if (!is_expected) scene_.fail("calls", now, "connect() failed: " + std::string(stack::name(socket.error())));
    return;
  }
  Pair& pair = scene_.book.begin(plan);
  observe(now);
  End* end = scene_.book.find(engine_->id(*socket));
  if (end == nullptr) return scene_.fail("calls", now, "connect() gave what is in no table");
  end->is_active = true;
  end->side = side;
  end->pair = &pair;
  pair.ends[side] = end;
  applications_.push_back(std::make_unique<Application>(scene_, *engine_, *socket, *end, mine));
  next_call_.reset();
}

void Host::accept(stack::Listener listener, Instant now) {
  while (const auto socket = engine_->accept(listener, now)) {
    observe(now);
    End* end = scene_.book.find(engine_->id(*socket));
    if (end == nullptr || end->pair == nullptr) {
      scene_.fail("calls", now, "accept() gave a connection that nobody began");
      return;
    }
    applications_.push_back(std::make_unique<Application>(scene_, *engine_, *socket, *end, end->pair->plan->ends[1]));
    applications_.back()->step(now);
  }
}

void Host::wake(const stack::Wake& wake, Instant now) {
  next_call_.reset();
  if (wake.listener.number != 0) {
    if (plan_.accept_delay == Duration{}) return accept(wake.listener, now);
    accepts_.push_back({wake.listener, now + plan_.accept_delay});
    return;
  }
  for (std::size_t i = 0; i < applications_.size(); ++i)
    if (applications_[i]->socket() == wake.socket) return applications_[i]->step(now);
}

void Host::sweep_applications() {
  if (next_call_) return;  // nobody was called
  std::erase_if(applications_, [](const auto& application) { return application->is_done(); });
}

// ---- packets ----

void Host::pump(Instant now) {
  constexpr int kMost = 100'000;
  for (int turns = 0;; ++turns) {
    if (turns == kMost) return scene_.fail("pump", now, "an engine never stops sending or waking");
    observe(now);
    if (const auto packet = engine_->poll_packet(buffer_, now)) {
      emit(Bytes(buffer_.data(), packet->length), packet->offload, now);
      continue;
    }
    const auto ready = engine_->poll_wake();
    if (!ready) break;
    wake(*ready, now);
  }
  sweep_applications();
}

void Host::emit(Bytes packet, const Offload& offload, Instant now) {
  const auto ip = wire::parse_ip(packet);
  if (!ip) return scene_.fail("wire", now, "an engine sends what is no IP packet");
  if (ip->protocol != wire::kProtocolTcp) return out_.input(packet, offload, now);
  const auto segment = wire::parse_tcp(*ip, device::as_received(offload));
  if (!segment) return scene_.fail("wire", now, "an engine sends what is no TCP segment");
  if (offload.segment_size == 0 && packet.size() > scene_.plan.mtu)
    scene_.fail("wire", now, "a packet exceeds the MTU");
  put_on_wire(packet, offload, *ip, *segment, now);
}

void Host::put_on_wire(Bytes packet, const Offload& offload, const wire::IpPacket& ip, const wire::Segment& s,
                       Instant now) {
  scene_.trace.event(now, host_letter(number_), {hash_of(packet)}, [&] { return "  sends " + in_words(s); });
  End* end = scene_.book.find(number_, boots_ - 1, {ip.source, s.source_port}, {ip.destination, s.destination_port});
  if (end != nullptr && end->lives() && reader_->read(end->id.slot, end->record) == plane::SlotReading::Whole &&
      !end->record.has_ended())
    end->living = end->record;
  scene_.tell(&Checker::sent, number_, end, s, now);
  if (end != nullptr && !s.rst) {
    note_sent(*end, s, now);
  }
  const bool is_super = offload.segment_size > 0;
  if (!is_super || scene_.plan.hosts[other(number_)].offload) return out_.input(packet, offload, now);
  cut(ip, s, offload.segment_size, cut_, [&](Bytes piece) { out_.input(piece, {}, now); });
}

void Host::deliver(Bytes packet, const Offload& offload, Instant now) {
  if (!is_up()) return;
  const auto ip = wire::parse_ip(packet);
  const auto s = ip && ip->protocol == wire::kProtocolTcp ? wire::parse_tcp(*ip, offload)
                                                          : std::unexpected(wire::Malformed::NotForUs);
  const auto find = [&]() -> End* {
    if (!s) return nullptr;
    return scene_.book.find(number_, boots_ - 1, {ip->destination, s->destination_port}, {ip->source, s->source_port});
  };
  End* const before = find();
  if (s) scene_.trace.event(now, host_letter(number_), {hash_of(packet)}, [&] { return "  hears " + in_words(*s); });
  if (before != nullptr) note_delivery(*before, *s, now);
  engine_->receive_packet(packet, offload, now);
  observe(now);
  // A SYN is heard by an end that exists only now.
  if (End* const after = find(); after != nullptr && after != before) note_delivery(*after, *s, now);
  pump(now);
}

void Host::note_sent(End& end, const wire::Segment& s, Instant now) {
  if (is_bare_probe(end, s)) end.bare_sent = now;
  if (s.syn && !end.has_iss) {
    end.has_iss = true;
    end.iss = s.seq;
    end.granted = s.seq + 1 + end.syn_window;
    end.highest = s.end();
  }
  end.highest = later(end.highest, s.end());
  if (s.syn) end.scale = s.window_scale;
  if (!s.ack_flag) return;
  const Seq edge = s.ack + (std::uint32_t{s.window} << (s.syn ? 0 : end.shift()));
  end.promised = end.has_promised ? later(end.promised, edge) : edge;
  end.has_promised = true;
}

void Host::note_delivery(End& end, const wire::Segment& s, Instant now) {
  end.delivered = now;
  if (s.rst) end.reset_delivered = true;
  if (s.syn) {
    end.peer_scale = s.window_scale;
    end.syn_window = s.window;
  }
  if (!s.ack_flag || !end.has_iss) return;
  end.granted = later(end.granted, s.ack + (std::uint32_t{s.window} << (s.syn ? 0 : end.peer_shift())));
}

// ---- what the table says ----

void Host::refresh(Instant now) {
  if (!is_up()) return;
  events_seen_ = 0;
  observe(now);
}

// Every change of a state is an event, so the number of the last event tells whether there is anything to see.
void Host::observe(Instant now) {
  const std::uint64_t events = engine_->table().events_written();
  if (events == events_seen_) return;
  events_seen_ = events;
  const std::uint32_t used = reader_->slots_used();
  for (std::uint32_t slot = 0; slot < used; ++slot) {
    plane::Record record;
    if (reader_->read(slot, record) == plane::SlotReading::Whole)
      see(slot, record, now);
    else
      scene_.fail("table", now, "a slot cannot be read");
  }
}

void Host::see(std::uint32_t slot, const plane::Record& record, Instant now) {
  if (slots_.size() <= slot) slots_.resize(std::size_t{slot} + 1, nullptr);
  if (slots_[slot] == nullptr || slots_[slot]->id.generation != record.generation) {
    if (slots_[slot] != nullptr && slots_[slot]->reason == EndReason::None) see_missed(*slots_[slot], now);
    slots_[slot] = &scene_.book.add(number_, boots_ - 1, {reader_->incarnation(), slot, record.generation}, record);
    see_new(*slots_[slot]);
  }
  End& end = *slots_[slot];
  if (end.reason != EndReason::None) return;
  end.record = record;
  if (!record.has_ended()) end.living = record;
  if (record.has_ended()) return see_end(end, record, now);
  if (record.state != end.state) see_move(end, record, now);
}

// Ended and succeeded in its slot by one segment: a SYN that took the place of an embryo, or that TIME-WAIT gave way
// to. Only a full quarantine allows that, and then only these two.
void Host::see_missed(End& end, Instant now) {
  plane::Record last = end.record;
  if (end.state == State::SynReceived && !end.is_active) last.reason = EndReason::Refused;
  if (end.state == State::TimeWait) last.reason = EndReason::BothClosed;
  if (last.reason == EndReason::None) return scene_.fail("table", now, label(end) + " lost its slot before it ended");
  see_end(end, last, now);
}

void Host::see_new(End& end) {
  if (end.local.port != kListenPort) return;  // connect() says what it belongs to
  end.side = 1;
  Endpoint client = end.remote;
  if (client.address == kNatOutside) client.address = address_of(scene_.plan, 0, false);
  end.pair = scene_.book.find(client, end.local);
  if (end.pair != nullptr) end.pair->tentative = &end;
}

void Host::see_move(End& end, const plane::Record& record, Instant now) {
  const State before = std::exchange(end.state, record.state);
  const Facts more = facts_of(record.state);
  end.facts.syn_sent |= more.syn_sent;
  end.facts.syn_received |= more.syn_received;
  end.facts.syn_acked |= more.syn_acked;
  end.facts.fin_sent |= more.fin_sent;
  end.facts.fin_acked |= more.fin_acked;
  end.facts.fin_received |= more.fin_received;
  scene_.trace.event(now, host_letter(number_), {end.id.slot, static_cast<std::uint64_t>(record.state)},
                     [&] { return label(end) + " (was " + std::string(name(before)) + ")"; });
  bind_server(end, now);
  scene_.tell(&Checker::moved, end, before, now);
}

// A server's end is the client's peer once the client is known to know it.
void Host::bind_server(End& end, Instant now) {
  if (end.is_active || end.pair == nullptr || !end.facts.syn_acked || end.pair->ends[1] == &end) return;
  if (end.pair->ends[1] != nullptr) scene_.fail("states", now, label(end) + " is a second peer of one client");
  end.pair->ends[1] = &end;
}

void Host::see_end(End& end, const plane::Record& record, Instant now) {
  end.reason = record.reason;
  end.ended_by = record.ended_by;
  end.ended = now;
  if (end.reason == EndReason::BothClosed) end.facts.fin_acked = true;
  end.connect_ran_out =
      end.is_active && !end.facts.syn_acked && end.pair != nullptr && now - end.opened >= end.pair->plan->limit;
  scene_.trace.event(now, host_letter(number_), {end.id.slot, static_cast<std::uint64_t>(end.reason), end.ended_by},
                     [&] {
                       return label(end) + " ended: " + std::string(name(end.reason)) +
                              (end.ended_by != 0 ? " by verdict " + std::to_string(end.ended_by) : "");
                     });
  if (end.pair != nullptr && end.reason == EndReason::Commanded)
    scene_.findings.push_back({now, number_, end.pair->number, end.side, control::Standing::Ended, end.reason});
  scene_.tell(&Checker::ended, end, now);
}

}  // namespace adieu::sim
