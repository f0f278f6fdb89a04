// The API of the control plane: what is answered at which path. docs/openapi.yaml describes it for others.
//
// An event stream reads the ledger at its reader's pace: its place in it is a number, and nothing is held for it in
// memory but the part that is being sent.
//
// What lives here: Api, which answers requests out of the tables and the ledger, and hands orders to the control
// thread. What does not: sockets and HTTP (http.h), JSON (api_json.h), metrics (api_metrics.h).
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "host/api_board.h"
#include "host/api_tables.h"
#include "host/http.h"
#include "host/run_dir.h"

namespace adieu::host {

// docs/openapi.yaml, as it was when this was built; and this program's version.
extern const std::string_view kOpenApi;
extern const std::string_view kVersion;

class Api final : public HttpHandler {
 public:
  // `board` outlives the API.
  Api(ApiBoard& board, const RunDir& run_dir) : board_(board), run_dir_(run_dir) {}

  HttpResponse answer(const HttpRequest& request) override;
  HttpResponse trouble(int status, std::string_view sentence) override;

 private:
  HttpResponse get(const HttpRequest& request);
  HttpResponse connections(const HttpRequest& request);
  HttpResponse events(const HttpRequest& request);
  HttpResponse explain(const ConnectionView& view);
  HttpResponse probe(const ApiTables& tables, const ConnectionView& view, const HttpRequest& request);
  HttpResponse end(const ApiTables& tables, const ConnectionView& view, const HttpRequest& request);
  HttpResponse command(const ConnectionView& view, std::string_view act, const OrderResult& result, Duration wait);

  ApiBoard& board_;
  RunDir run_dir_;
  std::atomic<int> streams_ = 0;
};

}  // namespace adieu::host
