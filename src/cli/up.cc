// `adieu up`: starts and supervises everything, in the foreground.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/flags.h"
#include "host/log.h"
#include "host/supervisor.h"

namespace adieu::cli {
namespace {

struct Up {
  host::UpOptions options;
  std::vector<std::string> planes;
  bool verbose = false;
};

void check(const Up& up) {
  if (auto sound = host::check(up.options.control); !sound) throw Trouble(sound.error().text);
  if (auto network = host::network_of(up.options.engine); !network) throw Trouble(network.error().text);
}

void run(Up& up) {
  if (!up.planes.empty()) {
    up.options.engine_plane = std::ranges::count(up.planes, "engine") > 0;
    up.options.kernel_plane = std::ranges::count(up.planes, "kernel") > 0;
  }
  check(up);
  host::name_log("up");
  const host::RunDir run_dir = host::RunDir::chosen(up.options.run_dir);
  auto supervisor = host::Supervisor::open(run_dir, child_commands(up.options, run_dir.path(), up.verbose));
  if (!supervisor) throw Trouble(supervisor.error().text);
  const auto started = (*supervisor)->start();
  if (!started) throw Trouble(started.error().text);
  if (!*started) return;
  std::string planes = up.options.engine_plane ? fmt::format("engine ({})", up.options.engine.tun) : std::string{};
  if (up.options.kernel_plane) planes += planes.empty() ? "kernel" : ", kernel";
  fmt::print("adieu: up, run-dir {}, planes: {}\n", run_dir.path(), planes);
  std::fflush(stdout);
  (*supervisor)->run();
}

}  // namespace

void add_up(CLI::App& app) {
  CLI::App* const command =
      app.add_subcommand("up", "run the engine, watch the kernel's TCP, judge both; in the foreground");
  const auto up = std::make_shared<Up>();
  add_run_dir_flag(*command, up->options.run_dir);
  command->add_option("--plane", up->planes, "engine or kernel; repeatable (default: both)")
      ->check(CLI::IsMember({"engine", "kernel"}))
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_engine_flags(*command, up->options.engine);
  add_control_flags(*command, up->options.control);
  command->add_flag("-v,--verbose", up->verbose, "say on stderr what happens");
  command->callback([up] {
    if (up->verbose) host::log_everything();
    run(*up);
  });
}

}  // namespace adieu::cli
