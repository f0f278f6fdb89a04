// The API's JSON, both ways: what the server answers, and what its client reads of it. docs/openapi.yaml describes it.
//
// What lives here: objects that only the API has. What does not: a connection and its explanation (json.h), HTTP.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "control/filter.h"
#include "host/api_board.h"
#include "host/api_prospect.h"
#include "host/failure.h"
#include "host/view.h"

namespace adieu::host {

// What became of a probe or an end that a person asked for.
struct Receipt {
  std::string id;
  std::string act;  // "probe", "finish", "reset", "silent"
  bool done = false;
  std::string outcome;  // as its plane says; empty: it never got there
  std::string sentence;
  std::string state;  // after it
  std::uint64_t verdict = 0;
  // Of a probe: whether a sign of the peer came while it was waited for, and after how long.
  std::optional<bool> heard;
  std::optional<double> heard_after_s;
  std::string ended;  // the reason, where it ended meanwhile; empty: it lives
};

// --- the server's

std::string error_json(int status, std::string_view sentence);
// With the place in the text that is meant.
std::string error_json(const control::FilterError& error);
std::string status_json(const ApiSnapshot& snapshot, std::string_view version, Instant now);
// `next`: what `after` must be to read on; empty: that was all. `unsure`: so many may match as well.
std::string connections_json(const std::vector<ConnectionView>& connections, const std::string& next,
                             std::uint64_t unsure);
std::string policy_json(const NamedPolicy& policy);
std::string receipt_json(const Receipt& receipt);
std::string prospect_json(const ConnectionView& view, const Prospect& prospect);

struct ProbeBody {
  Duration wait;
};
struct EndBody {
  EndOrder order;
  bool dry_run = false;
};
// An error is a sentence.
Result<ProbeBody> parse_probe_body(std::string_view body);
Result<EndBody> parse_end_body(std::string_view body);

// --- the client's: an error where the text is not what a server of this version says

struct ConnectionLine {
  std::string id, local, remote, state, standing, ends;
};
struct ConnectionLines {
  std::vector<ConnectionLine> connections;
  std::string next;
  std::uint64_t unsure = 0;
};
struct ProspectLines {
  ConnectionLine connection;
  std::string how, here, application, peer, comm;
  bool possible = false;
};
struct ErrorLines {
  std::string sentence;
  std::optional<std::pair<std::uint32_t, std::uint32_t>> place;  // in a filter: octets from, length
};
ErrorLines parse_error(std::string_view text);
Result<ConnectionLines> parse_connections(std::string_view text);
Result<Receipt> parse_receipt(std::string_view text);
Result<ProspectLines> parse_prospect(std::string_view text);

}  // namespace adieu::host
