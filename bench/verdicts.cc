// Days of long connections under adieu's control plane, and the same days under the timers of Linux and FreeBSD.
//
// What lives here: which days, the table, the figures. What does not: the days themselves (sim/day.h).
//
// usage: verdicts [--quick] [--json FILE] [--worlds N] [--first N] [--only NAME] [--loss PERMILLE]
//   --quick     seconds instead of minutes: one world a cell, a few connections, four hours
//   --worlds N  days a cell (default 9), each of 50 connections at a time
//   --first N   the first of them (default 0): two runs of different days may be added up
//   --only      one row's name, e.g. "peer sleeps"; --loss, its loss
// Exit status: 0 measured, whatever was found; 1 a checker of the simulation found a fault; 2 wrong arguments.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sim/day.h"

namespace {

using namespace adieu;
using namespace adieu::sim;

constexpr Befalls kRows[] = {Befalls::Nothing, Befalls::Nat,     Befalls::NatRestarts, Befalls::Hung,
                             Befalls::Sleeps,  Befalls::Reboots, Befalls::Vanishes};
constexpr int kLossPermille[] = {0, 10, 50, 300};
constexpr Keeper kKeepers[] = {Keeper::Control, Keeper::Linux, Keeper::FreeBsd};

struct Arguments {
  bool quick = false;
  unsigned worlds = 9;
  unsigned first = 0;
  std::string json;
  std::string only;
  int loss = -1;
};

const char* name_of(Keeper keeper) {
  switch (keeper) {
    case Keeper::Control: return "adieu";
    case Keeper::Linux: return "linux";
    case Keeper::FreeBsd: return "freebsd-like";
  }
  return "?";
}

// "2m13s"
std::string span(Duration d) {
  const auto s = static_cast<long>(d.seconds() + 0.5);
  if (s < 100) return fmt::format("{}s", s);
  return s < 6000 ? fmt::format("{}m{:02}s", s / 60, s % 60) : fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
}

Duration middle(const std::vector<Duration>& sorted) { return sorted.empty() ? Duration{} : sorted[sorted.size() / 2]; }

// Median and longest time to reclaim.
std::string reclaim(const Tally& t) {
  return t.reclaim.empty() ? "-" : span(middle(t.reclaim)) + " " + span(t.reclaim.back());
}

double hourly(const Tally& t) { return t.days == 0 ? 0 : static_cast<double>(t.probes) / t.days / 24; }

struct Cell {
  Befalls what;
  int loss = 0;
  Tally by[3];  // as kKeepers
};

Cell measure(const Arguments& arguments, Befalls what, int loss) {
  Cell cell{.what = what, .loss = loss, .by = {}};
  for (unsigned k = 0; k < 3; ++k) {
    for (unsigned world = 0; world < arguments.worlds; ++world) {
      DayPlan day;
      day.what = what;
      day.loss = loss / 1000.0;
      day.seed =
          1 + arguments.first + world + 1000U * static_cast<unsigned>(what) + 100'000U * static_cast<unsigned>(loss);
      day.keeper = kKeepers[k];
      if (arguments.quick) {
        day.connections = 10;
        day.length = hours(6);
      }
      cell.by[k].add(run_day(day));
    }
    std::ranges::sort(cell.by[k].reclaim);
  }
  return cell;
}

void print_head() {
  fmt::print("{:<13}{:>5} |{:^54} |{:^35} |{:^35}\n", "", "loss", "adieu", "linux timers", "freebsd-like timers");
  fmt::print("{:<13}{:>5} |{:>7}{:>6}{:>6}{:>9}{:>14}{:>5}{:>7} |{:>7}{:>6}{:>6}{:>15} |{:>7}{:>6}{:>6}{:>15}\n",
             "what befalls", "%", "conn-d", "false", "rule", "kept", "reclaim", "late", "asks/h", "killed", "rule",
             "kept", "reclaim", "killed", "rule", "kept", "reclaim");
}

void print(const Cell& cell) {
  const Tally& a = cell.by[0];
  fmt::print(
      "{:<13}{:>5} |{:>7.0f}{:>6}{:>6}{:>9}{:>14}{:>5}{:>7.1f}", name(cell.what), cell.loss / 10, a.days,
      a.false_deaths, a.by_rule,
      a.kept_unasked > 0 ? fmt::format("{}+{}n", a.kept - a.kept_unasked, a.kept_unasked) : std::to_string(a.kept),
      reclaim(a), a.late, hourly(a));
  for (const unsigned k : {1U, 2U}) {
    const Tally& t = cell.by[k];
    fmt::print(" |{:>7}{:>6}{:>6}{:>15}", t.false_deaths, t.by_rule, t.kept, reclaim(t));
  }
  fmt::print("\n");
  std::fflush(stdout);
}

nlohmann::json json_of(const Tally& t) {
  return {{"connections", t.connections},
          {"connection_days", t.days},
          {"probes", t.probes},
          {"packets", t.packets},
          {"false_deaths", t.false_deaths},
          {"false_deaths_by_reset", t.by_reset},
          {"false_deaths_by_reset_of_own_question", t.by_own_question},
          {"dead_by_rule", t.by_rule},
          {"bereaved", t.bereaved},
          {"dead_kept", t.kept},
          {"dead_kept_unasked", t.kept_unasked},
          {"reclaim_median_s", middle(t.reclaim).seconds()},
          {"reclaim_longest_s", t.reclaim.empty() ? 0 : t.reclaim.back().seconds()},
          {"late", t.late},
          {"found", t.found}};
}

void write(const std::string& path, const std::vector<Cell>& cells, const Tally& all) {
  nlohmann::json out;
  for (const Cell& cell : cells) {
    nlohmann::json row{{"befalls", name(cell.what)}, {"loss_permille", cell.loss}};
    for (unsigned k = 0; k < 3; ++k) row[name_of(kKeepers[k])] = json_of(cell.by[k]);
    out["cells"].push_back(row);
  }
  out["verdicts"] = json_of(all);
  std::ofstream(path) << out.dump(1) << "\n";
}

constexpr const char* kLegend = R"(
conn-d   days of connections, while both ends were there
false    connections that ended although the peer was there and could be reached within the rule's span; with the
         timers: killed
rule     dead by rule: the peer was there, but could not be reached for longer
kept     ends whose peer is no more, still there when the day was over; +Nn: whom the rule does not ask (idle
         ESTABLISHED connections; RFC 9293 section 3.8.4, MUST-25)
reclaim  of the other such ends: median and longest time until they ended
late     ends later than their rule's bound
asks/h   questions a connection-hour
)";

