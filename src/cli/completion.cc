// Completion for three shells. What does not live here: which words there are (flags.cc).
#include <fmt/format.h>

#include <algorithm>

#include "cli/description.h"
#include "host/view.h"

namespace adieu::cli {
namespace {

// Every command with its path from the program on: " ls", " policy check".
void each_command(const CommandText& command, const std::string& path, const auto& visit) {
  visit(command, path);
  for (const CommandText& below : command.commands) each_command(below, path + " " + below.name, visit);
}

bool takes_filter(const CommandText& command) {
  for (const OptionText& option : command.options)
    if (option.is_positional() && option.value.find("FILTER") != std::string::npos) return true;
  return false;
}

// Its values, each once; those of `state` have many spellings.
std::string values_of(const control::FilterWord& word) {
  std::string all;
  for (std::size_t i = 0; i < word.values.size(); ++i) {
    const auto is_same = [&](const control::FilterValue& other) { return other.number == word.values[i].number; };
    if (std::any_of(word.values.begin(), word.values.begin() + static_cast<std::ptrdiff_t>(i), is_same)) continue;
    all += fmt::format("{}{}", all.empty() ? "" : " ", word.values[i].name);
  }
  return all;
}

void each_filter_word(const auto& visit) {
  for (std::size_t i = 0; const auto word = control::filter_word(i); ++i) visit(*word);
}
std::string filter_words() {
  std::string all = "and or not";
  each_filter_word([&](const control::FilterWord& word) { all += fmt::format(" {}", word.name); });
  return all;
}

std::string words_of(const CommandText& command) {
  std::string words;
  for (const OptionText& option : command.options) {
    for (const std::string& name : option.names) words += name + " ";
    if (option.is_positional()) words += fmt::format("{} ", fmt::join(option.choices, " "));
  }
  for (const CommandText& below : command.commands) words += below.name + " ";
  if (takes_filter(command)) words += filter_words();
  while (words.ends_with(' ')) words.pop_back();
  return words;
}

// A positional that names connections: their IDs are asked of `adieu ls`.
bool wants_id(const CommandText& command) {
  for (const OptionText& option : command.options)
    if (option.is_positional() && option.value.starts_with("CONNECTION")) return true;
  return false;
}
bool wants_file(const OptionText& option) { return option.value == "FILE" || option.value == "DIR"; }

constexpr std::string_view kIds = R"sh(adieu ls --json 2>/dev/null | sed -n 's/^{"id":"\([^"]*\)".*/\1/p')sh";

std::string bash(const CommandText& program) {
  std::string paths, values, words;
  each_command(program, "", [&](const CommandText& command, const std::string& path) {
    if (!path.empty()) paths += fmt::format("{}'{}'", paths.empty() ? "" : "|", path);
    for (const OptionText& option : command.options) {
      if (option.is_positional() || option.value.empty()) continue;
      std::string names;
      for (const std::string& name : option.names)
        names += fmt::format("{}'{} {}'", names.empty() ? "" : "|", path, name);
      std::string reply = "COMPREPLY=()";
      if (!option.choices.empty())
        reply = fmt::format("COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", fmt::join(option.choices, " "));
      else if (wants_file(option))
        reply = "COMPREPLY=($(compgen -f -- \"$cur\"))";
      values += fmt::format("    {}) {}; return ;;\n", names, reply);
    }
    if (takes_filter(command))
      each_filter_word([&](const control::FilterWord& word) {
        if (!word.values.empty())
          values += fmt::format("    '{} {}') COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return ;;\n", path, word.name,
                                values_of(word));
      });
    words += fmt::format("    '{}') words='{}' ;;\n", path, words_of(command));
    if (wants_id(command)) words.insert(words.size() - 4, fmt::format("; [[ $cur == -* ]] || words+=\" $({})\"", kIds));
  });
  return fmt::format(R"(# Completion of adieu for bash. Made by `adieu completion bash`.
_adieu() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} path='' words='' i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$path ${{COMP_WORDS[i]}}" in
      {}) path+=" ${{COMP_WORDS[i]}}" ;;
    esac
  done
  [[ $prev == = || $prev == '!=' ]] && prev=${{COMP_WORDS[COMP_CWORD-2]}}
  case "$path $prev" in
{}  esac
  case "$path" in
{}  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -F _adieu adieu
)",
                     paths, values, words);
}

// Inside '...' of zsh and fish, and inside the [...] of zsh's _arguments.
std::string quoted(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '\'')
      safe += "'\\''";
    else if (c == '[' || c == ']' || c == ':')
      safe += std::string("\\") + c;
    else
      safe += c;
  }
  return safe;
}

