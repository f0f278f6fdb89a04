// All planes of one `adieu up`, for whoever only reads: `adieu ls`, `adieu why`, the story.
//
// What lives here: Census: the planes' tables and control blocks, mapped read-only, as the supervisor hands them out.
// What does not: connections one by one (view.h). Control need not run for any of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "control/controller.h"
#include "host/failure.h"
#include "host/policy.h"
#include "host/run_dir.h"
#include "host/shared_memory.h"
#include "plane/control_block.h"
#include "plane/table.h"

namespace adieu::host {

struct PlaneSeen {
  std::string name;
  std::uint64_t incarnation = 0;
  plane::PlaneKind kind = plane::PlaneKind::Engine;
  std::uint32_t process = 0;
  bool failed = false;  // its process is dead
  Mapping table_memory;
  Mapping control_memory;
  plane::TableReader table;
  plane::ControlView control;
};

enum class ControlState : std::uint8_t { Running, Stopped, Absent };
std::string_view name(ControlState state);

struct Census {
  std::vector<PlaneSeen> planes;
  NamedPolicy policy;        // in force
  bool policy_known = true;  // false: its text cannot be had, and `policy` is the built-in one
  std::shared_ptr<const control::HostBook> hosts = std::make_shared<control::HostBook>();  // as the ledger keeps them
  ControlState control = ControlState::Absent;
  std::uint32_t control_process = 0;
  bool is_local = false;  // one sweep of this process's own (local_kernel.h): nobody is expected to judge
};

// An error says what to do: nobody runs there, or who runs there does not answer.
Result<Census> take_census(const RunDir& run_dir);

}  // namespace adieu::host
