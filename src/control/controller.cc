// Which connections need attention, what to ask of their planes, and when.
#include "control/controller.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace adieu::control {
namespace {

// Sebastiano Vigna's splitmix64 finaliser (public domain).
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

// Up to an eighth of `whole`, always the same for the same question to the same connection: thousands that fell silent
// in one moment are not all asked in another, and a seed replays. It only ever adds, so that nothing comes sooner than
// the rule says.
Duration jitter(const plane::ConnectionId& id, std::uint32_t question, Duration whole) {
  const auto range = static_cast<std::uint64_t>(whole.ns / 8);
  if (range == 0) return {};
  const std::uint64_t identity = (std::uint64_t{id.slot} << 32) | id.generation;
  return nanoseconds(static_cast<std::int64_t>(mixed(mixed(id.incarnation ^ identity) + question) % range));
}

}  // namespace

Controller::Controller(const Rule& rule, Instant start, const Settings& settings)
    : rule_(rule), settings_(settings), wheel_(start) {
  ADIEU_ASSERT(validate(rule).has_value());
}

// ---- planes ----

std::uint32_t Controller::add_plane(plane::Abilities abilities, const std::optional<plane::ControlStatus>& before,
                                    Instant now) {
  Plane fresh;
  fresh.abilities = abilities;
  fresh.attended_at = now;
  if (before && before->swept_at.is_known() && before->swept_at <= now) {
    for (const plane::Gap& gap : before->gaps)
      if (gap.from.is_known() && gap.to.is_known() && gap.from < gap.to && gap.to <= now) add_gap(fresh, gap);
    if (now - before->swept_at > settings_.gap_after) add_gap(fresh, {before->swept_at, now});
  } else if (now > Instant{0}) {
    add_gap(fresh, {Instant{0}, now});  // nobody ever attended: CLOCK_MONOTONIC starts at 0
  }
  const auto free = std::ranges::find_if(planes_, [](const Plane& p) { return p.failed; });
  if (free == planes_.end()) {
    planes_.push_back(std::move(fresh));
    return static_cast<std::uint32_t>(planes_.size() - 1);
  }
  *free = std::move(fresh);
  return static_cast<std::uint32_t>(free - planes_.begin());
}

// Kept in the order of time. When there are too many, the two oldest become one with the time between them: that can
// only make less count as attended.
void Controller::add_gap(Plane& plane, plane::Gap gap) {
  const auto at = std::ranges::upper_bound(plane.gaps, gap.from, {}, &plane::Gap::from);
  plane.gaps.insert(at, gap);
  if (plane.gaps.size() <= plane::kGaps) return;
  plane.gaps[1] = {plane.gaps[0].from, later(plane.gaps[0].to, plane.gaps[1].to)};
  plane.gaps.erase(plane.gaps.begin());
}

void Controller::attend(std::uint32_t index, plane::Abilities abilities, Instant heartbeat, std::uint32_t room,
                        Instant now) {
  Plane& p = planes_[index];
  p.abilities = abilities;
  p.room = room;
  if (now - p.attended_at > settings_.gap_after) add_gap(p, {p.attended_at, now});
  p.attended_at = later(p.attended_at, now);
  // A plane that has not beaten yet has only just been made.
  if (!heartbeat.is_known()) return;
  if (p.heartbeat.is_known() && heartbeat - p.heartbeat > settings_.plane_stopped_after)
    add_gap(p, {p.heartbeat, heartbeat});
  p.heartbeat = heartbeat;
  p.stopped_since = now - heartbeat > settings_.plane_stopped_after ? heartbeat : Instant::unknown();
}

void Controller::plane_failed(std::uint32_t index) {
  Plane& p = planes_[index];
  for (std::uint32_t slot = 0; slot < p.place.size(); ++slot)
    if (p.place[slot] != kNone) forget(entries_[p.place[slot]]);
  p = Plane{};
  p.failed = true;
  std::erase_if(decisions_, [index](const Decision& d) { return d.plane == index; });
}

std::span<const plane::Gap> Controller::gaps(std::uint32_t index) const { return planes_[index].gaps; }

std::optional<Instant> Controller::stopped_since(std::uint32_t index) const {
  const Instant since = planes_[index].stopped_since;
  return since.is_known() ? std::optional(since) : std::nullopt;
}

// ---- entries ----

Controller::Entry* Controller::find(std::uint32_t index, const plane::ConnectionId& id) {
  const Plane& p = planes_[index];
  if (id.slot >= p.place.size() || p.place[id.slot] == kNone) return nullptr;
  Entry& entry = entries_[p.place[id.slot]];
  return entry.generation == id.generation ? &entry : nullptr;
}

Controller::Entry* Controller::enter(std::uint32_t index, const plane::ConnectionId& id) {
  Plane& p = planes_[index];
  if (entries_.size() >= settings_.most_attended) return nullptr;
  if (p.place.size() <= id.slot) p.place.resize(std::size_t{id.slot} + 1, kNone);
  const auto at = entries_.emplace();
  entries_[at].plane = index;
  entries_[at].slot = id.slot;
  entries_[at].generation = id.generation;
  p.place[id.slot] = at;
  return &entries_[at];
}

