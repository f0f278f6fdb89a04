// What an entry of the ledger says: evidence in JSON, there and back; a whole entry as JSON and in words.
//
// What lives here: the members' names. What does not: tables (ledger.cc), connections as JSON (json.h).
// It stands apart from json.h because what is kept and what is shown change for different reasons.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "control/controller.h"
#include "host/ledger.h"
#include "plane/table.h"

namespace adieu::host {

// A verdict's LedgerEntry::detail. Members of the evidence that say nothing (0, false, not known) are left out.
std::string verdict_detail(const control::Decision& decision, plane::PlaneKind kind, std::uint64_t policy,
                           std::string_view rule = {});
std::string command_detail(const plane::Command& command);
std::string note_detail(const control::Note& note);
// `policy`: the one in force; `mistakes`: of the one that was refused, of which the first few are kept.
std::string policy_detail(std::uint64_t policy, const std::vector<std::string>& mistakes = {});
// The grounds in sentences.
std::vector<std::string> grounds_of(std::string_view detail);

// What judge() was given, and where: enough to judge anew, at LedgerEntry::at, by any rule.
struct RecordedEvidence {
  control::Evidence evidence;
  plane::PlaneKind plane = plane::PlaneKind::Engine;
  std::uint32_t rule = 0;    // by its number in the policy
  std::uint64_t policy = 0;  // its fingerprint
};
// An error when the entry is no verdict, or not one that this version can read.
Result<RecordedEvidence> recorded_evidence(const LedgerEntry& entry);

// What it says, in one line of words.
// A command as people know it: what the seam calls an abort is the end that --reset or --silent asks for.
std::string_view spoken(std::string_view command);
std::string summary(const LedgerEntry& entry);

// One line. Every entry has the same members; null: does not apply, or is not known.
std::string entry_json(const LedgerEntry& entry);
// 2026-11-22T10:36:56.123456Z
std::string utc(std::int64_t wall);

}  // namespace adieu::host
