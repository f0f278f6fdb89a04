// The hidden subcommand in which `adieu up` runs its engine.
#include "host/engine_process.h"

#include <CLI/CLI.hpp>

#include <memory>

#include "cli/command.h"
#include "cli/flags.h"

namespace adieu::cli {

void add_engine_process(CLI::App& app) {
  struct Options {
    std::string run_dir;
    host::EngineOptions engine;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* const command = app.add_subcommand("engine-process", "part of `adieu up`")->group("");
  add_run_dir_flag(*command, options->run_dir);
  add_verbose_flag(*command);
  add_engine_flags(*command, options->engine);
  command->callback([options] {
    if (auto done = host::run_engine_process(options->run_dir, options->engine); !done)
      throw Trouble("engine: " + done.error().text);
  });
}

}  // namespace adieu::cli
