// One list of the evidence's members serves writing and reading, so that the two cannot drift apart.
#include "host/ledger_json.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <span>
#include <type_traits>

#include "host/json_values.h"
#include "host/sentences.h"
#include "host/text.h"

namespace adieu::host {
namespace {

using Comm = decltype(plane::Beside::comm);

Json json_of(Instant at) {
  if (at == Instant::never()) return "never";
  return at.is_known() ? Json(at.ns) : Json(nullptr);
}
Json json_of(Duration span) { return span == Duration::max() ? Json("never") : Json(span.ns); }

constexpr unsigned values(State) { return kStates; }
constexpr unsigned values(EndReason) { return kEndReasons; }
constexpr unsigned values(plane::Holder) { return 4; }
constexpr unsigned values(plane::Known) { return 3; }
constexpr unsigned values(plane::PlaneKind) { return 3; }
constexpr unsigned values(plane::OwnTimer) { return plane::kOwnTimers; }

template <typename Enum>
bool read_enum(std::string_view text, Enum& value) {
  for (unsigned i = 0; i < values(Enum{}); ++i) {
    if (name(static_cast<Enum>(i)) != text) continue;
    value = static_cast<Enum>(i);
    return true;
  }
  return false;
}

// A new member belongs into the list below.
static_assert(sizeof(control::Evidence) == 304);
template <typename Visit, typename... Evidence>
void visit_members(Visit&& visit, Evidence&... e) {
  visit("reason", e.reason...);
  visit("ended_by", e.ended_by...);
  visit("state_entered", e.state_entered...);
  visit("plane_stopped_since", e.plane_stopped_since...);
  visit("time_wait", e.time_wait...);
  visit("heard_at", e.heard_at...);
  visit("heard", e.heard...);
  visit("progress_in", e.progress_in...);
  visit("progress_out", e.progress_out...);
  visit("counts_every_sign", e.counts_every_sign...);
  visit("asks_echo", e.asks[static_cast<unsigned>(ProbeForm::DataEcho)]...);
  visit("asks_bare", e.asks[static_cast<unsigned>(ProbeForm::Bare)]...);
  visit("asks_pending", e.asks[static_cast<unsigned>(ProbeForm::Pending)]...);
  visit("asked", e.asked...);
  visit("attempts", e.attempts...);
  visit("first_ask", e.first_ask...);
  visit("last_ask", e.last_ask...);
  visit("attended", e.attended...);
  visit("unattended", e.unattended...);
  visit("pending", e.pending...);
  visit("possible", e.possible...);
  visit("can_abort", e.can_abort...);
  visit("abilities", e.abilities...);
  visit("holder", e.holder...);
  visit("end_of_stream_read", e.end_of_stream_read...);
  visit("unread", e.unread...);
  visit("unsent", e.unsent...);
  visit("receive_shut", e.receive_shut...);
  visit("send_shut", e.send_shut...);
  visit("peer_window_closed", e.peer_window_closed...);
  visit("passed_r1", e.passed_r1...);
  visit("soft_error", e.soft_error...);
  visit("holder_process", e.beside.process...);
  visit("holder_descriptor", e.beside.descriptor...);
  visit("holder_comm", e.beside.comm...);
  visit("holder_processes", e.beside.processes...);
  visit("holder_descriptors", e.beside.descriptors...);
  visit("holder_references", e.beside.references...);
  visit("holder_looked", e.beside.looked...);
  visit("holder_looked_everywhere", e.beside.looked_everywhere...);
  visit("inherited", e.beside.inherited...);
  visit("keepalive", e.beside.keepalive...);
  visit("keepalive_refused", e.beside.keepalive_refused...);
  visit("network", e.beside.network...);
  visit("own_timer", e.beside.timer...);
  visit("own_timer_retries", e.beside.retries...);
  visit("own_timer_fires", e.beside.fires...);
  visit("in_state_by", e.beside.in_state_by...);
  visit("may_be_outside", e.may_be_outside...);
  visit("host_doubted", e.host.doubted...);
  visit("host_heard_at", e.host.heard_at...);
  visit("host_lost", e.host.lost...);
  visit("host_path_timer", e.host.path_timer...);
}

template <typename T>
Json value_json(const T& value) {
  if constexpr (std::is_same_v<T, Instant> || std::is_same_v<T, Duration>)
    return json_of(value);
  else if constexpr (std::is_enum_v<T>)
    return name(value);
  else if constexpr (std::is_same_v<T, Comm>)
    return std::string(value.data(), ::strnlen(value.data(), value.size()));
  else
    return value;
}

Json evidence_json(const control::Evidence& evidence) {
  static const control::Evidence nothing;
  Json json = Json::object();
  const auto write = [&json]<typename T>(const char* member, const T& value, const T& none) {
    if (value != none) json[member] = value_json(value);
  };
  visit_members(write, evidence, nothing);
  return json;
}

template <typename T>
bool read_value(const Json& json, T& value) {
  if constexpr (std::is_same_v<T, Instant> || std::is_same_v<T, Duration>) {
    if (json.is_number_integer()) value.ns = json.template get<std::int64_t>();
    if (json == "never") value.ns = Duration::max().ns;
    return json.is_number_integer() || json == "never";
  } else if constexpr (std::is_enum_v<T>) {
    return json.is_string() && read_enum(json.template get<std::string>(), value);
  } else if constexpr (std::is_same_v<T, Comm>) {
    if (json.is_string()) json.template get<std::string>().copy(value.data(), value.size() - 1);
    return json.is_string();
  } else if constexpr (std::is_same_v<T, bool>) {
    if (json.is_boolean()) value = json.template get<bool>();
    return json.is_boolean();
  } else {
    if (json.is_number()) value = json.template get<T>();
    return json.is_number();
  }
}

// False: a member that this version cannot read.
bool read_evidence(const Json& json, control::Evidence& evidence) {
  bool sound = true;
  visit_members(
      [&](const char* member, auto& value) {
        if (const auto found = json.find(member); found != json.end()) sound = read_value(*found, value) && sound;
      },
      evidence);
  return sound;
}

Json grounds_json(std::span<const control::Ground> grounds, std::string_view rule) {
  Json all = Json::array();
  for (const control::Ground& ground : grounds) {
    Json one = {{"sentence", sentence(ground, rule)},
                {"source", control::name(control::source_of(ground.kind))},
                {"strength", control::name(control::strength_of(ground.kind))}};
    if (ground.number != 0) one["number"] = ground.number;
    if (ground.span != Duration{}) one["span"] = json_of(ground.span);
    all.push_back(std::move(one));
  }
  return all;
}

std::string sentence(const control::Note& note) {
  const std::string host = text(note.host);
  switch (note.kind) {
    case control::NoteKind::HostSilent:
      return fmt::format("{} is silent on {} connections, for {}", host, note.number, readable(note.span));
    case control::NoteKind::HostBack: return fmt::format("{} was heard again", host);
    case control::NoteKind::PathForgot:
      return fmt::format("a path to {} was forgotten after {}: a timer of {} fits", host, readable(note.silence),
                         readable(note.span));
    case control::NoteKind::OverBudget: return fmt::format("{} orphans are more than their budget", note.number);
    case control::NoteKind::WithinBudget: return "the orphans are within their budget again";
  }
  return "?";
}

// A member of an entry's detail in words; empty: there is none.
std::string member(const Json& detail, const char* name) {
  if (!detail.is_object()) return {};
  const auto found = detail.find(name);
  if (found == detail.end()) return {};
  return found->is_string() ? found->get<std::string>() : line(*found);
}

Json number_or_null(std::uint64_t number) { return number == 0 ? Json(nullptr) : Json(number); }

}  // namespace

std::string verdict_detail(const control::Decision& decision, plane::PlaneKind kind, std::uint64_t policy,
                           std::string_view rule) {
  const control::Verdict& v = decision.verdict;
  Json json = {{"rule", decision.rule}, {"policy", hex16(policy)}, {"plane_kind", name(kind)}};
  if (!rule.empty()) json["rule_name"] = rule;
  if (v.unanswered > 0) json["unanswered"] = v.unanswered;
  if (v.ends_at != Instant::never()) json["ends_at"] = json_of(v.ends_at);
  if (v.acts_at != Instant::never()) {
    json["act"] = control::name(v.act);
    json["acts_at"] = json_of(v.acts_at);
  }
  if (v.gone_earliest != Instant::never()) json["gone_earliest"] = json_of(v.gone_earliest);
  json["grounds"] = grounds_json(v.grounds.all(), rule);
  json["evidence"] = evidence_json(decision.evidence);
  return line(json);
}

std::string command_detail(const plane::Command& command) {
  Json json = {{"silent", command.silent},
               {"regardless", command.regardless},
               {"heard", command.heard},
               {"expires", json_of(command.expires)}};
  if (command.kind == plane::CommandKind::Keepalive) json["values"] = text(command.keepalive);
  return line(json);
}

std::string note_detail(const control::Note& note) {
  return line({{"sentence", sentence(note)},
               {"number", note.number},
               {"span", json_of(note.span)},
               {"silence", json_of(note.silence)}});
}

std::string policy_detail(std::uint64_t policy, const std::vector<std::string>& mistakes) {
  constexpr std::size_t kMostKept = 20;
  Json json = {{"policy", hex16(policy)}, {"process", ::getpid()}};
  if (!mistakes.empty()) {
    json["mistakes_in_all"] = mistakes.size();
    for (const std::string& mistake : std::span(mistakes).first(std::min(mistakes.size(), kMostKept)))
      json["mistakes"].push_back(mistake);
  }
  return line(json);
}

std::vector<std::string> grounds_of(std::string_view detail) {
  std::vector<std::string> sentences;
  const Json json = Json::parse(detail, nullptr, false);
  if (!json.is_object()) return sentences;
  const auto grounds = json.find("grounds");
  if (grounds == json.end() || !grounds->is_array()) return sentences;
  for (const Json& ground : *grounds)
    if (ground.is_object() && ground.contains("sentence") && ground["sentence"].is_string())
      sentences.push_back(ground["sentence"].get<std::string>());
  return sentences;
}

Result<RecordedEvidence> recorded_evidence(const LedgerEntry& entry) {
  const auto unreadable = [&] { return failed(fmt::format("entry {} is no verdict that can be read", entry.number)); };
  const Json json = Json::parse(entry.detail, nullptr, false);
  if (entry.kind != EntryKind::Verdict || !json.is_object()) return unreadable();
  RecordedEvidence recorded;
  control::Evidence& e = recorded.evidence;
  const auto local = parse_endpoint(entry.local);
  const auto remote = parse_endpoint(entry.remote);
  const auto evidence = json.find("evidence");
  if (!local || !remote || !read_enum(entry.state, e.state) || evidence == json.end()) return unreadable();
  e.local = *local;
  e.remote = *remote;
  std::string policy;
  if (const auto found = json.find("policy"); found != json.end() && found->is_string())
    policy = found->get<std::string>();
  const auto rule = json.find("rule");
  const auto kind = json.find("plane_kind");
  if (rule == json.end() || !read_value(*rule, recorded.rule)) return unreadable();
  if (kind == json.end() || !read_value(*kind, recorded.plane)) return unreadable();
  recorded.policy = parse_hex16(policy).value_or(0);
  if (!evidence->is_object() || !read_evidence(*evidence, e)) return unreadable();
  return recorded;
}

std::string_view spoken(std::string_view command) {
  return command == plane::name(plane::CommandKind::Abort) ? std::string_view("end") : command;
}

std::string summary(const LedgerEntry& e) {
  const std::string form = e.form.empty() ? "" : ", " + e.form;
  const std::string by = e.verdict == 0 ? "" : fmt::format(" (verdict {})", e.verdict);
  // A verdict's grounds are many; only what every kind but it keeps in a member is read here.
  const Json detail = e.kind == EntryKind::Verdict ? Json() : Json::parse(e.detail, nullptr, false);
  switch (e.kind) {
    case EntryKind::Verdict: {
      const std::string why = fmt::format("{}", fmt::join(grounds_of(e.detail), "; "));
      const bool is_new = e.before == e.standing || e.before == control::name(control::Standing::Unknown);
      return fmt::format("{}{}{} in {}: {}", is_new ? "" : e.before + " -> ", e.standing,
                         // Which rule, its ground tells.
                         e.cause.empty() || e.cause == name(control::Cause::Rule) ? "" : ", " + e.cause, e.state, why);
    }
    case EntryKind::Command: {
      const bool is_silent = member(detail, "silent") == "true";
      const bool is_abort = e.what == plane::name(plane::CommandKind::Abort);
      const std::string values = member(detail, "values");
      return fmt::format("{}{}{}{}{}", spoken(e.what), is_abort ? (is_silent ? ", silent" : ", reset") : "", form,
                         values.empty() ? "" : ", " + values, by);
    }
    case EntryKind::Receipt: return fmt::format("{}{}: {}{}", spoken(member(detail, "command")), form, e.what, by);
    case EntryKind::End: {
      const auto questions = detail.is_object() ? detail.value("questions", std::uint64_t{0}) : 0;
      const std::string after = questions == 0 ? "" : ", after " + counted(questions, "question") + " of ours";
      return fmt::format("{} in {}{}{}", e.what, e.state, by, after);
    }
    case EntryKind::Note: return member(detail, "sentence");
    case EntryKind::Routine: return e.what;
    case EntryKind::Request: return fmt::format("user {} asked for {}{}", member(detail, "user"), spoken(e.what), by);
    case EntryKind::Start:
    case EntryKind::Policy:
      if (const auto found = detail.find("mistakes");
          found != detail.end() && found->is_array() && !found->empty() && found->front().is_string())
        return fmt::format("{} ({} in all, the first: {})", e.what, member(detail, "mistakes_in_all"),
                           printable(found->front().get<std::string>()));
      return fmt::format("{} (process {}, policy {})", e.what, member(detail, "process"), member(detail, "policy"));
  }
  return e.what;
}

std::string utc(std::int64_t wall) {
  return fmt::format("{:%FT%T}.{:06}Z", fmt::gmtime(static_cast<std::time_t>(wall / 1'000'000)), wall % 1'000'000);
}

std::string entry_json(const LedgerEntry& e) {
  const Json json = {{"number", e.number},
                     {"time", utc(e.wall)},
                     {"wall_us", e.wall},
                     {"at_ns", e.at.is_known() ? Json(e.at.ns) : Json(nullptr)},
                     {"kind", name(e.kind)},
                     {"verdict", number_or_null(e.verdict)},
                     {"id", e.id ? Json(text(*e.id)) : Json(nullptr)},
                     {"plane", e.id ? Json(e.id->plane) : Json(nullptr)},
                     {"incarnation", e.incarnation == 0 ? Json(nullptr) : Json(hex16(e.incarnation))},
                     {"local", text_or_null(e.local)},
                     {"remote", text_or_null(e.remote)},
                     {"state", text_or_null(e.state)},
                     {"before", text_or_null(e.before)},
                     {"standing", text_or_null(e.standing)},
                     {"wanted", text_or_null(e.wanted)},
                     {"ends", text_or_null(e.ends)},
                     {"cause", text_or_null(e.cause)},
                     {"what", text_or_null(e.what)},
                     {"form", text_or_null(e.form)}};
  std::string whole = line(json);
  // It is JSON already; reading it only to write it again would take most of the time.
  whole.pop_back();
  return whole + ",\"detail\":" + (e.detail.empty() ? "null" : e.detail) + "}";
}

}  // namespace adieu::host
