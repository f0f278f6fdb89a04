// What the command line is, as data: from it come --help, shell completion and the man pages, so that none of them can
// know of a flag that the others do not.
//
// What lives here: CommandText, made from the one App tree (flags.cc), and the texts made from it. What does not: prose
// of man pages (man_prose.cc).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace adieu::cli {

struct OptionText {
  std::vector<std::string> names;  // with their dashes; empty for what stands by its place
  std::string value;               // "DURATION"; empty: it takes none
  std::string help;
  std::string preset;                // what it is when it is not given; empty: nothing worth telling
  std::vector<std::string> choices;  // all the values there are; empty: any
  bool is_required = false;
  bool is_repeatable = false;

  bool is_positional() const { return names.empty(); }
};

struct CommandText {
  std::string name;  // "ls"
  std::string help;
  std::vector<OptionText> options;
  std::vector<CommandText> commands;
};

std::string usage(const CommandText& command, std::string_view path);  // path: "adieu ls"
std::string help_text(const CommandText& command, std::string_view path);
// "bash", "zsh" or "fish".
std::string completion_script(const CommandText& program, std::string_view shell);
// In roff. Of the program itself if `name` is empty; empty: there is no such command.
std::string man_page(const CommandText& program, std::string_view name);
// What a man page says beyond options: paragraphs between blank lines, "# HEADING", four blanks before what is to stay
// as it is. Empty: nothing.
std::string_view prose_of(std::string_view command);

}  // namespace adieu::cli
