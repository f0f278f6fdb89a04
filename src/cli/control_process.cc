// The hidden subcommand in which `adieu up` judges.
#include "host/control_process.h"

#include <CLI/CLI.hpp>

#include <memory>

#include "cli/command.h"
#include "cli/flags.h"

namespace adieu::cli {

void add_control_process(CLI::App& app) {
  struct Options {
    std::string run_dir;
    host::ControlOptions control;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* const command = app.add_subcommand("control-process", "part of `adieu up`")->group("");
  add_run_dir_flag(*command, options->run_dir);
  add_verbose_flag(*command);
  add_control_flags(*command, options->control);
  command->callback([options] {
    if (auto done = host::run_control_process(options->run_dir, options->control); !done)
      throw Trouble("control: " + done.error().text);
  });
}

}  // namespace adieu::cli
