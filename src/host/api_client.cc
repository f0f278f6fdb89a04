// Targets and bodies; answers other than 200 become sentences.
#include "host/api_client.h"

#include <fmt/format.h>

#include "host/http.h"
#include "host/text.h"

namespace adieu::host {
namespace {

// A page of a table with a million connections takes its time.
constexpr Duration kListLimit = seconds(8);
// A control plane that has died is started again within a second.
constexpr Duration kComesBack = seconds(3);

ApiFailure failure_of(const HttpAnswer& answer, const std::string& filter) {
  const ErrorLines error = parse_error(answer.body);
  if (!error.place) return {printable(error.sentence), answer.status};
  const auto [at, length] = *error.place;
  const std::string where = at < filter.size() ? fmt::format("at `{}`", filter.substr(at, length == 0 ? 1 : length))
                                               : std::string("at its end");
  return {printable(fmt::format("the filter `{}`, {}: {}", filter, where, error.sentence)), answer.status};
}

// What was answered with status 200.
ApiResult<std::string> good(Result<HttpAnswer> answer, const RunDir& run_dir, const std::string& filter = {}) {
  if (!answer) return std::unexpected(ApiFailure{answer.error().text, 0});
  if (answer->status == kNobodyListens)
    return std::unexpected(ApiFailure{
        fmt::format("no control plane answers at {}: {}", run_dir.api(), how_to_start(run_dir)), kNobodyListens});
  if (answer->status != 200) return std::unexpected(failure_of(*answer, filter));
  return std::move(answer->body);
}

std::string target(const std::string& id, const char* act) {
  return fmt::format("/v1/connections/{}/{}", url_encoded(id), act);
}
std::string body(const EndOrder& order, bool dry_run) {
  std::string text = fmt::format(R"({{"dry_run":{})", dry_run);
  if (order.how) text += fmt::format(R"(,"how":"{}")", name(*order.how));
  std::string values;
  const auto add = [&values](const char* name, unsigned value) {
    if (value != 0) values += fmt::format(R"({}"{}":{})", values.empty() ? "" : ",", name, value);
  };
  add("idle_s", order.keepalive.idle);
  add("interval_s", order.keepalive.interval);
  add("count", order.keepalive.count);
  if (!values.empty()) text += fmt::format(R"(,"keepalive":{{{}}})", values);
  return text + "}";
}

template <typename T>
ApiResult<Answered<T>> read(ApiResult<std::string> answer, Result<T> (*parse)(std::string_view)) {
  if (!answer) return std::unexpected(answer.error());
  auto value = parse(*answer);
  if (!value) return std::unexpected(ApiFailure{value.error().text, 0});
  return Answered<T>{std::move(*value), std::move(*answer)};
}

}  // namespace

Duration ApiClient::patience() const { return Lock::holder(run_dir_.lock("supervisor")) ? kComesBack : Duration{}; }

ApiResult<void> ApiClient::look_for_life() const {
  const auto status = good(http_get(run_dir_.api(), "/v1/status", kSignOfLife, patience()), run_dir_);
  return status ? ApiResult<void>() : std::unexpected(status.error());
}

ApiResult<std::string> ApiClient::order(const std::string& target, const std::string& body, Duration limit) const {
  if (auto life = look_for_life(); !life) return std::unexpected(life.error());
  return good(http_post(run_dir_.api(), target, body, limit, patience()), run_dir_);
}

ApiResult<ConnectionLines> ApiClient::connections(const std::string& filter) const {
  if (auto life = look_for_life(); !life) return std::unexpected(life.error());
  ConnectionLines all;
  std::string after;
  do {
    std::string where = "/v1/connections?limit=1000&filter=" + url_encoded(filter);
    if (!after.empty()) where += "&after=" + url_encoded(after);
    const auto answer = good(http_get(run_dir_.api(), where, kListLimit, patience()), run_dir_, filter);
    if (!answer) return std::unexpected(answer.error());
    auto page = parse_connections(*answer);
    if (!page) return std::unexpected(ApiFailure{page.error().text, 0});
    after = page->next;
    all.unsure += page->unsure;
    for (ConnectionLine& line : page->connections) all.connections.push_back(std::move(line));
  } while (!after.empty());
  return all;
}

ApiResult<Answered<Receipt>> ApiClient::probe(const std::string& id, Duration wait) const {
  const std::string body = fmt::format(R"({{"wait_s":{}}})", wait.seconds());
  return read(order(target(id, "probe"), body, kOrderLimit + wait), parse_receipt);
}

ApiResult<Answered<ProspectLines>> ApiClient::prospect(const std::string& id, const EndOrder& what) const {
  return read(order(target(id, "end"), body(what, true), kOrderLimit), parse_prospect);
}

ApiResult<Answered<Receipt>> ApiClient::end(const std::string& id, const EndOrder& what) const {
  return read(order(target(id, "end"), body(what, false), kOrderLimit), parse_receipt);
}

}  // namespace adieu::host
