// Paths, parameters, and what is said when something cannot be done.
#include "host/api_server.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "host/api_json.h"
#include "host/api_metrics.h"
#include "host/clock.h"
#include "host/json.h"
#include "host/keepalive_prospect.h"
#include "host/ledger.h"
#include "host/ledger_json.h"

namespace adieu::host {
namespace {

constexpr std::string_view kConnections = "/v1/connections";
constexpr std::size_t kPage = 100;
constexpr std::size_t kLongestPage = 1000;
// A command lives two seconds by default; after this nobody waits for its receipt any more.
constexpr Duration kReceiptLimit = seconds(5);
// Each holds one of the door's connections; the others are for requests.
constexpr int kMostStreams = 16;
constexpr unsigned kEventsAtOnce = 256;
// So that both ends notice when the other is gone.
constexpr Duration kSilentFor = seconds(15);
// How long a stream whose reader has gone may hold its place.
constexpr Duration kLookForReader = milliseconds(250);
// Between two looks for a sign of the peer.
constexpr Duration kLookAgain = milliseconds(5);

HttpResponse json(std::string body, int status = 200) { return {status, "application/json", std::move(body), nullptr}; }
HttpResponse error(int status, std::string_view sentence) { return json(error_json(status, sentence), status); }

int status_of(control::Refusal refusal) {
  switch (refusal) {
    case control::Refusal::Ended: return 410;
    case control::Refusal::NotAskable:
    case control::Refusal::Unable:
    case control::Refusal::Busy: return 409;
    case control::Refusal::PlaneStopped:
    case control::Refusal::NoRoom: return 503;
  }
  return 500;
}

std::string_view sentence_of(plane::Outcome outcome, std::string_view act) {
  if (outcome == plane::Outcome::Unable && act == name(EndHow::Keepalive))
    return "it was not switched on: no process has it open any more, its program has set TCP_USER_TIMEOUT, by which "
           "one "
           "question without an answer could end it, or `count` questions have stayed unanswered already";
  switch (outcome) {
    case plane::Outcome::Done: return "done";
    case plane::Outcome::DoneUnguarded:
      return "done; that its peer was not heard was made sure of just before, and not at the very moment";
    case plane::Outcome::WrongIdentity: return "it is gone: another connection may have its place";
    case plane::Outcome::AlreadyEnded: return "it had ended before the command came";
    case plane::Outcome::WrongState: return "it changed its state in the meantime: look again, and decide again";
    case plane::Outcome::HeardSince: return "its peer was heard in the meantime";
    case plane::Outcome::Expired: return "its data plane did not take the command in time, and will not";
    case plane::Outcome::Void: return "a new control plane has started, and the command is void: try again";
    case plane::Outcome::Unable:
      return "its data plane cannot do that to it: its state, what its program has set, or who has it open forbids it";
    case plane::Outcome::TooSoon:
      return "it was asked, or heard, less than a second ago: peers limit such answers, try again";
    case plane::Outcome::Malformed: return "its data plane could not read the command: report this as a fault of adieu";
  }
  return "?";
}

// "/v1/connections/PLANE/SLOT.GENERATION[/ACT]"; a plane's name may itself hold a slash.
struct Target {
  std::string_view id, act;
};
Target target_of(std::string_view path) {
  path.remove_prefix(kConnections.size() + 1);
  for (const std::string_view act : {"probe", "end"})
    if (path.ends_with(act) && path.size() > act.size() && path[path.size() - act.size() - 1] == '/')
      return {path.substr(0, path.size() - act.size() - 1), act};
  return {path, {}};
}

// The peer has been heard since the record was `before`.
bool is_heard_since(const ConnectionView& before, const ConnectionView& after) {
  if (before.seen.evidence.counts_every_sign && before.record.heard != plane::kUnknownCount)
    return after.record.heard != before.record.heard;
  return after.record.last_heard > before.record.last_heard;
}

double span_since(Instant began) { return static_cast<double>((now() - began).ns / 1000) / 1e6; }

// A peer, or something on the path, that no longer knows what it is asked about answers with a reset, which ends it.
void tell_end(Receipt& receipt, const ConnectionView& view) {
  const plane::Record& record = view.record;
  receipt.state = std::string(name(State::Closed));
  receipt.ended = std::string(name(record.reason));
  if (record.reason != EndReason::PeerReset) {
    receipt.sentence =
        fmt::format("asked, and it ended before a sign came: {}{}", receipt.ended,
                    record.reason == EndReason::Vanished ? " (a reset, unless its program ended it)" : "");
    return;
  }
  std::string sees = "the program's next call fails";
  if (record.holder == plane::Holder::Orphan)
    sees = "no program holds it";
  else if (view.kind == plane::PlaneKind::Kernel)
    sees = record.state == State::CloseWait ? "the program will see EPIPE when it writes"
                                            : "the program will see ECONNRESET when it reads or writes";
  receipt.sentence =
      fmt::format("asked, and answered by a reset: the peer no longer knows it; it has ended, and {}", sees);
}

// The ledger's entries, as server-sent events; an event's id is its entry's number.
class Events final : public HttpStream {
 public:
  // `after` nullopt: only what comes from now on.
  Events(const ApiBoard& board, std::string path, std::optional<std::uint64_t> after, std::atomic<int>& streams)
      : board_(board), path_(std::move(path)), after_(after), streams_(streams), said_(now()) {
    ++streams_;
    open();
  }
  ~Events() override { --streams_; }

