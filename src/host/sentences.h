// Verdicts in sentences.
//
// What lives here: the words for grounds, for what ends a connection, for what a person can do. What does not: the
// judgement they describe (control/judge.h).
#pragma once

#include <string>
#include <vector>

#include "base/time.h"
#include "control/judge.h"
#include "plane/record.h"
#include "plane/table.h"

namespace adieu::host {

std::string sentence(const control::Ground& ground);
// What will end it, and when, as far as that is known.
std::string ending(const control::Verdict& verdict, const plane::Record& record, plane::PlaneKind kind, Instant now);
// What a person can do about it; empty: nothing needs to be done.
std::vector<std::string> advice(const control::Verdict& verdict, const plane::Record& record, plane::PlaneKind kind);
// "held", "accept queue", "orphan", "unknown"; "yes", "no", "unknown"; "engine", "kernel".
std::string_view name(plane::Holder holder);
std::string_view name(plane::Known known);
std::string_view name(plane::PlaneKind kind);

}  // namespace adieu::host
