// The command line: every subcommand's flags, with their checks. The one file that knows CLI11, which takes ten seconds
// to compile. What does not live here: what the options mean (host/options.h), the work (one file a subcommand).
#include "cli/command.h"
#include "cli/description.h"
#include "cli/listing.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>

#include "host/ledger.h"
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
  return command.add_option_function<std::string>(flag, take, help)
      ->type_name("DURATION")
      ->default_str(std::move(shown));
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
  command.add_option("--tun", options.tun, "name of the engine's interface")->type_name("NAME")->capture_default_str();
  add_prefixes(command, "--address", options.addresses,
               "an address of the engine's own (default: 10.77.0.2/24 and fd77::2/64); repeatable");
  add_prefixes(command, "--gateway-address", options.gateways,
               "the kernel's address on that interface (default: the first of each network); repeatable");
  command.add_option("--mtu", options.mtu, "of the interface")->check(CLI::Range(1280, 65535))->capture_default_str();
  command.add_flag("!--no-offload", options.offload, "no checksum and segmentation offload on the interface");
  add_duration(command, "--time-wait", options.time_wait, "length of TIME-WAIT (RFC 9293 says 4min)");
  command.add_option("--pcap", options.pcap, "write every packet of the engine to this file")->type_name("FILE");
  command.add_flag("!--no-services", options.services, "no echo (7), discard (9) and chargen (19)");
  is_power_of_two(command.add_option("--event-ring", options.event_ring, "entries of the event ring, a power of two")
                      ->capture_default_str());
}

void add_sweep_flag(CLI::App& command, Duration& sweep) {
  add_duration(command, "--sweep", sweep, "between two whole looks at every table");
}

void add_ledger_flags(CLI::App& command, std::string& file, host::LedgerBounds& bounds) {
  command.add_option("--ledger", file, "where the ledger is kept (default: ledger.db in the run directory)")
      ->type_name("FILE");
  command.add_option("--ledger-rows", bounds.rows, "entries that the ledger keeps; the oldest go first")
      ->check(CLI::Range(1000, 1'000'000'000))
      ->capture_default_str();
  add_duration(command, "--ledger-age", bounds.age, "for how long it keeps them");
}

// Flags for the rule of a policy that is not worth a file; with a file they would contradict it.
void add_policy_flags(CLI::App& command, std::string& file, control::Rule& rule) {
  const std::vector<CLI::Option*> before = command.get_options();
  add_duration(command, "--interval", rule.interval, "heard within it, a peer is asked nothing");
  const auto take_loss = [&rule](double loss) { host::assume_loss(rule, loss); };
  CLI::Option* const loss =
      command
          .add_option_function<double>("--loss", take_loss, "loss each way that the path is assumed to have; gives N")
          ->check(CLI::Range(0.0, 0.9))
          ->default_str("0.3");
  CLI::Option* const probes = command
                                  .add_option_function<std::uint32_t>(
                                      "--probes",
                                      [&rule](std::uint32_t given) {
                                        rule.probes_needed = given;
                                        rule.probes_derived = false;
                                      },
                                      "N: questions that must stay unanswered")
                                  ->default_str(std::to_string(rule.probes_needed));
  probes->excludes(loss);
  CLI::Option* const span =
      add_duration(command, "--proof-span", rule.proof_span, "T: attended time over which they must");
  const auto take_spacing = [&rule](const std::string& given) {
    auto spacing = host::parse_duration(given);
    if (!spacing) throw CLI::ValidationError("--probe-spacing", spacing.error().text);
    rule.proof_span = *spacing * rule.probes_needed;
  };
  command.add_option_function<std::string>("--probe-spacing", take_spacing, "sets T to N times this, at least 1s each")
      ->type_name("DURATION")
      ->excludes(span);
  command.add_flag("!--no-probes", rule.probing, "ask nobody; only judge what is seen");
  command.add_flag("!--dry-run", rule.act, "reach verdicts, end nobody by them");
  const std::vector<CLI::Option*> all = command.get_options();
  CLI::Option* const policy =
      command.add_option("--policy", file, "the policy's file, read again at SIGHUP (default: built in)");
  for (CLI::Option* const one : all)
    if (std::ranges::find(before, one) == before.end()) policy->excludes(one);
}

void add_http_flags(CLI::App& command, host::ControlOptions& options) {
  const auto take_http = [&options](const std::string& given) {
    auto endpoint = host::parse_endpoint(given);
    if (!endpoint) throw CLI::ValidationError("--http", endpoint.error().text);
    options.http = *endpoint;
  };
  command.add_option_function<std::string>("--http", take_http, "serve the API at this loopback address:port as well")
      ->type_name("");
  command.add_option("--http-token-file", options.http_token_file, "what each request there must bring (mode 0600)");
}

void add_run_dir_flag(CLI::App& command, std::string& run_dir) {
  command
      .add_option("--run-dir", run_dir,
                  "where the processes find each other (default: $ADIEU_RUN_DIR, else /run/adieu or "
                  "$XDG_RUNTIME_DIR/adieu)")
      ->type_name("DIR");
}

void add_verbose_flag(CLI::App& command) {
  command.add_flag_callback("-v,--verbose", [] { host::log_everything(); }, "say on stderr what happens");
}

// Words that begin with a dash (`-v`) stay options: no filter has one.
void add_filter_words(CLI::App& command, std::vector<std::string>& words) {
  command
      .add_option("filter", words,
                  "which connections, in the words of ss(8) and adieu's own: state close-wait and dport = :443")
      ->type_name("FILTER");
}

// What ls and watch have in common.
void add_listing_flags(CLI::App& command, auto& options) {
  add_run_dir_flag(command, options.run_dir);
  add_filter_words(command, options.filter);
  command.add_option("--sort", options.sort, "what comes first")
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(kOrders), std::end(kOrders))))
      ->capture_default_str();
  command.add_flag("--all", options.all, "those that have ended, too, as long as their plane remembers them");
  command.add_flag("--never", options.never, "only those that nothing ends by itself: Ends begins with `never`");
}

