// The test program, which is also every process that its stories start: `adieu up` runs its children by executing
// itself.
//
// What lives here: those entries, and the network namespace in which all stories run. What does not: any story.
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <string>

#include "device/interface.h"
#include "host/control_process.h"
#include "host/engine_process.h"
#include "host/kernel_process.h"
#include "host/supervisor.h"
#include "world.h"

namespace adieu::host {
namespace {

// A proof in a few seconds instead of 100 s, so that a story need not wait.
ControlOptions quick_control(const RunDir& run_dir) {
  ControlOptions options;
  options.sweep = milliseconds(50);
  options.policy_text = "[default]\ninterval = \"1s\"\nprobes = 2\nproof_span = \"2s\"\n";
  if (const std::string given = run_dir.path() + "/given.toml"; ::access(given.c_str(), F_OK) == 0)
    options.policy_file = given;
  return options;
}

int told(const Result<void>& result) {
  if (result) return 0;
  std::fprintf(stderr, "%s\n", result.error().text.c_str());
  return 2;
}

Result<void> run_up(const RunDir& run_dir, bool engine, bool kernel) {
  ChildCommands commands;
  if (engine) commands.engine = {"engine-process", run_dir.path()};
  if (kernel) commands.kernel = {"kernel-process", run_dir.path()};
  commands.control = {"control-process", run_dir.path()};
  auto supervisor = Supervisor::open(run_dir, commands);
  if (!supervisor) return std::unexpected(supervisor.error());
  const auto started = (*supervisor)->start();
  if (!started) return std::unexpected(started.error());
  if (*started) (*supervisor)->run();
  return {};
}

// nullopt: these are arguments for the tests.
std::optional<int> other_life(int argc, char** argv) {
  const std::string who = argc > 2 ? argv[1] : "";
  if (who == "up" && argc > 4) return told(run_up(RunDir(argv[2]), argv[3][0] == 'e', argv[4][0] == 'k'));
  if (who == "engine-process") return told(run_engine_process(argv[2], {}));
  if (who == "kernel-process") return told(run_kernel_process(argv[2], milliseconds(50), {}));
  if (who == "control-process") return told(run_control_process(argv[2], quick_control(RunDir(argv[2]))));
  return std::nullopt;
}

void write(const char* path, const std::string& text) { std::ofstream(path) << text; }

bool enter_own_network() {
  const uid_t user = ::getuid();
  const gid_t group = ::getgid();
  if (user == 0) {
    if (::unshare(CLONE_NEWNET) < 0) return false;
  } else {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) return false;
    write("/proc/self/setgroups", "deny");
    write("/proc/self/uid_map", "0 " + std::to_string(user) + " 1");
    write("/proc/self/gid_map", "0 " + std::to_string(group) + " 1");
  }
  return device::bring_up("lo").has_value() && ::access("/dev/net/tun", R_OK | W_OK) == 0;
}

}  // namespace
}  // namespace adieu::host

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  if (const auto status = adieu::host::other_life(argc, argv)) return *status;
  testing::InitGoogleTest(&argc, argv);
  adieu::host::g_own_network = adieu::host::enter_own_network();
  return RUN_ALL_TESTS();
}
