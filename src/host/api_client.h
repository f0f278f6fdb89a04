// The API's client: what `adieu probe` and `adieu end` ask of a control plane.
//
// What lives here: ApiClient, one call a question. What does not: HTTP (http.h), JSON (api_json.h), words for people
// (cli).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "host/api_json.h"
#include "host/failure.h"
#include "host/run_dir.h"

namespace adieu::host {

// An answer, with the text it was read from: for whoever prints JSON.
template <typename T>
struct Answered {
  T value;
  std::string json;
};

class ApiClient {
 public:
  explicit ApiClient(const RunDir& run_dir) : socket_(run_dir.api()) {}

  // All that match; an error points at the place in the filter that is wrong.
  Result<std::vector<ConnectionLine>> connections(const std::string& filter) const;
  Result<Answered<Receipt>> probe(const std::string& id, Duration wait) const;
  // `how` empty: what fits its state.
  Result<Answered<ProspectLines>> prospect(const std::string& id, const std::string& how) const;
  Result<Answered<Receipt>> end(const std::string& id, const std::string& how) const;

 private:
  std::string socket_;
};

}  // namespace adieu::host
