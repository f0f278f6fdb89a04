// Sorting and columns.
#include "cli/listing.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <tuple>

#include "host/sentences.h"

namespace adieu::cli {
namespace {

using control::Ends;

EndRank rank_of(const host::ConnectionView& view) {
  const control::Verdict& verdict = view.seen.verdict;
  if (view.record.has_ended()) return EndRank::Ended;
  if (verdict.ends_at.is_known()) return EndRank::AtTime;
  const std::string text = host::ending_in_short(verdict, view.record, view.now);
  if (!text.starts_with("never")) return EndRank::Unknown;
  if (verdict.ends == Ends::EitherSideCloses) return EndRank::NeverOpen;
  return verdict.ends == Ends::Nothing ? EndRank::Never : EndRank::NeverHalfClosed;
}

Line line_of(const host::ConnectionView& view) {
  const plane::Record& r = view.record;
  return {.plane = view.plane,
          .slot = view.id.slot,
          .generation = view.id.generation,
          .recv = r.unread == plane::kUnknownCount ? 0 : r.unread,
          .send = r.unsent == plane::kUnknownCount ? 0 : r.unsent,
          .state = r.state,
          .standing = view.seen.verdict.standing,
          .rank = rank_of(view),
          .entered = r.state_entered.is_known() ? r.state_entered : Instant::never(),
          .heard = r.last_heard,
          .local = r.local,
          .remote = r.remote};
}

// The more it deserves attention, the earlier.
unsigned urgency(control::Standing standing) {
  switch (standing) {
    case control::Standing::Gone: return 0;
    case control::Standing::Suspect: return 1;
    case control::Standing::Silent: return 2;
    case control::Standing::Unknown: return 3;
    case control::Standing::Alive: return 4;
    case control::Standing::Ended: return 5;
  }
  return 6;
}

// Where the order leaves two alike, the one longer in its state comes first.
bool comes_before(const Line& a, const Line& b, Order order) {
  const auto by = [&](const auto& x, const auto& y) {
    return std::tie(x, a.entered, a.plane, a.slot) < std::tie(y, b.entered, b.plane, b.slot);
  };
  switch (order) {
    case Order::Ends: return by(a.rank, b.rank);
    case Order::Age: return by(a.entered, b.entered);
    case Order::State: return by(a.state, b.state);
    case Order::Standing: return by(urgency(a.standing), urgency(b.standing));
    case Order::Local: return by(a.local, b.local);
    case Order::Peer: return by(a.remote, b.remote);
    case Order::Recv: return by(b.recv, a.recv);
    case Order::Send: return by(b.send, a.send);
    case Order::Heard: return by(a.heard, b.heard);
  }
  return false;
}

constexpr std::size_t kStateColumn = 0, kRecvColumn = 1, kSendColumn = 2, kLocalColumn = 3, kPeerColumn = 4,
                      kProcessColumn = 5, kAgeColumn = 7;
constexpr std::size_t kLeastPeer = 12;

std::string count(std::uint32_t octets) {
  return octets == plane::kUnknownCount ? std::string("-") : std::to_string(octets);
}

}  // namespace

Order order_of(const std::string& name) {
  for (unsigned i = 0; i < kOrderCount; ++i)
    if (name == kOrders[i]) return static_cast<Order>(i);
  return Order::Ends;
}

Listing list(const host::CensusView& census, const control::Filter& filter, Extent extent, Order order) {
  Listing listing;
  listing.walk = census.each(filter, extent.ended_too, [&](const host::ConnectionView& view) {
    const Line line = line_of(view);
    if (!extent.only_never || line.rank <= EndRank::NeverOpen) listing.lines.push_back(line);
  });
  std::ranges::sort(listing.lines, [order](const Line& a, const Line& b) { return comes_before(a, b, order); });
  return listing;
}

Cells cells_of(const host::ConnectionView& view) {
  const plane::Record& r = view.record;
  return {std::string(name(r.state)),
          count(r.unread),
          count(r.unsent),
          host::text(r.local),
          host::text(r.remote),
          view.holder_process == 0 ? std::string("-")
                                   : fmt::format("{},pid={}", host::printable(view.comm), view.holder_process),
          std::string(control::name(view.seen.verdict.standing)),
          r.state_entered.is_known() ? host::readable(view.now - r.state_entered) : std::string("-"),
          host::ending_in_short(view.seen.verdict, r, view.now),
          view.has_lasting_id ? host::printable(host::text(view.id)) : std::string("-")};
}

void Columns::fit(const Cells& cells) {
  for (std::size_t i = 0; i < kColumns; ++i) widths_[i] = std::max(widths_[i], cells[i].size());
}

std::size_t Columns::total() const {
  std::size_t sum = 0;
  for (const std::size_t width : widths_) sum += width == 0 ? 0 : width + 2;
  return sum - 2;
}

void Columns::squeeze(std::size_t width) {
  const auto drop = [&](std::size_t column) {
    if (total() > width) widths_[column] = 0;
  };
  for (const std::size_t column : {kProcessColumn, kRecvColumn, kSendColumn, kLocalColumn, kAgeColumn, kStandingColumn})
    drop(column);
  const std::size_t over = total() - std::min(total(), width);
  widths_[kPeerColumn] = std::max(widths_[kPeerColumn] - std::min(widths_[kPeerColumn], over), kLeastPeer);
  drop(kStateColumn);
  drop(kPeerColumn);
}

std::string Columns::row(const Cells& cells, bool colour) const {
  std::string line;
  for (std::size_t i = 0; i + 1 < kColumns; ++i) {
    if (is_dropped(i)) continue;
    const bool is_number = i == kRecvColumn || i == kSendColumn;
    // The end of an address tells more than its beginning.
    const std::string whole =
        cells[i].size() <= widths_[i] ? cells[i] : ".." + cells[i].substr(cells[i].size() - widths_[i] + 2);
    const std::string cell =
        is_number ? fmt::format("{:>{}}", whole, widths_[i]) : fmt::format("{:<{}}", whole, widths_[i]);
    const std::string_view paint = colour && i == kStandingColumn ? colour_of(cells[i]) : std::string_view{};
    line += paint.empty() ? cell + "  " : fmt::format("{}{}{}  ", paint, cell, kPlain);
  }
  return line + cells.back();
}

std::string_view colour_of(std::string_view standing) {
  if (standing == "gone") return "\x1b[1;31m";
  if (standing == "suspect") return "\x1b[33m";
  if (standing == "alive") return "\x1b[32m";
  if (standing == "ended") return "\x1b[2m";
  return {};
}

bool may_colour() {
  const char* const term = std::getenv("TERM");
  const bool is_dumb = term != nullptr && std::string_view(term) == "dumb";
  return isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr && !is_dumb;
}

std::vector<std::string> notes(const host::Census& census, const host::Walk& walk, Instant now) {
  std::vector<std::string> lines;
  if (census.control != host::ControlState::Running && !census.is_local) {
    Instant since = Instant::unknown();
    for (const host::PlaneSeen& plane : census.planes)
      if (const auto status = plane.control.status(); status && !plane.failed) since = later(since, status->swept_at);
    lines.push_back(
        fmt::format("control is {}: not judged since {}; the standings were worked out here, from the tables",
                    name(census.control), since.is_known() ? host::readable(now - since) + " ago" : "the beginning"));
  }
  if (!census.policy_known)
    lines.push_back("the policy in force cannot be read: the standings were worked out by the built-in one");
  for (const host::PlaneSeen& plane : census.planes)
    if (plane.failed)
      lines.push_back(
          fmt::format("plane {} failed: its process {} is dead", host::printable(plane.name), plane.process));
  if (walk.unreadable > 0)
    lines.push_back(fmt::format("{} connections could not be read: their plane died writing", walk.unreadable));
  if (walk.unsure > 0)
    lines.push_back(fmt::format("{} more may match: what the filter asks of them is not known", walk.unsure));
  return lines;
}

}  // namespace adieu::cli
