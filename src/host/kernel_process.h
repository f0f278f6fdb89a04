// The kernel plane of `adieu up`, in a process of its own. What does not live here: the sweep (kernel/plane.h).
#pragma once

#include <string>
#include <vector>

#include "base/time.h"
#include "host/failure.h"
#include "kernel/socket.h"
#include "plane/table.h"

namespace adieu::host {

// Runs until it is told to stop. `no_bpf`: words of kNoBpf (options.h). An error: it could not start.
Result<void> run_kernel_process(const std::string& run_dir, Duration sweep, const std::vector<std::string>& no_bpf);

// The table that such a plane fills, with an incarnation of its own.
plane::TableSetup kernel_table();
std::string why_unlisted(const kernel::Error& error);

}  // namespace adieu::host
