// Usage and help.
#include "cli/description.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <utility>

namespace adieu::cli {
namespace {

constexpr std::size_t kWidth = 100;
constexpr std::size_t kHelpColumn = 30;

std::string wrapped(std::string_view text, std::size_t indent) {
  std::string out;
  std::size_t column = indent;
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    if (column > indent && column + 1 + word.size() > kWidth) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    }
    if (column > indent) out += ' ', ++column;
    out += word;
    column += word.size();
  }
  return out;
}

void add_line(std::string& out, const std::string& left, std::string_view help) {
  out += "  " + left;
  if (left.size() + 4 > kHelpColumn)
    out += "\n" + std::string(kHelpColumn, ' ');
  else
    out += std::string(kHelpColumn - 2 - left.size(), ' ');
  out += wrapped(help, kHelpColumn) + "\n";
}

std::string left_of(const OptionText& option) {
  std::string left = fmt::format("{}", fmt::join(option.names, ", "));
  if (option.value.empty()) return left;
  return left.empty() ? option.value : left + " " + option.value;
}

}  // namespace

std::string usage(const CommandText& command, std::string_view path) {
  std::string line(path);
  if (std::ranges::any_of(command.options, [](const OptionText& o) { return !o.is_positional(); }))
    line += " [OPTIONS]";
  for (const OptionText& option : command.options) {
    if (!option.is_positional()) continue;
    const std::string word = option.value + (option.is_repeatable ? "..." : "");
    line += option.is_required ? " " + word : " [" + word + "]";
  }
  if (!command.commands.empty()) line += " [COMMAND]";
  return line;
}

std::string help_text(const CommandText& command, std::string_view path) {
  std::string out = wrapped(command.help, 0) + "\n\nUsage: " + usage(command, path) + "\n";
  const auto section = [&](std::string_view title, bool positional) {
    bool is_first = true;
    for (const OptionText& option : command.options) {
      if (option.is_positional() != positional) continue;
      if (std::exchange(is_first, false)) out += fmt::format("\n{}:\n", title);
      std::string help = option.help;
      if (!option.choices.empty() && option.value.find('|') == std::string::npos)
        help += fmt::format("; one of {}", fmt::join(option.choices, ", "));
      if (!option.preset.empty()) help += fmt::format(" [{}]", option.preset);
      add_line(out, left_of(option), help);
    }
  };
  section("Arguments", true);
  section("Options", false);
  if (!command.commands.empty()) out += "\nCommands:\n";
  for (const CommandText& one : command.commands) add_line(out, one.name, one.help);
  return out;
}

}  // namespace adieu::cli
