// The objects' members, in the order in which people read them. Ages are in seconds; null is "not known".
#include "host/json.h"

#include <cmath>

#include "host/json_values.h"
#include "host/sentences.h"

namespace adieu::host {
namespace {

Json age(Instant at, Instant now) {
  if (!at.is_known() || !now.is_known()) return nullptr;
  // Microseconds are enough for anybody, and short.
  return std::round((now - at).seconds() * 1e6) / 1e6;
}
Json count(std::uint32_t value) { return value == plane::kUnknownCount ? Json(nullptr) : Json(value); }
Json probes(const plane::Record& r, Instant now) {
  const auto by = [&](ProbeForm form) { return r.probes[static_cast<unsigned>(form)]; };
  return {{"data_echo", by(ProbeForm::DataEcho)},
          {"bare", by(ProbeForm::Bare)},
          {"pending", by(ProbeForm::Pending)},
          {"first_ago_s", age(r.probe_first, now)},
          {"last_ago_s", age(r.probe_last, now)}};
}

Json object(const ConnectionView& view) {
  const plane::Record& r = view.record;
  const Instant now = view.now;
  const control::Verdict& v = view.seen.verdict;
  return {{"id", view.has_lasting_id ? Json(text(view.id)) : Json(nullptr)},
          {"incarnation", hex16(view.incarnation)},
          {"plane", view.id.plane},
          {"kind", name(view.kind)},
          {"pid", view.process},
          {"local", text(r.local)},
          {"remote", text(r.remote)},
          {"state", name(r.state)},
          {"reason", name(r.reason)},
          {"holder", name(r.holder)},
          {"standing", control::name(v.standing)},
          {"wanted", control::name(v.wanted)},
          {"state_age_s", age(r.state_entered, now)},
          {"heard_ago_s", age(r.last_heard, now)},
          {"heard", view.seen.evidence.counts_every_sign ? count(r.heard) : Json(nullptr)},
          {"progress_in_ago_s", age(r.progress_in, now)},
          {"progress_out_ago_s", age(r.progress_out, now)},
          {"oldest_unacked_ago_s", age(r.oldest_unacked, now)},
          {"attempts", r.attempts},
          {"probes", probes(r, now)},
          {"unread", count(r.unread)},
          {"unsent", count(r.unsent)},
          {"send_shut", r.send_shut},
          {"receive_shut", r.receive_shut},
          {"peer_window_closed", r.peer_window_closed},
          {"end_of_stream_read", name(r.end_of_stream_read)},
          {"ended_by", r.ended_by},
          {"ends", view.ending()},
          {"ends_short", ending_in_short(v, r, now)},
          {"ends_in_s", r.has_ended() ? Json(nullptr) : age(now, v.ends_at)},
          {"rule", view.rule},
          {"comm", view.holder_process == 0 ? Json(nullptr) : Json(view.comm)},
          {"keepalive", view.kind == plane::PlaneKind::Kernel ? Json(r.beside.keepalive) : Json(nullptr)},
          {"judged_ago_s", age(view.judged_at, now)},
          {"control", name(view.control)}};
}

Json object(const LedgerVerdict& v) {
  Json json = {{"number", v.number},     {"wall_us", v.wall},  {"state", v.state}, {"before", v.before},
               {"standing", v.standing}, {"wanted", v.wanted}, {"ends", v.ends},   {"evidence", v.evidence},
               {"command", nullptr},     {"outcome", nullptr}};
  if (!v.command.empty()) json["command"] = v.form.empty() ? v.command : v.command + ", " + v.form;
  if (!v.outcome.empty()) json["outcome"] = v.outcome;
  return json;
}

Json holders(const std::vector<HolderSeen>& open_in) {
  Json all = Json::array();
  for (const HolderSeen& one : open_in)
    all.push_back(
        {{"pid", one.process}, {"comm", one.comm}, {"descriptors", one.descriptors}, {"unit", text_or_null(one.unit)}});
  return all;
}

Json tuple(const kernel::Tuple& tuple) {
  return {{"source", text(tuple.source)}, {"destination", text(tuple.destination)}};
}
Json traffic(const std::optional<kernel::Traffic>& seen) {
  return seen ? Json{{"packets", seen->packets}, {"octets", seen->octets}} : Json(nullptr);
}

Json object(const ConntrackSeen& seen, const ConnectionView& view) {
  Json entries = Json::array();
  for (const ConntrackEntry& entry : seen.entries) {
    const kernel::Tracked& kept = entry.kept;
    entries.push_back({{"in", name(entry.in)},
                       {"original", tuple(kept.original)},
                       {"reply", tuple(kept.reply)},
                       {"state", name(kept.state)},
                       {"expires_in_s", kept.expires.seconds()},
                       {"nat", kept.is_translated()},
                       {"seen_reply", kept.seen_reply},
                       {"assured", kept.assured},
                       {"fixed_timeout", kept.fixed},
                       {"offloaded", kept.offloaded},
                       {"tcp_loose", kept.picks_up},
                       {"mark", kept.mark},
                       {"sent", traffic(kept.sent)},
                       {"answered", traffic(kept.answered)},
                       {"kept_by", text_or_null(kept_by(entry, view))},
                       {"once_forgotten", text_or_null(afterwards(entry, view.record.state))}});
  }
  return {{"entries", std::move(entries)}, {"unseen", text_or_null(seen.unseen)}};
}

// From now on; null: never, or not known.
Json seconds_to(Instant at, Instant now) { return age(now, at); }

Json object(const kernel::Options& options) {
  return {{"keepalive", options.keepalive},
          {"keepalive_time_s", options.keepalive_time.seconds()},
          {"keepalive_interval_s", options.keepalive_interval.seconds()},
          {"keepalive_probes", options.keepalive_probes},
          {"user_timeout_s", options.user_timeout > Duration{} ? Json(options.user_timeout.seconds()) : Json(nullptr)},
          {"fin_wait_s", options.resets_instead_of_wait ? Json(nullptr) : Json(options.fin_wait.seconds())}};
}

Json object(const OwnLimitsSeen& seen, const ConnectionView& view) {
  Json limit = nullptr;
  if (seen.limit)
    limit = {{"by", name(seen.limit->by)},
             {"made", seen.limit->made},
             {"left", seen.limit->left},
             {"next_in_s", seconds_to(seen.limit->next, view.now)},
             {"span_s", seen.limit->span > Duration{} ? Json(seen.limit->span.seconds()) : Json(nullptr)},
             {"gives_up_in_s", seconds_to(seen.limit->gives_up, view.now)},
             {"answered_ends_in_s", seconds_to(seen.limit->at_latest, view.now)}};
  return {{"timer", seen.timer ? Json(kernel::name(*seen.timer)) : Json(nullptr)},
          {"ends_about_in_s", seconds_to(ends_about(seen, view), view.now)},
          {"limit", std::move(limit)},
          {"options", seen.options ? object(*seen.options) : Json(nullptr)},
          {"sentences", sentences(seen, view)},
          {"unseen", text_or_null(seen.unseen)},
          {"warning", text_or_null(seen.warning)}};
}

}  // namespace

std::string connection_json(const ConnectionView& view) { return line(object(view), true); }

std::string explanation_json(const ConnectionView* view, const LedgerConnection& ledger,
                             const std::vector<HolderSeen>* open_in, const ConntrackSeen* conntrack,
                             const OwnLimitsSeen* own_limits) {
  Json json = view == nullptr ? Json::object() : object(*view);
  if (view != nullptr) {
    const control::Onlook& seen = view->seen;
    if (view->kind == plane::PlaneKind::Kernel && !view->record.has_ended()) {
      json["cause"] = cause_of(seen.verdict, view->record);
      json["next_step"] = next_step(seen.verdict, view->record);
    }
    if (open_in != nullptr) json["open_in"] = holders(*open_in);
    if (conntrack != nullptr) json["conntrack"] = object(*conntrack, *view);
    if (own_limits != nullptr) json["own_limits"] = object(*own_limits, *view);
    json["waits_for"] = waits_for(seen.verdict, view->record);
    json["rule_does"] = rule_does(seen, view->record, view->now);
    json["evidence"] = view->evidence();
    json["grounds"] = Json::array();
    for (const control::Ground& ground : seen.verdict.grounds.all())
      json["grounds"].push_back({{"sentence", sentence(ground, view->rule)},
                                 {"source", control::name(control::source_of(ground.kind))},
                                 {"strength", control::name(control::strength_of(ground.kind))},
                                 {"age", age_of(ground, seen.evidence, view->now)}});
    json["advice"] = view->advice();
  } else if (ledger.end) {
    json["id"] = text(ledger.end->id);
    json["incarnation"] = hex16(ledger.end->incarnation);
    json["local"] = ledger.end->local;
    json["remote"] = ledger.end->remote;
    json["state"] = ledger.end->state;
    json["reason"] = ledger.end->reason;
    json["standing"] = "ended";
    json["ended_by"] = ledger.end->verdict;
  }
  json["verdicts"] = Json::array();
  for (const LedgerVerdict& verdict : ledger.verdicts) json["verdicts"].push_back(object(verdict));
  json["end"] = nullptr;
  if (ledger.end)
    json["end"] = {{"reason", ledger.end->reason}, {"verdict", ledger.end->verdict}, {"wall_us", ledger.end->wall}};
  return line(json, true);
}

}  // namespace adieu::host
