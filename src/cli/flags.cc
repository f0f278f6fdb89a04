// The command line: every subcommand's flags, with their checks. The one file that knows CLI11, which takes ten seconds
// to compile. What does not live here: what the options mean (host/options.h), the work (one file a subcommand).
#include "cli/command.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <functional>
#include <memory>

#include "host/log.h"
#include "host/text.h"

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

void add_sweep_flag(CLI::App& command, Duration& sweep) {
  add_duration(command, "--sweep", sweep, "between two whole looks at every table");
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

void add_run_dir_flag(CLI::App& command, std::string& run_dir) {
  command.add_option("--run-dir", run_dir,
                     "where the processes find each other (default: $ADIEU_RUN_DIR, else /run/adieu or "
                     "$XDG_RUNTIME_DIR/adieu)");
}

void add_verbose_flag(CLI::App& command) {
  command.add_flag_callback("-v,--verbose", [] { host::log_everything(); }, "say on stderr what happens");
}

// The options of a subcommand, and what runs with them once they are read.
template <typename Command, typename Run>
std::pair<CLI::App*, std::shared_ptr<Command>> add_command(CLI::App& app, const char* name, const char* help, Run run) {
  const auto command = std::make_shared<Command>();
  CLI::App* const added = app.add_subcommand(name, help);
  added->callback([command, run] { run(*command); });
  return {added, command};
}

void add_what_people_call(CLI::App& app) {
  const auto [up, up_command] = add_command<UpCommand>(
      app, "up", "run the engine, watch the kernel's TCP, judge both; in the foreground", run_up);
  add_run_dir_flag(*up, up_command->options.run_dir);
  up->add_option("--plane", up_command->planes, "engine or kernel; repeatable (default: both)")
      ->check(CLI::IsMember({"engine", "kernel"}))
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_engine_flags(*up, up_command->options.engine);
  add_control_flags(*up, up_command->options.control);
  up->add_flag("-v,--verbose", up_command->verbose, "say on stderr what happens");

  const auto [ls, ls_command] =
      add_command<LsCommand>(app, "ls", "list the connections of every plane, and how they stand", run_ls);
  add_run_dir_flag(*ls, ls_command->run_dir);
  ls->add_flag("--json", ls_command->json, "one JSON object a line");

  const auto [why, why_command] =
      add_command<WhyCommand>(app, "why", "why a connection is what it is, and what will end it", run_why);
  add_run_dir_flag(*why, why_command->run_dir);
  why->add_option("connection", why_command->what, "its ID as `adieu ls` shows it, or LOCAL REMOTE as address:port")
      ->required()
      ->expected(1, 2);
  why->add_flag("--json", why_command->json, "one JSON object");
}

void add_story(CLI::App& app) {
  const auto [story, command] =
      add_command<StoryCommand>(app, "story", "the half-close story, in network namespaces of its own", run_story);
  story->add_option("--chapter", command->chapters, "tell this chapter only (repeatable)")
      ->check(CLI::Range(1, kChapterCount));
  story->add_option("--json", command->json, "write the claims to this file as well");
  story->add_option("--program", command->program, "the adieu to show (this one)");
  story->add_option("--scripts", command->scripts, "where half_closing_client.py and endless_server.py are");
  story->add_option("--natives", command->natives, "where half_closing_client and endless_server are");
  story->add_option("--at-a-time", command->at_a_time, "how many chapters run together (4)")->check(CLI::Range(1, 7));
  story->add_flag("--keep-output", command->keep_output, "print what the programs printed, too");
  CLI::Option* const defaults = story->add_flag("--default-timers", command->default_timers,
                                                "the long form of chapter 5: shorten nothing, and wait it out");
  add_duration(*story, "--idle", command->idle, "how long the connections of the long form are idle")->needs(defaults);
}

// An empty group hides them from --help.
void add_what_up_starts(CLI::App& app) {
  const auto [engine, engine_command] =
      add_command<EngineCommand>(app, "engine-process", "part of `adieu up`", run_engine);
  const auto [kernel, kernel_command] =
      add_command<KernelCommand>(app, "kernel-process", "part of `adieu up`", run_kernel);
  const auto [control, control_command] =
      add_command<ControlCommand>(app, "control-process", "part of `adieu up`", run_control);
  add_run_dir_flag(*engine, engine_command->run_dir);
  add_run_dir_flag(*kernel, kernel_command->run_dir);
  add_run_dir_flag(*control, control_command->run_dir);
  for (CLI::App* const hidden : {engine, kernel, control}) {
    hidden->group("");
    add_verbose_flag(*hidden);
  }
  add_engine_flags(*engine, engine_command->engine);
  add_sweep_flag(*kernel, kernel_command->sweep);
  add_control_flags(*control, control_command->control);
}

}  // namespace

int run_command_line(int argc, char** argv) {
  CLI::App app("TCP whose connections end for a reason, never because a clock ran out.", "adieu");
  app.set_version_flag("--version", std::string("adieu ") + kVersion);
  add_what_people_call(app);
  add_story(app);
  add_what_up_starts(app);
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RuntimeError& error) {
    return error.get_exit_code();
  } catch (const CLI::Success& wanted) {  // --help, --version
    return app.exit(wanted);
  } catch (const CLI::ParseError& error) {
    const auto asked = app.get_subcommands();
    throw Trouble(
        fmt::format("{}; see `adieu {}--help`", error.what(), asked.empty() ? "" : asked.front()->get_name() + " "));
  }
  if (app.get_subcommands().empty()) fmt::print("{}", app.help());
  return 0;
}

}  // namespace adieu::cli
