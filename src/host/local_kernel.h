// The kernel's connections without any daemon: one look and one sweep, in this process.
//
// What lives here: sweep_kernel(), and look_around(), which prefers an `adieu up` that runs. What does not: the plane
// that goes on sweeping (kernel_process.h).
#pragma once

#include <optional>
#include <string>

#include "host/census.h"
#include "host/failure.h"
#include "kernel/plane.h"

namespace adieu::host {

struct LocalKernel {
  Census census;  // one plane, no control, the built-in policy
  kernel::Sight sight;
};

// Sees what its caller may see. Its slots are numbered anew each time: a connection is named by its two endpoints.
Result<LocalKernel> sweep_kernel();

struct Surroundings {
  Census census;
  std::optional<kernel::Sight> sight;  // of a sweep of our own
};
// The `adieu up` of this run directory; where none is named and none answers, a sweep of our own.
Result<Surroundings> look_around(const std::string& run_dir);

}  // namespace adieu::host
