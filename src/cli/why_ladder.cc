// Rows sorted by time, then drawn.
#include "cli/why_ladder.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "host/sentences.h"

namespace adieu::cli {
namespace {

using control::Standing;

constexpr std::size_t kLane = 44;   // columns between the two rails
constexpr std::size_t kTime = 15;   // "23 h 59 min ago"
constexpr std::size_t kState = 12;  // SYN-RECEIVED
// Facts of one segment have instants this near to each other; what the kernel tells of a socket is coarser.
Duration nearness(plane::PlaneKind kind) {
  return kind == plane::PlaneKind::Kernel ? milliseconds(150) : milliseconds(20);
}

enum class Way : std::uint8_t { ToPeer, Unanswered, Planned, FromPeer, Mark };

struct Row {
  Instant at;
  Way way = Way::Mark;
  std::string label;
  std::string left = {};
  std::string right = {};
};

std::string repeated(std::string_view unit, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += unit;
  return text;
}

std::string lane(const Row& row) {
  const std::string label = row.label.substr(0, row.way == Way::Mark ? kLane : kLane - 6);
  const std::size_t rest = kLane - 4 - std::min(label.size(), kLane - 4);
  switch (row.way) {
    case Way::ToPeer: return "─ " + label + " " + repeated("─", rest) + "▶";
    // It went out, and nothing came of it.
    case Way::Unanswered:
    case Way::Planned: return "╌ " + label + " " + repeated("╌", rest) + (row.way == Way::Planned ? "▷" : "?");
    case Way::FromPeer: return "◀" + repeated("─", rest) + " " + label + " ─";
    case Way::Mark: break;
  }
  return fmt::format("{:^{}}", label, kLane);
}

std::string drawn(const Row& row, std::string_view time) {
  std::string line = fmt::format("{:>{}} {:>{}} │{}│ {}", time, kTime, row.left, kState, lane(row), row.right);
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

// What the peer's state must be, if it is there and nothing is under way.
std::string_view peer_of(State state) {
  switch (state) {
    case State::Established: return "ESTABLISHED";
    case State::FinWait2: return "CLOSE-WAIT";
    case State::CloseWait: return "FIN-WAIT-2";
    case State::TimeWait: return "CLOSED";
    case State::Closed:
    case State::Listen:
    case State::SynSent:
    case State::SynReceived:
    case State::FinWait1:
    case State::Closing:
    case State::LastAck: break;
  }
  return "";
}

// The segment that led to a state.
Row entry_of(const plane::Record& r) {
  switch (r.state) {
    case State::Closed:
    case State::Listen: return {r.state_entered, Way::Mark, ""};
    case State::SynSent: return {r.state_entered, Way::ToPeer, "SYN"};
    case State::SynReceived: return {r.state_entered, Way::FromPeer, "SYN"};
    case State::Established: return {r.state_entered, Way::FromPeer, "handshake done"};
    case State::FinWait1:
    case State::LastAck: return {r.state_entered, Way::ToPeer, "FIN"};
    case State::FinWait2: return {r.state_entered, Way::FromPeer, "ACK of our FIN"};
    case State::CloseWait:
    case State::Closing: return {r.state_entered, Way::FromPeer, "FIN"};
    case State::TimeWait: return {r.state_entered, Way::FromPeer, "both FINs acknowledged"};
  }
  return {r.state_entered, Way::Mark, ""};
}

std::string asked(unsigned number, unsigned of) {
  if (of == 1) return "asked once, no answer";
  return number == 1 ? fmt::format("asked, 1 of {}, no answer", of) : fmt::format("asked, {} of {}, no answer", of, of);
}

// What was sent since the peer was last heard.
void add_unanswered(std::vector<Row>& rows, const plane::Record& r) {
  if (r.oldest_unacked.is_known() && r.attempts > 0) {
    const bool is_fin = r.send_shut && (r.unsent == 0 || r.unsent == plane::kUnknownCount);
    std::string text = fmt::format("{}, sent {} times, no ACK", is_fin ? "FIN" : "data", r.attempts);
    // The FIN that led to this state is the one that waits.
    if (is_fin && rows.front().way == Way::ToPeer) {
      rows.front().way = Way::Unanswered;
      rows.front().label = std::move(text);
    } else {
      rows.push_back({r.oldest_unacked, Way::Unanswered, std::move(text)});
    }
  }
  const unsigned probes = std::accumulate(std::begin(r.probes), std::end(r.probes), 0U);
  if (probes > 0) rows.push_back({r.probe_first, Way::Unanswered, asked(1, probes)});
  if (probes > 1) rows.push_back({r.probe_last, Way::Unanswered, asked(probes, probes)});
}

std::vector<Row> past(const host::ConnectionView& view) {
  const plane::Record& r = view.record;
  const Duration near = nearness(view.kind);
  const auto is_same = [near](Instant a, Instant b) { return a - b < near && b - a < near; };
  // The kernel does not tell when a socket came into its state, nor by which segment.
  const std::string_view seen = r.has_ended() ? "ended" : "first seen in this state";
  Row entered =
      view.kind == plane::PlaneKind::Kernel ? Row{r.state_entered, Way::Mark, std::string(seen)} : entry_of(r);
  entered.left = name(r.state);
  entered.right = peer_of(r.state);
  if (!entered.right.empty() && view.seen.verdict.standing != Standing::Alive) entered.right += " ?";
  std::vector<Row> rows{entered};
  const auto add = [&](Row row) {
    if (!row.at.is_known()) return;
    if (is_same(row.at, entered.at)) row.at = entered.at;  // told in the order in which it is added
    const auto same = [&](const Row& other) { return other.way == row.way && is_same(other.at, row.at); };
    if (std::ranges::none_of(rows, same)) rows.push_back(std::move(row));
  };
  // A FIN behind octets for which the peer has no room has not left.
  if (host::fin_waits(r) && rows.front().way == Way::ToPeer && rows.front().label == "FIN") {
    rows.front().way = Way::Mark;
    rows.front().label = fmt::format("our FIN waits behind {} octets: the peer's window is closed", r.unsent);
  }
  add({r.progress_in, Way::FromPeer, is_receiving_closed(r.state) ? "FIN" : "data"});
  add({r.progress_out, Way::FromPeer, "ACK of what we sent"});
  add({r.last_heard, Way::FromPeer, "last heard"});
  for (Row& row : rows)
    if (row.way == Way::FromPeer && is_same(row.at, r.last_heard) && row.label != "last heard")
      row.label += " (last heard)";
  if (!r.has_ended()) add_unanswered(rows, r);
  std::erase_if(rows, [](const Row& row) { return !row.at.is_known(); });
  return rows;
}

std::vector<Row> future(const host::ConnectionView& view, Instant gives_up) {
  const control::Verdict& verdict = view.seen.verdict;
  std::vector<Row> rows;
  if (view.record.has_ended()) return rows;
  if (const Instant next = host::next_question(view.seen, view.now); next.is_known())
    rows.push_back({next, Way::Planned, "next question"});
  // Of a peer in good health only where a rule asks it and would end it: of any other it is no prospect.
  const control::Rule& rule = view.seen.rule;
  const bool is_doubted = verdict.standing == Standing::Silent || verdict.standing == Standing::Suspect;
  const bool is_pursued = control::may_ask(view.seen.evidence, rule) && rule.act && !rule.exempt &&
                          rule.when_gone != control::Act::Tell && view.seen.evidence.can_abort;
  if (verdict.gone_earliest.is_known() && verdict.standing != Standing::Gone && (is_doubted || is_pursued))
    rows.push_back({verdict.gone_earliest, Way::Mark, "gone, at the earliest"});
  if (verdict.acts_at.is_known() && verdict.act != control::Act::Tell)
    rows.push_back({later(verdict.acts_at, view.now), Way::Planned,
                    fmt::format("rule: {}{}", name(verdict.act), view.seen.rule.act ? "" : " (dry run)")});
  else if (verdict.ends_at.is_known())
    rows.push_back({verdict.ends_at, Way::Mark, std::string(name(verdict.ends))});
  if (gives_up.is_known()) rows.push_back({gives_up, Way::Mark, "its kernel gives up, about"});
  if (rows.empty()) rows.push_back({Instant::never(), Way::Mark, "nothing is pending"});
  return rows;
}

// The middlebox as it is now, and when it forgets.
void add_middle(std::vector<Row>& before, std::vector<Row>& after, const host::ConntrackEntry& entry, Instant now) {
  const kernel::Tracked& kept = entry.kept;
  const std::string who = fmt::format("{}{}", prefix(entry.in), kept.is_translated() ? "NAT" : "conntrack");
  before.push_back(
      {now, Way::Mark, fmt::format("{}: {}, {} left", who, name(kept.state), host::readable(kept.expires))});
  after.push_back({now + kept.expires, Way::Mark, fmt::format("{} forgets{}", who, kept.fixed ? "" : ", in silence")});
}

void sort(std::vector<Row>& rows) { std::ranges::stable_sort(rows, {}, &Row::at); }

std::string time_of(const Row& row, Instant now) {
  if (!row.at.is_known()) return "ever after";
  if (row.at == now) return "now";
  if (row.at < now) return host::readable(now - row.at) + " ago";
  return "in " + host::readable(row.at - now);
}

}  // namespace

std::vector<std::string> ladder_of(const host::ConnectionView& view, const std::vector<host::ConntrackEntry>& middle,
                                   Instant gives_up, std::size_t most) {
  std::vector<Row> before = past(view), after = future(view, gives_up);
  for (const host::ConntrackEntry& entry : middle) add_middle(before, after, entry, view.now);
  sort(before);
  sort(after);
  const std::size_t room = most - 2 - std::min<std::size_t>(after.size(), most - 3);
  // The row that names the state stays.
  while (before.size() > std::max<std::size_t>(room, 1))
    before.erase(before.begin() + (before[0].left.empty() ? 0 : 1));
  std::vector<std::string> lines;
  std::string head = fmt::format("{:>{}} {:>{}} │{:^{}}│ {}", "", kTime, "here", kState, "", kLane, "the peer");
  lines.push_back(std::move(head));
  for (const Row& row : before) lines.push_back(drawn(row, time_of(row, view.now)));
  lines.push_back(fmt::format("{:>{}} {} ┼{}┼", "now", kTime, repeated("─", kState), repeated("─", kLane)));
  for (const Row& row : after)
    if (lines.size() < most) lines.push_back(drawn(row, time_of(row, view.now)));
  return lines;
}

}  // namespace adieu::cli
