// `adieu lab`: what is commonly said of TCP, what this kernel does, and what adieu's engine does, side by side.
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "cli/command.h"
#include "host/clock.h"
#include "lab/experiment.h"
#include "lab/trouble.h"
#include "lab/world.h"

namespace adieu::cli {
namespace {

constexpr std::size_t kWidth = 100;
constexpr std::size_t kColumn = 32;  // three of them, and two blanks between

std::string release() {
  utsname kernel{};
  uname(&kernel);
  const std::string release = kernel.release;
  return release.substr(0, release.find('-'));  // what a builder appends says nothing about its TCP
}

std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines(1);
  for (const std::string& word : lab::words(text)) {
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
  }
  return lines;
}

std::string cell_text(const lab::Cell& cell) {
  switch (cell.course) {
    case lab::Course::Measured:
    case lab::Course::NotApplicable: return cell.text;
    case lab::Course::Skipped: return "skipped: " + cell.text;
    case lab::Course::Failed: return "failed: " + cell.text;
  }
  return cell.text;
}

// What was set for both, and what for the engine alone.
std::string what_was_set(const lab::Row& row) {
  std::string engine;
  for (const std::string& one : row.engine.set)
    if (std::ranges::find(row.kernel.set, one) == row.kernel.set.end()) engine += (engine.empty() ? "" : "; ") + one;
  const std::string both = fmt::format("{}", fmt::join(row.kernel.set, "; "));
  return both + (both.empty() || engine.empty() ? "" : "; ") + (engine.empty() ? "" : "for the engine: " + engine);
}

std::string coloured(std::string_view text, const char* code, bool colour) {
  return colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

const char* colour_of(std::string_view verdict) {
  return verdict == "as said" ? "32" : verdict == "not as said" ? "33" : "31";
}

void print_columns(const std::array<std::vector<std::string>, 3>& columns) {
  const std::size_t lines = std::ranges::max({columns[0].size(), columns[1].size(), columns[2].size()});
  for (std::size_t i = 0; i < lines; ++i) {
    std::string line;
    for (const auto& column : columns) line += fmt::format("{:<{}}", i < column.size() ? column[i] : "", kColumn + 2);
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

void print_head(bool colour) {
  const std::string kernel = fmt::format("this kernel ({})", release());
  print_columns({wrapped("what is said", kColumn), wrapped(kernel, kColumn), wrapped("adieu's engine", kColumn)});
  fmt::print("{}\n", coloured(std::string(kWidth - 2, '='), "2", colour));
}

void print_row(const lab::Row& row, bool colour) {
  const std::string_view verdict = lab::verdict(row);
  const std::string_view name = row.experiment->name;
  fmt::print("{}{}{}\n", coloured(name, "1", colour), std::string(kWidth - 2 - name.size() - verdict.size(), ' '),
             coloured(verdict, colour_of(verdict), colour));
  print_columns({wrapped(fmt::format("{} [{}]", row.experiment->said, row.experiment->source), kColumn),
                 wrapped(cell_text(row.kernel), kColumn), wrapped(cell_text(row.engine), kColumn)});
  if (const std::string set = what_was_set(row); !set.empty())
    for (const std::string& line : wrapped("set: " + set, kWidth - 2)) fmt::print("{}\n", coloured(line, "2", colour));
  fmt::print("\n");
  std::fflush(stdout);
}

// --- Markdown

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|' || c == '*' || c == '_' || c == '<') result += '\\';
    result += c;
  }
  return result;
}

void print_markdown(const std::vector<lab::Row>& rows) {
  fmt::print(
      "# What `adieu lab` found\n\n"
      "Made by `adieu lab --markdown > docs/lab.md`, on Linux {}. What is commonly said of TCP, what this kernel does, "
      "and "
      "what adieu's engine does: each measured in network namespaces of its own, with what was set there. Try your own "
      "kernel: `adieu lab`, or `adieu lab --json` for programs: a line each with name, said, source, "
      "verdict and release, and for kernel and engine course (measured, not applicable, skipped, failed), text, "
      "as_said, "
      "figures (a time of -1: it did not happen), set and seconds.\n\n"
      "| experiment | on this kernel |\n|---|---|\n",
      release());
  for (const lab::Row& row : rows) fmt::print("| [{0}](#{0}) | {1} |\n", row.experiment->name, lab::verdict(row));
  for (const lab::Row& row : rows) {
    const std::string set = what_was_set(row);
    fmt::print("\n## {}\n\n{} ({}). **{}.**\n\n| Linux | adieu's engine |\n|---|---|\n| {} | {} |\n",
               row.experiment->name, escaped(row.experiment->said), escaped(row.experiment->source), lab::verdict(row),
               escaped(cell_text(row.kernel)), escaped(cell_text(row.engine)));
    if (!set.empty()) fmt::print("\nSet: {}.\n", escaped(set));
  }
}

// --- all of it

std::vector<const lab::Experiment*> chosen(const std::vector<std::string>& names) {
  std::vector<const lab::Experiment*> result;
  for (const lab::Experiment& one : lab::all_experiments())
    if (names.empty() || std::ranges::any_of(names, [&](const auto& name) { return one.name.starts_with(name); }))
      result.push_back(&one);
  for (const std::string& name : names)
    if (std::ranges::none_of(lab::all_experiments(), [&](const auto& one) { return one.name.starts_with(name); }))
      throw Trouble(fmt::format("there is no experiment `{}`; see `adieu lab --list`", name));
  return result;
}

void list() {
  std::size_t widest = 0;
  for (const lab::Experiment& one : lab::all_experiments()) widest = std::max(widest, one.name.size());
  for (const lab::Experiment& one : lab::all_experiments()) {
    const auto lines = wrapped(one.said, kWidth - widest - 2);
    for (std::size_t i = 0; i < lines.size(); ++i) fmt::print("{:<{}}  {}\n", i == 0 ? one.name : "", widest, lines[i]);
  }
}

// Without these nothing can be tried; what single experiments lack is told in their rows.
std::string missing() {
  if (const std::string reason = lab::why_no_world(); !reason.empty()) return reason;
  if (std::system("command -v ip >/dev/null") != 0) return "ip is not installed (Debian: apt-get install iproute2)";
  return {};
}

struct Tally {
  std::size_t as_said = 0;
  std::size_t not_as_said = 0;
  std::size_t skipped = 0;
  std::size_t failed = 0;

  void add(const lab::Row& row) {
    const auto is = [&](lab::Course course) { return row.kernel.course == course || row.engine.course == course; };
    if (row.kernel.course == lab::Course::Measured) ++(row.kernel.as_said ? as_said : not_as_said);
    if (is(lab::Course::Failed)) ++failed;
    if (is(lab::Course::Skipped)) ++skipped;
  }
  int status() const { return failed > 0 ? 2 : skipped > 0 ? 1 : 0; }
};

int run(const LabCommand& command) {
  const auto experiments = chosen(command.names);
  // ip and nft live in /usr/sbin, which an ordinary user's PATH often lacks.
  const char* const path = std::getenv("PATH");
  setenv("PATH", fmt::format("/usr/sbin:/usr/bin:/sbin:/bin:{}", path != nullptr ? path : "").c_str(), 1);
  std::signal(SIGPIPE, SIG_IGN);
  if (const std::string lacking = missing(); !lacking.empty()) throw Trouble(lacking);
  lab::RunSettings settings;
  settings.quick = command.quick;
  settings.program = std::filesystem::read_symlink("/proc/self/exe").string();
  const bool for_people = !command.json && !command.markdown;
  const bool colour = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  if (for_people) print_head(colour);
  const Instant start = host::now();
  Tally tally;
  std::vector<lab::Row> rows;
  lab::run_experiments(experiments, settings, [&](const lab::Row& row) {
    tally.add(row);
    if (command.json)
      fmt::print("{}\n", lab::json_line(row));
    else if (command.markdown)
      rows.push_back(row);
    else
      print_row(row, colour);
    std::fflush(stdout);
  });
  if (command.markdown) print_markdown(rows);
  if (for_people)
    fmt::print("{} as said, {} not as said, {} skipped, {} failed; {:.0f} s.\n", tally.as_said, tally.not_as_said,
               tally.skipped, tally.failed, (host::now() - start).seconds());
  return tally.status();
}

}  // namespace

void run_lab(const LabCommand& command) {
  if (command.list) return list();
  try {
    if (const int status = run(command); status != 0) throw Exit{status};
  } catch (const lab::Trouble& trouble) {
    throw Trouble(trouble.what());
  }
}

}  // namespace adieu::cli
