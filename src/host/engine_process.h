// The engine of `adieu up`, in a process of its own. What does not live here: the loop (engine_loop.h), applications
// (services.h).
#pragma once

#include <string>

#include "host/failure.h"
#include "host/options.h"

namespace adieu::host {

// Runs until it is told to stop (by the supervisor or by SIGTERM). An error: it could not start, or its device is gone.
Result<void> run_engine_process(const std::string& run_dir, const EngineOptions& options);

}  // namespace adieu::host
