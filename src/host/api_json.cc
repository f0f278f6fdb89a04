// Written and read with nlohmann/json, without exceptions: what cannot be read is discarded and said.
#include "host/api_json.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "host/json.h"
#include "host/json_values.h"
#include "host/sentences.h"

namespace adieu::host {
namespace {

Json in_seconds(Duration duration) {
  return duration == Duration::max() ? Json(nullptr) : Json(static_cast<double>(duration.ns) / 1e9);
}
Json seconds_ago(Instant at, Instant now) {
  return at.is_known() ? Json(std::round((now - at).seconds() * 1e6) / 1e6) : Json(nullptr);
}

Json names_of(control::StateSet states) {
  Json names = Json::array();
  for (unsigned i = 0; i < kStates; ++i)
    if (control::contains(states, static_cast<State>(i))) names.push_back(name(static_cast<State>(i)));
  return names;
}

Json plane_of(const ApiPlane& plane, Instant now) {
  const plane::Totals totals = plane.table.totals();
  const auto status = plane.control.status();
  Json ended = Json::object();
  for (unsigned i = 1; i < kEndReasons; ++i) ended[std::string(name(static_cast<EndReason>(i)))] = totals.ended[i];
  return {{"name", plane.name},
          {"incarnation", hex16(plane.incarnation)},
          {"kind", name(plane.kind)},
          {"pid", plane.process},
          {"opened", totals.opened},
          {"live", totals.live},
          {"ended", std::move(ended)},
          {"reported_ago_s", seconds_ago(plane.table.heartbeat(), now)},
          {"judged_ago_s", seconds_ago(status ? status->swept_at : Instant::unknown(), now)}};
}

// null: as the connection has it.
Json keepalive_of(const plane::Keepalive& keepalive) {
  const auto or_null = [](unsigned number) { return number == 0 ? Json(nullptr) : Json(number); };
  return {{"idle_s", or_null(keepalive.idle)},
          {"interval_s", or_null(keepalive.interval)},
          {"count", or_null(keepalive.count)}};
}

Json rule_of(const NamedPolicy& policy, std::uint32_t number) {
  const control::Rule& rule = policy.policy.rule(number);
  return {{"number", number},
          {"name", rule_name(policy, number)},
          {"probing", rule.probing},
          {"interval_s", in_seconds(rule.interval)},
          {"idle_states", names_of(rule.idle_states)},
          {"probes_needed", rule.probes_needed},
          {"proof_span_s", in_seconds(rule.proof_span)},
          {"keep_path", name(rule.keep_path)},
          {"act", rule.act},
          {"exempt", rule.exempt},
          {"when_gone", control::name(rule.when_gone)},
          {"when_forgotten", control::name(rule.when_forgotten)},
          {"forgotten_after_s", in_seconds(rule.forgotten_after)},
          {"when_orphaned", control::name(rule.when_orphaned)},
          {"orphaned_after_s", in_seconds(rule.orphaned_after)},
          {"always", control::name(rule.always)},
          {"keepalive", keepalive_of(rule.keepalive)}};
}

Json budget_of(const control::OrphanBudget& budget) {
  const bool counted = budget.count != UINT32_MAX, weighed = budget.bytes != UINT64_MAX;
  return {{"count", counted ? Json(budget.count) : Json(nullptr)},
          {"bytes", weighed ? Json(budget.bytes) : Json(nullptr)}};
}

// The object that a body holds, whose members are all known, and each given once.
Result<Json> object_in(std::string_view body, std::initializer_list<std::string_view> known, std::string_view example) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return failed(fmt::format("a body is wanted, a JSON object such as {{}} or {}", example));
  std::set<std::string> names;
  std::optional<std::string> twice;
  const auto look = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1 && !names.insert(parsed.get<std::string>()).second)
      twice = parsed.get<std::string>();
    return true;
  };
  Json json = Json::parse(body, look, false);
  if (json.is_discarded() || !json.is_object())
    return failed(fmt::format("the body is no JSON object such as {{}} or {}", example));
  if (twice) return failed(fmt::format("`{}` is given twice", *twice));
  for (const auto& [key, value] : json.items())
    if (std::ranges::find(known, key) == known.end()) return failed(fmt::format("`{}` is not known here", key));
  return json;
}

