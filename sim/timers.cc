// One record after the other, once a second.
#include "sim/timers.h"

namespace adieu::sim {
namespace {

bool is_orphan(const plane::Record& r) { return r.holder == plane::Holder::Orphan; }

// ---- Linux ----

constexpr Duration kFinTimeout = seconds(60);  // tcp_fin_timeout
constexpr Duration kRto = milliseconds(210);   // TCP_RTO_MIN and a short path
constexpr Duration kRtoMax = seconds(120);
// retransmits_timed_out(): the time that so many retransmissions take from TCP_RTO_MIN on.
constexpr Duration time_of_retries(unsigned retries) {
  Duration sum;
  Duration apart = milliseconds(200);
  for (unsigned i = 0; i <= retries; ++i, apart = earlier(apart * 2, kRtoMax)) sum = sum + apart;
  return sum;
}
constexpr Duration kHeldGivesUp = fires_after(kRto, kRtoMax, time_of_retries(15));   // tcp_retries2
constexpr Duration kOrphanGivesUp = fires_after(kRto, kRtoMax, time_of_retries(8));  // tcp_orphan_retries
// tcp_probe_timer(): with probes 120 s apart an orphan counts as not alive, and has none left.
constexpr Duration kOrphanWindowGivesUp = fires_after(kRto, kRtoMax, kRtoMax * 2) + kRtoMax;

// ---- FreeBSD ----

constexpr Duration kMaxIdle = seconds(600);
constexpr Duration kKeepIdle = hours(2);
constexpr Duration kKeepInterval = seconds(75);
constexpr unsigned kKeepCount = 8;
constexpr Duration kPersistMax = seconds(60);
// TCP_MAXRXTSHIFT: the thirteenth time-out, 230 ms doubled up to 64 s.
constexpr Duration rexmt_gives_up() {
  Duration sum;
  Duration apart = milliseconds(230);
  for (unsigned i = 0; i <= 12; ++i, apart = earlier(apart * 2, seconds(64))) sum = sum + apart;
  return sum;
}

}  // namespace

StackTimers::End StackTimers::judge_linux(const plane::Record& r, const Watch& w, Instant now) const {
  const bool orphan = is_orphan(r);
  bool over = false;
  if (r.state == State::FinWait2)
    over = orphan && since(later(r.state_entered, w.orphaned), now) >= kFinTimeout;
  else if (r.peer_window_closed && orphan)
    over = since(w.window_closed, now) >= kOrphanWindowGivesUp;
  else if (r.peer_window_closed)
    over = since(r.last_heard, now) >= kHeldGivesUp;
  else if (r.oldest_unacked.is_known())
    over = since(r.oldest_unacked, now) >= (orphan ? kOrphanGivesUp : kHeldGivesUp);
  return over ? End::Silent : End::No;
}

StackTimers::End StackTimers::judge_freebsd(const plane::Record& r, const Watch& w, Instant now) const {
  const Duration idle = since(r.last_heard, now);
  if (r.state == State::FinWait2) {
    if (!is_orphan(r) && !r.receive_shut) return End::No;
    const Instant first = later(later(r.state_entered, w.orphaned), resumed_) + kMaxIdle;
    if (now < first) return End::No;
    const Instant looked = first + kKeepInterval * ((now - first).ns / kKeepInterval.ns);
    return looked - later(r.last_heard, resumed_) > kMaxIdle ? End::Silent : End::No;
  }
  if (r.peer_window_closed) {
    const bool has_closed = r.state != State::Established && r.state != State::CloseWait;
    return idle >= (has_closed ? kPersistMax : kKeepIdle) ? End::Reset : End::No;
  }
  if (r.oldest_unacked.is_known()) return since(r.oldest_unacked, now) >= rexmt_gives_up() ? End::Reset : End::No;
  // Whoever has not been asked (in FIN-WAIT-1 and the like nobody is) is not dropped for it.
  const bool asked = r.probes[static_cast<unsigned>(ProbeForm::Bare)] >= kKeepCount;
  return asked && idle >= kKeepIdle + kKeepInterval * kKeepCount ? End::Reset : End::No;
}

bool StackTimers::asks(const plane::Record& r, Instant now) const {
  if (keeper_ != Keeper::FreeBsd || !r.can_probe || r.oldest_unacked.is_known() || r.peer_window_closed) return false;
  if (r.state != State::Established && r.state != State::CloseWait) return false;
  const auto asked = r.probes[static_cast<unsigned>(ProbeForm::Bare)];
  return asked < kKeepCount && since(r.last_heard, now) >= kKeepIdle + kKeepInterval * asked;
}

void StackTimers::command(plane::Command c, std::uint32_t slot, const plane::Record& r, Instant now) {
  c.id = {table_.incarnation(), slot, r.generation};
  c.expected_state = r.state;
  c.heard = r.heard;
  c.epoch = writer_.epoch();
  c.expires = now + kSweep * 2;
  c.verdict = ++verdicts_;
  // A full ring waits for the next sweep.
  static_cast<void>(writer_.write(c, table_.commands_taken()));
}

void StackTimers::attend(Instant now, std::uint64_t& probes) {
  if (now - next_ > kSweep * 3) resumed_ = now;
  next_ = now + kSweep;
  const std::uint64_t ended = table_.ended_total();
  for (std::uint32_t slot = 0; slot < table_.slots_used(); ++slot) {
    plane::Record r;
    if (table_.read(slot, r) != plane::SlotReading::Whole) continue;
    if (r.has_ended() || !is_synchronized(r.state) || r.state == State::TimeWait) continue;
    if (watches_.size() <= slot) watches_.resize(std::size_t{slot} + 1);
    Watch& w = watches_[slot];
    if (w.generation != r.generation) w = {.generation = r.generation, .orphaned = {}, .window_closed = {}};
    if (!is_orphan(r)) w.orphaned = {};
    if (!r.peer_window_closed) w.window_closed = {};
    if (is_orphan(r) && !w.orphaned.is_known()) w.orphaned = now;
    if (r.peer_window_closed && !w.window_closed.is_known()) w.window_closed = now;
    const End end = keeper_ == Keeper::Linux ? judge_linux(r, w, now) : judge_freebsd(r, w, now);
    plane::Command c;
    if (end != End::No) {
      c.kind = plane::CommandKind::Abort;
      c.silent = end == End::Silent;
      c.regardless = true;
      command(c, slot, r, now);
    } else if (asks(r, now)) {
      c.form = ProbeForm::Bare;
      command(c, slot, r, now);
      ++probes;
    }
  }
  writer_.set_ended_seen(ended);
  writer_.set_receipts_taken(table_.receipts_written());
}

}  // namespace adieu::sim
