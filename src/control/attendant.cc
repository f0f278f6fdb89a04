// One round: receipts, hints, what is due, the whole sweep; the ledger before any ring.
#include "control/attendant.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace adieu::control {
namespace {

// Decisions and ends that are gathered before a commit; bounds memory when very many are due in one sweep.
constexpr std::uint32_t kBatch = 1024;
// No ring of a plane is longer; what lies further back has been overwritten.
constexpr std::uint64_t kLongestRing = std::uint64_t{1} << 20;
// Requests of people that wait for their receipts.
constexpr std::size_t kMostAsked = 1024;

}  // namespace

Attendant::Attendant(const Policy& policy, Ledger& ledger, Instant start, const Settings& settings)
    : ledger_(ledger), settings_(settings), controller_(policy, start, settings.controller), sweep_at_(start) {}

std::uint32_t Attendant::watch(const PlaneFacts& given, const plane::TableReader& table,
                               const plane::ControlWriter& writer, const std::optional<plane::ControlStatus>& before,
                               Instant now, std::uint32_t commands) {
  PlaneFacts facts = given;
  facts.abilities = table.abilities();
  facts.kind = table.kind();
  facts.time_wait = table.time_wait();
  const std::uint32_t index = controller_.add_plane(facts, before, now);
  Watched fresh{.table = table, .writer = writer, .commands = commands, .ended = {}, .uncommitted_ends = {}};
  fresh.receipts_read = writer.receipts_taken();
  if (index == planes_.size())
    planes_.push_back(std::move(fresh));
  else
    planes_[index] = std::move(fresh);
  sweep_at_ = now;
  return index;
}

void Attendant::attend(Instant now) {
  for (std::uint32_t i = 0; i < planes_.size(); ++i) {
    Watched& w = planes_[i];
    if (w.failed || w.dying) continue;
    controller_.attend(i, w.table.abilities(), w.table.heartbeat(), room(w), now);
    drain_receipts(i, now);
    follow_hints(i, now);
  }
  std::uint32_t looked = 0;
  while (const auto due = controller_.poll_look(now)) {
    look(due->plane, due->slot, false, now);
    if (++looked % kBatch == 0) carry_out(now);
  }
  carry_out(now);
  if (now < sweep_at_) return;
  for (std::uint32_t i = 0; i < planes_.size(); ++i)
    if (!planes_[i].failed && !planes_[i].dying) sweep(i, now);
  controller_.end_of_round(now);
  carry_out(now);
  keep_learned();
  sweep_at_ = now + settings_.sweep_period;
}

std::optional<Refusal> Attendant::request(std::uint32_t index, const plane::ConnectionId& id, const Request& request,
                                          Instant now) {
  if (index >= planes_.size() || planes_[index].failed || planes_[index].dying) return Refusal::Ended;
  if (asked_.size() >= kMostAsked) return Refusal::NoRoom;
  const Watched& w = planes_[index];
  plane::Record record;
  const bool is_whole = w.table.read(id.slot, record) == plane::SlotReading::Whole;
  if (!is_whole || record.generation != id.generation || w.table.incarnation() != id.incarnation) return Refusal::Ended;
  controller_.attend(index, w.table.abilities(), w.table.heartbeat(), room(w), now);
  const auto refused = controller_.request(index, id, record, request, now);
  carry_out(now);
  return refused;
}

std::optional<Attendant::Answer> Attendant::poll_answer() {
  if (answers_.empty()) return std::nullopt;
  const Answer first = answers_.front();
  answers_.pop_front();
  return first;
}

void Attendant::answer(std::vector<Asked>::iterator asked, std::optional<plane::Outcome> outcome, State state) {
  answers_.push_back({asked->ticket, asked->verdict == kUnrecorded ? 0 : asked->verdict, outcome, state});
  asked_.erase(asked);
}

void Attendant::answer(std::uint32_t plane, const plane::Receipt& receipt) {
  const auto found = std::ranges::find_if(asked_, [&](const Asked& asked) {
    return asked.plane == plane && asked.verdict == receipt.verdict && asked.id == receipt.id;
  });
  if (found != asked_.end()) answer(found, receipt.outcome, receipt.state);
}

Instant Attendant::next_deadline() const { return earlier(sweep_at_, controller_.next_deadline()); }

std::uint32_t Attendant::room(const Watched& w) const {
  const std::uint64_t written = w.writer.commands_written();
  const std::uint64_t waiting = written - std::min(written, w.table.commands_taken());
  return waiting >= w.commands ? 0 : static_cast<std::uint32_t>(w.commands - waiting);
}

