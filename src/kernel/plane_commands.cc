// Commands to the kernel plane: a batch at a time, and the receipts. What does not live here: the acts (act.h), the
// questions (probe.h), sweeps (plane.cc).
//
// Each command is compared with what the kernel says of its connection now: what a sweep has told is as old as the
// sweep. What can be done to one socket at a time is done there and then. A question waits for the kernel's next tick,
// and an abort with a guard walks over all of the kernel's sockets: these wait for the end of the batch, and are done
// together. A batch has nothing more for a connection of which something waits. Its receipts are written in its order
// when all of it is done.
#include <algorithm>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "kernel/plane.h"

namespace adieu::kernel {
namespace {

using plane::Ability;
using plane::CommandKind;
using plane::Outcome;

// So many take some ten milliseconds, and a socket that does not let itself be asked a hundred. Meanwhile nothing else
// is done, the heartbeat among it.
constexpr std::size_t kMostAtOnce = 256;
static_assert(kMostAtOnce <= BpfDestroy::kMostOrders && kMostAtOnce <= Prober::kMostQuestions);
// Each is walked over by itself.
constexpr std::size_t kMostNetworksWalked = 16;

enum class Next : std::uint8_t { Receipt, Act, Question, GuardedAbort };

}  // namespace

// A command until its receipt is written.
struct Plane::Pending {
  Next next = Next::Receipt;
  plane::Command command;
  plane::Receipt receipt;  // Malformed, until it turns out to be a command
  Socket found{};          // unless it is Receipt that is next

