// `adieu why`: one screen about one connection: what it is, how it stands and on what evidence, what will end it.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <optional>

#include "cli/command.h"
#include "cli/listing.h"
#include "cli/named.h"
#include "cli/why_ladder.h"
#include "cli/why_screen.h"
#include "host/conntrack_seen.h"
#include "host/holders_seen.h"
#include "host/json.h"
#include "host/ledger_json.h"
#include "host/local_kernel.h"
#include "host/network_seen.h"
#include "host/own_limits_seen.h"
#include "host/sentences.h"
#include "host/view.h"

namespace adieu::cli {
namespace {

constexpr std::size_t kScreen = 24;
constexpr std::size_t kMostEvidence = 6;
constexpr std::size_t kMostAdvice = 3;
constexpr std::size_t kMostLedger = 2;

// The screen, gathered before it is printed: what comes last has what room is left.
class Screen {
 public:
  void line(std::string_view label, std::string_view text) {
    lines_.push_back(fmt::format("{}{}", paint("\x1b[1m", fmt::format("{:<11}", label)), text));
  }
  void plain(std::string text) { lines_.push_back(std::move(text)); }
  std::string paint(std::string_view colour, std::string_view text) const {
    return colour_ && !colour.empty() ? fmt::format("{}{}{}", colour, text, kPlain) : std::string(text);
  }
  std::size_t room() const { return kScreen - std::min(lines_.size(), kScreen); }
  std::vector<std::string> take() { return std::move(lines_); }

  explicit Screen(bool colour) : colour_(colour) {}

