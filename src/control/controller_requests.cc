// What is done for another reason than one connection's own silence: a person's word, and the budget of orphans.
#include <algorithm>
#include <functional>
#include <tuple>

#include "control/controller.h"

namespace adieu::control {
namespace {

// More are not ended in one round: the next one is a second away, and each is a row in the ledger.
constexpr std::size_t kMostAtOnce = 256;

std::uint64_t bytes_of(const plane::Record& r) {
  const auto known = [](std::uint32_t n) { return n == plane::kUnknownCount ? 0 : std::uint64_t{n}; };
  return known(r.unread) + known(r.unsent);
}

std::optional<Refusal> refusal(const Decision& d, const Request& request, const Evidence& e) {
  using plane::Ability;
  if (d.verdict.standing == Standing::Ended) return Refusal::Ended;
  if (e.plane_stopped_since.is_known()) return Refusal::PlaneStopped;
  switch (request.kind) {
    case plane::CommandKind::Probe:
      if (e.possible == 0) return Refusal::NotAskable;
      return std::nullopt;
    case plane::CommandKind::Finish:
      if (!plane::has(e.abilities, Ability::Finish) || !is_synchronized(e.state) || is_sending_closed(e.state))
        return Refusal::Unable;
      return std::nullopt;
    case plane::CommandKind::Abort:
      if (!plane::has(e.abilities, request.silent ? Ability::AbortSilent : Ability::AbortReset)) return Refusal::Unable;
      return std::nullopt;
    case plane::CommandKind::Forget:
      if (!plane::has(e.abilities, Ability::Forget) || e.state != State::TimeWait) return Refusal::Unable;
      return std::nullopt;
    case plane::CommandKind::Keepalive:
      if (!can_have_keepalive(e)) return Refusal::Unable;
      return std::nullopt;
  }
  return Refusal::Unable;
}

// Which of the doubted goes first; the living go last.
unsigned rank(Standing standing) {
  switch (standing) {
    case Standing::Gone: return 0;
    case Standing::Suspect: return 1;
    case Standing::Silent: return 2;
    case Standing::Alive: return 3;
    case Standing::Unknown:
    case Standing::Ended: break;
  }
  return 4;
}

}  // namespace

std::string_view message(Refusal refusal) {
  switch (refusal) {
    case Refusal::Ended: return "it has ended already";
    case Refusal::PlaneStopped: return "its data plane does not run at present: nobody would take the command";
    case Refusal::NotAskable:
      return "it cannot be asked: there is no peer yet, it is in TIME-WAIT, or its data plane "
             "has no question for it";
    case Refusal::Unable: return "its data plane cannot do that to a connection in this state";
    case Refusal::Busy: return "another command is on its way to it: try again in a moment";
    case Refusal::NoRoom: return "too many commands are waiting: try again in a moment";
  }
  return "?";
}

std::string_view name(NoteKind kind) {
  switch (kind) {
    case NoteKind::HostSilent: return "host silent";
    case NoteKind::HostBack: return "host back";
    case NoteKind::PathForgot: return "path forgot";
    case NoteKind::OverBudget: return "over budget";
    case NoteKind::WithinBudget: return "within budget";
  }
  return "?";
}

std::optional<Refusal> Controller::request(std::uint32_t index, const plane::ConnectionId& id,
                                           const plane::Record& record, const Request& request, Instant now) {
  Entry* entry = find(index, id);
  if (entry != nullptr && entry->in_flight && now >= entry->expires) entry->in_flight.reset();
  Rule rule;
  Decision d = judged(index, id, record, entry, rule, now);
  if (const auto refused = refusal(d, request, d.evidence)) return refused;
  if (entry != nullptr && entry->in_flight) return Refusal::Busy;
  if (planes_[index].room == 0) return Refusal::NoRoom;
  if (entry == nullptr) entry = enter(index, id, record.remote.address);
  if (entry == nullptr) return Refusal::NoRoom;
  d.ticket = request.ticket;
  d.verdict.cause = Cause::Person;
  d.verdict.grounds.add(GroundKind::Asked, request.user);
  d.command = command_of(d, request.kind, rule, now);
  d.command->silent = request.silent;
  d.command->regardless = request.kind == plane::CommandKind::Abort;
  if (request.kind == plane::CommandKind::Keepalive) d.command->keepalive = request.keepalive;
  if (request.kind == plane::CommandKind::Probe) d.command->form = *choose_form(d.evidence, entry->unable);
  --planes_[index].room;
  entry->in_flight = request.kind;
  entry->expires = d.command->expires;
  entry->verdict = 0;
  look_at(*entry, entry->expires, now);
  decisions_.push_back(std::move(d));
  return std::nullopt;
}

// ---- orphans ----

bool Controller::Candidate::operator<(const Candidate& other) const {
  const auto key = [](const Candidate& c) {
    return std::tuple(rank(c.decision.verdict.standing), c.decision.evidence.heard_at, c.decision.id.slot);
  };
  return key(*this) < key(other);  // the heap's top is who would go last
}

// Candidates are gathered only in the round after one that was over budget: whoever is within it pays nothing.
void Controller::count_orphan(std::uint32_t index, const plane::ConnectionId& id, const plane::Record& record,
                              Instant now) {
  const Plane& p = planes_[index];
  if (!policy_.has_orphan_budget() || record.has_ended() || record.state == State::TimeWait) return;
  if (!plane::has(p.facts.abilities, plane::Ability::AbortReset) || p.stopped_since.is_known()) return;
  if (p.facts.kind == plane::PlaneKind::Kernel) {
    const SubjectOf subject(p.facts, record, now);
    if (policy_.rule(policy_.rule_for(subject), subject).unmeant) return;
  }
  ++orphans_;
  orphan_bytes_ += bytes_of(record);
  const Entry* entry = find(index, id);
  if (excess_ == 0 || (entry != nullptr && entry->in_flight)) return;
  Rule rule;
  Candidate candidate{judged(index, id, record, entry, rule, now), rule};
  if (rule.exempt || !rule.act) return;
  candidates_.push_back(std::move(candidate));
  std::ranges::push_heap(candidates_, std::less<>{});
  if (candidates_.size() <= std::min<std::uint64_t>(excess_, kMostAtOnce)) return;
  std::ranges::pop_heap(candidates_, std::less<>{});
  candidates_.pop_back();
}

void Controller::end_of_round(Instant now) {
  const OrphanBudget& budget =
      pressed_ && policy_.orphans_under_pressure != OrphanBudget{} ? policy_.orphans_under_pressure : policy_.orphans;
  std::uint64_t excess = orphans_ > budget.count ? orphans_ - budget.count : 0;
  // Octets are freed by ending those who hold them; nobody knows how many that takes before it is done.
  if (excess == 0 && orphan_bytes_ > budget.bytes) excess = std::max<std::uint64_t>(1, orphans_ / 8);
  const bool is_over = excess > 0;
  if (is_over != over_budget_)
    notes_.push_back({.kind = is_over ? NoteKind::OverBudget : NoteKind::WithinBudget,
                      .host = {},
                      .number = orphans_,
                      .span = {},
                      .silence = {}});
  over_budget_ = is_over;
  // Candidates were gathered for what the last round was over its budget; this one may be over it by less.
  std::uint64_t left = std::min<std::uint64_t>(excess, kMostAtOnce);
  std::ranges::sort(candidates_, std::less<>{});
  for (Candidate& candidate : candidates_) {
    if (left == 0) break;
    Decision& d = candidate.decision;
    Entry* entry = find(d.plane, d.id);
    if (planes_[d.plane].room == 0 || (entry != nullptr && entry->in_flight)) continue;
    if (entry == nullptr) entry = enter(d.plane, d.id, d.evidence.remote.address);
    if (entry == nullptr) break;
    d.verdict.cause = Cause::OverBudget;
    d.verdict.act = Act::Reset;
    d.verdict.acts_at = now;
    d.verdict.ends = Ends::CommandedAbort;
    d.verdict.ends_at = now;
    d.verdict.grounds.add(GroundKind::OverBudget, orphans_);
    d.command = act_of(d, candidate.rule, now);
    --planes_[d.plane].room;
    entry->in_flight = d.command->kind;
    entry->expires = d.command->expires;
    entry->verdict = 0;
    look_at(*entry, entry->expires, now);
    decisions_.push_back(std::move(d));
    --left;
  }
  candidates_.clear();
  excess_ = excess;
  orphans_ = orphan_bytes_ = 0;
}

}  // namespace adieu::control