  bool waits() const { return next == Next::Question || next == Next::GuardedAbort; }
  // Abort: the count of segments heard; nullopt: on no silence.
  std::optional<std::uint32_t> rests_on() const {
    return command.regardless ? std::nullopt : std::optional(command.heard);
  }
};

void Plane::take_commands(Instant now, const plane::ControlView& control) {
  const std::uint64_t taken = table_->commands_taken();
  const std::uint64_t most =
      std::min<std::uint64_t>({control.waiting(taken), table_->receipt_room(control), kMostAtOnce});
  if (most == 0) return;
  std::vector<Pending> batch;
  for (std::uint64_t number = taken + 1; number <= taken + most; ++number) {
    Pending pending = prepare(number, now, control);
    if (!fits(batch, pending)) break;
    if (pending.next == Next::Act) act_on(pending);
    batch.push_back(std::move(pending));
  }
  abort_guarded(batch);
  ask(batch);
  table_->set_abilities((table_->abilities() & kReports) | able());
  for (const Pending& pending : batch) {
    table_->receipt(pending.receipt);
    table_->set_commands_taken(pending.receipt.command);
  }
}

bool Plane::fits(std::span<const Pending> batch, const Pending& next) {
  std::vector<std::uint32_t> networks{next.found.key.network};
  for (const Pending& earlier : batch) {
    if (earlier.waits() && earlier.receipt.id.slot == next.receipt.id.slot) return false;
    const std::uint32_t network = earlier.found.key.network;
    if (earlier.next == Next::GuardedAbort && std::ranges::find(networks, network) == networks.end())
      networks.push_back(network);
  }
  return next.next != Next::GuardedAbort || networks.size() <= kMostNetworksWalked;
}

// Changes nothing.
Plane::Pending Plane::prepare(std::uint64_t number, Instant now, const plane::ControlView& control) {
  Pending pending;
  plane::Receipt& receipt = pending.receipt;
  receipt.command = number;
  receipt.heard = plane::kUnknownCount;
  receipt.at = now;
  const auto command = control.command(number);
  if (!command) return pending;
  pending.command = *command;
  receipt.verdict = command->verdict;
  receipt.id = command->id;
  receipt.kind = command->kind;
  receipt.form = command->form;
  receipt.epoch = command->epoch;
  if (table_->is_live(command->id) || table_->is_ended(command->id))
    receipt.state = table_->last(command->id.slot).state;
  if (command->epoch != control.epoch())
    receipt.outcome = Outcome::Void;
  else if (command->expires <= now)
    receipt.outcome = Outcome::Expired;
  else
    receipt.outcome = find(pending);
  if (receipt.outcome == Outcome::Done) plan(pending);
  return pending;
}

// Done: it is as the command says.
Outcome Plane::find(Pending& pending) {
  const plane::Command& command = pending.command;
  plane::Receipt& receipt = pending.receipt;
  if (table_->is_ended(command.id)) return Outcome::AlreadyEnded;
  if (!table_->is_live(command.id)) return Outcome::WrongIdentity;
  const SocketKey key = sweep_->key_of(command.id.slot);
  Network* const network = networks_.find(key.network);
  if (network == nullptr) return Outcome::Unable;
  const auto found = network->diag.find(key);
  if (!found) return Outcome::Unable;
  receipt.state = *found ? (*found)->state : State::Closed;
  if (!*found) return Outcome::AlreadyEnded;  // the next sweep will say so
  if ((*found)->is_whole) receipt.heard = (*found)->segments_in;
  if (receipt.state != command.expected_state) return Outcome::WrongState;
  pending.found = **found;
  pending.found.key.network = key.network;
  return Outcome::Done;
}

// What is to be done next. What is not to be done at all has its answer; the rest is Unable until it is done.
void Plane::plan(Pending& pending) const {
  const plane::Command& command = pending.command;
  Outcome& outcome = pending.receipt.outcome;
  const auto may = [this](Ability ability) { return plane::has(wanted_, ability); };
  outcome = Outcome::Unable;
  switch (command.kind) {
    case CommandKind::Probe: {
      if (!may(Ability::ProbeBare) || command.form != ProbeForm::Bare) return;
      // Peers answer such a question once in 500 ms (RFC 5961) or less often.
      const Instant last = table_->last(command.id.slot).probe_last;
      if (last.is_known() && pending.receipt.at - last < seconds(1))
        outcome = Outcome::TooSoon;
      else
        pending.next = Next::Question;
      return;
    }
    case CommandKind::Finish:
      if (may(Ability::Finish)) pending.next = Next::Act;
      return;
    case CommandKind::Abort: {
      if (!may(Ability::AbortReset) || command.silent) return;
      const Outcome permitted = acts_.may_abort(pending.found, pending.rests_on());
      const bool guarded = pending.rests_on() && may(Ability::GuardedAbort) && acts_.can_guard();
      if (permitted == Outcome::Done)
        pending.next = guarded ? Next::GuardedAbort : Next::Act;
      else
        outcome = permitted;
      return;
    }
    case CommandKind::Forget:
      if (may(Ability::Forget)) pending.next = Next::Act;
      return;
    case CommandKind::Keepalive:
      if (may(Ability::Keepalive)) pending.next = Next::Act;
      return;
  }
}

void Plane::act_on(Pending& pending) {
  Network* const network = networks_.find(pending.found.key.network);
  if (network == nullptr) return;
  Outcome& outcome = pending.receipt.outcome;
  switch (pending.command.kind) {
    case CommandKind::Probe: return;
    case CommandKind::Finish:
    case CommandKind::Keepalive:
      outcome = by_descriptor(pending);
      if (outcome == Outcome::Unable && pending.command.kind == CommandKind::Keepalive)
        sweep_->keepalive_refused(pending.receipt.id.slot, pending.receipt.at);
      break;
    case CommandKind::Abort: outcome = acts_.abort(*network, pending.found, pending.rests_on()); break;
    case CommandKind::Forget: outcome = acts_.forget(*network, pending.found); break;
  }
  verify(pending);
}

Outcome Plane::by_descriptor(const Pending& pending) {
  const Socket& found = pending.found;
  const bool finishes = pending.command.kind == CommandKind::Finish;
  const auto act = [&] {
    const Held who = holders_->of(found.inode);
    if (finishes) return acts_.finish(found, who);
    // What it has is ours, and not its own, until that is put back: a look does it.
    if (prober_.owes(found.key.cookie)) return Outcome::Unable;
    return acts_.keepalive(found, who, pending.command.keepalive);
  };
  const Outcome outcome = act();
  if (outcome != Outcome::Unable || found.inode == 0 || holders_->looked_at() >= pending.receipt.at) return outcome;
  look(pending.receipt.at);  // who had it open may have passed it on since
  return act();
}

void Plane::abort_guarded(std::span<Pending> batch) {
  for (const Network& network : networks_.all()) {
    std::vector<Pending*> here;
    std::vector<DestroyOrder> orders;
    for (Pending& pending : batch) {
      const Socket& found = pending.found;
      if (pending.next != Next::GuardedAbort || found.key.network != network.inode) continue;
      here.push_back(&pending);
      orders.push_back({.cookie = found.key.cookie, .state = found.state, .segments_in = pending.rests_on()});
    }
    if (orders.empty()) continue;
    std::vector<Outcome> outcomes(orders.size());
    acts_.abort_guarded(network, orders, outcomes);
    for (std::size_t i = 0; i < here.size(); ++i) {
      here[i]->receipt.outcome = outcomes[i];
      verify(*here[i]);
    }
  }
}

// What an act is said to have done, the kernel says again.
void Plane::verify(Pending& pending) {
  plane::Receipt& receipt = pending.receipt;
  if (!plane::is_done(receipt.outcome) && receipt.outcome != Outcome::AlreadyEnded) return;
  Network* const network = networks_.find(pending.found.key.network);  // anew: a look moves them
  std::expected<std::optional<Socket>, Error> after = std::unexpected(Error{});
  if (network != nullptr) after = network->diag.find(pending.found.key);
  const bool is_there = after && *after;
  if (after) receipt.state = is_there ? (*after)->state : State::Closed;
  const bool lives_on = receipt.kind == CommandKind::Keepalive ||
                        (receipt.kind == CommandKind::Finish && is_sending_closed(receipt.state));
  if (!after || (is_there && !lives_on)) {
    receipt.outcome = Outcome::Unable;
  } else if (receipt.kind == CommandKind::Keepalive) {
    if (!is_there) receipt.outcome = Outcome::AlreadyEnded;
    if (is_there) sweep_->keepalive_on(receipt.id.slot);
  } else if (receipt.kind != CommandKind::Finish && receipt.outcome != Outcome::AlreadyEnded) {
    sweep_->ended(receipt.id.slot, receipt.verdict, receipt.at);
  }
}

void Plane::ask(std::span<Pending> batch) {
  std::vector<Question> questions;
  for (const Pending& pending : batch)
    if (pending.next == Next::Question)
      questions.push_back({.found = pending.found, .who = holders_->of(pending.found.inode)});
  prober_.ask(questions);
  if (crafter_.is_possible()) craft(questions);
  auto question = questions.begin();
  for (Pending& pending : batch) {
    if (pending.next != Next::Question) continue;
    const Question& asked = *question++;
    plane::Receipt& receipt = pending.receipt;
    receipt.outcome = asked.outcome;
    if (receipt.outcome == Outcome::AlreadyEnded) receipt.state = State::Closed;
    if (receipt.outcome == Outcome::Done) sweep_->asked(receipt.id.slot, receipt.at);
    const bool was_tried = (is_askable(asked.found) && asked.who.descriptors > 0 && !prober_.owes()) ||
                           (crafter_.is_possible() && is_craftable(asked.found));
    if (receipt.outcome == Outcome::Unable && was_tried) sweep_->unaskable(receipt.id.slot, receipt.at);
  }
}

// Those whom the kernel's own keepalive did not ask.
void Plane::craft(std::span<Question> questions) {
  for (const Network& network : networks_.all()) {
    std::vector<Question*> here;
    for (Question& question : questions)
      if (question.outcome == Outcome::Unable && question.found.key.network == network.inode &&
          is_craftable(question.found))
        here.push_back(&question);
    if (!here.empty()) crafter_.ask(network, here);
  }
}

}  // namespace adieu::kernel
