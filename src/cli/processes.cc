// The processes that `adieu up` starts: hidden subcommands. What does not live here: their work (host).
#include "cli/command.h"
#include "host/control_process.h"
#include "host/engine_process.h"
#include "host/kernel_process.h"

namespace adieu::cli {

void run_engine(const EngineCommand& command) {
  if (auto done = host::run_engine_process(command.run_dir, command.engine); !done)
    throw Trouble("engine: " + done.error().text);
}

void run_kernel(const KernelCommand& command) {
  if (auto done = host::run_kernel_process(command.run_dir, command.sweep); !done)
    throw Trouble("kernel plane: " + done.error().text);
}

void run_control(const ControlCommand& command) {
  if (auto done = host::run_control_process(command.run_dir, command.control); !done)
    throw Trouble("control: " + done.error().text);
}

}  // namespace adieu::cli
