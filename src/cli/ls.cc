// `adieu ls`: one line a connection, on every plane, read from the tables themselves.
#include <fmt/format.h>

#include <csignal>

#include "cli/command.h"
#include "cli/listing.h"
#include "host/clock.h"
#include "host/json.h"
#include "host/local_kernel.h"

namespace adieu::cli {
namespace {

// Every line of a census once more, in the listing's order; one whose slot has gone to another since is passed over.
void each_view(const host::CensusView& census, const Listing& listing, const host::CensusView::Visit& visit) {
  for (const Line& line : listing.lines)
    if (const auto view = census.at(line.plane, line.slot, line.generation)) visit(*view);
}

void print_table(const host::CensusView& census, const Listing& listing) {
  std::vector<Cells> rows{kHeads};
  each_view(census, listing, [&](const host::ConnectionView& view) { rows.push_back(cells_of(view)); });
  Columns columns;
  for (const Cells& row : rows) columns.fit(row);
  const bool colour = may_colour();
  for (const Cells& row : rows) fmt::print("{}\n", columns.row(row, colour));
}

}  // namespace

void run_ls(const LsCommand& command) {
  // `adieu ls | head` ends here when head has had enough, as every filter does.
  std::signal(SIGPIPE, SIG_DFL);
  const auto filter = host::parse_filter(command.filter);
  if (!filter) throw Trouble(filter.error().text);
  const auto around = host::look_around(command.run_dir);
  if (!around) throw Trouble(around.error().text);
  const host::CensusView view(around->census);
  const Listing listing = list(view, *filter, {command.all, command.never}, order_of(command.sort));
  if (command.json) {
    each_view(view, listing, [](const host::ConnectionView& one) { fmt::print("{}\n", host::connection_json(one)); });
  } else {
    if (listing.lines.empty())
      fmt::print("no connections\n");
    else
      print_table(view, listing);
    for (const std::string& note : notes(around->census, listing.walk, host::now())) fmt::print("{}\n", note);
  }
  if (!listing.lines.empty()) throw Exit{kFound};
}

}  // namespace adieu::cli