// The controller hears of each receipt once. The ledger is told again of what it could not keep, until it has.
void Attendant::drain_receipts(std::uint32_t index, Instant now) {
  Watched& w = planes_[index];
  const std::uint64_t written = w.table.receipts_written();
  std::uint64_t number = w.writer.receipts_taken();
  if (written <= number) return;
  if (written - number > kLongestRing) number = written - kLongestRing;
  bool kept = true;
  std::uint64_t dispensable = number;  // up to here nothing is lost if the ledger knows none of it
  for (++number; number <= written; ++number) {
    const auto receipt = w.table.receipt(number);
    if (number > w.receipts_read) {
      ++(receipt ? counts_.receipts : counts_.receipts_lost);
      if (receipt) controller_.receipt(index, *receipt, now);
      if (receipt) answer(index, *receipt);
    }
    const bool recorded = receipt && receipt->verdict != kUnrecorded;
    if (recorded) kept = ledger_.receipt(index, *receipt) && kept;
    if (dispensable + 1 == number && !(recorded && is_destructive(receipt->kind))) dispensable = number;
  }
  w.receipts_read = later(w.receipts_read, written);
  const bool committed = commit();
  w.writer.set_receipts_taken(kept && committed ? written : dispensable);
}

void Attendant::follow_hints(std::uint32_t index, Instant now) {
  Watched& w = planes_[index];
  const std::uint64_t written = w.table.events_written();
  if (written <= w.events_read) return;
  std::uint64_t number = later(w.events_read, written - std::min(written, kLongestRing));
  w.events_read = written;
  for (++number; number <= written; ++number) {
    const auto event = w.table.event(number);
    // Nobody has anything to ask of what has just been opened.
    if (event && event->kind != plane::EventKind::Opened) look(index, event->slot, false, now);
  }
}

void Attendant::look(std::uint32_t index, std::uint32_t slot, bool in_round, Instant now) {
  Watched& w = planes_[index];
  if (w.dying) return;
  plane::Record record;
  switch (w.table.read(slot, record)) {
    case plane::SlotReading::NeverUsed: return;
    case plane::SlotReading::Torn:
      ++counts_.torn;
      w.all_seen = false;
      return;
    case plane::SlotReading::Whole: break;
  }
  const plane::ConnectionId id{w.table.incarnation(), slot, record.generation};
  if (record.has_ended()) tell_end(index, id, record);
  if (in_round && record.holder == plane::Holder::Orphan) controller_.count_orphan(index, id, record, now);
  controller_.observe(index, id, record, now);
}

void Attendant::tell_end(std::uint32_t index, const plane::ConnectionId& id, const plane::Record& record) {
  Watched& w = planes_[index];
  if (id.slot < w.ended.size() && w.ended[id.slot] == id.generation) return;
  if (!ledger_.ended(index, id, record)) {
    w.all_seen = false;
    return;
  }
  if (w.ended.size() <= id.slot) w.ended.resize(std::size_t{id.slot} + 1, 0);
  w.ended[id.slot] = id.generation;
  w.uncommitted_ends.push_back(id.slot);
  ++counts_.ends;
}

void Attendant::sweep(std::uint32_t index, Instant now) {
  Watched& w = planes_[index];
  w.all_seen = true;
  const std::uint64_t ended_before = w.table.ended_total();
  const std::uint32_t used = w.table.slots_used();
  const std::uint32_t first = w.first_slot < used ? w.first_slot : 0;
  bool refused = false;
  for (std::uint32_t i = 0; i < used; ++i) {
    const std::uint32_t slot = first + i < used ? first + i : first + i - used;
    if ((i + 1) % kBatch == 0) carry_out(now);
    // Most connections are quiet, and half of their record says so.
    plane::Glance glance;
    if (w.table.glance(slot, glance) == plane::SlotReading::Whole && controller_.passes_by(index, slot, glance, now))
      continue;
    look(index, slot, true, now);
    if (refused || !controller_.wants_room()) continue;
    refused = true;
    w.first_slot = slot;  // where there was no room any more, the next sweep begins: nobody waits for ever
  }
  carry_out(now);
  // Whatever had ended when the sweep began has been read and kept by now.
  if (w.all_seen) w.writer.set_ended_seen(ended_before);
  ++counts_.sweeps;

  plane::ControlStatus status;
  status.swept_at = now;
  status.policy = controller_.policy().fingerprint;
  std::ranges::copy(controller_.gaps(index), status.gaps.begin());
  w.writer.set_status(status);
}