  bool next(std::string& out) override {
    if (!reader_) open();
    const std::uint64_t news = seen_;
    if (reader_) read(out);
    // All that was there has been read: the next read is worth it once there is news.
    if (out.empty()) seen_ = board_.await_news(news, kLookForReader);
    if (out.empty() && now() - said_ >= kSilentFor) out = ":\n\n";
    if (!out.empty()) said_ = now();
    return true;
  }

 private:
  void open() {
    auto opened = LedgerReader::open(path_);
    if (!opened) {
      // There is none yet: whatever comes is new.
      if (!after_) after_ = 0;
      return;
    }
    reader_.emplace(std::move(*opened));
    // A number that is not there yet belongs to a ledger that is gone.
    if (!after_ || *after_ > reader_->newest()) after_ = reader_->newest();
  }
  void read(std::string& out) {
    if (const std::uint64_t oldest = reader_->oldest(); oldest > *after_ + 1) {
      out += fmt::format("event: missed\ndata: {{\"from\":{},\"to\":{}}}\n\n", *after_ + 1, oldest - 1);
      after_ = oldest - 1;
    }
    const auto entries = reader_->after(*after_, kEventsAtOnce);
    if (!entries) return reader_.reset();
    for (const LedgerEntry& entry : *entries) {
      out += fmt::format("id: {}\nevent: {}\ndata: {}\n\n", entry.number, name(entry.kind), entry_json(entry));
      after_ = entry.number;
    }
  }

