// From a record to evidence: sums and differences, no opinion.
#include "control/evidence.h"

#include <algorithm>
#include <array>

#include "base/assert.h"

namespace adieu::control {
namespace {

// More prove no more; the cap keeps the sum of all forms within 32 bits, whatever stands in a table.
constexpr std::uint32_t kMostAttempts = 1'000'000;

bool has_pending(const plane::Record& r) {
  // In these three our FIN is queued or sent, and not acknowledged.
  if (r.state == State::FinWait1 || r.state == State::Closing || r.state == State::LastAck) return true;
  // With a closed window the zero-window probe is what is outstanding (RFC 9293 section 3.8.6.1).
  return r.oldest_unacked.is_known() || r.peer_window_closed;
}

FormSet possible_forms(const plane::Record& r, plane::Abilities abilities, bool pending) {
  using plane::Ability;
  // Nobody to ask, or (TIME-WAIT) nobody to be asked.
  if (!is_synchronized(r.state) || r.state == State::TimeWait || r.has_ended()) return 0;
  // "Keep-alive packets MUST only be sent when no sent data is outstanding" (RFC 9293 section 3.8.4, MUST-26).
  if (pending) return plane::has(abilities, Ability::ProbePending) ? set_of(ProbeForm::Pending) : FormSet{0};
  FormSet forms = 0;
  if (!r.can_probe) return forms;
  if (r.can_echo && plane::has(abilities, Ability::ProbeEcho)) forms |= set_of(ProbeForm::DataEcho);
  if (plane::has(abilities, Ability::ProbeBare)) forms |= set_of(ProbeForm::Bare);
  return forms;
}

// When the questions that `e.asked` counts began. Of two possible instants the later, so that a span is never too long,
// except where only the plane's own retransmissions asked and it heard the peer after the first of them: no record
// tells when the next one went out, and the peer's last sign stands for it.
Instant first_question(const plane::Record& r, const Evidence& e) {
  if (e.asked == 0) return Instant::unknown();
  const bool own_questions = e.pending && r.attempts > 1;
  if (own_questions && r.oldest_unacked.is_known() && r.oldest_unacked > r.last_heard)
    return r.probe_first.is_known() ? earlier(r.probe_first, r.oldest_unacked) : r.oldest_unacked;
  return r.probe_first.is_known() ? r.probe_first : r.last_heard;
}

}  // namespace

Duration unattended(Instant from, Instant to, std::span<const plane::Gap> gaps) {
  std::array<plane::Gap, 2 * plane::kGaps> inside;
  ADIEU_ASSERT(gaps.size() <= inside.size());
  std::size_t count = 0;
  for (const plane::Gap& gap : gaps) {
    if (!gap.from.is_known() || gap.to <= from || gap.from >= to) continue;
    inside[count++] = {later(gap.from, from), earlier(gap.to, to)};
  }
  std::sort(inside.begin(), inside.begin() + static_cast<std::ptrdiff_t>(count),
            [](const plane::Gap& a, const plane::Gap& b) { return a.from < b.from; });
  Duration sum;
  Instant covered = from;
  for (std::size_t i = 0; i < count; ++i) {
    const Instant start = later(inside[i].from, covered);
    if (inside[i].to <= start) continue;
    sum = sum + (inside[i].to - start);
    covered = inside[i].to;
  }
  return sum;
}

Evidence gather(const plane::Record& r, const Attention& attention, Instant now) {
  using plane::Ability;
  Evidence e;
  e.local = r.local;
  e.remote = r.remote;
  e.state = r.state;
  e.reason = r.reason;
  e.ended_by = r.ended_by;
  e.state_entered = r.state_entered;
  e.plane_stopped_since = attention.plane_stopped_since;
  e.time_wait = attention.time_wait;
  e.abilities = attention.abilities;
  e.may_be_outside = !r.local.address.is_private() && !r.remote.address.is_private();

  e.heard_at = r.last_heard;
  e.heard = r.heard;
  e.progress_in = r.progress_in;
  e.progress_out = r.progress_out;
  e.counts_every_sign = plane::has(attention.abilities, Ability::ReportsHeard);

  e.pending = has_pending(r);
  e.possible = possible_forms(r, attention.abilities, e.pending);
  e.can_abort = plane::has(attention.abilities, Ability::AbortReset) &&
                plane::has(attention.abilities, Ability::GuardedAbort) && e.counts_every_sign;

  for (unsigned f = 0; f < kProbeForms; ++f) e.asks[f] = r.probes[f];
  // A pending probe is a transmission too and may stand in both counts; the larger counts none twice.
  e.attempts = e.pending ? std::min(r.attempts, kMostAttempts) : 0;
  std::uint32_t& pending_asks = e.asks[static_cast<unsigned>(ProbeForm::Pending)];
  if (e.attempts > 0) pending_asks = std::max(pending_asks, e.attempts - 1);
  for (unsigned f = 0; f < kProbeForms; ++f) e.asked += e.asks[f];
  e.first_ask = first_question(r, e);
  e.last_ask = r.probe_last;
  if (e.first_ask.is_known() && now > e.first_ask) {
    e.unattended = unattended(e.first_ask, now, attention.gaps);
    e.attended = (now - e.first_ask) - e.unattended;
    for (const plane::Gap& gap : attention.gaps)
      if (gap.from.is_known() && gap.to > e.first_ask && gap.from <= now && e.spoiled < e.asked) ++e.spoiled;
  }

  e.holder = r.holder;
  e.end_of_stream_read = r.end_of_stream_read;
  e.unread = r.unread;
  e.unsent = r.unsent;
  e.receive_shut = r.receive_shut;
  e.send_shut = r.send_shut;
  e.peer_window_closed = r.peer_window_closed;
  e.passed_r1 = r.passed_r1;
  e.soft_error = r.soft_error;
  e.beside = r.beside;
  return e;
}

bool can_have_keepalive(const Evidence& e) {
  const bool idles = e.state == State::Established || e.state == State::FinWait2 || e.state == State::CloseWait;
  const bool has_descriptor = e.holder == plane::Holder::Held && (!e.beside.looked || e.beside.process != 0);
  return plane::has(e.abilities, plane::Ability::Keepalive) && idles && has_descriptor;
}

}  // namespace adieu::control
