// The order of one sweep, and the receipts. What does not live here: clocks and loops (host).
#include "kernel/plane.h"

#include <utility>

#include "base/assert.h"

namespace adieu::kernel {

std::expected<Plane, Error> Plane::open(plane::TableWriter& table) {
  ADIEU_ASSERT((table.abilities() & ~kAbilities) == 0);
  auto diag = Diag::open();
  if (!diag) return std::unexpected(diag.error());
  return Plane(table, std::move(*diag));
}

Plane::Plane(plane::TableWriter& table, Diag diag)
    : table_(&table), diag_(std::move(diag)), sweep_(std::make_unique<Sweep>(table)) {}

std::expected<void, Error> Plane::sweep(Instant now, const plane::ControlView& control) {
  take_commands(now, control);
  struct Into {
    Sweep& sweep;
    const plane::ControlView& control;
  } into{*sweep_, control};
  sweep_->begin(now);
  const Visit see = [](void* context, const Socket& socket) {
    const Into& to = *static_cast<Into*>(context);
    to.sweep.see(socket, to.control);
  };
  if (auto dumped = diag_.dump(see, &into); !dumped) return dumped;
  // A dump can miss a socket that is there (sock_diag.h): it is gone when the kernel does not know its name either.
  while (const auto missing = sweep_->poll_missing()) {
    const auto found = diag_.find(*missing);
    if (!found) return std::unexpected(found.error());
    if (*found) {
      sweep_->see(**found, control);
    } else {
      sweep_->vanished(missing->cookie);
    }
  }
  sweep_->finish();
  table_->beat(now);
  return {};
}

void Plane::take_commands(Instant now, const plane::ControlView& control) {
  const std::uint64_t first = table_->commands_taken() + 1;
  // Asked once: however fast the ring is filled, one call answers one ring of commands at the most.
  const std::uint64_t end = first + control.waiting(first - 1);
  for (std::uint64_t number = first; number < end && table_->has_receipt_room(control); ++number)
    answer(number, now, control);
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
    receipt.outcome = command->epoch == control.epoch() ? plane::Outcome::Unable : plane::Outcome::Void;
  }
  table_->receipt(receipt);
  table_->set_commands_taken(number);
}

}  // namespace adieu::kernel