  const ApiBoard& board_;
  std::string path_;
  std::optional<std::uint64_t> after_;
  std::atomic<int>& streams_;
  std::optional<LedgerReader> reader_;
  std::uint64_t seen_ = 0;
  Instant said_;
};

// What is wrong with the parameters, wherever they are asked; nullopt: nothing.
std::optional<std::string> odd_parameter(const HttpRequest& request) {
  const std::string* odd = nullptr;
  std::string known = "none is taken";
  if (request.path == kConnections) {
    odd = request.odd_parameter({"filter", "limit", "after"});
    known = "filter, limit and after are taken, each once";
  } else if (request.path == "/v1/events") {
    odd = request.odd_parameter({"after"});
    known = "after is taken, once";
  } else {
    odd = request.odd_parameter({});
  }
  if (odd == nullptr) return std::nullopt;
  return fmt::format("the parameter `{}` is not known here, or given twice: {}", *odd, known);
}

std::optional<std::uint64_t> number_in(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, trouble] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (trouble != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

HttpResponse Api::trouble(int status, std::string_view sentence) { return error(status, sentence); }

HttpResponse Api::answer(const HttpRequest& request) {
  const auto objection = odd_parameter(request);
  if (objection) return error(400, *objection);
  if (!request.path.starts_with(std::string(kConnections) + "/")) {
    if (request.method == "GET") return get(request);
    return error(405, "only GET is answered here");
  }
  const Target target = target_of(request.path);
  const auto id = parse_id(target.id);
  if (!id) return error(404, id.error().text);
  const bool is_post = request.method == "POST";
  if (is_post == target.act.empty())
    return error(405, is_post ? "POST to …/probe or …/end" : "only POST is answered here");
  const ApiTables tables(board_.snapshot());
  const auto view = tables.find(*id);
  if (!view) return error(404, fmt::format("there is no connection {}, or not any more", text(*id)));
  if (!is_post) return explain(*view);
  return target.act == "probe" ? probe(tables, *view, request) : end(tables, *view, request);
}

HttpResponse Api::get(const HttpRequest& request) {
  if (request.path == "/v1/status") return json(status_json(board_.snapshot(), kVersion, now()));
  if (request.path == kConnections) return connections(request);
  if (request.path == "/v1/events") return events(request);
  if (request.path == "/v1/policy") return json(policy_json(*board_.snapshot().policy));
  if (request.path == "/v1/openapi.yaml") return {200, "application/yaml", std::string(kOpenApi), nullptr};
  if (request.path == "/metrics")
    return {200, "text/plain; version=0.0.4", metrics_text(ApiTables(board_.snapshot()), kVersion), nullptr};
  return error(404, "nothing is here: see /v1/openapi.yaml");
}

HttpResponse Api::connections(const HttpRequest& request) {
  const std::string* const asked = request.parameter("filter");
  const auto filter = control::Filter::parse(asked == nullptr ? std::string_view() : std::string_view(*asked));
  if (!filter) return json(error_json(filter.error()), 400);
  std::size_t limit = kPage;
  if (const std::string* const given = request.parameter("limit")) {
    limit = number_in(*given).value_or(0);
    if (limit < 1 || limit > kLongestPage)
      return error(400, fmt::format("`limit` is a number from 1 to {}", kLongestPage));
  }
  std::optional<NamedId> after;
  if (const std::string* const given = request.parameter("after")) {
    const auto id = parse_id(*given);
    if (!id) return error(400, "`after` is what `next` was in the answer before");
    after = *id;
  }
  const ApiTables::Page page = ApiTables(board_.snapshot()).page(*filter, after, limit);
  return json(
      connections_json(page.connections, page.more ? text(page.connections.back().id) : std::string(), page.unsure));
}

HttpResponse Api::events(const HttpRequest& request) {
  std::optional<std::uint64_t> after;
  const std::string* given = request.parameter("after");
  // A browser that connects again says how far it came; that is newer than what its address says.
  if (!request.last_event_id.empty()) given = &request.last_event_id;
  if (given != nullptr) {
    after = number_in(*given);
    if (!after) return error(400, "`after` and Last-Event-ID are the id of an event: a number");
  }
  if (streams_.load() >= kMostStreams) return error(503, "too many streams are being read: try again in a moment");
  return {200, "text/event-stream", {}, std::make_unique<Events>(board_, run_dir_.ledger(), after, streams_)};
}

HttpResponse Api::explain(const ConnectionView& view) {
  LedgerConnection rows;
  if (const auto ledger = LedgerReader::open(run_dir_.ledger()))
    if (auto found = ledger->connection(view.id, view.incarnation)) rows = std::move(*found);
  return json(explanation_json(&view, rows));
}

HttpResponse Api::probe(const ApiTables& tables, const ConnectionView& view, const HttpRequest& request) {
  const auto body = parse_probe_body(request.body);
  if (!body) return error(400, body.error().text);
  Order order{tables.identity(view), {}};
  order.request.kind = plane::CommandKind::Probe;
  order.request.user = request.user;
  return command(view, "probe", board_.order(order, kReceiptLimit), body->wait);
}

HttpResponse Api::end(const ApiTables& tables, const ConnectionView& view, const HttpRequest& request) {
  const auto body = parse_end_body(request.body);
  if (!body) return error(400, body.error().text);
  const EndHow how = body->order.how.value_or(default_end(view.record.state));
  const plane::Abilities abilities = view.seen.evidence.abilities;
  const bool keeps = how == EndHow::Keepalive && view.kind == plane::PlaneKind::Kernel;
  const Prospect prospect =
      keeps ? keepalive_prospect_of(view.record, abilities, body->order.keepalive, own_limits_of(view))
            : prospect_of(how, view.record, abilities, view.kind);
  if (body->dry_run) return json(prospect_json(view, prospect));
  if (prospect.refused) return error(status_of(*prospect.refused), prospect.here);
  const OrderResult result =
      board_.order({tables.identity(view), request_of(how, request.user, body->order.keepalive)}, kReceiptLimit);
  return command(view, name(how), result, Duration{});
}

HttpResponse Api::command(const ConnectionView& view, std::string_view act, const OrderResult& result, Duration wait) {
  switch (result.what) {
    case OrderResult::What::Receipt: break;
    case OrderResult::What::Refused: return error(status_of(result.refusal), message(result.refusal));
    case OrderResult::What::NotGiven:
      return error(503,
                   "nothing was done: the ledger cannot be written, or its data plane has failed; see the log of "
                   "`adieu up`");
    case OrderResult::What::TooLate:
      return error(504, fmt::format("no receipt came within {:.0f} s: its data plane, or the control plane, is stopped",
                                    kReceiptLimit.seconds()));
  }
  Receipt receipt{.id = text(view.id),
                  .act = std::string(act),
                  .done = plane::is_done(result.outcome),
                  .outcome = std::string(plane::name(result.outcome)),
                  .sentence = std::string(sentence_of(result.outcome, act)),
                  .state = std::string(name(result.state)),
                  .verdict = result.verdict,
                  .heard = std::nullopt,
                  .heard_after_s = std::nullopt,
                  .ended = {}};
  if (act != "probe" || !receipt.done) return json(receipt_json(receipt));
  const Instant asked = now();
  receipt.heard = false;
  for (;;) {
    const auto after = ApiTables(board_.snapshot()).find(view.id);
    if (!after) break;
    if (after->record.has_ended()) {
      tell_end(receipt, *after);
      receipt.heard = is_heard_since(view, *after);
      if (*receipt.heard) receipt.heard_after_s = span_since(asked);
      break;
    }
    receipt.state = std::string(name(after->record.state));
    if (is_heard_since(view, *after)) {
      receipt.heard = true;
      receipt.heard_after_s = span_since(asked);
      break;
    }
    if (now() - asked >= wait) break;
    ::usleep(static_cast<useconds_t>(kLookAgain.ns / 1000));
  }
  return json(receipt_json(receipt));
}

}  // namespace adieu::host
