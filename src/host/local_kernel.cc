// A kernel plane in memory that nobody else maps.
#include "host/local_kernel.h"

#include <fmt/format.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/kernel_process.h"
#include "host/plane_link.h"

namespace adieu::host {

Result<LocalKernel> sweep_kernel() {
  const plane::TableSetup setup = kernel_table();
  auto seam = SeamMemory::make(setup.capacity);
  if (!seam) return std::unexpected(seam.error());
  plane::TableWriter table(seam->table(), setup);
  auto plane = kernel::Plane::open(table);
  if (!plane) return failed(why_unlisted(plane.error()));
  if (!kernel::is_hosts_own_network()) plane->keep_to_own_network();
  if (auto swept = plane->look_and_sweep(now(), seam->control()); !swept) return failed(why_unlisted(swept.error()));
  plane->beat(now());  // a look at a great many takes longer than a plane may be silent

  const auto descriptors = seam->descriptors();
  auto table_memory = Mapping::of(descriptors[0], plane::table_bytes(setup.capacity), Mapping::Access::Read);
  auto control_memory = Mapping::of(descriptors[1], plane::control_block_bytes(), Mapping::Access::Read);
  if (!table_memory || !control_memory) return std::unexpected((!table_memory ? table_memory : control_memory).error());
  const auto reader = plane::TableReader::over(table_memory->bytes());
  if (!reader) return failed(std::string(name(reader.error())));
  const plane::ControlView control(control_memory->bytes());
  LocalKernel local;
  local.sight = plane->sight();
  local.census.policy = built_in_policy();
  local.census.is_local = true;
  local.census.planes.push_back({.name = std::string(setup.name),
                                 .incarnation = setup.incarnation,
                                 .kind = setup.kind,
                                 .process = static_cast<std::uint32_t>(setup.process),
                                 .failed = false,
                                 .table_memory = std::move(*table_memory),
                                 .control_memory = std::move(*control_memory),
                                 .table = *reader,
                                 .control = control});
  return local;
}

Result<Surroundings> look_around(const std::string& run_dir) {
  auto census = take_census(RunDir::chosen(run_dir));
  if (census) return Surroundings{std::move(*census), std::nullopt};
  if (RunDir::named(run_dir)) return std::unexpected(census.error());
  auto local = sweep_kernel();
  if (!local) return std::unexpected(local.error());
  return Surroundings{std::move(local->census), local->sight};
}

}  // namespace adieu::host
