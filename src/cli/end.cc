// `adieu end`: has connections ended by the control plane, or says what that would mean.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <iostream>
#include <span>
#include <tuple>

#include "cli/command.h"
#include "cli/named.h"
#include "host/api_client.h"
#include "host/text.h"
#include "host/view.h"

namespace adieu::cli {
namespace {

// What became of what was named or matched.
struct Tally {
  unsigned done = 0;  // by us, or by itself in the meantime
  bool failed = false;
};

bool are_named(const EndCommand& command) {
  return std::ranges::all_of(command.what, [](const std::string& word) { return host::parse_id(word).has_value(); });
}

// The words as one filter: LOCAL REMOTE is the connection between them.
std::string filter_of(const std::vector<std::string>& what) {
  if (const auto ends = parse_ends(what))
    return fmt::format("src {} and dst {}", host::text(ends->first), host::text(ends->second));
  return fmt::format("{}", fmt::join(what, " "));
}

// Of those that a filter asks what nobody knows of them: the answer is not that they do not match.
void tell_unsure(std::uint64_t unsure, const std::string& filter) {
  fmt::print(stderr, "{} more may match: what the filter asks of them is not known\n", unsure);
  const auto parsed = host::parse_filter({filter});
  if (parsed && parsed->needs_past())
    fmt::print(stderr, "(age and eof are not known of connections older than `adieu up`: ask for `idle > ...`)\n");
}

// What is named or matched, and has not ended.
std::vector<std::string> chosen(const EndCommand& command, const host::ApiClient& api) {
  if (are_named(command)) return command.what;
  const std::string filter = filter_of(command.what);
  if (filter.empty()) throw Trouble("name a connection or a filter: to end everything is never meant");
  // First by itself, so that what is wrong with it is said of what was written.
  if (const auto sound = api.connections(filter); !sound) throw Trouble(sound.error().text);
  const auto found = api.connections(fmt::format("( {} ) and not standing ended", filter));
  if (!found) throw Trouble(found.error().text);
  std::vector<std::string> ids;
  for (const host::ConnectionLine& line : found->connections) ids.push_back(line.id);
  if (found->unsure > 0) tell_unsure(found->unsure, filter);
  return ids;
}

// Of an answer that is none: a connection that has ended meanwhile is no trouble, one that was named and is in no table
// was not found.
void tell(const std::string& id, const host::ApiFailure& failure, const EndCommand& command, Tally& tally) {
  const std::string who = host::printable(id);
  // Who does not answer about one answers about none of the rest.
  if (failure.status == 0) throw Trouble(fmt::format("{}: {}", who, failure.text));
  if (failure.is_unknown()) {
    fmt::print(stderr, "adieu: {}\n", failure.text);
    // It was there a moment ago: its plane has started anew, or its slot is another's.
    tally.failed = tally.failed || !are_named(command);
  } else if (failure.has_ended()) {
    fmt::print(command.json ? stderr : stdout, "{}: it had ended before\n", who);
    ++tally.done;
  } else {
    fmt::print(stderr, "adieu: {}: {}\n", who, failure.text);
    tally.failed = true;
  }
}

void print_name(std::FILE* to, const host::ConnectionLine& one) {
  fmt::print(to, "{}   {} -> {}   {}, {}\n", host::printable(one.id), one.local, one.remote, one.state, one.standing);
}

void print_words(std::FILE* to, const host::ProspectLines& prospect) {
  fmt::print(to, "  {:<12} {}\n", prospect.possible ? prospect.how : "nothing", prospect.here);
  if (!prospect.possible) return;
  fmt::print(to, "  {:<12} {}\n  {:<12} {}\n", "application", prospect.application, "peer", prospect.peer);
}

void print(std::FILE* to, const host::ProspectLines& prospect) {
  print_name(to, prospect.connection);
  print_words(to, prospect);
}

// Without what differs from one connection to the next while the same is meant: the descriptor's number, how many
// octets.
std::string in_general(const std::string& words) {
  constexpr std::string_view kDescriptor = "descriptor ", kOctets = " octets";
  std::string out;
  for (std::size_t at = 0; at < words.size();) {
    const std::size_t end = std::min(words.find_first_not_of("0123456789", at), words.size());
    const std::string_view rest = std::string_view(words).substr(end);
    if (end == at)
      out += words[at++];
    else if (out.ends_with(kDescriptor) && rest.starts_with(" of process"))
      out.replace(out.size() - kDescriptor.size(), std::string::npos, "its descriptor"), at = end;
    else
      out += rest.starts_with(kOctets) ? "some" : words.substr(at, end - at), at = end;
  }
  return out;
}

// Those of which the same is said: program, state and standing, and the words.
struct Alike {
  host::ProspectLines said;  // of the first, in general
  std::vector<host::ProspectLines> all;
};

void add(std::vector<Alike>& groups, const host::ProspectLines& one) {
  host::ProspectLines said = one;
  for (std::string* const words : {&said.here, &said.application, &said.peer}) *words = in_general(*words);
  const auto key = [](const host::ProspectLines& p) {
    return std::tie(p.comm, p.connection.state, p.connection.standing, p.how, p.possible, p.here, p.application,
                    p.peer);
  };
  const auto found = std::ranges::find_if(groups, [&](const Alike& group) { return key(group.said) == key(said); });
  if (found == groups.end())
    groups.push_back({std::move(said), {one}});
  else
    found->all.push_back(one);
}

void print(std::FILE* to, const Alike& group) {
  constexpr std::size_t kExamples = 3;
  if (group.all.size() == 1) return print(to, group.all.front());
  const host::ConnectionLine& first = group.said.connection;
  fmt::print(to, "{} connections{}   {}, {}\n", group.all.size(),
             group.said.comm.empty() ? "" : " of " + host::printable(group.said.comm), first.state, first.standing);
  print_words(to, group.said);
  for (const host::ProspectLines& one : std::span(group.all).first(std::min(group.all.size(), kExamples))) {
    fmt::print(to, "    ");
    print_name(to, one.connection);
  }
  if (group.all.size() > kExamples)
    fmt::print(to, "    and {} more: --dry-run --all tells each\n", group.all.size() - kExamples);
}

Tally show(const std::vector<std::string>& ids, const EndCommand& command, const host::ApiClient& api) {
  Tally tally;
  std::vector<Alike> groups;
  for (const std::string& id : ids) {
    const auto prospect = api.prospect(id, command.how);
    if (!prospect) {
      tell(id, prospect.error(), command, tally);
      continue;
    }
    if (command.json)
      fmt::print("{}\n", prospect->json);
    else if (command.all)
      print(stdout, prospect->value);
    else
      add(groups, prospect->value);
    const bool has_ended = prospect->value.connection.standing == name(control::Standing::Ended);
    if (prospect->value.possible || has_ended)
      ++tally.done;
    else
      tally.failed = true;
  }
  for (const Alike& group : groups) print(stdout, group);
  return tally;
}

// Who is asked knows what he is asked: a screenful of it.
void confirm(const std::vector<std::string>& ids, const EndCommand& command, const host::ApiClient& api) {
  constexpr std::size_t kMostShown = 3;
  if (::isatty(STDIN_FILENO) == 0)
    throw Trouble(fmt::format("{} connections match: say --yes, or look at them first with --dry-run", ids.size()));
  std::vector<Alike> groups;
  for (const std::string& id : ids)
    if (const auto prospect = api.prospect(id, command.how)) add(groups, prospect->value);
  std::ranges::stable_sort(groups, std::greater{}, [](const Alike& group) { return group.all.size(); });
  const std::size_t shown = std::min(groups.size(), kMostShown);
  for (const Alike& group : std::span(groups).first(shown)) print(stderr, group);
  std::size_t more = 0;
  for (const Alike& group : std::span(groups).subspan(shown)) more += group.all.size();
  if (more > 0)
    fmt::print(stderr, "and {} more, of {}: see --dry-run\n", more, host::counted(groups.size() - shown, "kind"));
  fmt::print(stderr, "end {} connections? [y/N] ", ids.size());
  std::string answer;
  std::getline(std::cin, answer);
  if (answer != "y" && answer != "yes") throw Trouble("nothing was done");
}

Tally do_it(const std::vector<std::string>& ids, const EndCommand& command, const host::ApiClient& api) {
  Tally tally;
  for (const std::string& id : ids) {
    const auto answer = api.end(id, command.how);
    if (!answer) {
      tell(id, answer.error(), command, tally);
      continue;
    }
    const host::Receipt& receipt = answer->value;
    const bool has_ended =
        receipt.outcome == name(plane::Outcome::AlreadyEnded) || receipt.outcome == name(plane::Outcome::WrongIdentity);
    if (receipt.done || has_ended)
      ++tally.done;
    else
      tally.failed = true;
    const std::string who = host::printable(receipt.id);
    if (command.json)
      fmt::print("{}\n", answer->json);
    else if (receipt.done)
      fmt::print("{}: {} done, now in {} (verdict {})\n", who, receipt.act, receipt.state, receipt.verdict);
    else
      fmt::print("{}: {} refused, {}: {}\n", who, receipt.act, receipt.outcome, receipt.sentence);
  }
  return tally;
}

}  // namespace

void run_end(const EndCommand& command) {
  const host::ApiClient api(host::RunDir::chosen(command.run_dir));
  const std::vector<std::string> ids = chosen(command, api);
  if (ids.empty()) {
    if (!command.json) fmt::print("no connection matches\n");
    return;
  }
  if (!command.dry_run && ids.size() > 1 && !command.yes) confirm(ids, command, api);
  const Tally tally = command.dry_run ? show(ids, command, api) : do_it(ids, command, api);
  std::fflush(stdout);
  if (tally.failed) throw Exit{2};
  if (tally.done > 0) throw Exit{kFound};
}

}  // namespace adieu::cli
