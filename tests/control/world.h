// A small world: one plane in memory with peers that answer or do not, a ledger in memory, and an attendant between
// them, under virtual time. What does not live here: TCP. The plane does with commands what plane/command.h promises.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/rng.h"
#include "control/attendant.h"
#include "plane/control_block.h"
#include "plane/table.h"
#include "records.h"

namespace adieu::control::testing {

class MemoryLedger : public Ledger {
 public:
  struct Row {
    std::uint64_t number;
    Instant at;
    Decision decision;
  };
  std::optional<std::uint64_t> verdict(const Decision& decision, Instant now) override {
    if (full) return std::nullopt;
    pending_.push_back({++last_number, now, decision});
    return last_number;
  }
  bool noted(const Note& note, Instant) override {
    if (!full) notes.push_back(note);
    return !full;
  }
  bool receipt(std::uint32_t, const plane::Receipt& r) override {
    if (!full) pending_receipts_.push_back(r);
    return !full;
  }
  bool ended(std::uint32_t, const plane::ConnectionId& id, const plane::Record& r) override {
    if (!full) pending_ends_.emplace_back(id, r);
    return !full;
  }
  bool learned(const HostLearned& host) override {
    if (!full) pending_hosts_[host.host] = host;
    return !full;
  }
  bool commit() override {
    if (!full && !commit_fails) {
      verdicts.insert(verdicts.end(), pending_.begin(), pending_.end());
      receipts.insert(receipts.end(), pending_receipts_.begin(), pending_receipts_.end());
      ends.insert(ends.end(), pending_ends_.begin(), pending_ends_.end());
      for (const auto& [address, host] : pending_hosts_) hosts[address] = host;
      writes_of_hosts += pending_hosts_.size();
    }
    pending_hosts_.clear();
    pending_.clear();
    pending_receipts_.clear();
    pending_ends_.clear();
    return !full && !commit_fails;
  }

  bool holds(std::uint64_t number) const {
    for (const Row& row : verdicts)
      if (row.number == number) return true;
    return false;
  }
  // When this standing was decided first; unknown(): never.
  Instant first(Standing standing) const {
    for (const Row& row : verdicts)
      if (row.decision.verdict.standing == standing) return row.at;
    return Instant::unknown();
  }

  bool full = false;
  bool commit_fails = false;
  std::uint64_t last_number = 0;
  std::vector<Row> verdicts;
  std::vector<plane::Receipt> receipts;
  std::vector<Note> notes;
  std::vector<std::pair<plane::ConnectionId, plane::Record>> ends;
  std::map<Address, HostLearned> hosts;
  std::uint64_t writes_of_hosts = 0;

 private:
  std::vector<Row> pending_;
  std::vector<plane::Receipt> pending_receipts_;
  std::vector<std::pair<plane::ConnectionId, plane::Record>> pending_ends_;
  std::map<Address, HostLearned> pending_hosts_;
};

struct AlignedMemory {
  explicit AlignedMemory(std::size_t size)
      : bytes((size + 63) / 64 * 64), data(static_cast<std::uint8_t*>(std::aligned_alloc(64, bytes))) {
    std::fill_n(data, bytes, std::uint8_t{0});
  }
  AlignedMemory(const AlignedMemory&) = delete;
  AlignedMemory& operator=(const AlignedMemory&) = delete;
  ~AlignedMemory() { std::free(data); }
  MutableBytes span() const { return {data, bytes}; }
  std::size_t bytes;
  std::uint8_t* data;
};

struct WorldSettings {
  Rule rule;
  std::optional<Policy> policy;  // else the rule alone
  plane::Abilities abilities = kAllAbilities;
  plane::PlaneKind kind = plane::PlaneKind::Engine;
  std::uint32_t slots = 64;
  std::uint32_t commands = 64;
  std::uint32_t events = 64;
  Attendant::Settings attendant;
  double loss = 0;  // each way
  std::uint64_t seed = 1;
};

class World {
 public:
  struct Peer {
    plane::Record record;
    bool there = true;
    std::optional<Instant> answer_at;
    std::vector<plane::Command> commands;  // taken and done
    std::vector<Instant> done_at;
  };

