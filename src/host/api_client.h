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

// What went wrong, for a terminal, and the status that was answered; 0: none was.
struct ApiFailure {
  std::string text;
  int status = 0;

  bool is_unknown() const { return status == 404; }  // no such connection, or not any more
  bool has_ended() const { return status == 410; }   // it still stands in its table
};
template <typename T>
using ApiResult = std::expected<T, ApiFailure>;

// For how long an order waits for its answer; a probe waits for its sign besides. A control plane that is stopped is
// found out before, in kSignOfLife, and no order is sent to it.
inline constexpr Duration kOrderLimit = seconds(6);
inline constexpr Duration kSignOfLife = seconds(2);

// An answer, with the text it was read from: for whoever prints JSON.
template <typename T>
struct Answered {
  T value;
  std::string json;
};

class ApiClient {
 public:
  explicit ApiClient(const RunDir& run_dir) : run_dir_(run_dir) {}

  // All that match, and how many more may; an error points at the place in the filter that is wrong.
  ApiResult<ConnectionLines> connections(const std::string& filter) const;
  ApiResult<Answered<Receipt>> probe(const std::string& id, Duration wait) const;
  ApiResult<Answered<ProspectLines>> prospect(const std::string& id, const EndOrder& what) const;
  ApiResult<Answered<Receipt>> end(const std::string& id, const EndOrder& what) const;

 private:
  // An error unless the control plane says how it is.
  ApiResult<void> look_for_life() const;
  ApiResult<std::string> order(const std::string& target, const std::string& body, Duration limit) const;
  // For how long a control plane that is gone may come back: somebody must live who starts it again.
  Duration patience() const;

  RunDir run_dir_;
};

}  // namespace adieu::host
