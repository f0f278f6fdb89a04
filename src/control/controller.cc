// Which connections need attention, what to ask of their planes, and when.
#include "control/controller.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "control/jitter.h"

namespace adieu::control {
SubjectOf::SubjectOf(const PlaneFacts& p, const plane::Record& record, Instant now)
    : process_(p.kind == plane::PlaneKind::Engine ? Process{p.process, {p.comm.data()}}
                                                  : Process{record.beside.process, record.beside.comm_text()}),
      subject_{.record = record,
               .plane = p.plane_name(),
               .kind = p.kind,
               .processes = {&process_, process_.pid != 0 ? 1U : 0U},
               .processes_known = process_.pid != 0 || record.beside.looked_everywhere,
               .standing = Standing::Unknown,
               .now = now} {}

Controller::Controller(Policy policy, Instant start, const Settings& settings)
    : policy_(std::move(policy)), settings_(settings), wheel_(start), next_probe_(start) {}

// Which rule holds is found anew at each look; what is in flight goes on.
void Controller::set_policy(Policy policy) { policy_ = std::move(policy); }

// ---- planes ----

std::uint32_t Controller::add_plane(const PlaneFacts& facts, const std::optional<plane::ControlStatus>& before,
                                    Instant now) {
  Plane fresh;
  fresh.facts = facts;
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

void Controller::slept(Instant now) {
  for (Plane& p : planes_)
    if (!p.failed) add_gap(p, {now, now + nanoseconds(1)});
}

void Controller::attend(std::uint32_t index, plane::Abilities abilities, Instant heartbeat, std::uint32_t room,
                        Instant now) {
  Plane& p = planes_[index];
  p.facts.abilities = abilities;
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

Controller::Entry* Controller::enter(std::uint32_t index, const plane::ConnectionId& id, const Address& host) {
  Plane& p = planes_[index];
  if (entries_.size() >= settings_.most_attended) return nullptr;
  if (p.place.size() <= id.slot) p.place.resize(std::size_t{id.slot} + 1, kNone);
  const auto at = entries_.emplace();
  entries_[at].plane = index;
  entries_[at].slot = id.slot;
  entries_[at].generation = id.generation;
  entries_[at].host = book_.attend(host);
  p.place[id.slot] = at;
  return &entries_[at];
}

void Controller::forget(Entry& entry) {
  if (entry.look != TimingWheel::kNone) wheel_.cancel(entry.look);
  if (entry.is_doubted) book_.trust(entry.host);
  book_.release(entry.host);
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

// What needs no judgement in a sweep: it has ended or was heard lately, or nothing asks and nothing was asked; and no
// rule acts on those whom nobody doubts.
bool Controller::is_quiet(const Plane& plane, const plane::Glance& g, Instant now) const {
  if (g.reason != EndReason::None) return true;
  // Nothing follows from its silence until its own TCP has asked somebody in vain.
  if (plane.facts.kind == plane::PlaneKind::Kernel && policy_.leaves_the_kernel_alone() && !g.was_asked && !g.is_owed)
    return true;
  if (policy_.acts_undoubted(g.state)) return false;
  if (now - g.last_heard <= heard_lately()) return true;
  return !g.was_asked && !g.is_owed && (g.state == State::Established || g.state == State::TimeWait) &&
         !policy_.asks_idle(g.state) && heard_lately() == policy_.least_interval();
}

// Nobody is asked who was heard within it: a path that has been learned to forget sooner is asked sooner.
Duration Controller::heard_lately() const {
  return policy_.keeps_learned_paths() ? earlier(policy_.least_interval(), interval_within(book_.shortest_path_timer()))
                                       : policy_.least_interval();
}

bool Controller::passes_by(std::uint32_t index, std::uint32_t slot, const plane::Glance& glance, Instant now) {
  const Plane& p = planes_[index];
  if (glance.reason != EndReason::None || (slot < p.place.size() && p.place[slot] != kNone)) return false;
  if (glance.holder == plane::Holder::Orphan && policy_.has_orphan_budget()) return false;
  if (!is_quiet(p, glance, now)) return false;
  book_.heard(glance.remote, glance.last_heard);
  return true;
}

Rule Controller::rule_for(Decision& d, const plane::Record& record, const HostFacts& host, Instant now) const {
  const Plane& p = planes_[d.plane];
  const SubjectOf subject(p.facts, record, now);
  if (policy_.only_rule() == nullptr) d.rule = policy_.rule_for(subject);
  return policy_.in_state(policy_.rule(d.rule, subject), record.state, host);
}

Decision Controller::judged(std::uint32_t index, const plane::ConnectionId& id, const plane::Record& record,
                            const Entry* entry, Rule& rule, Instant now) const {
  const Plane& p = planes_[index];
  Decision d;
  d.plane = index;
  d.id = id;
  d.before = entry == nullptr ? Standing::Unknown : entry->decided;
  HostFacts host;
  if (entry != nullptr)
    host = book_.facts(entry->host);
  else if (policy_.keeps_learned_paths())
    host = book_.facts(record.remote.address);
  rule = rule_for(d, record, host, now);
  d.evidence = gather(record, {p.facts.abilities, p.gaps, p.stopped_since, p.facts.time_wait}, now);
  d.evidence.host = host;
  d.verdict = judge(d.evidence, rule, now);
  return d;
}

void Controller::observe(std::uint32_t index, const plane::ConnectionId& id, const plane::Record& record, Instant now) {
  wants_room_ = false;
  const Plane& p = planes_[index];
  ADIEU_ASSERT(!p.failed);
  Entry* entry = find(index, id);
  if (entry == nullptr && id.slot < p.place.size() && p.place[id.slot] != kNone)
    forget(entries_[p.place[id.slot]]);  // of who had the slot before, and has ended
  book_.heard(record.remote.address, record.last_heard);
  if (entry == nullptr && is_quiet(planes_[index], plane::glance_at(record), now)) return;
  if (entry != nullptr && entry->in_flight && now >= entry->expires) entry->in_flight.reset();

  Rule rule;
  Decision decision = judged(index, id, record, entry, rule, now);
  if (entry != nullptr) entry->spacing_ms = static_cast<std::uint32_t>(probe_spacing(rule).milliseconds());
  switch (decision.verdict.standing) {
    case Standing::Ended:
      if (entry != nullptr) ended(*entry, decision);
      return;
    case Standing::Unknown: return;  // its plane has stopped or cannot tell; the next sweep looks again
    case Standing::Alive:
      if (acts(decision, rule, now)) return climb(entry, std::move(decision), rule, now);
      if (entry != nullptr) settle(*entry, std::move(decision), now);
      return;
    case Standing::Silent:
    case Standing::Suspect:
    case Standing::Gone: return climb(entry, std::move(decision), rule, now);
  }
}

// Its end is a fact for the ledger. What ended it may be the path, which has forgotten it.
void Controller::ended(Entry& entry, const Decision& decision) {
  if (decision.evidence.reason == EndReason::PeerReset) note_lost_path(entry, decision.evidence);
  forget(entry);
}

// Heard again. That is worth a line if it was doubted; an answered question alone is what happens all day.
void Controller::settle(Entry& entry, Decision&& decision, Instant now) {
  if (entry.asked > 0) book_.answered(entry.host, entry.asked - 1U);
  entry.asked = 0;
  note_doubt(entry, decision, now);
  const bool was_doubted = entry.decided == Standing::Suspect || entry.decided == Standing::Gone;
  if (was_doubted) decisions_.push_back(std::move(decision));
  entry.decided = Standing::Alive;
  // Kept until its receipt or its expiry, so that no second command joins the one in flight.
  if (entry.in_flight)
    look_at(entry, entry.expires, now);
  else
    forget(entry);
}

void Controller::climb(Entry* entry, Decision&& decision, const Rule& rule, Instant now) {
  const Standing standing = decision.verdict.standing;
  const bool news = standing != decision.before && (standing == Standing::Suspect || standing == Standing::Gone);
  if (entry == nullptr || !entry->in_flight) decision.command = command_for(decision, entry, rule, now);
  if (decision.command && planes_[decision.plane].room == 0) {
    decision.command.reset();
    wants_room_ = true;
  }
  if (entry == nullptr && (news || decision.command)) {
    entry = enter(decision.plane, decision.id, decision.evidence.remote.address);
    if (entry == nullptr) wants_room_ = true;
  }
  if (entry == nullptr) return;
  entry->spacing_ms = static_cast<std::uint32_t>(probe_spacing(rule).milliseconds());
  const bool asks = decision.command && !is_destructive(decision.command->kind);
  if (asks && next_probe(entry, now) > now) {
    decision.command.reset();  // others are asked first: the budget
    entry->not_before = next_probe(entry, now) + jitter(decision.id, entry->asked, milliseconds(800));
  }
  if (decision.command) {
    --planes_[decision.plane].room;
    entry->in_flight = decision.command->kind;
    entry->expires = decision.command->expires;
    entry->verdict = 0;
    if (asks) spend_probe(*entry, now);
  }
  if (decision.evidence.asked == 0) entry->silence = now - decision.evidence.heard_at;
  entry->asked = static_cast<std::uint16_t>(std::min(decision.evidence.asked, 65535U));
  const Instant next = entry->in_flight ? entry->expires : due(decision, entry, rule, now);
  // What is due and could not be asked for (there was no room) waits for the next sweep.
  look_at(*entry, earlier(next <= now ? Instant::never() : next, decision.verdict.next_look), now);
  note_doubt(*entry, decision, now);
  entry->decided = standing;
  decision.is_routine = !news && decision.command && asks;
  if (news || decision.command) decisions_.push_back(std::move(decision));
}

// ---- hosts and paths ----

void Controller::note_doubt(Entry& entry, const Decision& decision, Instant now) {
  const Standing standing = decision.verdict.standing;
  const bool is_doubted = standing == Standing::Suspect || standing == Standing::Gone;
  if (is_doubted == entry.is_doubted) return;
  entry.is_doubted = is_doubted;
  Note note;
  note.host = decision.evidence.remote.address;
  if (!is_doubted) {
    if (book_.tell_back(entry.host)) {
      note.kind = NoteKind::HostBack;
      notes_.push_back(note);
    }
    return book_.trust(entry.host);
  }
  // The silence of all connections to one host is one fact: told with the second of them.
  const bool heard_elsewhere = decision.verdict.grounds.find(GroundKind::HostHeard) != nullptr;
  if (book_.doubt(entry.host) >= 2 && !heard_elsewhere && book_.tell_silent(entry.host)) {
    note.number = book_.facts(entry.host).doubted;
    note.span = now - decision.evidence.heard_at;
    notes_.push_back(note);
  }
}

// A reset in answer to a question proves that the path or the peer has forgotten; which of the two, nobody can tell
// from here. A known timer that fits the silence is named, and never more than a hint.
void Controller::note_lost_path(const Entry& entry, const Evidence& evidence) {
  // Whose peer has closed may have met the peer's own timer for orphans, which its kernel forgets after a minute.
  const bool is_kernels = planes_[entry.plane].facts.kind == plane::PlaneKind::Kernel;
  if (is_kernels && is_receiving_closed(evidence.state)) return;
  const Duration timer = policy_.fitting_timer(evidence.state, entry.silence);
  if (timer == Duration::max()) return;
  book_.forgot(entry.host, timer);
  notes_.push_back({.kind = NoteKind::PathForgot,
                    .host = evidence.remote.address,
                    .number = 1,
                    .span = timer,
                    .silence = entry.silence});
}

std::optional<Decision> Controller::poll_decision() {
  if (decisions_.empty()) return std::nullopt;
  Decision first = std::move(decisions_.front());
  decisions_.pop_front();
  return first;
}

std::optional<Note> Controller::poll_note() {
  if (notes_.empty()) return std::nullopt;
  const Note first = notes_.front();
  notes_.pop_front();
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
  std::size_t sum = sizeof(*this) + entries_.bytes() + wheel_.bytes() + book_.bytes() +
                    decisions_.size() * sizeof(Decision) + notes_.size() * sizeof(Note) +
                    candidates_.capacity() * sizeof(Candidate);
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
