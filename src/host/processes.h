// What is known of a plane's process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "control/controller.h"
#include "plane/table.h"

namespace adieu::host {

// The name of its program, at most 15 octets; empty: it is gone.
std::string comm_of(std::uint32_t process);
// A plane as the control plane knows it; `comm` as long as its process lives.
control::PlaneFacts facts_of(std::string_view plane, std::uint32_t process, const plane::TableReader& table);

}  // namespace adieu::host
