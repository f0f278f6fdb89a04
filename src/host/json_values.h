// What every writer of JSON in this room needs of nlohmann/json; only json.cc, ledger_json.cc and api_json.cc include
// it.
//
// What lives here: the type, and how small things become one. What does not: members, and their names.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace adieu::host {

using Json = nlohmann::ordered_json;

inline Json text_or_null(std::string text) { return text.empty() ? Json(nullptr) : Json(std::move(text)); }

// An unlucky byte in a name becomes U+FFFD, so it never throws. `ascii`: nothing else is left, so that no name can
// speak to a terminal.
inline std::string line(const Json& json, bool ascii = false) {
  return json.dump(-1, ' ', ascii, Json::error_handler_t::replace);
}

}  // namespace adieu::host