int run(const Arguments& arguments) {
  std::vector<Cell> cells;
  Tally all;
  double at_thirty = 0;
  print_head();
  for (const Befalls what : kRows) {
    for (const int loss : kLossPermille) {
      if (!arguments.only.empty() && arguments.only != name(what)) continue;
      if (arguments.loss >= 0 && arguments.loss != loss) continue;
      cells.push_back(measure(arguments, what, loss));
      print(cells.back());
      const Tally& adieu = cells.back().by[0];
      all.add(adieu);
      if (loss == 300) at_thirty += adieu.days;
    }
  }
  fmt::print("{}", kLegend);
  for (const std::string& text : all.found) fmt::print("found: {}\n", text);
  bool is_sound = true;
  for (const Cell& cell : cells) {
    for (const Tally& tally : cell.by) {
      for (const Violation& violation : tally.violations) {
        // Counted above, as false deaths.
        if (violation.checker == "living") continue;
        fmt::print("FAULT: {}, loss {}: {}\n", name(cell.what), cell.loss, describe(violation));
        is_sound = false;
      }
    }
  }
  std::ranges::sort(all.reclaim);
  if (!arguments.json.empty()) write(arguments.json, cells, all);
  fmt::print("\nverdicts.connection_days = {:.0f} days\n", all.days);
  fmt::print("verdicts.connection_days_at_30_percent_loss = {:.0f} days\n", at_thirty);
  fmt::print("verdicts.false_deaths = {} connections\n", all.false_deaths);
  fmt::print("verdicts.false_deaths_by_reset_to_own_question = {} connections\n", all.by_own_question);
  fmt::print("verdicts.late = {} verdicts\n", all.late);
  if (all.slack != Duration::max()) fmt::print("verdicts.least_time_to_bound = {:.1f} s\n", all.slack.seconds());
  fmt::print("verdicts.probes_per_connection_hour = {:.1f} probes\n", hourly(all));
  return is_sound ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  Arguments arguments;
  CLI::App app("days of long connections under adieu's control plane, and under the timers of other stacks");
  app.add_flag("--quick", arguments.quick, "seconds instead of minutes");
  app.add_option("--worlds", arguments.worlds, "days a cell")->check(CLI::Range(1, 10'000));
  app.add_option("--first", arguments.first, "the first day's number")->check(CLI::Range(0, 900));
  app.add_option("--json", arguments.json, "where the results go");
  app.add_option("--only", arguments.only, "one row's name");
  app.add_option("--loss", arguments.loss, "one loss, in permille");
  try {
    app.parse(count, words);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (arguments.quick) arguments.worlds = 1;
  return run(arguments);
}
