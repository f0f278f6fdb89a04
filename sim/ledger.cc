// Every entry is told to the checkers and to the trace.
#include "sim/ledger.h"

#include <string>

namespace adieu::sim {

std::optional<std::uint64_t> MemoryLedger::verdict(const control::Decision& d, Instant now) {
  if (is_full_) return std::nullopt;
  const std::uint64_t number = ++verdicts_;
  const End* end = scene_.book.find(d.id);
  scene_.trace.event(now, host_letter(host_), {number, d.id.slot, static_cast<std::uint64_t>(d.verdict.standing)}, [&] {
    std::string text = "verdict " + std::to_string(number) + " on " + (end == nullptr ? "nobody" : label(*end)) + ": " +
                       std::string(control::name(d.verdict.standing)) + ", " + std::to_string(d.verdict.unanswered) +
                       " unanswered in " + std::to_string(d.evidence.attended.seconds()) + " s";
    if (d.command) {
      text += ", so: " + std::string(plane::name(d.command->kind));
      if (d.command->kind == plane::CommandKind::Probe) text += " by " + std::string(adieu::name(d.command->form));
    }
    return text;
  });
  if (end == nullptr) scene_.fail("verdicts", now, "a verdict on a connection that never was");
  if (end != nullptr && end->pair != nullptr)
    scene_.findings.push_back({now, host_, end->pair->number, end->side, d.verdict.standing, EndReason::None});
  scene_.tell(&Checker::decided, host_, number, d);
  return number;
}

bool MemoryLedger::receipt(std::uint32_t, const plane::Receipt& r) {
  if (is_full_) return false;
  if (r.kind == plane::CommandKind::Probe && r.outcome == plane::Outcome::Done) ++scene_.probes;
  scene_.trace.event(r.at, host_letter(host_), {r.command, r.verdict, static_cast<std::uint64_t>(r.outcome)}, [&] {
    return "receipt for verdict " + std::to_string(r.verdict) + ": " + std::string(plane::name(r.kind)) + " " +
           std::string(plane::name(r.outcome));
  });
  scene_.tell(&Checker::answered, host_, r);
  return true;
}

bool MemoryLedger::ended(std::uint32_t, const plane::ConnectionId& id, const plane::Record& record) {
  if (is_full_) return false;
  const End* end = scene_.book.find(id);
  if (end == nullptr || end->reason != record.reason)
    scene_.fail("reasons", record.state_entered, "the ledger hears of another end than was seen");
  return true;
}

}  // namespace adieu::sim