  explicit World(const WorldSettings& settings = {})
      : settings_(settings),
        table_memory_(plane::table_bytes(capacity())),
        control_memory_(plane::control_block_bytes(settings.commands)),
        writer_(table_memory_.span(), {.kind = settings.kind,
                                       .incarnation = 77,
                                       .abilities = settings.abilities,
                                       .capacity = capacity(),
                                       .name = "test",
                                       .process = 1,
                                       .quarantine = 16}),
        rng_(settings.seed) {
    start_control();
  }

  std::uint32_t open(plane::Record record) {
    const auto slot = writer_.open(record, view());
    record.generation = writer_.generation(*slot);
    peers[*slot] = Peer{.record = record, .there = true, .answer_at = {}, .commands = {}, .done_at = {}};
    return *slot;
  }
  // The peer of `slot` says something by itself.
  void speaks(std::uint32_t slot) {
    hear(peers[slot]);
    writer_.publish(slot, peers[slot].record);
    writer_.event(plane::EventKind::Heard, slot);
  }
  void close(std::uint32_t slot, EndReason reason = EndReason::BothClosed) {
    writer_.end(slot, peers[slot].record, reason, 0);
    peers.erase(slot);
  }

  void start_control() {
    const auto before = view().status();
    plane::ControlWriter block(control_memory_.span(), 2, settings_.commands);
    attendant = std::make_unique<Attendant>(settings_.policy.value_or(Policy(settings_.rule)), ledger, now,
                                            settings_.attendant);
    for (const auto& [address, host] : ledger.hosts) attendant->know(host);
    attendant->watch({}, *plane::TableReader::over(table_memory_.span()), block, before, now, settings_.commands);
  }
  void kill_control() { attendant.reset(); }

  void run_for(Duration d) { run_until(now + d); }
  void run_until(Instant end) {
    while (now < end) {
      Instant next = end;
      if (attendant) next = earlier(next, attendant->next_deadline());
      for (const auto& [slot, peer] : peers)
        if (peer.answer_at) next = earlier(next, *peer.answer_at);
      next = earlier(next, now + 500_ms);  // the plane's heart
      now = later(next, now + 1_ms);
      step();
    }
  }
  // Until this has been decided; the plane has not yet taken what was published for it. False: it was not, in an hour.
  bool run_until_decided(Standing standing) {
    for (const Instant limit = now + 1_h; now < limit;) {
      now = later(attendant->next_deadline(), now + 1_ms);
      plane_hears();
      control_attends();
      if (ledger.first(standing).is_known()) return true;
      plane_obeys();
    }
    return false;
  }
  void step() {
    if (plane_runs) plane_hears();
    if (attendant) control_attends();
    if (plane_runs) plane_obeys();
  }
  void plane_hears() {
    writer_.beat(now);
    deliver();
  }
  void control_attends() {
    attendant->attend(now);
    if (++steps_ % 16 == 0) attendant->controller().check();
  }
  void plane_obeys() { take_commands(); }

  plane::ControlView view() const { return plane::ControlView(control_memory_.span()); }
  plane::TableReader reader() const { return *plane::TableReader::over(table_memory_.span()); }
  const plane::Record& record(std::uint32_t slot) { return peers[slot].record; }
  Standing standing(std::uint32_t slot) { return judged(peers[slot].record, now, settings_.rule).standing; }
  plane::TableWriter& writer() { return writer_; }

  Instant now = at(1000_s);
  bool plane_runs = true;
  MemoryLedger ledger;
  std::map<std::uint32_t, Peer> peers;
  std::unique_ptr<Attendant> attendant;
  std::optional<plane::Outcome> refuse_all;  // as a plane that cannot
  std::uint64_t most_in_flight = 0;          // commands of one connection seen waiting at one time
  bool ledger_behind = false;                // a command was published that the ledger does not hold

 private:
  plane::Capacity capacity() const {
    return {.slots = settings_.slots,
            .receipts = 128,
            .events = settings_.events,
            .beside = settings_.kind == plane::PlaneKind::Kernel};
  }

