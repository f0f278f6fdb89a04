// The hidden subcommand in which `adieu up` watches the kernel's TCP.
#include "host/kernel_process.h"

#include <CLI/CLI.hpp>

#include <memory>

#include "cli/command.h"
#include "cli/flags.h"

namespace adieu::cli {

void add_kernel_process(CLI::App& app) {
  struct Options {
    std::string run_dir;
    Duration sweep = seconds(1);
  };
  const auto options = std::make_shared<Options>();
  CLI::App* const command = app.add_subcommand("kernel-process", "part of `adieu up`")->group("");
  add_run_dir_flag(*command, options->run_dir);
  add_verbose_flag(*command);
  add_sweep_flag(*command, options->sweep);
  command->callback([options] {
    if (auto done = host::run_kernel_process(options->run_dir, options->sweep); !done)
      throw Trouble("kernel plane: " + done.error().text);
  });
}

}  // namespace adieu::cli