void Controller::forget(Entry& entry) {
  if (entry.look != TimingWheel::kNone) wheel_.cancel(entry.look);
  std::uint32_t& place = planes_[entry.plane].place[entry.slot];
  entries_.erase(std::exchange(place, kNone));
}

void Controller::look_at(Entry& entry, Instant at, Instant now) {
  if (at == Instant::never()) {
    if (entry.look != TimingWheel::kNone) wheel_.cancel(std::exchange(entry.look, TimingWheel::kNone));
    return;
  }
  // Never in the same instant again, or poll_look would have no end.
  at = later(at, now + milliseconds(1));
  if (entry.look == TimingWheel::kNone)
    entry.look = wheel_.arm(planes_[entry.plane].place[entry.slot], at);
  else
    wheel_.move(entry.look, at);
}

// ---- observations ----

// What needs no judgement in a sweep: it has ended or was heard lately, or nothing asks and nothing was asked.
bool Controller::is_quiet(const plane::Record& r, Instant now) const {
  if (r.has_ended() || now - r.last_heard <= rule_.interval) return true;
  const bool unasked = r.attempts == 0 && r.probes[0] == 0 && r.probes[1] == 0 && r.probes[2] == 0;
  return unasked && !r.oldest_unacked.is_known() && !r.peer_window_closed &&
         (r.state == State::Established || r.state == State::TimeWait) && !contains(rule_.idle_states, r.state);
}

void Controller::observe(std::uint32_t index, const plane::ConnectionId& id, const plane::Record& record, Instant now) {
  wants_room_ = false;
  const Plane& p = planes_[index];
  ADIEU_ASSERT(!p.failed);
  Entry* entry = find(index, id);
  if (entry == nullptr && id.slot < p.place.size() && p.place[id.slot] != kNone)
    forget(entries_[p.place[id.slot]]);  // of who had the slot before, and has ended
  if (entry == nullptr && is_quiet(record, now)) return;
  if (entry != nullptr && entry->in_flight && now >= entry->expires) entry->in_flight.reset();

  Decision decision;
  decision.plane = index;
  decision.id = id;
  decision.before = entry == nullptr ? Standing::Unknown : entry->decided;
  decision.evidence = gather(record, {p.abilities, p.gaps, p.stopped_since}, now);
  decision.verdict = judge(decision.evidence, rule_, now);
  switch (decision.verdict.standing) {
    case Standing::Ended:
      if (entry != nullptr) forget(*entry);
      return;
    case Standing::Unknown: return;  // its plane has stopped or cannot tell; the next sweep looks again
    case Standing::Alive:
      if (entry != nullptr) settle(*entry, std::move(decision), now);
      return;
    case Standing::Silent:
    case Standing::Suspect:
    case Standing::Gone: return climb(entry, std::move(decision), now);
  }
}

// Heard again. That is worth a line if it was doubted; an answered question alone is what happens all day.
void Controller::settle(Entry& entry, Decision&& decision, Instant now) {
  const bool was_doubted = entry.decided == Standing::Suspect || entry.decided == Standing::Gone;
  if (was_doubted) decisions_.push_back(std::move(decision));
  entry.decided = Standing::Alive;
  // Kept until its receipt or its expiry, so that no second command joins the one in flight.
  if (entry.in_flight)
    look_at(entry, entry.expires, now);
  else
    forget(entry);
}

void Controller::climb(Entry* entry, Decision&& decision, Instant now) {
  const Standing standing = decision.verdict.standing;
  const bool news = standing != decision.before && (standing == Standing::Suspect || standing == Standing::Gone);
  if (entry == nullptr || !entry->in_flight) decision.command = command_for(decision, entry, now);
  if (decision.command && planes_[decision.plane].room == 0) {
    decision.command.reset();
    wants_room_ = true;
  }
  if (entry == nullptr && (news || decision.command)) {
    entry = enter(decision.plane, decision.id);
    if (entry == nullptr) wants_room_ = true;
  }
  if (entry == nullptr) return;
  if (decision.command) {
    --planes_[decision.plane].room;
    entry->in_flight = decision.command->kind;
    entry->expires = decision.command->expires;
    entry->verdict = 0;
  }
  const Instant next = entry->in_flight ? entry->expires : due(decision, entry);
  // What is due and could not be asked for (there was no room) waits for the next sweep.
  look_at(*entry, earlier(next <= now ? Instant::never() : next, decision.verdict.next_look), now);
  entry->decided = standing;
  if (news || decision.command) decisions_.push_back(std::move(decision));
}

// ---- decisions ----

