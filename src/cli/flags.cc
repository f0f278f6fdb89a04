// The flags, with their checks; and the same flags written out for a child.
#include "cli/flags.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <functional>

#include "host/log.h"

namespace adieu::cli {
namespace {

// A flag with a value that `parse` understands, or explains why it does not.
template <typename T>
CLI::Option* add_parsed(CLI::App& command, const std::string& flag, T& value, const std::string& help,
                        host::Result<T> (*parse)(std::string_view), std::string shown) {
  const auto take = [flag, &value, parse](const std::string& given) {
    auto parsed = parse(given);
    if (!parsed) throw CLI::ValidationError(flag, parsed.error().text);
    value = *parsed;
  };
  return command.add_option_function<std::string>(flag, take, help)->type_name("")->default_str(std::move(shown));
}

CLI::Option* add_duration(CLI::App& command, const std::string& flag, Duration& value, const std::string& help) {
  return add_parsed<Duration>(command, flag, value, help, host::parse_duration, host::text(value));
}

void add_prefixes(CLI::App& command, const std::string& flag, std::vector<host::Prefix>& values,
                  const std::string& help) {
  const auto take = [flag, &values](const std::vector<std::string>& given) {
    for (const std::string& one : given) {
      auto parsed = host::parse_prefix(one);
      if (!parsed) throw CLI::ValidationError(flag, parsed.error().text);
      values.push_back(*parsed);
    }
  };
  command.add_option_function<std::vector<std::string>>(flag, take, help)
      ->type_name("ADDRESS/BITS")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void is_power_of_two(CLI::Option* option) {
  option->check(CLI::Validator(
      [](std::string& given) -> std::string {
        unsigned long value = 0;
        const bool sound =
            CLI::detail::lexical_cast(given, value) && value >= 1 && value <= 65536 && (value & (value - 1)) == 0;
        return sound ? std::string{} : "must be a power of two from 1 to 65536";
      },
      "", ""));
}

}  // namespace

void add_engine_flags(CLI::App& command, host::EngineOptions& options) {
  command.add_option("--tun", options.tun, "name of the engine's interface")->capture_default_str();
  add_prefixes(command, "--address", options.addresses,
               "an address of the engine's own (default: 10.77.0.2/24 and fd77::2/64); repeatable");
  add_prefixes(command, "--gateway-address", options.gateways,
               "the kernel's address on that interface (default: the first of each network); repeatable");
  command.add_option("--mtu", options.mtu, "of the interface")->check(CLI::Range(1280, 65535))->capture_default_str();
  command.add_flag("!--no-offload", options.offload, "no checksum and segmentation offload on the interface");
  add_duration(command, "--time-wait", options.time_wait, "length of TIME-WAIT (RFC 9293 says 4min)");
  command.add_option("--pcap", options.pcap, "write every packet of the engine to this file");
  command.add_flag("!--no-services", options.services, "no echo (7), discard (9) and chargen (19)");
  is_power_of_two(command.add_option("--event-ring", options.event_ring, "entries of the event ring, a power of two")
                      ->capture_default_str());
}

void add_control_flags(CLI::App& command, host::ControlOptions& options) {
  control::Rule& rule = options.rule;
  add_duration(command, "--interval", rule.interval, "heard within it, a peer is asked nothing");
  // First --loss, whose N --probes then replaces, whatever their order on the command line.
  const auto take_loss = [&options](double loss) { host::assume_loss(options, loss); };
  CLI::Option* const loss =
      command
          .add_option_function<double>("--loss", take_loss, "loss each way that the path is assumed to have; gives N")
          ->check(CLI::Range(0.0, 0.9))
          ->default_str("0.3");
  CLI::Option* const probes =
      command.add_option("--probes", rule.probes_needed, "N: questions that must stay unanswered")
          ->capture_default_str();
  probes->excludes(loss);
  CLI::Option* const span =
      add_duration(command, "--proof-span", rule.proof_span, "T: attended time over which they must");
  const auto take_spacing = [&rule](const std::string& given) {
    auto spacing = host::parse_duration(given);
    if (!spacing) throw CLI::ValidationError("--probe-spacing", spacing.error().text);
    rule.proof_span = *spacing * rule.probes_needed;
  };
  command.add_option_function<std::string>("--probe-spacing", take_spacing, "sets T to N times this, at least 1s each")
      ->type_name("")
      ->excludes(span);
  command.add_flag("!--no-probes", rule.probing, "ask nobody; only judge what is seen");
  command.add_flag("!--dry-run", rule.act, "reach verdicts, end nobody by them");
  add_sweep_flag(command, options.sweep);
}

void add_sweep_flag(CLI::App& command, Duration& sweep) {
  add_duration(command, "--sweep", sweep, "between two whole looks at every table");
}

void add_run_dir_flag(CLI::App& command, std::string& run_dir) {
  command.add_option("--run-dir", run_dir,
                     "where the processes find each other (default: $ADIEU_RUN_DIR, else /run/adieu or "
                     "$XDG_RUNTIME_DIR/adieu)");
}

void add_verbose_flag(CLI::App& command) {
  command.add_flag_callback("-v,--verbose", [] { host::log_everything(); }, "say on stderr what happens");
}

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
  }
  const control::Rule& rule = options.control.rule;
  commands.control = common("control-process");
  add(commands.control, {"--interval", host::text(rule.interval), "--probes", std::to_string(rule.probes_needed),
                         "--proof-span", host::text(rule.proof_span), "--sweep", host::text(options.control.sweep)});
  if (!rule.probing) add(commands.control, {"--no-probes"});
  if (!rule.act) add(commands.control, {"--dry-run"});
  return commands;
}

}  // namespace adieu::cli