// The options of a subcommand, and what runs with them once they are read.
template <typename Command, typename Run>
std::pair<CLI::App*, std::shared_ptr<Command>> add_command(CLI::App& app, const char* name, const char* help, Run run) {
  const auto command = std::make_shared<Command>();
  CLI::App* const added = app.add_subcommand(name, help);
  added->callback([command, run] { run(*command); });
  return {added, command};
}

void add_no_bpf_flag(CLI::App& command, std::vector<std::string>& words) {
  command.add_option("--no-bpf", words, "for which the kernel plane loads no BPF programs; repeatable (default: none)")
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(host::kNoBpf), std::end(host::kNoBpf))))
      ->delimiter(',')
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_what_people_call(CLI::App& app) {
  const auto [up, up_command] = add_command<UpCommand>(
      app, "up", "run the engine, watch the kernel's TCP, judge both; in the foreground", run_up);
  add_run_dir_flag(*up, up_command->options.run_dir);
  up->add_option("--plane", up_command->planes, "engine or kernel; repeatable (default: both)")
      ->check(CLI::IsMember({"engine", "kernel"}))
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_no_bpf_flag(*up, up_command->options.no_bpf);
  add_engine_flags(*up, up_command->options.engine);
  add_policy_flags(*up, up_command->options.control.policy_file, up_command->options.rule);
  add_sweep_flag(*up, up_command->options.control.sweep);
  add_ledger_flags(*up, up_command->options.control.ledger_file, up_command->options.control.ledger);
  add_http_flags(*up, up_command->options.control);
  up->add_flag("-v,--verbose", up_command->verbose, "say on stderr what happens");

  const auto [ls, ls_command] =
      add_command<LsCommand>(app, "ls", "list the connections of every plane, and how they stand", run_ls);
  add_listing_flags(*ls, *ls_command);
  ls->add_flag("--json", ls_command->json, "one JSON object a line");

  const auto [why, why_command] =
      add_command<WhyCommand>(app, "why", "why a connection is what it is, and what will end it", run_why);
  add_run_dir_flag(*why, why_command->run_dir);
  why->add_option("connection", why_command->what, "its ID as `adieu ls` shows it, or LOCAL REMOTE as address:port")
      ->required()
      ->expected(1, 2)
      ->type_name("CONNECTION");
  why->add_flag("--json", why_command->json, "one JSON object");

  const auto [watch, watch_command] = add_command<WatchCommand>(app, "watch", "the connections, live", run_watch);
  add_listing_flags(*watch, *watch_command);
  watch->add_flag("--once", watch_command->once, "print one screen and exit");
  add_duration(*watch, "--interval", watch_command->interval, "between two looks");
}