std::string string_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}
bool bool_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_boolean() && found->get<bool>();
}
ConnectionLine line_of(const Json& json) {
  return {string_in(json, "id"),    string_in(json, "local"),    string_in(json, "remote"),
          string_in(json, "state"), string_in(json, "standing"), string_in(json, "ends")};
}

std::unexpected<Failure> strange() {
  return failed("the control plane's answer is not understood: `adieu` and `adieu up` must be of one release");
}

}  // namespace

std::string error_json(int status, std::string_view sentence) {
  return line({{"error", {{"status", status}, {"sentence", sentence}}}});
}

std::string error_json(const control::FilterError& error) {
  return line({{"error",
                {{"status", 400},
                 {"sentence", message(error.trouble)},
                 {"place", {{"parameter", "filter"}, {"at", error.at}, {"length", error.length}}}}}});
}

std::string status_json(const ApiSnapshot& snapshot, std::string_view version, Instant now) {
  const Tally& tally = snapshot.tally;
  Json planes = Json::array();
  for (const auto& plane : snapshot.planes) planes.push_back(plane_of(*plane, now));
  return line({{"version", version},
               {"control",
                {{"pid", ::getpid()},
                 {"sweeps", tally.rounds},
                 {"last_sweep_s", in_seconds(tally.last_sweep)},
                 {"verdicts", tally.counts.verdicts},
                 {"commands", tally.counts.commands},
                 {"withheld", tally.counts.withheld},
                 {"receipts", tally.counts.receipts},
                 {"ledger_failures", tally.counts.ledger_failures}}},
               {"policy", hex16(snapshot.policy->policy.fingerprint)},
               {"planes", std::move(planes)}});
}

std::string connections_json(const std::vector<ConnectionView>& connections, const std::string& next,
                             std::uint64_t unsure) {
  std::string out = R"({"connections":[)";
  for (const ConnectionView& view : connections) {
    if (&view != &connections.front()) out += ',';
    out += connection_json(view);
  }
  return out + R"(],"next":)" + line(text_or_null(next)) + fmt::format(R"(,"unsure":{}}})", unsure);
}

std::string policy_json(const NamedPolicy& named) {
  const control::Policy& policy = named.policy;
  Json rules = Json::array(), timers = Json::array();
  for (std::uint32_t i = 0; i < policy.clauses().size(); ++i) rules.push_back(rule_of(named, i));
  for (std::size_t i = 0; i < policy.path_timers.size(); ++i)
    timers.push_back({{"name", i < named.path_timers.size() ? named.path_timers[i] : ""},
                      {"idle_s", in_seconds(policy.path_timers[i].idle)},
                      {"states", names_of(policy.path_timers[i].states)}});
  return line({{"fingerprint", hex16(policy.fingerprint)},
               {"rules", std::move(rules)},
               {"orphans", budget_of(policy.orphans)},
               {"orphans_under_pressure", budget_of(policy.orphans_under_pressure)},
               {"probes", {{"per_second", policy.probes.per_second}, {"per_host", policy.probes.per_host}}},
               {"path_timers", std::move(timers)},
               {"text", named.text}});
}

std::string receipt_json(const Receipt& receipt) {
  return line({{"id", receipt.id},
               {"act", receipt.act},
               {"done", receipt.done},
               {"outcome", receipt.outcome},
               {"sentence", receipt.sentence},
               {"state", receipt.state},
               {"verdict", receipt.verdict},
               {"heard", receipt.heard ? Json(*receipt.heard) : Json(nullptr)},
               {"heard_after_s", receipt.heard_after_s ? Json(*receipt.heard_after_s) : Json(nullptr)},
               {"ended", text_or_null(receipt.ended)}});
}

std::string prospect_json(const ConnectionView& view, const Prospect& prospect) {
  return line({{"dry_run", true},
               {"id", text(view.id)},
               {"local", text(view.record.local)},
               {"remote", text(view.record.remote)},
               {"state", name(view.record.state)},
               {"standing", control::name(view.seen.verdict.standing)},
               {"how", name(prospect.how)},
               {"possible", !prospect.refused},
               {"here", prospect.here},
               {"application", prospect.application},
               {"peer", prospect.peer},
               {"comm", view.holder_process == 0 ? Json(nullptr) : Json(view.comm)}});
}

