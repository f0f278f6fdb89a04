// `adieu end`: has connections ended by the control plane, or says what that would mean.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "cli/command.h"
#include "host/api_client.h"
#include "host/text.h"

namespace adieu::cli {
namespace {

// What is named or matched, and has not ended.
std::vector<std::string> chosen(const EndCommand& command, const host::ApiClient& api) {
  if (command.what.size() == 1)
    if (const auto id = host::parse_id(command.what[0])) return {host::text(*id)};
  std::string filter;
  for (const std::string& word : command.what) filter += (filter.empty() ? "" : " ") + word;
  if (filter.empty()) throw Trouble("name a connection or a filter: to end everything is never meant");
  // First by itself, so that what is wrong with it is said of what was written.
  if (const auto sound = api.connections(filter); !sound) throw Trouble(sound.error().text);
  const auto found = api.connections(fmt::format("( {} ) and not standing ended", filter));
  if (!found) throw Trouble(found.error().text);
  std::vector<std::string> ids;
  for (const host::ConnectionLine& line : *found) ids.push_back(line.id);
  return ids;
}

void print(const host::ProspectLines& prospect) {
  fmt::print("{}   {} -> {}   {}, {}\n", prospect.connection.id, prospect.connection.local, prospect.connection.remote,
             prospect.connection.state, prospect.connection.standing);
  fmt::print("  {:<12} {}\n", prospect.possible ? prospect.how : "nothing", prospect.here);
  if (!prospect.possible) return;
  fmt::print("  {:<12} {}\n  {:<12} {}\n", "application", prospect.application, "peer", prospect.peer);
}

// Whether all of it can be done.
bool show(const std::vector<std::string>& ids, const EndCommand& command, const host::ApiClient& api) {
  bool all = true;
  for (const std::string& id : ids) {
    const auto prospect = api.prospect(id, command.how);
    if (!prospect) throw Trouble(fmt::format("{}: {}", id, prospect.error().text));
    if (command.json)
      fmt::print("{}\n", prospect->json);
    else
      print(prospect->value);
    all = all && prospect->value.possible;
  }
  return all;
}

void confirm(std::size_t count) {
  if (::isatty(STDIN_FILENO) == 0)
    throw Trouble(fmt::format("{} connections match: say --yes, or look at them first with --dry-run", count));
  fmt::print(stderr, "end {} connections? [y/N] ", count);
  std::string answer;
  std::getline(std::cin, answer);
  if (answer != "y" && answer != "yes") throw Trouble("nothing was done");
}

bool do_it(const std::vector<std::string>& ids, const EndCommand& command, const host::ApiClient& api) {
  bool all = true;
  for (const std::string& id : ids) {
    const auto answer = api.end(id, command.how);
    if (!answer) {
      fmt::print(stderr, "adieu: {}: {}\n", id, answer.error().text);
      all = false;
      continue;
    }
    const host::Receipt& receipt = answer->value;
    all = all && receipt.done;
    if (command.json)
      fmt::print("{}\n", answer->json);
    else if (receipt.done)
      fmt::print("{}: {} done, now in {} (verdict {})\n", receipt.id, receipt.act, receipt.state, receipt.verdict);
    else
      fmt::print("{}: {} refused, {}: {}\n", receipt.id, receipt.act, receipt.outcome, receipt.sentence);
  }
  return all;
}

}  // namespace

void run_end(const EndCommand& command) {
  const host::ApiClient api(host::RunDir::chosen(command.run_dir));
  const std::vector<std::string> ids = chosen(command, api);
  if (ids.empty()) {
    if (!command.json) fmt::print("no connection matches\n");
    return;
  }
  if (!command.dry_run && ids.size() > 1 && !command.yes) confirm(ids.size());
  const bool all = command.dry_run ? show(ids, command, api) : do_it(ids, command, api);
  std::fflush(stdout);
  throw Exit{all ? 1 : 2};
}

}  // namespace adieu::cli
