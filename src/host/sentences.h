// Verdicts in sentences.
//
// What lives here: the words for grounds, for what ends a connection, for what a person can do. What does not: the
// judgement they describe (control/judge.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "control/judge.h"
#include "control/onlooker.h"
#include "plane/record.h"
#include "plane/table.h"

namespace adieu::host {

// `rule`: the name of the one that the verdict follows, where it is known.
std::string sentence(const control::Ground& ground, std::string_view rule = {});
// How old what it says is: "12.3 s", "now".
std::string age_of(const control::Ground& ground, const control::Evidence& evidence, Instant now);
// What will end it, and when, as far as that is known.
std::string ending(const control::Verdict& verdict, const plane::Record& record, Instant now);
// The same for a column: "never (peer must close)", "in 41 s", "unknown: its plane has stopped", "both closed".
std::string ending_in_short(const control::Verdict& verdict, const plane::Record& record, Instant now);
// Our FIN stands behind octets for which the peer has no room: it has not left.
bool fin_waits(const plane::Record& record);
// The same where our stream is still open: a peer that answers, and has no room for what was given to it.
bool data_waits(const plane::Record& record);
// What it waits for, in the words of RFC 9293.
std::string_view waits_for(const control::Verdict& verdict, const plane::Record& record);
// Why it stands where it stands, as far as this host can tell: one line for a group of connections that have it in
// common.
std::string cause_of(const control::Verdict& verdict, const plane::Record& record);
// A group of which one record is the example.
struct Several {
  std::uint64_t connections = 1;
  std::size_t processes = 1;  // that have them open
  std::string_view end;       // what ends them all: "adieu end ..."; empty: nothing is known to
};
// What a person would do next about such a group; empty: nothing.
std::string next_step(const control::Verdict& verdict, const plane::Record& record, const Several& several = {});
// What the rule does about it, and when.
std::string rule_does(const control::Onlook& seen, const plane::Record& record, Instant now);
// When it is asked next; never(): not as things stand.
Instant next_question(const control::Onlook& seen, Instant now);
// What a person can do about it; empty: nothing needs to be done.
std::vector<std::string> advice(const control::Verdict& verdict, const plane::Record& record, plane::PlaneKind kind,
                                plane::Abilities abilities);
// "held", "accept queue", "orphan", "unknown"; "yes", "no", "unknown"; "engine", "kernel".
std::string_view name(plane::Holder holder);
std::string_view name(plane::Known known);
std::string_view name(plane::PlaneKind kind);

}  // namespace adieu::host