  void hear(Peer& peer) {
    plane::Record& r = peer.record;
    r.last_heard = now;
    ++r.heard;
    r.attempts = r.attempts > 0 ? 1 : 0;
    for (auto& n : r.probes) n = 0;
    r.probe_first = r.probe_last = Instant::unknown();
  }
  void deliver() {
    for (auto& [slot, peer] : peers)
      if (peer.answer_at && now >= *peer.answer_at) {
        peer.answer_at.reset();
        hear(peer);
        writer_.publish(slot, peer.record);
        writer_.event(plane::EventKind::Heard, slot);
      }
  }
  void take_commands() {
    const auto control = view();
    std::map<std::uint32_t, std::uint64_t> waiting;
    std::uint64_t taken = writer_.commands_taken();
    for (std::uint64_t left = control.waiting(taken); left > 0 && writer_.has_receipt_room(control); --left) {
      const auto command = control.command(++taken);
      writer_.set_commands_taken(taken);
      if (!command) continue;
      most_in_flight = std::max(most_in_flight, ++waiting[command->id.slot]);
      if (command->verdict != kUnrecorded && !ledger.holds(command->verdict)) ledger_behind = true;
      plane::Receipt receipt{.command = taken,
                             .verdict = command->verdict,
                             .id = command->id,
                             .kind = command->kind,
                             .form = command->form,
                             .outcome = refuse_all.value_or(check(*command, control)),
                             .state = command->expected_state,
                             .epoch = command->epoch,
                             .heard = 0,
                             .at = now};
      if (receipt.outcome == plane::Outcome::Done) obey(*command);
      if (receipt.outcome == plane::Outcome::Unable && command->kind == plane::CommandKind::Keepalive)
        stand_beside(command->id.slot, [](plane::Beside& beside) { beside.keepalive_refused = true; });
      writer_.receipt(receipt);
    }
  }
  plane::Outcome check(const plane::Command& c, const plane::ControlView& control) {
    if (c.epoch != control.epoch()) return plane::Outcome::Void;
    if (now >= c.expires) return plane::Outcome::Expired;
    if (writer_.is_ended(c.id)) return plane::Outcome::AlreadyEnded;
    if (!writer_.is_live(c.id)) return plane::Outcome::WrongIdentity;
    const plane::Record& r = peers[c.id.slot].record;
    if (r.state != c.expected_state) return plane::Outcome::WrongState;
    if (c.kind == plane::CommandKind::Abort && !c.regardless && r.heard != c.heard) return plane::Outcome::HeardSince;
    return plane::Outcome::Done;
  }
  void stand_beside(std::uint32_t slot, auto&& change) {
    change(peers[slot].record.beside);
    writer_.set_beside(slot, peers[slot].record.beside);
  }
  void obey(const plane::Command& c) {
    Peer& peer = peers[c.id.slot];
    peer.commands.push_back(c);
    peer.done_at.push_back(now);
    if (c.kind == plane::CommandKind::Abort) {
      writer_.end(c.id.slot, peer.record, EndReason::Commanded, c.verdict);
      peers.erase(c.id.slot);
      return;
    }
    plane::Record& r = peer.record;
    if (c.kind == plane::CommandKind::Finish) {
      r.state = State::LastAck;
      r.send_shut = true;
      return writer_.publish(c.id.slot, r);
    }
    if (c.kind == plane::CommandKind::Keepalive) {
      stand_beside(c.id.slot, [](plane::Beside& beside) { beside.keepalive = true; });
      r.can_probe = false;
      return writer_.publish(c.id.slot, r);
    }
    ++r.probes[static_cast<unsigned>(c.form)];
    if (c.form == ProbeForm::Pending) ++r.attempts;
    if (!r.probe_first.is_known()) r.probe_first = now;
    r.probe_last = now;
    writer_.publish(c.id.slot, r);
    const bool lost = rng_.chance(settings_.loss) || rng_.chance(settings_.loss);
    if (peer.there && !lost) peer.answer_at = now + 20_ms;
  }

  WorldSettings settings_;
  AlignedMemory table_memory_;
  AlignedMemory control_memory_;
  plane::TableWriter writer_;
  Rng rng_;
  std::uint64_t steps_ = 0;
};

}  // namespace adieu::control::testing
