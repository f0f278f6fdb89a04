// What to ask of a plane, in which form, and when. What does not live here: observations, entries (controller.cc).
#include <algorithm>

#include "control/controller.h"
#include "control/jitter.h"

namespace adieu::control {
namespace {

// All hosts together: so much may be spent at once.
constexpr Duration kBurst = milliseconds(200);

}  // namespace

bool Controller::acts(const Decision& d, const Rule& rule, Instant now) const {
  return rule.act && d.verdict.act != Act::Tell && d.verdict.acts_at <= now;
}

Instant Controller::due(const Decision& d, const Entry* entry, const Rule& rule, Instant now) const {
  const Evidence& e = d.evidence;
  const Instant not_before = entry == nullptr ? Instant::unknown() : entry->not_before;
  if (acts(d, rule, now)) return later(not_before, Instant{0});
  if (!may_ask(e, rule) || d.verdict.standing == Standing::Alive) return Instant::never();
  // Who is gone, and may not be ended, is asked on as seldom as one who is there: a sign of life would make it alive.
  const Duration apart = d.verdict.standing == Standing::Gone ? rule.interval : probe_spacing(rule);
  const Instant asked_at = e.asked > 0 ? e.last_ask : Instant::unknown();
  const Instant at = asked_at.is_known()
                         ? asked_at + apart + jitter(d.id, e.asked, apart)
                         : e.heard_at + rule.interval + (e.may_be_outside ? patience_outside(rule) : Duration{}) +
                               jitter(d.id, 0, rule.interval);
  return later(at, not_before);
}

plane::Command Controller::command_of(const Decision& d, plane::CommandKind kind, const Rule& rule, Instant now) {
  plane::Command command;
  command.kind = kind;
  command.id = d.id;
  command.expected_state = d.evidence.state;
  command.heard = d.evidence.heard;
  command.expires = now + rule.command_life;
  return command;
}

plane::Command Controller::act_of(const Decision& d, const Rule& rule, Instant now) {
  using plane::CommandKind;
  const Act act = d.verdict.act;
  const bool ends = act != Act::Finish && act != Act::Keepalive;
  const CommandKind kind = ends                 ? CommandKind::Abort
                           : act == Act::Finish ? CommandKind::Finish
                                                : CommandKind::Keepalive;
  plane::Command command = command_of(d, kind, rule, now);
  command.silent = act == Act::Silent;
  command.regardless = ends && d.verdict.cause != Cause::Gone;
  if (act == Act::Keepalive) command.keepalive = rule.keepalive;
  return command;
}

std::optional<plane::Command> Controller::command_for(const Decision& d, const Entry* entry, const Rule& rule,
                                                      Instant now) const {
  if (now < due(d, entry, rule, now)) return std::nullopt;
  if (acts(d, rule, now)) return act_of(d, rule, now);
  const auto form = choose_form(d.evidence, entry == nullptr ? FormSet{0} : entry->unable);
  if (!form) return std::nullopt;
  plane::Command command = command_of(d, plane::CommandKind::Probe, rule, now);
  command.form = *form;
  return command;
}

// The one used least, so that forms take turns: one that the path or the peer's stack swallows proves nothing alone. A
// form that the plane has refused comes after all others.
std::optional<ProbeForm> Controller::choose_form(const Evidence& e, FormSet unable) const {
  std::optional<ProbeForm> least;
  for (const ProbeForm f : {ProbeForm::DataEcho, ProbeForm::Bare, ProbeForm::Pending}) {
    if (!contains(e.possible, f)) continue;
    const auto rank = [&](ProbeForm form) { return std::pair(contains(unable, form), e.asks_by(form)); };
    if (!least || rank(f) < rank(*least)) least = f;
  }
  return least;
}

Instant Controller::next_probe(const Entry* entry, Instant now) const {
  return later(book_.next_probe(entry->host, now), next_probe_ - kBurst);
}

void Controller::spend_probe(const Entry& entry, Instant now) {
  next_probe_ = later(next_probe_, now) + seconds(1) / std::max(policy_.probes.per_second, 1U);
  book_.spend_probe(entry.host, policy_.probes.per_host, now);
}

void Controller::published(const Decision& decision, std::uint64_t verdict) {
  if (Entry* entry = find(decision.plane, decision.id)) entry->verdict = verdict;
}

void Controller::withheld(const Decision& decision, Instant now) {
  Entry* entry = find(decision.plane, decision.id);
  if (entry == nullptr) return;
  entry->in_flight.reset();
  entry->not_before = now + milliseconds(entry->spacing_ms);
  look_at(*entry, entry->not_before, now);
}

void Controller::receipt(std::uint32_t index, const plane::Receipt& receipt, Instant now) {
  Entry* entry = find(index, receipt.id);
  // Of an earlier control plane: what it did stands in the record.
  if (entry == nullptr || entry->in_flight != receipt.kind || entry->verdict != receipt.verdict) return;
  entry->in_flight.reset();
  if (!plane::is_done(receipt.outcome)) return refused(*entry, receipt, now);
  // The plane's own instant, where it can be one: else each question would be late by the time its receipt took.
  const bool sane = receipt.at <= now && now - receipt.at <= minutes(1);
  const Instant done_at = sane ? receipt.at : now;
  // Before an answer could be here there is nothing more to ask or to do; the spacing follows from the record.
  entry->not_before = done_at + earlier(seconds(3), milliseconds(entry->spacing_ms));
  look_at(*entry, receipt.kind == plane::CommandKind::Probe ? entry->not_before : now, now);
}

void Controller::refused(Entry& entry, const plane::Receipt& receipt, Instant now) {
  switch (receipt.outcome) {
    case plane::Outcome::WrongIdentity:
    case plane::Outcome::AlreadyEnded: return forget(entry);
    case plane::Outcome::HeardSince: return look_at(entry, now, now);  // its record says so too
    case plane::Outcome::Unable: {
      // Another form may do; what was refused before is tried as seldom as a quiet connection is asked.
      const bool again = receipt.kind != plane::CommandKind::Probe || contains(entry.unable, receipt.form);
      entry.not_before = now + (again ? policy_.least_interval() : milliseconds(entry.spacing_ms));
      if (receipt.kind == plane::CommandKind::Probe) entry.unable |= set_of(receipt.form);
      break;
    }
    case plane::Outcome::Done:
    case plane::Outcome::DoneUnguarded:
    case plane::Outcome::WrongState:
    case plane::Outcome::Expired:
    case plane::Outcome::Void:
    case plane::Outcome::TooSoon:
    case plane::Outcome::Malformed: entry.not_before = now + kLeastSpacing; break;
  }
  look_at(entry, entry.not_before, now);
}

}  // namespace adieu::control
