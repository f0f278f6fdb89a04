// Man pages in roff: names, synopsis and options from the command line's own description, prose from man_prose.cc.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cli/command.h"
#include "cli/description.h"

namespace adieu::cli {
namespace {

// Plain text in roff: a dash that can be copied, no line that looks like a request.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool starts = out.empty() || out.back() == '\n';
    if (starts && (c == '.' || c == '\'')) out += "\\&";
    if (c == '-')
      out += "\\-";
    else if (c == '\\')
      out += "\\e";
    else if (c == '`')
      out += "\\(ga";
    else if (c == '\'')
      out += "\\(aq";
    else if (c == '^')
      out += "\\(ha";
    else if (c == '~')
      out += "\\(ti";
    else
      out += c;
  }
  return out;
}

std::string with_capital(std::string_view text) {
  std::string out(text);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 'a' + 'A');
  return out;
}

void add_options(std::string& page, const CommandText& command) {
  for (const OptionText& option : command.options) {
    page += ".TP\n";
    std::string head;
    for (const std::string& name : option.names)
      head += fmt::format("{}\\fB{}\\fR", head.empty() ? "" : ", ", roff(name));
    if (!option.value.empty()) head += fmt::format("{}\\fI{}\\fR", head.empty() ? "" : " ", roff(option.value));
    page += head + "\n" + roff(with_capital(option.help));
    if (!option.choices.empty())
      page += fmt::format("; one of {}", roff(fmt::format("{}", fmt::join(option.choices, ", "))));
    page += ".\n";
    if (!option.preset.empty()) page += fmt::format("Default: {}.\n", roff(option.preset));
  }
}

void add_prose(std::string& page, std::string_view prose) {
  bool literal = false, needs_paragraph = false;
  const auto end_literal = [&] {
    if (std::exchange(literal, false)) page += ".fi\n.RE\n";
  };
  while (!prose.empty()) {
    const std::size_t end = std::min(prose.find('\n'), prose.size());
    const std::string_view line = prose.substr(0, end);
    prose.remove_prefix(std::min(end + 1, prose.size()));
    if (line.starts_with("# ")) {
      end_literal();
      page += fmt::format(".SH {}\n", roff(line.substr(2)));
      needs_paragraph = false;
    } else if (line.empty()) {
      needs_paragraph = true;
    } else if (line.starts_with("    ")) {
      if (!std::exchange(literal, true)) page += ".RS 4\n.nf\n";
      page += roff(line.substr(4)) + "\n";
      needs_paragraph = false;
    } else {
      end_literal();
      if (std::exchange(needs_paragraph, false)) page += ".PP\n";
      page += roff(line) + "\n";
    }
  }
  end_literal();
}

std::string page_of(const CommandText& command, const std::string& title, const std::string& path,
                    const CommandText& program) {
  std::string upper = title;
  std::ranges::transform(upper, upper.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  std::string page = fmt::format(".TH {} 1 \"\" \"adieu {}\" \"adieu\"\n", roff(upper), kVersion);
  page += fmt::format(".SH NAME\n{} \\- {}\n", roff(title), roff(command.help));
  page += fmt::format(".SH SYNOPSIS\n\\fB{}\\fR{}\n", roff(path), roff(usage(command, "")));
  page += ".SH DESCRIPTION\n";
  const std::string_view prose = prose_of(&command == &program ? "adieu" : command.name);
  // What stands before the first heading describes; headings come after the options.
  const std::size_t headings = std::min(prose.find("# "), prose.size());
  if (headings == 0) page += roff(with_capital(command.help)) + ".\n";
  add_prose(page, prose.substr(0, headings));
  if (!command.options.empty()) page += ".SH OPTIONS\n";
  add_options(page, command);
  if (!command.commands.empty()) page += ".SH COMMANDS\n";
  for (const CommandText& below : command.commands) {
    page += fmt::format(".TP\n\\fB{} {}\\fR\n{}.\n", roff(path), roff(below.name), roff(with_capital(below.help)));
    if (&command == &program) continue;
    page += ".RS\n";
    add_options(page, below);
    page += ".RE\n";
  }
  add_prose(page, prose.substr(headings));
  page += ".SH SEE ALSO\n";
  std::string also = title == "adieu" ? "" : "\\fBadieu\\fR(1), ";
  for (const CommandText& one : program.commands)
    if (&one != &command) also += fmt::format("\\fB{}\\fR(1), ", roff("adieu-" + one.name));
  return page + also + "\\fBss\\fR(8)\n";
}

}  // namespace

std::string man_page(const CommandText& program, std::string_view name) {
  if (name.empty()) return page_of(program, "adieu", "adieu", program);
  for (const CommandText& command : program.commands)
    if (command.name == name)
      return page_of(command, fmt::format("adieu-{}", name), fmt::format("adieu {}", name), program);
  return {};
}

}  // namespace adieu::cli