void add_log(CLI::App& app) {
  const auto [log, command] =
      add_command<LogCommand>(app, "log", "what was judged, commanded, answered and ended, newest last", run_log);
  add_run_dir_flag(*log, command->run_dir);
  log->add_option("connection", command->what, "only its entries: an ID, or LOCAL REMOTE as address:port")
      ->type_name("")
      ->expected(0, 2);
  add_duration(*log, "--since", command->since, "only what is younger than this (1h)")->default_str("");
  std::vector<std::string> kinds;
  for (unsigned i = 0; i < host::kEntryKinds; ++i) kinds.emplace_back(name(static_cast<host::EntryKind>(i)));
  log->add_option("--kind", command->kinds, "only entries of these kinds")
      ->type_name("")
      ->delimiter(',')
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->check(CLI::IsMember(kinds));
  log->add_option("--limit", command->limit, "at most so many, the newest")
      ->check(CLI::Range(1U, 1'000'000'000U))
      ->default_str(fmt::format("{}", kLogLimit));
  log->add_flag("-f,--follow", command->follow, "then wait for more, until interrupted");
  log->add_flag("--json", command->json, "one JSON object a line");
}

void add_policy(CLI::App& app) {
  CLI::App* const policy = app.add_subcommand("policy", "read policies: check a file, show what is in force");
  policy->require_subcommand(1);
  const auto [check, check_command] = add_command<PolicyCheckCommand>(
      *policy, "check", "all mistakes of a policy's file, a line each; exit 2 if there are any", run_policy_check);
  check->add_option("file", check_command->file, "the policy's file")->required();
  const auto [show, show_command] = add_command<PolicyShowCommand>(
      *policy, "show", "the policy in force, and what follows from each rule", run_policy_show);
  add_run_dir_flag(*show, show_command->run_dir);
  show->add_option("file", show_command->file, "this file instead of the policy in force");
  const auto [attempt, try_command] = add_command<PolicyTryCommand>(
      *policy, "try", "what a policy's file would have decided over the ledger's past", run_policy_try);
  add_run_dir_flag(*attempt, try_command->run_dir);
  attempt->add_option("file", try_command->file, "the policy's file")->required();
}

void add_what_people_command(CLI::App& app) {
  const auto [probe, probe_command] =
      add_command<ProbeCommand>(app, "probe",
                                "ask a connection's peer for a sign, once; one that has forgotten it answers with a "
                                "reset, which ends it; status 1: it answered, 0: it did not",
                                run_probe);
  add_run_dir_flag(*probe, probe_command->run_dir);
  probe->add_option("connection", probe_command->what, "its ID as `adieu ls` shows it, or LOCAL REMOTE as address:port")
      ->required()
      ->expected(1, 2);
  add_duration(*probe, "--wait", probe_command->wait, "for a sign, at most 10s");
  probe->add_flag("--json", probe_command->json, "one JSON object");

  const auto [end, end_command] = add_command<EndCommand>(
      app, "end", "end connections: what is named or matched; status 1: they have ended, 0: none matched", run_end);
  add_run_dir_flag(*end, end_command->run_dir);
  end->add_option("connections", end_command->what,
                  "IDs as `adieu ls` shows them, LOCAL REMOTE as address:port, or a filter as `ss` takes it")
      ->required()
      ->type_name("CONNECTION|FILTER");
  end->add_flag("--dry-run", end_command->dry_run, "only say what would be done, and who would see what");
  end->add_flag("--all", end_command->all, "of a dry run: tell of each by itself, not of those alike together");
  auto* const how = end->add_option_group("how");
  how->set_help_flag("");
  how->add_flag_callback(
      "--finish", [c = end_command] { c->how.how = host::EndHow::Finish; },
      "send our FIN (default in ESTABLISHED and CLOSE-WAIT)");
  how->add_flag_callback(
      "--reset", [c = end_command] { c->how.how = host::EndHow::Reset; }, "send a RST (default in the other states)");
  how->add_flag_callback(
      "--silent", [c = end_command] { c->how.how = host::EndHow::Silent; }, "end it here and tell nobody");
  CLI::Option* const keepalive = how->add_flag_callback(
      "--keepalive", [c = end_command] { c->how.how = host::EndHow::Keepalive; },
      "not now: have the kernel ask the peer from now on (SO_KEEPALIVE), and end it once nobody answers");
  how->require_option(0, 1);
  plane::Keepalive& values = end_command->how.keepalive;
  const auto add_span = [end, keepalive](const std::string& flag, std::uint16_t& value, const std::string& help) {
    add_parsed<std::uint16_t>(*end, flag, value, help, host::parse_keepalive_span, "as it has it")->needs(keepalive);
  };
  add_span("--idle", values.idle, "with --keepalive: without a segment for so long, the first question");
  add_span("--interval", values.interval, "with --keepalive: between two questions");
  end->add_option("--count", values.count, "with --keepalive: so many questions without an answer, then the end")
      ->check(CLI::Range(1U, plane::kMostKeepalives))
      ->default_str("as it has it")
      ->needs(keepalive);
  end->add_flag("--yes", end_command->yes, "do not ask before several are ended");
  end->add_flag("--json", end_command->json, "one JSON object a line");
}

void add_story(CLI::App& app) {
  const auto [story, command] =
      add_command<StoryCommand>(app, "story", "the half-close story, in network namespaces of its own", run_story);
  story->add_option("--chapter", command->chapters, "tell this chapter only (repeatable)")
      ->check(CLI::Range(1, kChapterCount));
  story->add_option("--json", command->json, "write the claims to this file as well")->type_name("FILE");
  story->add_option("--program", command->program, "the adieu to show (this one)")->type_name("FILE");
  story->add_option("--scripts", command->scripts, "where half_closing_client.py and endless_server.py are")
      ->type_name("DIR");
  story->add_option("--natives", command->natives, "where half_closing_client and endless_server are")
      ->type_name("DIR");
  story->add_option("--at-a-time", command->at_a_time, "how many chapters run together (4)")->check(CLI::Range(1, 7));
  story->add_flag("--keep-output", command->keep_output, "print what the programs printed, too");
  CLI::Option* const defaults = story->add_flag("--default-timers", command->default_timers,
                                                "the long form of chapter 5: shorten nothing, and wait it out");
  add_duration(*story, "--idle", command->idle, "how long the connections of the long form are idle")->needs(defaults);
}

void add_lab(CLI::App& app) {
  const auto [lab, command] = add_command<LabCommand>(
      app, "lab", "what is said of TCP, and what this kernel and the engine do, tried side by side", run_lab);
  lab->add_option("name", command->names, "only these, or those whose names begin so");
  lab->add_flag("--list", command->list, "only say which there are");
  lab->add_flag("--quick", command->quick, "wait less for what should not happen");
  CLI::Option* const json = lab->add_flag("--json", command->json, "one JSON object a line");
  lab->add_flag("--markdown", command->markdown, "as tables of Markdown")->excludes(json);
}

// What a validator says in CLI11's own way ("TEXT:{a,b}", "UINT:INT in [1 - 7]"), as people would.
void read_type(OptionText& text, const std::string& type) {
  const std::size_t colon = type.find(':');
  text.value = type.substr(0, colon);
  const std::string rest = colon == std::string::npos ? std::string{} : type.substr(colon + 1);
  if (rest.starts_with('{') && rest.ends_with('}')) {
    std::istringstream words(rest.substr(1, rest.size() - 2));
    for (std::string word; std::getline(words, word, ',');) text.choices.push_back(word);
    text.value = "WORD";
  }
  if (const std::size_t range = rest.find(" in ["); range != std::string::npos) {
    std::string bounds = rest.substr(range + 5, rest.size() - range - 6);
    if (const std::size_t dash = bounds.find(" - "); dash != std::string::npos) bounds.replace(dash, 3, " to ");
    text.help += fmt::format(" ({})", bounds);
  }
  if (text.value == "UINT" || text.value == "INT" || text.value == "FLOAT") text.value = "NUMBER";
}

OptionText describe(const CLI::Option& option) {
  OptionText text;
  for (const std::string& name : option.get_snames()) text.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) text.names.push_back("--" + name);
  text.help = option.get_description();
  text.preset = option.get_default_str();
  text.is_required = option.get_required();
  text.is_repeatable =
      option.get_items_expected_max() > 1 || option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
  if (option.get_type_size_max() != 0) read_type(text, option.get_type_name());
  if (text.is_positional() && (text.value.empty() || text.value == "TEXT" || text.value == "WORD")) {
    text.value = option.get_name();
    std::ranges::transform(text.value, text.value.begin(), [](unsigned char c) { return std::toupper(c); });
  }
  for (const CLI::Option* other : option.get_excludes()) text.help += fmt::format("; not with {}", other->get_name());
  return text;
}

// What an empty group hides from people is not in it.
CommandText describe(const CLI::App& app) {
  CommandText text{app.get_name(), app.get_description(), {}, {}};
  for (const CLI::Option* option : app.get_options())
    if (!option->get_group().empty()) text.options.push_back(describe(*option));
  for (const CLI::App* below : app.get_subcommands([](const CLI::App*) { return true; })) {
    CommandText described = describe(*below);
    if (below->get_name().empty())  // a group of options
      std::ranges::move(described.options, std::back_inserter(text.options));
    else if (!below->get_group().empty())
      text.commands.push_back(std::move(described));
  }
  return text;
}

// A formatter is inherited only by what is added after it.
void set_help(CLI::App& app, const std::function<std::string(const CLI::App*, std::string, CLI::AppFormatMode)>& help) {
  app.formatter_fn(help);
  for (CLI::App* const below : app.get_subcommands([](CLI::App*) { return true; })) set_help(*below, help);
}

std::string path_of(const CLI::App* app) {
  return app->get_parent() == nullptr ? app->get_name() : path_of(app->get_parent()) + " " + app->get_name();
}

void write_pages(const CommandText& program, const std::string& directory) {
  const auto write = [&](const std::string& title, const std::string& page) {
    std::ofstream file(std::filesystem::path(directory) / (title + ".1"));
    file << page << std::flush;
    if (!file) throw Trouble(fmt::format("cannot write {}.1 in {}", title, directory));
  };
  std::error_code ignored;  // a directory that cannot be made cannot be written into either
  std::filesystem::create_directories(directory, ignored);
  write("adieu", man_page(program, ""));
  for (const CommandText& command : program.commands) write("adieu-" + command.name, man_page(program, command.name));
}

void add_what_tells(CLI::App& app) {
  const auto shell = std::make_shared<std::string>();
  CLI::App* const completion = app.add_subcommand("completion", "print a completion script for a shell");
  completion->add_option("shell", *shell, "for which shell")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->callback([&app, shell] { fmt::print("{}", completion_script(describe(app), *shell)); });

  const auto name = std::make_shared<std::string>();
  const auto into = std::make_shared<std::string>();
  CLI::App* const man = app.add_subcommand("man", "print a manual page");
  man->add_option("command", *name, "of which command (default: of adieu itself)")->type_name("COMMAND");
  man->add_option("--into", *into, "write every page into this directory instead")->type_name("DIR");
  man->callback([&app, name, into] {
    const CommandText program = describe(app);
    if (!into->empty()) return write_pages(program, *into);
    const std::string page = man_page(program, *name);
    if (page.empty())
      throw Trouble(fmt::format("there is no command `{}`; see `adieu --help`", host::printable(*name)));
    fmt::print("{}", page);
  });
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
  add_no_bpf_flag(*kernel, kernel_command->no_bpf);
  add_run_dir_flag(*control, control_command->run_dir);
  for (CLI::App* const hidden : {engine, kernel, control}) {
    hidden->group("");
    add_verbose_flag(*hidden);
  }
  add_engine_flags(*engine, engine_command->engine);
  add_sweep_flag(*kernel, kernel_command->sweep);
  control->add_option("--policy", control_command->control.policy_file, "the policy's file");
  control->add_option("--policy-text", control_command->control.policy_text, "a policy without a file");
  add_sweep_flag(*control, control_command->control.sweep);
  add_ledger_flags(*control, control_command->control.ledger_file, control_command->control.ledger);
  add_http_flags(*control, control_command->control);
}

}  // namespace

