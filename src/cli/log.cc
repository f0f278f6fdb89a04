// `adieu log`: what the ledger has kept, newest last. Only the file is read: nothing needs to run.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "cli/command.h"
#include "cli/named.h"
#include "host/clock.h"
#include "host/ledger.h"
#include "host/ledger_json.h"
#include "host/run_dir.h"

namespace adieu::cli {
namespace {

// Between two looks at a ledger that is followed, and what one of them takes at most.
constexpr useconds_t kLookAgain = 200'000;
constexpr unsigned kAtOnce = 1000;

host::LedgerQuery query_of(const LogCommand& command) {
  host::LedgerQuery query;
  if (!command.what.empty()) {
    const Named named = parse_named(command.what);
    query.id = named.id;
    if (!named.id) {
      query.local = host::text(named.local);  // as the ledger writes them
      query.remote = host::text(named.remote);
    }
  }
  for (const std::string& kind : command.kinds) query.kinds.push_back(*host::parse_entry_kind(kind));
  if (command.since > Duration{}) query.since = host::wall_clock() - command.since.ns / 1000;
  query.limit = command.limit.value_or(kLogLimit);
  query.newest = true;
  return query;
}

void print(const host::LedgerEntry& e, bool json) {
  if (json) {
    fmt::print("{}\n", host::entry_json(e));
    return;
  }
  const auto seconds = static_cast<std::time_t>(e.wall / 1'000'000);
  std::string who;
  if (e.id) who += host::printable(host::text(*e.id)) + "  ";
  if (e.id && !e.local.empty()) who += fmt::format("{} -> {}  ", e.local, e.remote);
  fmt::print("{:%F %T}.{:03}  {:<7}  {}{}\n", fmt::localtime(seconds), e.wall / 1000 % 1000, name(e.kind), who,
             host::summary(e));
}

std::vector<host::LedgerEntry> read(const host::LedgerReader& ledger, const host::LedgerQuery& query) {
  auto entries = ledger.entries(query);
  if (!entries) throw Trouble(entries.error().text);
  return std::move(*entries);
}

// Opened anew each time: the ledger may not be there yet, or be another one by now.
[[noreturn]] void follow(const std::string& path, host::LedgerQuery query, bool json) {
  query.newest = false;
  query.limit = kAtOnce;
  while (true) {
    std::fflush(stdout);
    ::usleep(kLookAgain);
    const auto ledger = host::LedgerReader::open(path);
    if (!ledger) continue;
    const std::uint64_t newest = ledger->newest();
    if (newest < query.after) query.after = 0;
    std::vector<host::LedgerEntry> entries;
    do {
      entries = read(*ledger, query);
      for (const host::LedgerEntry& entry : entries) print(entry, json);
      query.after = entries.empty() ? std::max(query.after, newest) : entries.back().number;
    } while (entries.size() == kAtOnce);
  }
}

}  // namespace

void run_log(const LogCommand& command) {
  std::signal(SIGPIPE, SIG_DFL);  // as every filter: see ls.cc
  host::LedgerQuery query = query_of(command);
  const host::RunDir run_dir = host::RunDir::chosen(command.run_dir);
  const std::string path = run_dir.ledger();
  if (!command.follow && ::access(path.c_str(), F_OK) != 0 && errno == ENOENT)
    throw Trouble(fmt::format("no ledger in {}: {}", run_dir.path(), host::how_to_start(run_dir)));
  const auto ledger = host::LedgerReader::open(path);
  if (!ledger && !command.follow) throw Trouble(ledger.error().text);
  std::vector<host::LedgerEntry> entries;
  if (ledger) {
    const std::uint64_t newest = ledger->newest();  // before: what comes meanwhile may be seen by both, never by none
    const bool tells_of_more = !command.limit && !command.json;
    if (tells_of_more) ++query.limit;
    entries = read(*ledger, query);
    query.after = entries.empty() ? newest : entries.back().number;
    if (tells_of_more && entries.size() > kLogLimit) {
      entries.erase(entries.begin());
      fmt::print(stderr, "(the newest {}; there are older ones: --limit N prints so many)\n", kLogLimit);
    }
  }
  for (const host::LedgerEntry& entry : entries) print(entry, command.json);
  if (command.follow) follow(path, query, command.json);
  if (!entries.empty()) throw Exit{1};
}

}  // namespace adieu::cli
