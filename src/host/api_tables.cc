// Reading slots, judging what stands in them.
#include "host/api_tables.h"

#include <algorithm>

#include "host/clock.h"
#include "host/processes.h"

namespace adieu::host {

ApiTables::ApiTables(ApiSnapshot snapshot) : snapshot_(std::move(snapshot)) {
  for (const auto& plane : snapshot_.planes) facts_.push_back(facts_of(plane->name, plane->process, plane->table));
}

std::optional<std::size_t> ApiTables::plane(std::string_view name) const {
  const auto found = std::ranges::find(snapshot_.planes, name, [](const auto& one) { return one->name; });
  if (found == snapshot_.planes.end()) return std::nullopt;
  return static_cast<std::size_t>(found - snapshot_.planes.begin());
}

std::optional<ConnectionView> ApiTables::read(std::size_t index, std::uint32_t slot) const {
  const ApiPlane& plane = *snapshot_.planes[index];
  ConnectionView view;
  if (plane.table.read(slot, view.record) != plane::SlotReading::Whole) return std::nullopt;
  view.id = {plane.name, slot, view.record.generation};
  view.incarnation = plane.incarnation;
  view.control = ControlState::Running;
  view.now = now();
  view.plane = static_cast<std::uint32_t>(index);
  judge(view, facts_[index], plane.table.heartbeat(), plane.control.status(), *snapshot_.policy, *snapshot_.hosts);
  return view;
}

std::optional<ConnectionView> ApiTables::find(const NamedId& id) const {
  const auto index = plane(id.plane);
  if (!index || id.slot >= snapshot_.planes[*index]->table.slots_used()) return std::nullopt;
  auto view = read(*index, id.slot);
  if (!view || view->record.generation != id.generation) return std::nullopt;
  return view;
}

plane::ConnectionId ApiTables::identity(const ConnectionView& view) const {
  return {view.incarnation, view.id.slot, view.id.generation};
}

ApiTables::Page ApiTables::page(const control::Filter& filter, const std::optional<NamedId>& after,
                                std::size_t limit) const {
  Page page;
  std::uint64_t unsure = 0;
  for (std::size_t index = 0; index < snapshot_.planes.size(); ++index) {
    const ApiPlane& plane = *snapshot_.planes[index];
    if (after && plane.name < after->plane) continue;
    std::uint32_t slot = after && plane.name == after->plane && after->slot < UINT32_MAX ? after->slot + 1 : 0;
    for (const std::uint32_t slots = plane.table.slots_used(); slot < slots; ++slot) {
      auto view = read(index, slot);
      const control::Truth truth = view ? match(filter, *view, facts_[index]) : control::Truth::No;
      if (truth == control::Truth::Unknown) ++unsure;
      if (truth != control::Truth::Yes) continue;
      if (page.connections.size() == limit) {
        page.more = true;
        return page;
      }
      page.connections.push_back(std::move(*view));
      page.unsure = unsure;
    }
  }
  page.unsure = unsure;
  return page;
}

}  // namespace adieu::host