int run_command_line(int argc, char** argv) {
  CLI::App app("TCP whose connections end for a reason, never because a clock ran out.", "adieu");
  app.set_version_flag("--version", std::string("adieu ") + kVersion);
  OverviewCommand overview;
  add_run_dir_flag(app, overview.run_dir);
  app.add_flag("--all", overview.all, "every group, however many there are");
  app.add_flag("--json", overview.json, "one JSON object a line, a group each");
  add_what_people_call(app);
  add_log(app);
  add_policy(app);
  add_what_people_command(app);
  add_story(app);
  add_lab(app);
  add_what_tells(app);
  add_what_up_starts(app);
  const auto help = [](const CLI::App* shown, std::string, CLI::AppFormatMode) {
    return help_text(describe(*shown), path_of(shown));
  };
  set_help(app, help);
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RuntimeError& error) {
    return error.get_exit_code();
  } catch (const CLI::Success& wanted) {  // --help, --version
    return app.exit(wanted);
  } catch (const CLI::ParseError& error) {
    const auto asked = app.get_subcommands();
    throw Trouble(fmt::format("{}; see `adieu {}--help`", host::printable(error.what()),
                              asked.empty() ? "" : asked.front()->get_name() + " "));
  }
  if (app.get_subcommands().empty()) run_overview(overview);
  return 0;
}

}  // namespace adieu::cli
