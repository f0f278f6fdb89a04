// The control plane of `adieu up`, in a process of its own: the attendant over all planes, and the ledger.
//
// What does not live here: judgement and choice (control), SQL (ledger.h).
#pragma once

#include <string>

#include "host/failure.h"
#include "host/options.h"

namespace adieu::host {

// Runs until it is told to stop. An error: it could not start.
Result<void> run_control_process(const std::string& run_dir, const ControlOptions& options);

}  // namespace adieu::host
