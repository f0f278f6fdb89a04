// The walk over all tables.
#include "host/view.h"

#include "host/clock.h"
#include "host/sentences.h"

namespace adieu::host {

std::string ConnectionView::ending() const { return host::ending(seen.verdict, record, kind, now); }

std::vector<std::string> ConnectionView::evidence() const {
  std::vector<std::string> sentences;
  for (const control::Ground& ground : seen.verdict.grounds.all()) sentences.push_back(sentence(ground));
  return sentences;
}

std::vector<std::string> ConnectionView::advice() const { return host::advice(seen.verdict, record, kind); }

Walk for_each_connection(const Census& census, const std::function<void(const ConnectionView&)>& visit) {
  Walk walk;
  ConnectionView view;
  view.control = census.control;
  for (const PlaneSeen& plane : census.planes) {
    view.incarnation = plane.incarnation;
    view.kind = plane.kind;
    view.process = plane.process;
    const auto status = plane.control.status();
    const control::PlaneFacts facts = facts_of(plane);
    view.judged_at = status ? status->swept_at : Instant::unknown();
    const std::uint32_t slots = plane.table.slots_used();
    for (std::uint32_t slot = 0; slot < slots; ++slot) {
      switch (plane.table.read(slot, view.record)) {
        case plane::SlotReading::NeverUsed: continue;
        case plane::SlotReading::Torn: ++walk.unreadable; continue;
        case plane::SlotReading::Whole: break;
      }
      view.now = now();
      if (plane.failed && !view.record.has_ended()) view.record.reason = EndReason::PlaneFailed;
      view.id = {plane.name, slot, view.record.generation};
      view.seen = control::look_on(view.record, facts, plane.table.heartbeat(), census.policy.policy, status, view.now);
      if (census.control != ControlState::Running && !view.seen.not_judged_since)
        view.seen.not_judged_since = view.judged_at;
      ++walk.seen;
      visit(view);
    }
  }
  return walk;
}

}  // namespace adieu::host
