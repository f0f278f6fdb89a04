// The subcommands of `adieu`: what each may be told, and the function that does its work.
//
// What lives here: options and run functions, one pair a subcommand, each in a file of its own name. What does not:
// flags (flags.cc alone knows the command line's library). A run function throws Exit to end with a status other than
// 0, and Trouble, which main.cc turns into one line and status 2.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/time.h"
#include "host/api_prospect.h"
#include "host/options.h"

namespace adieu::cli {

inline constexpr const char* kVersion = "0.1.0";
inline constexpr int kChapterCount = 7;

struct Exit {
  int status = 0;
};

// One clear line for the person at the terminal; status 2.
class Trouble : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// `adieu` alone.
struct OverviewCommand {
  std::string run_dir;
  bool all = false;  // more than a screen
  bool json = false;
};
void run_overview(const OverviewCommand& command);

struct UpCommand {
  host::UpOptions options;
  std::vector<std::string> planes;  // "engine", "kernel"; none: both
  bool verbose = false;
};
void run_up(UpCommand& command);

// Of ls, why and watch --once: 0 nothing found, 1 found, 2 trouble, so that a watchdog can ask `adieu ls standing
// gone`.
inline constexpr int kFound = 1;

struct LsCommand {
  std::string run_dir;
  std::vector<std::string> filter;  // words of one text
  std::string sort = "ends";        // one of kOrders (listing.h)
  bool all = false;                 // those that have ended, too
  bool never = false;               // only those that never end by themselves
  bool json = false;
};
void run_ls(const LsCommand& command);

struct WhyCommand {
  std::string run_dir;
  std::vector<std::string> what;  // an ID, or LOCAL and REMOTE
  bool json = false;
};
void run_why(const WhyCommand& command);

struct WatchCommand {
  std::string run_dir;
  std::vector<std::string> filter;
  std::string sort = "ends";
  bool all = false;
  bool never = false;
  bool once = false;
  Duration interval = seconds(1);
};
void run_watch(const WatchCommand& command);

inline constexpr unsigned kLogLimit = 100;  // where nobody sets one
struct LogCommand {
  std::string run_dir;
  std::vector<std::string> what;  // an ID, or LOCAL and REMOTE; none: everything
  std::vector<std::string> kinds;
  Duration since;  // 0: whenever
  std::optional<unsigned> limit;
  bool follow = false;
  bool json = false;
};
void run_log(const LogCommand& command);

struct PolicyCheckCommand {
  std::string file;
};
void run_policy_check(const PolicyCheckCommand& command);

struct PolicyShowCommand {
  std::string run_dir;
  std::string file;  // instead of what is in force
};
void run_policy_show(const PolicyShowCommand& command);

struct PolicyTryCommand {
  std::string run_dir;
  std::string file;
};
void run_policy_try(const PolicyTryCommand& command);

struct ProbeCommand {
  std::string run_dir;
  std::vector<std::string> what;  // an ID, or LOCAL and REMOTE
  Duration wait = seconds(3);
  bool json = false;
};
void run_probe(const ProbeCommand& command);

struct EndCommand {
  std::string run_dir;
  std::vector<std::string> what;  // IDs, LOCAL and REMOTE, or the words of a filter
  host::EndOrder how;
  bool dry_run = false;
  bool all = false;  // of a dry run: each by itself
  bool yes = false;
  bool json = false;
};
void run_end(const EndCommand& command);

struct StoryCommand {
  std::vector<int> chapters;  // none: all
  std::string json;
  std::string program;
  std::string scripts;
  std::string natives;
  unsigned at_a_time = 4;
  bool keep_output = false;
  bool default_timers = false;  // the long form of a chapter
  Duration idle = minutes(10);  // its silence
};
void run_story(const StoryCommand& command);

// 0: every experiment ran; 1: something was skipped; 2: an experiment failed.
struct LabCommand {
  std::vector<std::string> names;  // or how they begin; none: all
  bool list = false;
  bool json = false;
  bool markdown = false;
  bool quick = false;
};
void run_lab(const LabCommand& command);

// Hidden: what `adieu up` starts.
struct EngineCommand {
  std::string run_dir;
  host::EngineOptions engine;
};
struct KernelCommand {
  std::string run_dir;
  Duration sweep = seconds(1);
  std::vector<std::string> no_bpf;
};
struct ControlCommand {
  std::string run_dir;
  host::ControlOptions control;
};
void run_engine(const EngineCommand& command);
void run_kernel(const KernelCommand& command);
void run_control(const ControlCommand& command);

// Reads the command line and runs what it asks for; returns the exit status. Throws Exit and Trouble.
int run_command_line(int argc, char** argv);

}  // namespace adieu::cli
