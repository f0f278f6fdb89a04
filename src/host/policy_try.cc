// Verdicts of the past, judged by another rule.
#include "host/policy_try.h"

#include <algorithm>
#include <optional>

#include "control/controller.h"
#include "control/judge.h"
#include "host/ledger_json.h"

namespace adieu::host {
namespace {

constexpr unsigned kAtOnce = 1000;

// The facts a filter asks for, as far as evidence keeps them.
plane::Record record_of(const control::Evidence& e) {
  plane::Record record;
  record.generation = 1;
  record.local = e.local;
  record.remote = e.remote;
  record.state = e.state;
  record.reason = e.reason;
  record.holder = e.holder;
  record.end_of_stream_read = e.end_of_stream_read;
  record.receive_shut = e.receive_shut;
  record.send_shut = e.send_shut;
  record.peer_window_closed = e.peer_window_closed;
  record.state_entered = e.state_entered;
  record.last_heard = e.heard_at;
  record.progress_in = e.progress_in;
  record.progress_out = e.progress_out;
  record.heard = e.heard;
  record.attempts = e.attempts;
  record.unread = e.unread;
  record.unsent = e.unsent;
  return record;
}

// What would have been done at that moment; empty: nothing.
std::string done_by(const control::Verdict& verdict, const control::Rule& rule, Instant at) {
  const bool acts = rule.act && verdict.act != control::Act::Tell && verdict.acts_at <= at;
  return acts ? std::string(name(verdict.act)) : std::string();
}

Difference judged_anew(const NamedPolicy& policy, const LedgerEntry& entry, const RecordedEvidence& past) {
  const control::Evidence& e = past.evidence;
  control::PlaneFacts facts;
  facts.kind = past.plane;
  if (entry.id) entry.id->plane.copy(facts.name.data(), facts.name.size() - 1);
  const plane::Record record = record_of(e);
  Difference found;
  found.verdict = entry.number;
  if (entry.id) found.id = *entry.id;
  found.local = entry.local;
  found.remote = entry.remote;
  found.state = entry.state;
  const control::SubjectOf subject(facts, record, entry.at);
  found.rule = policy.policy.rule_for(subject);
  const control::Rule rule = policy.policy.in_state(policy.policy.rule(found.rule, subject), e.state, e.host);
  const control::Verdict verdict = judge(e, rule, entry.at);
  found.was = entry.standing;
  found.would_be = name(verdict.standing);
  found.would_do = done_by(verdict, rule, entry.at);
  return found;
}

class Trying {
 public:
  explicit Trying(const NamedPolicy& policy) : policy_(policy) {
    trial_.rules.resize(policy.rules.size());
    trial_.needs_processes = std::ranges::any_of(
        policy.policy.clauses(), [](const control::Clause& clause) { return clause.filter.needs_processes(); });
  }

  void take(const LedgerEntry& entry) {
    // A verdict's command, if any, is the entry behind it.
    if (pending_ && entry.kind == EntryKind::Command && entry.verdict == pending_->verdict) {
      if (entry.what != plane::name(plane::CommandKind::Probe)) pending_->did = entry.what;
      return;
    }
    if (entry.kind != EntryKind::Verdict) return;
    settle();
    const std::string_view cause = entry.cause;
    if (cause == name(control::Cause::Person) || cause == name(control::Cause::OverBudget)) {
      ++trial_.not_rules;
      return;
    }
    const auto past = recorded_evidence(entry);
    if (!past)
      ++trial_.unreadable;
    else
      pending_ = judged_anew(policy_, entry, *past);
  }

  void settle() {
    if (!pending_) return;
    const Difference found = *std::exchange(pending_, std::nullopt);
    RuleTrial& rule = trial_.rules[found.rule];
    ++trial_.verdicts;
    ++rule.verdicts;
    if (found.ends())
      ++rule.ends;
    else if (found.spares())
      ++rule.spares;
    else if (found.was != found.would_be || found.keeps_otherwise())
      ++rule.stands;
    else {
      ++rule.same;
      return;
    }
    trial_.differences.push_back(found);
  }

  Trial& trial() { return trial_; }

 private:
  const NamedPolicy& policy_;
  std::optional<Difference> pending_;
  Trial trial_;
};

}  // namespace

Result<Trial> try_policy(const NamedPolicy& policy, const LedgerReader& ledger) {
  Trying trying(policy);
  for (std::uint64_t read = 0;;) {
    const auto entries = ledger.after(read, kAtOnce);
    if (!entries) return std::unexpected(entries.error());
    if (entries->empty()) break;
    for (const LedgerEntry& entry : *entries) trying.take(entry);
    read = entries->back().number;
  }
  trying.settle();
  return std::move(trying.trial());
}

}  // namespace adieu::host
