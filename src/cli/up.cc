// `adieu up`: starts and supervises everything, in the foreground.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "cli/command.h"
#include "host/log.h"
#include "host/policy.h"
#include "host/run_dir.h"
#include "host/service_manager.h"
#include "host/supervisor.h"

namespace adieu::cli {
namespace {

std::string absolute(const std::string& path) {
  std::error_code ignored;
  return path.empty() ? path : std::filesystem::absolute(path, ignored).string();
}

// The control plane reads the same file again when it starts and at each reload.
void settle_policy(UpCommand& up) {
  host::ControlOptions& control = up.options.control;
  if (!control.policy_file.empty()) {
    control.policy_file = absolute(control.policy_file);
    const auto text = host::load_policy_text(control.policy_file);
    if (!text) throw Trouble(text.error().text);
    const auto policy = host::read_policy(*text);
    if (!policy) throw Trouble("the policy has mistakes\n" + host::describe(control.policy_file, policy.error()));
    return;
  }
  if (auto sound = validate(up.options.rule); !sound) throw Trouble(std::string(message(sound.error())));
  control.policy_text = host::policy_text(up.options.rule);
}

void check(const UpCommand& up) {
  if (auto sound = host::check(up.options.control); !sound) throw Trouble(sound.error().text);
  if (auto network = host::network_of(up.options.engine); !network) throw Trouble(network.error().text);
}

// The same flags, written out for the children.
host::ChildCommands child_commands(const host::UpOptions& options, const std::string& run_dir, bool verbose) {
  const auto common = [&](const char* name) {
    std::vector<std::string> arguments{name, "--run-dir", run_dir};
    if (verbose) arguments.emplace_back("--verbose");
    return arguments;
  };
  const auto add = [](std::vector<std::string>& to, std::initializer_list<std::string> more) {
    to.insert(to.end(), more);
  };
  host::ChildCommands commands;
  if (options.engine_plane) {
    const host::EngineOptions& engine = options.engine;
    auto& to = commands.engine = common("engine-process");
    add(to, {"--tun", engine.tun, "--mtu", std::to_string(engine.mtu), "--time-wait", host::text(engine.time_wait),
             "--event-ring", std::to_string(engine.event_ring)});
    for (const host::Prefix& one : engine.addresses) add(to, {"--address", host::text(one)});
    for (const host::Prefix& one : engine.gateways) add(to, {"--gateway-address", host::text(one)});
    if (!engine.offload) add(to, {"--no-offload"});
    if (!engine.services) add(to, {"--no-services"});
    if (!engine.pcap.empty()) add(to, {"--pcap", engine.pcap});
  }
  if (options.kernel_plane) {
    commands.kernel = common("kernel-process");
    add(commands.kernel, {"--sweep", host::text(options.control.sweep)});
    for (const std::string& one : options.no_bpf) add(commands.kernel, {"--no-bpf", one});
  }
  const host::ControlOptions& control = options.control;
  commands.control = common("control-process");
  add(commands.control, {"--sweep", host::text(control.sweep), "--ledger-rows", std::to_string(control.ledger.rows),
                         "--ledger-age", host::text(control.ledger.age)});
  if (!control.ledger_file.empty()) add(commands.control, {"--ledger", control.ledger_file});
  if (!control.policy_file.empty())
    add(commands.control, {"--policy", control.policy_file});
  else
    add(commands.control, {"--policy-text", control.policy_text});
  if (control.http)
    add(commands.control, {"--http", host::text(*control.http), "--http-token-file", control.http_token_file});
  return commands;
}

// A control plane that lives is adopted as it is, its policy included.
void tell_of_other_policy(const host::ControlOptions& control, const host::RunDir& run_dir, pid_t adopted) {
  const auto in_force = host::load_policy_text(run_dir.policy());
  const auto wanted = control.policy_file.empty() ? host::Result<std::string>(control.policy_text)
                                                  : host::load_policy_text(control.policy_file);
  if (!in_force || !wanted || *in_force == *wanted) return;
  fmt::print(stderr,
             "adieu: the control plane that was adopted (process {}) keeps the policy in force, which is another than "
             "this `adieu up` was given; to put this one in force: kill {} (no connection notices)\n",
             adopted, adopted);
}

}  // namespace

void run_up(UpCommand& up) {
  if (up.verbose) host::log_everything();
  if (!up.planes.empty()) {
    up.options.engine_plane = std::ranges::count(up.planes, "engine") > 0;
    up.options.kernel_plane = std::ranges::count(up.planes, "kernel") > 0;
  }
  settle_policy(up);
  up.options.control.ledger_file = absolute(up.options.control.ledger_file);
  check(up);
  host::name_log("up");
  const host::RunDir run_dir = host::RunDir::chosen(up.options.run_dir);
  const std::optional<pid_t> adopted = host::Lock::holder(run_dir.lock("control"));
  auto supervisor = host::Supervisor::open(run_dir, child_commands(up.options, run_dir.path(), up.verbose));
  if (!supervisor) throw Trouble(supervisor.error().text);
  const auto started = (*supervisor)->start();
  if (!started) throw Trouble(started.error().text);
  if (!*started) return;
  std::string planes = up.options.engine_plane ? fmt::format("engine ({})", up.options.engine.tun) : std::string{};
  if (up.options.kernel_plane) planes += planes.empty() ? "kernel" : ", kernel";
  fmt::print("adieu: up, run-dir {}, planes: {}\n", run_dir.path(), planes);
  std::fflush(stdout);
  host::tell_service_manager(fmt::format("READY=1\nSTATUS=planes: {}", planes));
  if (adopted) tell_of_other_policy(up.options.control, run_dir, *adopted);
  (*supervisor)->run();
}

}  // namespace adieu::cli