Result<ProbeBody> parse_probe_body(std::string_view body) {
  const auto json = object_in(body, {"wait_s"}, R"({"wait_s":3})");
  if (!json) return std::unexpected(json.error());
  ProbeBody out;
  if (const auto found = json->find("wait_s"); found != json->end()) {
    if (!found->is_number() || !(found->get<double>() >= 0 && found->get<double>() <= 10))
      return failed("`wait_s` is a number of seconds from 0 to 10");
    out.wait = Duration{std::llround(found->get<double>() * 1e9)};
  }
  return out;
}

// nullopt: no socket can be told that.
std::optional<plane::Keepalive> keepalive_in(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  plane::Keepalive keepalive;
  for (const auto& [key, value] : json.items()) {
    const auto number = value.is_number_unsigned() ? value.get<std::uint64_t>() : 0;
    if (number == 0 || number > (key == "count" ? plane::kMostKeepalives : plane::kLongestKeepalive))
      return std::nullopt;
    if (key == "idle_s")
      keepalive.idle = static_cast<std::uint16_t>(number);
    else if (key == "interval_s")
      keepalive.interval = static_cast<std::uint16_t>(number);
    else if (key == "count")
      keepalive.count = static_cast<std::uint8_t>(number);
    else
      return std::nullopt;
  }
  return keepalive;
}

Result<EndBody> parse_end_body(std::string_view body) {
  const auto json = object_in(body, {"how", "dry_run", "keepalive"}, R"({"how":"finish","dry_run":true})");
  if (!json) return std::unexpected(json.error());
  EndBody out;
  if (const auto found = json->find("how"); found != json->end()) {
    if (found->is_string()) out.order.how = parse_end_how(found->get<std::string>());
    if (!out.order.how) return failed("`how` is \"finish\", \"reset\", \"silent\" or \"keepalive\"");
  }
  if (const auto found = json->find("dry_run"); found != json->end()) {
    if (!found->is_boolean()) return failed("`dry_run` is true or false");
    out.dry_run = found->get<bool>();
  }
  if (const auto found = json->find("keepalive"); found != json->end()) {
    const auto keepalive = keepalive_in(*found);
    if (!keepalive || out.order.how != EndHow::Keepalive)
      return failed(
          "`keepalive` goes with \"how\":\"keepalive\" and is an object with `idle_s` and `interval_s`, whole seconds "
          "from 1 to 32767, and `count`, from 1 to 127; each may be left out");
    out.order.keepalive = *keepalive;
  }
  return out;
}

ErrorLines parse_error(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  const auto error = json.is_object() ? json.find("error") : json.end();
  if (error == json.end() || !error->is_object()) return {strange().error().text, std::nullopt};
  ErrorLines lines{string_in(*error, "sentence"), std::nullopt};
  const auto place = error->find("place");
  if (place != error->end() && place->is_object()) lines.place = {place->value("at", 0U), place->value("length", 0U)};
  return lines;
}

Result<ConnectionLines> parse_connections(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("connections") || !json["connections"].is_array()) return strange();
  ConnectionLines lines;
  for (const Json& one : json["connections"]) {
    if (!one.is_object()) return strange();
    lines.connections.push_back(line_of(one));
  }
  lines.next = string_in(json, "next");
  if (json.contains("unsure") && json["unsure"].is_number_unsigned()) lines.unsure = json["unsure"];
  return lines;
}

Result<Receipt> parse_receipt(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || string_in(json, "act").empty()) return strange();
  Receipt receipt{.id = string_in(json, "id"),
                  .act = string_in(json, "act"),
                  .done = bool_in(json, "done"),
                  .outcome = string_in(json, "outcome"),
                  .sentence = string_in(json, "sentence"),
                  .state = string_in(json, "state"),
                  .verdict = 0,
                  .heard = std::nullopt,
                  .heard_after_s = std::nullopt,
                  .ended = string_in(json, "ended")};
  if (json.contains("verdict") && json["verdict"].is_number_unsigned()) receipt.verdict = json["verdict"];
  if (json.contains("heard") && json["heard"].is_boolean()) receipt.heard = json["heard"].get<bool>();
  if (json.contains("heard_after_s") && json["heard_after_s"].is_number())
    receipt.heard_after_s = json["heard_after_s"].get<double>();
  return receipt;
}

Result<ProspectLines> parse_prospect(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !bool_in(json, "dry_run")) return strange();
  return ProspectLines{
      line_of(json),           string_in(json, "how"),  string_in(json, "here"),  string_in(json, "application"),
      string_in(json, "peer"), string_in(json, "comm"), bool_in(json, "possible")};
}

}  // namespace adieu::host
