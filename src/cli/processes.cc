// The processes that `adieu up` starts: hidden subcommands. What does not live here: their work (host).
#include <sys/prctl.h>

#include "cli/command.h"
#include "host/control_process.h"
#include "host/engine_process.h"
#include "host/kernel_process.h"

namespace adieu::cli {
namespace {

// Started through /proc/self/exe, it would be called "exe".
void take_name(const char* name) { prctl(PR_SET_NAME, name); }

}  // namespace

void run_engine(const EngineCommand& command) {
  take_name("adieu-engine");
  if (auto done = host::run_engine_process(command.run_dir, command.engine); !done)
    throw Trouble("engine: " + done.error().text);
}

void run_kernel(const KernelCommand& command) {
  take_name("adieu-kernel");
  if (auto done = host::run_kernel_process(command.run_dir, command.sweep, command.no_bpf); !done)
    throw Trouble("kernel plane: " + done.error().text);
}

void run_control(const ControlCommand& command) {
  take_name("adieu-control");
  if (auto done = host::run_control_process(command.run_dir, command.control); !done)
    throw Trouble("control: " + done.error().text);
}

}  // namespace adieu::cli
