// The walk over all tables.
#include "host/view.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/clock.h"
#include "host/processes.h"
#include "host/sentences.h"

namespace adieu::host {

using control::Truth;

std::string ConnectionView::ending() const { return host::ending(seen.verdict, record, now); }

std::vector<std::string> ConnectionView::evidence() const {
  std::vector<std::string> sentences;
  for (const control::Ground& ground : seen.verdict.grounds.all()) sentences.push_back(sentence(ground, rule));
  return sentences;
}

std::vector<std::string> ConnectionView::advice() const {
  std::vector<std::string> lines = host::advice(seen.verdict, record, kind, seen.evidence.abilities);
  const control::Verdict& verdict = seen.verdict;
  if (record.has_ended() || !is_synchronized(record.state)) return lines;
  if (kind == plane::PlaneKind::Kernel) {
    const bool can_end = plane::has(seen.evidence.abilities, plane::Ability::AbortReset);
    const bool is_left = verdict.ends == control::Ends::Nothing || verdict.ends == control::Ends::ApplicationClose ||
                         verdict.ends == control::Ends::PeerFin;
    if (can_end && is_left && !not_judged())
      lines.push_back("see what ending it would mean: adieu end --dry-run " + printable(text(id)));
    return lines;
  }
  const std::string name = printable(text(id));
  const bool is_doubted = verdict.standing == control::Standing::Silent ||
                          verdict.standing == control::Standing::Suspect || verdict.standing == control::Standing::Gone;
  const bool is_unwanted =
      verdict.wanted == control::Wanted::EndOfStreamReadNotClosed || verdict.wanted == control::Wanted::Orphan;
  if (is_doubted && record.state != State::TimeWait) lines.push_back("ask once more, now: adieu probe " + name);
  if (is_doubted || is_unwanted) lines.push_back("see what ending it would mean: adieu end --dry-run " + name);
  return lines;
}

Result<control::Filter> parse_filter(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  auto filter = control::Filter::parse(text);
  if (filter) return std::move(*filter);
  const control::FilterError& error = filter.error();
  // Whatever is no printable ASCII takes one column here, so that the caret stays where it belongs.
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  const std::size_t at = std::min<std::size_t>(error.at, text.size());
  constexpr std::size_t kBefore = 60, kShown = 90;  // of a long text, what is around the place
  const std::size_t from = at > kBefore ? at - kBefore : 0;
  return failed(fmt::format("filter: {}\n  {}\n  {}{}", message(error.trouble), text.substr(from, kShown),
                            std::string(at - from, ' '),
                            std::string(std::clamp<std::size_t>(error.length, 1, kShown - (at - from)), '^')));
}

void judge(ConnectionView& view, const control::PlaneFacts& plane, Instant heartbeat,
           const std::optional<plane::ControlStatus>& status, const NamedPolicy& policy,
           const control::HostBook& hosts) {
  view.kind = plane.kind;
  view.process = plane.process;
  const bool is_holder = plane.kind == plane::PlaneKind::Engine;
  view.holder_process = is_holder ? plane.process : view.record.beside.process;
  view.comm = is_holder ? plane.comm.data() : view.record.beside.comm_text();
  view.judged_at = status ? status->swept_at : Instant::unknown();
  view.seen = control::look_on(view.record, plane, heartbeat, policy.policy, status, hosts, view.now);
  view.rule = rule_name(policy, view.seen.rule_number);
}

Truth match(const control::Filter& filter, const ConnectionView& view, const control::PlaneFacts& plane) {
  const control::SubjectOf known(plane, view.record, view.now);
  control::Subject subject = known;
  subject.standing = view.seen.verdict.standing;
  return filter.match(subject);
}

CensusView::CensusView(const Census& census) : census_(census) {
  for (const PlaneSeen& plane : census.planes)
    planes_.push_back({facts_of(plane.name, plane.process, plane.table), plane.control.status()});
}

void CensusView::start(ConnectionView& view, std::uint32_t plane) const {
  const PlaneSeen& seen = census_.planes[plane];
  view.id.plane = seen.name;
  view.plane = plane;
  view.incarnation = seen.incarnation;
  view.control = census_.control;
}

void CensusView::complete(ConnectionView& view, std::uint32_t slot, Instant now) const {
  const PlaneSeen& seen = census_.planes[view.plane];
  const Plane& plane = planes_[view.plane];
  view.now = now;
  if (seen.failed && !view.record.has_ended()) view.record.reason = EndReason::PlaneFailed;
  view.id.slot = slot;
  view.id.generation = view.record.generation;
  judge(view, plane.facts, seen.table.heartbeat(), plane.status, census_.policy, *census_.hosts);
  view.has_lasting_id = !census_.is_local;
  if (census_.is_local)
    view.seen.not_judged_since.reset();
  else if (census_.control != ControlState::Running && !view.seen.not_judged_since)
    view.seen.not_judged_since = view.judged_at;
}

Walk CensusView::each(const control::Filter& filter, bool ended_too, const Visit& visit) const {
  Walk walk;
  ConnectionView view;
  ended_too = ended_too || filter.needs_standing();
  for (std::uint32_t plane = 0; plane < census_.planes.size(); ++plane) {
    start(view, plane);
    const plane::TableReader& table = census_.planes[plane].table;
    const std::uint32_t slots = table.slots_used();
    for (std::uint32_t slot = 0; slot < slots; ++slot) {
      switch (table.read(slot, view.record)) {
        case plane::SlotReading::NeverUsed: continue;
        case plane::SlotReading::Torn: ++walk.unreadable; continue;
        case plane::SlotReading::Whole: break;
      }
      const bool has_ended = view.record.has_ended() || census_.planes[plane].failed;
      if ((has_ended && !ended_too) || !control::contains(filter.states(), view.record.state)) continue;
      complete(view, slot, now());
      switch (match(filter, view, planes_[plane].facts)) {
        case Truth::No: continue;
        case Truth::Unknown: ++walk.unsure; continue;
        case Truth::Yes: break;
      }
      ++walk.seen;
      visit(view);
    }
  }
  return walk;
}

Walk CensusView::each(const Visit& visit) const { return each(control::Filter{}, true, visit); }

std::optional<ConnectionView> CensusView::at(std::uint32_t plane, std::uint32_t slot, std::uint32_t generation) const {
  const plane::TableReader& table = census_.planes[plane].table;
  ConnectionView view;
  if (slot >= table.slots_used() || table.read(slot, view.record) != plane::SlotReading::Whole) return std::nullopt;
  if (view.record.generation != generation) return std::nullopt;
  start(view, plane);
  complete(view, slot, now());
  return view;
}

std::optional<ConnectionView> CensusView::find(const NamedId& id) const {
  for (std::uint32_t plane = 0; plane < census_.planes.size(); ++plane) {
    const std::string& name = census_.planes[plane].name;
    if (name != id.plane && printable(name) != id.plane) continue;
    if (auto view = at(plane, id.slot, id.generation)) return view;
  }
  return std::nullopt;
}

Walk for_each_connection(const Census& census, const CensusView::Visit& visit) {
  return CensusView(census).each(visit);
}

}  // namespace adieu::host