// _adieu_filter of zsh: what may follow the word before.
std::string zsh_filter() {
  std::string cases;
  each_filter_word([&](const control::FilterWord& word) {
    if (!word.values.empty()) cases += fmt::format("    {}) compadd -- {} ;;\n", word.name, values_of(word));
  });
  return fmt::format(R"(_adieu_filter() {{
  local before=$words[CURRENT-1]
  [[ $before == = || $before == '!=' ]] && before=$words[CURRENT-2]
  case $before in
{}    *) compadd -- {} ;;
  esac
}}
)",
                     cases, filter_words());
}

std::string zsh_argument(const OptionText& option) {
  std::string action;
  if (!option.choices.empty())
    action = fmt::format("({})", fmt::join(option.choices, " "));
  else if (wants_file(option))
    action = "_files";
  else if (option.is_positional() && option.value.starts_with("CONNECTION"))
    action = "{compadd -- ${(f)\"$(adieu ls --json 2>/dev/null | cut -d\\\" -f4)\"}}";
  if (option.is_positional() && option.value == "FILTER") action = "_adieu_filter";
  if (option.is_positional() && option.value == "CONNECTION|FILTER") action.insert(1, "_adieu_filter; ");
  if (option.is_positional()) return fmt::format(" \\\n        '*:{}:{}'", quoted(option.help), action);
  std::string lines;
  for (const std::string& name : option.names)
    lines += fmt::format(" \\\n        '{}{}[{}]{}'", option.is_repeatable ? "*" : "", name, quoted(option.help),
                         option.value.empty() ? "" : fmt::format(":{}:{}", option.value, action));
  return lines;
}

std::string zsh(const CommandText& program) {
  std::string described, cases;
  for (const CommandText& command : program.commands) {
    described += fmt::format("    '{}:{}'\n", command.name, quoted(command.help));
    std::string arguments;
    for (const OptionText& option : command.options) arguments += zsh_argument(option);
    if (!command.commands.empty()) {
      arguments += " \\\n        '1:command:(";
      for (const CommandText& below : command.commands) arguments += below.name + " ";
      arguments.back() = ')';
      arguments += '\'';
    }
    cases += fmt::format("      {}) _arguments -s{} ;;\n", command.name, arguments);
  }
  std::string own;
  for (const OptionText& option : program.options) own += zsh_argument(option);
  return fmt::format(R"(#compdef adieu
# Completion of adieu for zsh. Made by `adieu completion zsh`.
{}_adieu() {{
  local context state state_descr line
  local -a commands
  commands=(
{}  )
  _arguments -C{} \
        '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      case $line[1] in
{}      esac ;;
  esac
}}
if [[ $funcstack[1] == _adieu ]]; then _adieu "$@"; else compdef _adieu adieu; fi
)",
                     zsh_filter(), described, own, cases);
}

std::string fish_quoted(std::string_view text) {
  std::string safe;
  for (const char c : text) safe += c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return safe;
}

std::string fish_option(const OptionText& option, std::string_view condition) {
  std::string line = fmt::format("complete -c adieu -n '{}'", condition);
  for (const std::string& name : option.names)
    line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (!option.is_positional() && !option.value.empty()) line += wants_file(option) ? " -r -F" : " -x";
  if (!option.choices.empty()) line += fmt::format(" -a '{}'", fmt::join(option.choices, " "));
  return line + fmt::format(" -d '{}'\n", fish_quoted(option.help));
}

std::string fish(const CommandText& program) {
  std::string out = "# Completion of adieu for fish. Made by `adieu completion fish`.\ncomplete -c adieu -f\n";
  for (const OptionText& option : program.options) out += fish_option(option, "__fish_use_subcommand");
  for (const CommandText& command : program.commands) {
    out += fmt::format("complete -c adieu -n __fish_use_subcommand -a {} -d '{}'\n", command.name,
                       fish_quoted(command.help));
    const std::string inside = "__fish_seen_subcommand_from " + command.name;
    for (const OptionText& option : command.options)
      if (!option.is_positional() || !option.choices.empty()) out += fish_option(option, inside);
    for (const CommandText& below : command.commands)
      out += fmt::format("complete -c adieu -n '{}' -a {} -d '{}'\n", inside, below.name, fish_quoted(below.help));
    if (takes_filter(command)) {
      out += fmt::format("complete -c adieu -n '{}' -a '{}'\n", inside, filter_words());
      each_filter_word([&](const control::FilterWord& word) {
        if (!word.values.empty())
          out += fmt::format("complete -c adieu -n '{}; and contains -- (commandline -opc)[-1] {}' -a '{}'\n", inside,
                             word.name, values_of(word));
      });
    }
    if (wants_id(command))
      out += fmt::format(
          "complete -c adieu -n '{}' -a '({})'\n", inside,
          "adieu ls --json 2>/dev/null | string replace -rf \"^.\\\"id\\\":\\\"([^\\\"]*)\\\".*\" \"\\$1\"");
  }
  return out;
}

}  // namespace

std::string completion_script(const CommandText& program, std::string_view shell) {
  if (shell == "zsh") return zsh(program);
  if (shell == "fish") return fish(program);
  return bash(program);
}

}  // namespace adieu::cli
