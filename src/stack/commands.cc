// The control plane's commands, from a ring that is treated as hostile input: each is checked, done or refused, and
// answered with a receipt. DESIGN section 4.
#include <algorithm>

#include "stack/engine_impl.h"

namespace adieu::stack {

unsigned Engine::Impl::take_commands(const plane::ControlView& view, Instant now) {
  unsigned taken = 0;
  const std::uint32_t epoch = view.epoch();
  for (std::uint64_t waiting = view.waiting(table.commands_taken()); waiting > 0; --waiting) {
    // No command without room for its receipt: receipts are lossless.
    if (!table.has_receipt_room(view)) break;
    const std::uint64_t number = table.commands_taken() + 1;
    plane::Receipt receipt;
    receipt.command = number;
    receipt.at = now;
    if (const auto command = view.command(number)) {
      receipt.verdict = command->verdict;
      receipt.id = command->id;
      receipt.kind = command->kind;
      receipt.form = command->form;
      receipt.epoch = command->epoch;
      const bool ours = table.is_live(command->id);
      receipt.outcome = obey(*command, epoch, now);
      if (ours || receipt.outcome == plane::Outcome::AlreadyEnded) {
        const plane::Record after = table.last(command->id.slot);
        receipt.state = after.state;
        receipt.heard = after.heard;
      }
    }
    table.set_commands_taken(number);
    table.receipt(receipt);
    ++taken;
  }
  return taken;
}

plane::Outcome Engine::Impl::obey(const plane::Command& command, std::uint32_t epoch, Instant now) {
  using plane::Ability;
  using plane::CommandKind;
  using plane::Outcome;
  if (command.epoch != epoch) return Outcome::Void;
  if (command.expires <= now) return Outcome::Expired;
  if (table.is_ended(command.id)) return Outcome::AlreadyEnded;
  if (!table.is_live(command.id)) return Outcome::WrongIdentity;
  const std::uint32_t slot = command.id.slot;
  tcp::Connection& connection = cells[slot].connection;
  if (connection.state() != command.expected_state) return Outcome::WrongState;

  const plane::Abilities abilities = table.abilities();
  Outcome outcome = Outcome::Unable;
  switch (command.kind) {
    case CommandKind::Probe: return obey_probe(slot, command, now);
    case CommandKind::Finish:
      if (has(abilities, Ability::Finish) && connection.shutdown_send(env(now))) outcome = Outcome::Done;
      break;
    case CommandKind::Abort:
      if (!has(abilities, command.silent ? Ability::AbortSilent : Ability::AbortReset)) break;
      // A verdict of silence can never overtake a sign of life.
      if (!command.regardless && table.last(slot).heard != command.heard) return Outcome::HeardSince;
      connection.abort(EndReason::Commanded, command.silent, env(now));
      outcome = Outcome::Done;
      break;
    case CommandKind::Forget:
      if (!has(abilities, Ability::Forget) || connection.state() != State::TimeWait) break;
      connection.abort(EndReason::Commanded, true, env(now));
      outcome = Outcome::Done;
      break;
    case CommandKind::Keepalive: return Outcome::Unable;  // it has none: the control plane asks
  }
  ending_verdict = command.verdict;
  settle(slot, now);
  ending_verdict = 0;
  return outcome;
}

plane::Outcome Engine::Impl::obey_probe(std::uint32_t slot, const plane::Command& command, Instant now) {
  using plane::Ability;
  using plane::Outcome;
  static constexpr Ability kAbility[kProbeForms] = {Ability::ProbeEcho, Ability::ProbeBare, Ability::ProbePending};
  const auto form = static_cast<std::size_t>(command.form);
  if (!has(table.abilities(), kAbility[form])) return Outcome::Unable;
  plane::Record record = table.last(slot);
  const bool soon = record.probe_last.is_known() && now - record.probe_last < settings.bare_probe_spacing;
  // A question that has not left yet is not asked twice.
  if (record.probe_last == now || (command.form == ProbeForm::Bare && soon)) return Outcome::TooSoon;
  if (!cells[slot].connection.probe(command.form, env(now))) return Outcome::Unable;
  if (record.probes[form] < UINT16_MAX) ++record.probes[form];
  if (!record.probe_first.is_known()) record.probe_first = now;
  record.probe_last = now;
  table.publish(slot, record);
  queue_output(slot);
  return Outcome::Done;
}

}  // namespace adieu::stack