// What cannot be kept now is told again after the next round.
void Attendant::keep_learned() {
  const auto learned = controller_.learned();
  if (learned.empty()) return;
  bool kept = true;
  for (const HostLearned& host : learned) kept = ledger_.learned(host) && kept;
  if (commit() && kept) controller_.kept();
}

void Attendant::carry_out(Instant now) {
  std::vector<std::pair<Decision, std::optional<std::uint64_t>>> batch;
  while (auto decision = controller_.poll_decision()) {
    const auto number = ledger_.verdict(*decision, now);
    ADIEU_ASSERT(number != 0U && number != kUnrecorded);
    batch.emplace_back(std::move(*decision), number);
  }
  bool some_notes = false;
  for (; const auto note = controller_.poll_note(); some_notes = true) ledger_.noted(*note, now);
  const bool some_ends = std::ranges::any_of(planes_, [](const Watched& w) { return !w.uncommitted_ends.empty(); });
  if (batch.empty() && !some_ends && !some_notes) return;
  const bool committed = commit();
  for (const auto& [decision, number] : batch) publish(decision, committed ? number : std::nullopt, now);
}

void Attendant::publish(const Decision& decision, std::optional<std::uint64_t> recorded, Instant now) {
  if (recorded && !decision.is_routine) ++counts_.verdicts;
  if (!decision.command) return;
  Watched& w = planes_[decision.plane];
  plane::Command command = *decision.command;
  command.verdict = recorded.value_or(kUnrecorded);
  if (decision.ticket != 0) asked_.push_back({decision.ticket, command.verdict, decision.plane, command.id});
  command.epoch = w.writer.epoch();
  const bool allowed = recorded || !is_destructive(command.kind);
  if (!allowed || !w.writer.write(command, w.table.commands_taken())) {
    ++counts_.withheld;
    controller_.withheld(decision, now);
    if (decision.ticket != 0) answer(asked_.end() - 1, std::nullopt, command.expected_state);
    if (!recorded || decision.is_routine) return;
    plane::Receipt never_given{.command = 0,
                               .verdict = *recorded,
                               .id = command.id,
                               .kind = command.kind,
                               .form = command.form,
                               .outcome = plane::Outcome::Void,
                               .state = command.expected_state,
                               .epoch = command.epoch,
                               .heard = command.heard,
                               .at = now};
    if (!ledger_.receipt(decision.plane, never_given)) ++counts_.ledger_failures;
    return;
  }
  ++counts_.commands;
  if (!recorded) ++counts_.unrecorded;
  controller_.published(decision, command.verdict);
}

bool Attendant::commit() {
  const bool committed = ledger_.commit();
  if (!committed) ++counts_.ledger_failures;
  for (Watched& w : planes_) {
    if (!committed) {
      for (const std::uint32_t slot : w.uncommitted_ends) w.ended[slot] = 0;
      counts_.ends -= w.uncommitted_ends.size();
      if (!w.uncommitted_ends.empty()) w.all_seen = false;
    }
    w.uncommitted_ends.clear();
  }
  return committed;
}

bool Attendant::plane_failed(std::uint32_t index, Instant now) {
  Watched& w = planes_[index];
  if (w.failed) return true;
  w.dying = true;
  w.all_seen = true;
  drain_receipts(index, now);
  for (std::uint32_t slot = 0; slot < w.table.slots_used(); ++slot) {
    plane::Record record;
    if (w.table.read(slot, record) != plane::SlotReading::Whole) continue;
    if (!record.has_ended()) record.reason = EndReason::PlaneFailed;
    tell_end(index, {w.table.incarnation(), slot, record.generation}, record);
    if (w.uncommitted_ends.size() >= kBatch) commit();
  }
  commit();
  while (true) {
    const auto left = std::ranges::find(asked_, index, &Asked::plane);
    if (left == asked_.end()) break;
    answer(left, std::nullopt, State::Closed);
  }
  if (!w.all_seen || w.writer.receipts_taken() < w.table.receipts_written()) return false;
  controller_.plane_failed(index);
  w.failed = true;
  w.ended = {};
  w.uncommitted_ends = {};
  return true;
}

std::size_t Attendant::bytes() const {
  std::size_t sum = sizeof(*this) - sizeof(controller_) + controller_.bytes();
  for (const Watched& w : planes_) sum += sizeof(w) + (w.ended.capacity() + w.uncommitted_ends.capacity()) * 4;
  return sum;
}

}  // namespace adieu::control
