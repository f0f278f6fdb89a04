// `adieu ls`: one line a connection, on every plane, read from the tables themselves.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "cli/command.h"
#include "host/clock.h"
#include "host/json.h"
#include "host/sentences.h"
#include "host/view.h"

namespace adieu::cli {
namespace {

constexpr std::size_t kColumns = 9;
using Row = std::array<std::string, kColumns>;

std::string ago(Instant at, Instant now) { return at.is_known() ? host::readable(now - at) : "?"; }

Row row_of(const host::ConnectionView& view) {
  const plane::Record& r = view.record;
  return {host::text(view.id),
          std::string(name(r.state)),
          ago(r.state_entered, view.now),
          host::text(r.local),
          host::text(r.remote),
          std::string(r.has_ended() ? "" : host::name(r.holder)),
          std::string(control::name(view.seen.verdict.standing)),
          ago(r.last_heard, view.now),
          view.ending()};
}

void print(const std::vector<Row>& rows) {
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i + 1 < kColumns; ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    fmt::print("{}{}\n", line, row.back());
  }
}

// What a reader must know about what has been printed.
void print_notes(const host::Census& census, const host::Walk& walk, Instant now) {
  if (census.control != host::ControlState::Running) {
    Instant since = Instant::unknown();
    for (const host::PlaneSeen& plane : census.planes)
      if (const auto status = plane.control.status(); status && !plane.failed) since = later(since, status->swept_at);
    fmt::print("control is {}: not judged since {}; the standings were worked out here, from the tables\n",
               name(census.control), since.is_known() ? ago(since, now) + " ago" : "the beginning");
  }
  if (!census.policy_known)
    fmt::print("the policy in force cannot be read: the standings were worked out by the built-in one\n");
  for (const host::PlaneSeen& plane : census.planes)
    if (plane.failed) fmt::print("plane {} failed: its process {} is dead\n", plane.name, plane.process);
  if (walk.unreadable > 0) fmt::print("{} connections could not be read: their plane died writing\n", walk.unreadable);
}

}  // namespace

void run_ls(const LsCommand& command) {
  // `adieu ls | head` ends here when head has had enough, as every filter does.
  std::signal(SIGPIPE, SIG_DFL);
  const auto census = host::take_census(host::RunDir::chosen(command.run_dir));
  if (!census) throw Trouble(census.error().text);
  std::vector<Row> rows{{"ID", "STATE", "SINCE", "LOCAL", "REMOTE", "HOLDER", "STANDING", "HEARD", "WHAT WILL END IT"}};
  const auto walk = host::for_each_connection(*census, [&](const host::ConnectionView& view) {
    if (command.json)
      fmt::print("{}\n", host::connection_json(view));
    else
      rows.push_back(row_of(view));
  });
  if (!command.json) {
    if (walk.seen > 0)
      print(rows);
    else
      fmt::print("no connections\n");
    print_notes(*census, walk, host::now());
  }
  if (walk.seen == 0) throw Exit{1};
}

}  // namespace adieu::cli
