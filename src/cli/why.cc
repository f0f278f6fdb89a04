// `adieu why`: one screen about one connection: what it is, how it stands and on what evidence, what will end it.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <csignal>
#include <ctime>
#include <optional>

#include "cli/command.h"
#include "host/json.h"
#include "host/sentences.h"
#include "host/view.h"

namespace adieu::cli {
namespace {

// What was asked for: a name, or two endpoints.
struct Wanted {
  std::optional<host::NamedId> id;
  Endpoint local, remote;

  bool is(const host::ConnectionView& view) const {
    if (id) return view.id == *id;
    return view.record.local == local && view.record.remote == remote;
  }
};

Wanted parse(const std::vector<std::string>& what) {
  Wanted wanted;
  if (what.size() == 1) {
    const auto id = host::parse_id(what[0]);
    if (!id) throw Trouble(id.error().text);
    wanted.id = *id;
    return wanted;
  }
  const auto local = host::parse_endpoint(what[0]);
  const auto remote = host::parse_endpoint(what[1]);
  if (!local || !remote) throw Trouble((local ? remote : local).error().text);
  wanted.local = *local;
  wanted.remote = *remote;
  return wanted;
}

void line(std::string_view label, const std::string& value) { fmt::print("{:<16}{}\n", label, value); }

std::string at_wall(std::int64_t microseconds) {
  const auto seconds = static_cast<std::time_t>(microseconds / 1'000'000);
  return fmt::format("{:%F %T}", fmt::localtime(seconds));
}

std::string ago(Instant at, Instant now) { return at.is_known() ? host::readable(now - at) + " ago" : "not known"; }

std::string count(std::uint32_t octets) {
  return octets == plane::kUnknownCount ? std::string("not known") : fmt::format("{} octets", octets);
}

void print_facts(const host::ConnectionView& view) {
  const plane::Record& r = view.record;
  line("connection", fmt::format("{}   {} -> {}", host::text(view.id), host::text(r.local), host::text(r.remote)));
  line("plane", fmt::format("{}, {}, process {}, incarnation {}", view.id.plane, host::name(view.kind), view.process,
                            host::hex16(view.incarnation)));
  line("state", r.state_entered.is_known()
                    ? fmt::format("{}, for {}", name(r.state), host::readable(view.now - r.state_entered))
                    : fmt::format("{}, since when is not known", name(r.state)));
  if (r.has_ended()) {
    line("ended", fmt::format("{}{}", name(r.reason), r.ended_by ? fmt::format(", verdict {}", r.ended_by) : ""));
    return;
  }
  std::string shut = r.send_shut ? "sending" : "";
  if (r.receive_shut) shut += shut.empty() ? "receiving" : " and receiving";
  line("shut here", shut.empty() ? "nothing" : shut);
  line("heard", fmt::format("{}; new from the peer {}; acknowledged by it {}", ago(r.last_heard, view.now),
                            ago(r.progress_in, view.now), ago(r.progress_out, view.now)));
  line("unread", fmt::format("{}; unacknowledged: {}", count(r.unread), count(r.unsent)));
  line("held by", std::string(host::name(r.holder)));
}

void print_judgement(const host::ConnectionView& view) {
  if (view.record.has_ended()) return;
  line("wanted", std::string(control::name(view.seen.verdict.wanted)));
  line("standing", std::string(control::name(view.seen.verdict.standing)));
  for (const std::string& sentence : view.evidence()) line("", "- " + sentence);
  if (view.seen.not_judged_since)
    line("", fmt::format("control is {}: not judged since {}", name(view.control),
                         view.judged_at.is_known() ? ago(view.judged_at, view.now) : "the beginning"));
  line("what ends it", view.ending());
  const auto advice = view.advice();
  for (std::size_t i = 0; i < advice.size(); ++i) line(i == 0 ? "what you can do" : "", advice[i]);
}

void print_ledger(const host::LedgerConnection& ledger) {
  if (ledger.verdicts.empty() && !ledger.end) return;
  fmt::print("from the ledger\n");
  for (const host::LedgerVerdict& v : ledger.verdicts) {
    std::string what = v.command;
    if (!v.form.empty()) what += ", " + v.form;
    if (!v.outcome.empty()) what += " -> " + v.outcome;
    fmt::print("  {}  verdict {}: {} in {}{}{}\n", at_wall(v.wall), v.number, v.standing, v.state,
               what.empty() ? "" : "; ", what);
  }
  if (!ledger.verdicts.empty())
    for (const std::string& sentence : ledger.verdicts.back().evidence) fmt::print("      - {}\n", sentence);
  if (ledger.end)
    fmt::print("  {}  ended: {}{}\n", at_wall(ledger.end->wall), ledger.end->reason,
               ledger.end->verdict ? fmt::format(", by verdict {}", ledger.end->verdict) : "");
}

host::LedgerConnection from_ledger(const std::optional<host::LedgerReader>& ledger, const host::NamedId& id,
                                   std::uint64_t incarnation) {
  if (!ledger) return {};
  auto found = ledger->connection(id, incarnation);
  return found ? *found : host::LedgerConnection{};
}

// In no table any more: what the ledger knows, if anything.
void explain_the_past(const WhyCommand& options, const Wanted& wanted,
                      const std::optional<host::LedgerReader>& ledger) {
  host::Result<std::optional<host::LedgerEnd>> end{std::nullopt};
  if (ledger)
    end = wanted.id ? ledger->last_end(*wanted.id)
                    : ledger->last_end(host::text(wanted.local), host::text(wanted.remote));
  if (!end || !*end) {
    if (!options.json) fmt::print("no such connection, neither in a table nor in the ledger\n");
    throw Exit{1};
  }
  const host::LedgerEnd& past = **end;
  const auto rows = from_ledger(ledger, past.id, past.incarnation);
  if (options.json) {
    fmt::print("{}\n", host::explanation_json(nullptr, rows));
    return;
  }
  line("connection", fmt::format("{}   {} -> {}", host::text(past.id), past.local, past.remote));
  line("state", past.state + " at its end");
  line("ended", past.reason);
  print_ledger(rows);
}

}  // namespace

void run_why(const WhyCommand& options) {
  std::signal(SIGPIPE, SIG_DFL);  // as every filter: see ls.cc
  const Wanted wanted = parse(options.what);
  const host::RunDir run_dir = host::RunDir::chosen(options.run_dir);
  const auto census = host::take_census(run_dir);
  if (!census) throw Trouble(census.error().text);
  std::optional<host::LedgerReader> ledger;
  if (auto opened = host::LedgerReader::open(run_dir.ledger())) ledger.emplace(std::move(*opened));
  // A living one before one that has ended and only still stands there.
  std::optional<host::ConnectionView> found;
  host::for_each_connection(*census, [&](const host::ConnectionView& view) {
    if (wanted.is(view) && (!found || found->record.has_ended())) found = view;
  });
  if (!found) return explain_the_past(options, wanted, ledger);
  const auto rows = from_ledger(ledger, found->id, found->incarnation);
  if (options.json) {
    fmt::print("{}\n", host::explanation_json(&*found, rows));
    return;
  }
  print_facts(*found);
  print_judgement(*found);
  if (!census->policy_known) line("", "the policy in force cannot be read: judged by the built-in one");
  print_ledger(rows);
}

}  // namespace adieu::cli