Instant Controller::due(const Decision& d, const Entry* entry) const {
  const Evidence& e = d.evidence;
  const Instant not_before = entry == nullptr ? Instant::unknown() : entry->not_before;
  const bool acts = d.verdict.standing == Standing::Gone && rule_.act && e.can_abort;
  if (acts) return later(not_before, Instant{0});
  if (!may_ask(e, rule_)) return Instant::never();
  // Who is gone, and may not be ended, is asked on as seldom as one who is there: a sign of life would make it alive.
  const Duration apart = d.verdict.standing == Standing::Gone ? rule_.interval : probe_spacing(rule_);
  const Instant asked_at = e.asked > 0 ? e.last_ask : Instant::unknown();
  const Instant at = asked_at.is_known() ? asked_at + apart + jitter(d.id, e.asked, apart)
                                         : e.heard_at + rule_.interval + jitter(d.id, 0, rule_.interval);
  return later(at, not_before);
}

std::optional<plane::Command> Controller::command_for(const Decision& d, const Entry* entry, Instant now) const {
  if (now < due(d, entry)) return std::nullopt;
  const Evidence& e = d.evidence;
  plane::Command command;
  command.id = d.id;
  command.expected_state = e.state;
  command.heard = e.heard;
  command.expires = now + rule_.command_life;
  if (d.verdict.standing == Standing::Gone && rule_.act && e.can_abort) {
    command.kind = plane::CommandKind::Abort;
    return command;
  }
  const auto form = choose_form(e, entry == nullptr ? FormSet{0} : entry->unable);
  if (!form) return std::nullopt;
  command.kind = plane::CommandKind::Probe;
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

void Controller::published(const Decision& decision, std::uint64_t verdict) {
  if (Entry* entry = find(decision.plane, decision.id)) entry->verdict = verdict;
}

void Controller::withheld(const Decision& decision, Instant now) {
  Entry* entry = find(decision.plane, decision.id);
  if (entry == nullptr) return;
  entry->in_flight.reset();
  entry->not_before = now + probe_spacing(rule_);
  look_at(*entry, entry->not_before, now);
}

void Controller::receipt(std::uint32_t index, const plane::Receipt& receipt, Instant now) {
  Entry* entry = find(index, receipt.id);
  // Of an earlier control plane, or of a person's command: what it did stands in the record.
  if (entry == nullptr || entry->in_flight != receipt.kind || entry->verdict != receipt.verdict) return;
  entry->in_flight.reset();
  if (receipt.outcome != plane::Outcome::Done) return refused(*entry, receipt, now);
  // The plane's own instant, where it can be one: else each question would be late by the time its receipt took.
  const bool sane = receipt.at <= now && now - receipt.at <= rule_.command_life;
  const Instant done_at = sane ? receipt.at : now;
  // Before an answer could be here there is nothing more to ask or to do; the spacing follows from the record.
  entry->not_before = done_at + answer_time(rule_);
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
      entry.not_before = now + (again ? rule_.interval : probe_spacing(rule_));
      if (receipt.kind == plane::CommandKind::Probe) entry.unable |= set_of(receipt.form);
      break;
    }
    case plane::Outcome::Done:
    case plane::Outcome::WrongState:
    case plane::Outcome::Expired:
    case plane::Outcome::Void:
    case plane::Outcome::TooSoon:
    case plane::Outcome::Malformed: entry.not_before = now + kLeastSpacing; break;
  }
  look_at(entry, entry.not_before, now);
}

std::optional<Decision> Controller::poll_decision() {
  if (decisions_.empty()) return std::nullopt;
  Decision first = std::move(decisions_.front());
  decisions_.pop_front();
  return first;
}

std::optional<Look> Controller::poll_look(Instant now) {
  const auto due_entry = wheel_.pop_due(now);
  if (!due_entry) return std::nullopt;
  Entry& entry = entries_[*due_entry];
  entry.look = TimingWheel::kNone;
  return Look{entry.plane, entry.slot};
}

std::size_t Controller::bytes() const {
  std::size_t sum = sizeof(*this) + entries_.bytes() + wheel_.bytes() + decisions_.size() * sizeof(Decision);
  for (const Plane& p : planes_) sum += sizeof(p) + p.gaps.capacity() * sizeof(plane::Gap) + p.place.capacity() * 4;
  return sum;
}

void Controller::check() const {
  std::uint32_t placed = 0;
  for (std::uint32_t index = 0; index < planes_.size(); ++index) {
    const Plane& p = planes_[index];
    ADIEU_ASSERT(p.gaps.size() <= plane::kGaps);
    for (std::uint32_t slot = 0; slot < p.place.size(); ++slot) {
      if (p.place[slot] == kNone) continue;
      const Entry& entry = entries_[p.place[slot]];
      ADIEU_ASSERT(entry.plane == index && entry.slot == slot);
      ADIEU_ASSERT(!entry.in_flight || entry.expires.is_known());
      ++placed;
    }
  }
  ADIEU_ASSERT(placed == entries_.size() && placed <= settings_.most_attended);
}

}  // namespace adieu::control
