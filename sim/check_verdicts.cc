// No end by command but for good reason.
#include <algorithm>
#include <string>

#include "sim/checkers.h"

namespace adieu::sim {

void VerdictChecker::decided(unsigned host, std::uint64_t number, const control::Decision& decision) {
  highest_[host] = std::max(highest_[host], number);
  // Nobody is ended by a question: that it is in the ledger is all there is to know of it.
  if (decision.command && decision.command->kind != plane::CommandKind::Probe)
    cases_[host][number] = {.decision = decision};
}

void VerdictChecker::answered(unsigned host, const plane::Receipt& receipt) {
  if (receipt.verdict == 0 || receipt.verdict > highest_[host])
    return fail(receipt.at, "a receipt for a verdict that is in no ledger");
  if (receipt.kind == plane::CommandKind::Probe) return;
  const auto found = cases_[host].find(receipt.verdict);
  if (found == cases_[host].end()) return fail(receipt.at, "a receipt for a verdict that commands nothing");
  if (receipt.kind == plane::CommandKind::Abort && receipt.outcome == plane::Outcome::Done)
    found->second.is_done = true;
}

void VerdictChecker::ended(const End& end, Instant now) {
  if (end.reason != EndReason::Commanded || plan_.hosts[end.host].keeper != Keeper::Control) return;
  const auto found = cases_[end.host].find(end.ended_by);
  if (found == cases_[end.host].end()) return fail(now, label(end) + " was ended by a verdict that is in no ledger");
  const control::Decision& d = found->second.decision;
  if (d.id != end.id) fail(now, label(end) + " was ended by a verdict on another connection");
  if (!d.command || d.command->kind != plane::CommandKind::Abort)
    fail(now, label(end) + ": its verdict commands no abort");
  if (d.verdict.cause == control::Cause::OverBudget) return check_budget(end, d, now);
  check_proof(end, d, now);
}

void VerdictChecker::check_budget(const End& end, const control::Decision& d, Instant now) {
  if (d.evidence.holder != plane::Holder::Orphan) fail(now, label(end) + " was over a budget of orphans, and is none");
  const control::Ground* const ground = d.verdict.grounds.find(control::GroundKind::OverBudget);
  if (ground == nullptr || ground->number <= plan_.hosts[end.host].most_orphans)
    fail(now, label(end) + " was ended within its budget");
}

void VerdictChecker::check_proof(const End& end, const control::Decision& d, Instant now) {
  const control::Rule& rule = plan_.hosts[end.host].rule;
  if (d.verdict.standing != control::Standing::Gone) fail(now, label(end) + " was ended, but not found gone");
  if (d.verdict.unanswered < rule.probes_needed)
    fail(now, label(end) + " was ended after " + std::to_string(d.verdict.unanswered) + " unanswered questions of " +
                  std::to_string(rule.probes_needed));
  if (d.evidence.attended < rule.proof_span)
    fail(now,
         label(end) + " was ended after " + std::to_string(d.evidence.attended.seconds()) + " s of attended silence");
  for (const ProbeForm form : {ProbeForm::DataEcho, ProbeForm::Bare, ProbeForm::Pending})
    if (control::contains(d.evidence.possible, form) && d.evidence.asks_by(form) == 0)
      fail(now, label(end) + " was never asked by " + std::string(adieu::name(form)));
  if (end.record.heard != d.evidence.heard) fail(now, label(end) + " was heard between verdict and end");
}

void VerdictChecker::settled(const Settlement& s) {
  for (const End& end : s.book.ends()) {
    if (end.reason != EndReason::Commanded || end.lost || !s.has_control[end.host]) continue;
    const auto found = cases_[end.host].find(end.ended_by);
    if (found != cases_[end.host].end() && !found->second.is_done)
      fail(s.now, label(end) + " was ended by command, and no receipt says so");
  }
}

void LivingChecker::decided(unsigned host, std::uint64_t number, const control::Decision& decision) {
  if (decision.verdict.cause == control::Cause::OverBudget) over_budget_[host].insert(number);
}

void LivingChecker::ended(const End& end, Instant now) {
  if (end.reason != EndReason::Commanded || plan_.hosts[end.host].keeper != Keeper::Control) return;
  if (over_budget_[end.host].contains(end.ended_by)) return;
  const End* peer = end.pair == nullptr ? nullptr : end.pair->peer_of(end);
  if (peer == nullptr || !peer->lives()) {
    ++dead_;
    return;
  }
  // Questions before the cut may have been lost by chance, so the cut alone need not fill the span. Plans cut a path
  // for at most half of it or for far more (plan.h): three quarters tell the two apart.
  const Duration span = plan_.hosts[end.host].rule.proof_span * 3 / 4;
  if (cuts_.longest(end.host, end.record.last_heard, now) >= span) {
    ++dead_by_rule_;
    return;
  }
  fail(now, label(end) + " was ended by command although " + label(*peer) + " was there, last heard " +
                std::to_string((now - end.record.last_heard).seconds()) + " s ago");
}

}  // namespace adieu::sim