 private:
  bool colour_;
  std::vector<std::string> lines_;
};

std::string at_wall(std::int64_t microseconds) {
  const auto seconds = static_cast<std::time_t>(microseconds / 1'000'000);
  return fmt::format("{:%F %T}", fmt::localtime(seconds));
}

std::string count(std::uint32_t octets) {
  return octets == plane::kUnknownCount ? std::string("?") : std::to_string(octets);
}

void add_head(Screen& screen, const host::ConnectionView& view) {
  const plane::Record& r = view.record;
  const control::Verdict& verdict = view.seen.verdict;
  screen.line(view.has_lasting_id ? host::printable(host::text(view.id)) : "connection",
              fmt::format("  {} -> {}", host::text(r.local), host::text(r.remote)));
  std::string age = "a time not known";
  if (r.state_entered.is_known())
    age = host::readable(view.now - r.state_entered);
  else if (r.beside.in_state_by.is_known())
    age = "at least " + host::readable(view.now - r.beside.in_state_by);
  const std::string_view standing = control::name(verdict.standing);
  const std::string state = r.has_ended() ? fmt::format("{} at its end, {} ago", name(r.state), age)
                                          : fmt::format("{} for {}", name(r.state), age);
  screen.line("state", fmt::format("{}; peer {}", state, screen.paint(colour_of(standing), standing)));
  const std::string who = view.holder_process == 0
                              ? std::string{}
                              : fmt::format(", {} pid {}", host::printable(view.comm), view.holder_process);
  screen.line("here", fmt::format("{}; Recv-Q {}, Send-Q {}; {} plane{}",
                                  r.has_ended() ? "ended" : control::name(verdict.wanted), count(r.unread),
                                  count(r.unsent), host::name(view.kind), who));
}

// Every process that has it, or the listener in whose queue it waits, open: one line a process, the first ones.
void add_holders(Screen& screen, const plane::Record& record) {
  constexpr std::size_t kMostShown = 3;
  const auto holders = host::holders_of(record.beside);
  const std::string_view label = record.holder == plane::Holder::AcceptQueue ? "listener" : "open in";
  for (std::size_t i = 0; i < std::min(holders.size(), kMostShown); ++i) {
    const host::HolderSeen& one = holders[i];
    screen.line(i == 0 ? label : "", fmt::format("{} pid {}, descriptor {}{}", host::printable(one.comm), one.process,
                                                 fmt::join(one.descriptors, ", "),
                                                 one.unit.empty() ? "" : ", " + host::printable(one.unit)));
  }
  if (holders.size() > kMostShown) screen.line("", fmt::format("and {} processes more", holders.size() - kMostShown));
}

// In another network too, as a container's is: but not if it is reached at an address that is its own as well. `sent`:
// how packets to it are addressed when they come to it.
bool is_other_end(const plane::Record& one, const plane::Record& of, const kernel::Tuple& sent) {
  if (one.local != sent.destination || one.remote != sent.source) return false;
  return one.beside.network == of.beside.network || sent.source.address != sent.destination.address;
}

// What stands around it on this host: why it is what it is, who has it open, the other end, and what its process has
// not shut although a stream has ended here.
void add_surroundings(Screen& screen, const host::CensusView& census, const host::ConnectionView& view,
                      const kernel::Tuple& sent) {
  const plane::Record& r = view.record;
  std::optional<host::ConnectionView> other, unshut;
  std::uint64_t unshut_count = 0;
  census.each([&](const host::ConnectionView& one) {
    if (one.record.has_ended() || one.kind != view.kind) return;
    if (is_other_end(one.record, r, sent) && (!other || one.record.beside.network == r.beside.network)) other = one;
    if (view.holder_process == 0 || one.holder_process != view.holder_process) return;
    if (one.record.state != State::Established || one.record.holder != plane::Holder::Held) return;
    ++unshut_count;
    unshut = one;
  });
  if (const std::string where = host::OtherNetworks().name_of(r); !where.empty()) screen.line("in", where);
  screen.line("cause", host::cause_of(view.seen.verdict, r));
  add_holders(screen, r);
  if (other)
    screen.line(
        "other end",
        fmt::format("{} on this host, {}{}", name(other->record.state), control::name(other->seen.verdict.wanted),
                    other->holder_process == 0
                        ? std::string{}
                        : fmt::format(", {} pid {}", host::printable(other->comm), other->holder_process)));
  if (r.state == State::CloseWait && r.holder == plane::Holder::Held && unshut && r.unread == 0)
    screen.line(
        "a proxy?",
        fmt::format("its process has {} open and unshut ({} -> {}{}): if what ended here goes on there, the end "
                    "was not passed on",
                    unshut_count == 1 ? "another connection" : fmt::format("{} others", unshut_count),
                    host::text(unshut->record.local), host::text(unshut->record.remote),
                    unshut_count == 1 ? "" : ", ..."));
}

std::string will_end(const host::ConnectionView& view, const host::OwnLimitsSeen& limits) {
  if (std::string by_kernel = host::ending(limits, view); !by_kernel.empty()) return by_kernel;
  const std::string brief = host::ending_in_short(view.seen.verdict, view.record, view.now);
  const std::string whole = view.ending();
  if (view.record.has_ended()) return "it has ended: " + whole;
  if (view.seen.verdict.ends == control::Ends::Nothing && brief == "never") return "never: nothing ends it by itself";
  if (brief.starts_with("never")) return "never by itself; only " + whole;
  if (brief.starts_with("unknown")) return "unknown when: " + whole;
  return brief + ": " + whole;
}

// What a middlebox of this host keeps of it, both tuples, and how long.
void add_conntrack(Screen& screen, const host::ConntrackSeen& seen, const host::ConnectionView& view) {
  for (const host::ConntrackEntry& entry : seen.entries) {
    const kernel::Tracked& kept = entry.kept;
    const std::string before = host::kept_by(entry, view);
    screen.line("conntrack", fmt::format("{}{} in {}; {}{}", name(kept.state), kept.is_translated() ? ", NAT," : "",
                                         name(entry.in), host::expiry(entry), before.empty() ? "" : "; " + before));
    screen.line("", host::both_tuples(entry));
    if (const std::string after = host::afterwards(entry, view.record.state); !after.empty())
      screen.line("", "once forgotten, " + after);
  }
  if (!seen.unseen.empty()) screen.line("conntrack", seen.unseen);
}

void add_own_limits(Screen& screen, const host::OwnLimitsSeen& limits, const host::ConnectionView& view) {
  std::string_view label = "kernel";
  for (const std::string& line : host::sentences(limits, view)) {
    screen.line(label, line);
    label = "";
  }
}

void add_judgement(Screen& screen, const host::ConnectionView& view, const host::ConntrackSeen& conntrack,
                   const host::OwnLimitsSeen& limits) {
  screen.line("waits for", host::waits_for(view.seen.verdict, view.record));
  screen.line("ends", will_end(view, limits));
  add_own_limits(screen, limits, view);
  add_conntrack(screen, conntrack, view);
  if (!view.record.has_ended())
    screen.line("rule",
                fmt::format("{}: {}", host::printable(view.rule), host::rule_does(view.seen, view.record, view.now)));
  screen.line("evidence", "(strength, age, source)");
  const auto grounds = view.seen.verdict.grounds.all();
  const std::size_t shown = grounds.size() > kMostEvidence ? kMostEvidence - 1 : grounds.size();
  for (std::size_t i = 0; i < shown; ++i) {
    const control::Ground& ground = grounds[i];
    screen.plain(fmt::format("  {:<7}  {:>11}  {:<15}  {}", control::name(control::strength_of(ground.kind)),
                             host::age_of(ground, view.seen.evidence, view.now),
                             control::name(control::source_of(ground.kind)), host::sentence(ground, view.rule)));
  }
  if (shown < grounds.size()) screen.plain(fmt::format("  and {} more: see --json", grounds.size() - shown));
  if (view.seen.not_judged_since)
    screen.plain(fmt::format(
        "  control is {}: not judged since {}", name(view.control),
        view.judged_at.is_known() ? host::readable(view.now - view.judged_at) + " ago" : std::string("the beginning")));
  const auto advice = view.advice();
  for (std::size_t i = 0; i < std::min(advice.size(), kMostAdvice); ++i)
    screen.line(i == 0 ? "you can" : "", advice[i]);
}

std::string row_of(const host::LedgerVerdict& v) {
  std::string what(host::spoken(v.command));
  if (!v.form.empty()) what += ", " + v.form;
  if (!v.outcome.empty()) what += " -> " + v.outcome;
  return fmt::format("{}  verdict {}: {} in {}{}{}", at_wall(v.wall), v.number, v.standing, v.state,
                     what.empty() ? "" : "; ", what);
}

// The latest, and why it ended.
void add_ledger(Screen& screen, const host::LedgerConnection& ledger) {
  std::string_view label = "ledger";
  const auto add = [&](const std::string& text) {
    screen.line(label, text);
    label = "";
  };
  const std::size_t from = ledger.verdicts.size() - std::min(ledger.verdicts.size(), kMostLedger);
  for (std::size_t i = from; i < ledger.verdicts.size(); ++i) add(row_of(ledger.verdicts[i]));
  if (!ledger.end) return;
  if (!ledger.verdicts.empty() && ledger.end->verdict == ledger.verdicts.back().number)
    for (const std::string& sentence : ledger.verdicts.back().evidence) screen.line("", "  - " + sentence);
  add(fmt::format("{}  ended: {}{}", at_wall(ledger.end->wall), ledger.end->reason,
                  ledger.end->verdict ? fmt::format(", by verdict {}", ledger.end->verdict) : ""));
}

host::LedgerConnection from_ledger(const std::optional<host::LedgerReader>& ledger, const host::NamedId& id,
                                   std::uint64_t incarnation) {
  if (!ledger) return {};
  auto found = ledger->connection(id, incarnation);
  return found ? *found : host::LedgerConnection{};
}

std::string json_of(const host::ConnectionView& view, const host::LedgerConnection& ledger) {
  if (view.record.has_ended()) return host::explanation_json(&view, ledger);
  const auto conntrack = host::conntrack_of(view);
  if (view.kind != plane::PlaneKind::Kernel) return host::explanation_json(&view, ledger, nullptr, &conntrack);
  const auto open_in = host::holders_of(view.record.beside);
  const auto limits = host::own_limits_of(view);
  return host::explanation_json(&view, ledger, &open_in, &conntrack, &limits);
}

// In no table any more: what the ledger knows, if anything.
std::vector<std::string> past_of(const Named& wanted, const std::optional<host::LedgerReader>& ledger,
                                 const WhyCommand& options, bool colour) {
  host::Result<std::optional<host::LedgerEnd>> end{std::nullopt};
  if (ledger)
    end = wanted.id ? ledger->last_end(*wanted.id)
                    : ledger->last_end(host::text(wanted.local), host::text(wanted.remote));
  if (!end || !*end) return {};
  const host::LedgerEnd& past = **end;
  const auto rows = from_ledger(ledger, past.id, past.incarnation);
  if (options.json) return {host::explanation_json(nullptr, rows)};
  Screen screen(colour);
  screen.line(host::printable(host::text(past.id)), fmt::format("  {} -> {}", past.local, past.remote));
  screen.line("state", past.state + " at its end");
  screen.line("ends", "it has ended: " + past.reason);
  add_ledger(screen, rows);
  return screen.take();
}

// A living one before one that has ended and only still stands there.
std::optional<host::ConnectionView> look_up(const host::CensusView& census, const Named& wanted) {
  if (wanted.id) return census.find(*wanted.id);
  std::optional<host::ConnectionView> found;
  census.each([&](const host::ConnectionView& view) {
    const bool is_it = view.record.local == wanted.local && view.record.remote == wanted.remote;
    if (is_it && (!found || found->record.has_ended())) found = view;
  });
  return found;
}

}  // namespace

std::vector<std::string> why_screen(const host::CensusView& census, const host::ConnectionView& view,
                                    const std::string& ledger_path, bool colour) {
  Screen screen(colour);
  add_head(screen, view);
  const host::ConntrackSeen conntrack = host::conntrack_of(view);
  if (view.kind == plane::PlaneKind::Kernel && !view.record.has_ended())
    add_surroundings(screen, census, view, conntrack.beyond);
  const host::OwnLimitsSeen limits = host::own_limits_of(view);
  add_judgement(screen, view, conntrack, limits);
  std::optional<host::LedgerReader> ledger;
  if (auto opened = host::LedgerReader::open(ledger_path)) ledger.emplace(std::move(*opened));
  add_ledger(screen, from_ledger(ledger, view.id, view.incarnation));
  const std::size_t least = 5 + 2 * conntrack.entries.size();
  for (std::string& line : ladder_of(view, conntrack.entries, ends_about(limits, view), std::max(screen.room(), least)))
    screen.plain(std::move(line));
  return screen.take();
}

void run_why(const WhyCommand& options) {
  std::signal(SIGPIPE, SIG_DFL);  // as every filter: see ls.cc
  const Named wanted = parse_named(options.what);
  const host::RunDir run_dir = host::RunDir::chosen(options.run_dir);
  const auto around = host::look_around(options.run_dir);
  if (!around) throw Trouble(around.error().text);
  if (around->census.is_local && wanted.id)
    throw Trouble("no `adieu up` runs that gave connections their IDs: name it by its endpoints, LOCAL REMOTE");
  const host::CensusView census(around->census);
  const auto found = look_up(census, wanted);
  std::optional<host::LedgerReader> ledger;
  if (auto opened = host::LedgerReader::open(run_dir.ledger())) ledger.emplace(std::move(*opened));
  std::vector<std::string> lines;
  if (!found)
    lines = past_of(wanted, ledger, options, may_colour());
  else if (options.json)
    lines = {json_of(*found, from_ledger(ledger, found->id, found->incarnation))};
  else
    lines = why_screen(census, *found, run_dir.ledger(), may_colour());
  if (found && !options.json && !around->census.policy_known)
    lines.push_back("the policy in force cannot be read: judged by the built-in one");
  if (lines.empty()) fmt::print(stderr, "adieu: there is no such connection, neither in a table nor in the ledger\n");
  for (const std::string& line : lines) fmt::print("{}\n", line);
  if (!lines.empty()) throw Exit{kFound};
}

}  // namespace adieu::cli
