// Flags of `adieu up`, and how they are handed on to the processes that it starts.
//
// What lives here: option <-> flag, both ways. What does not: what the options mean (host/options.h).
#pragma once

#include <string>
#include <vector>

#include "host/options.h"
#include "host/supervisor.h"

namespace CLI {
class App;
}

namespace adieu::cli {

void add_engine_flags(CLI::App& command, host::EngineOptions& options);
void add_control_flags(CLI::App& command, host::ControlOptions& options);
void add_sweep_flag(CLI::App& command, Duration& sweep);
void add_run_dir_flag(CLI::App& command, std::string& run_dir);
void add_verbose_flag(CLI::App& command);

host::ChildCommands child_commands(const host::UpOptions& options, const std::string& run_dir, bool verbose);

}  // namespace adieu::cli
