// Targets and bodies; answers other than 200 become sentences.
#include "host/api_client.h"

#include <fmt/format.h>

#include "host/http.h"

namespace adieu::host {
namespace {

// The server waits five seconds for a receipt, and for a sign as long as it is told.
constexpr Duration kLimit = seconds(8);

Failure failure_of(const HttpAnswer& answer, const std::string& filter) {
  const ErrorLines error = parse_error(answer.body);
  if (!error.place) return {error.sentence};
  const auto [at, length] = *error.place;
  const std::string where = at < filter.size() ? fmt::format("at `{}`", filter.substr(at, length == 0 ? 1 : length))
                                               : std::string("at its end");
  return {fmt::format("the filter `{}`, {}: {}", filter, where, error.sentence)};
}

std::string target(const std::string& id, const char* act) {
  return fmt::format("/v1/connections/{}/{}", url_encoded(id), act);
}
std::string body(const std::string& how, bool dry_run) {
  return how.empty() ? fmt::format(R"({{"dry_run":{}}})", dry_run)
                     : fmt::format(R"({{"how":"{}","dry_run":{}}})", how, dry_run);
}

}  // namespace

Result<std::vector<ConnectionLine>> ApiClient::connections(const std::string& filter) const {
  std::vector<ConnectionLine> all;
  std::string after;
  do {
    std::string where = "/v1/connections?limit=1000&filter=" + url_encoded(filter);
    if (!after.empty()) where += "&after=" + url_encoded(after);
    const auto answer = http_get(socket_, where, kLimit);
    if (!answer) return std::unexpected(answer.error());
    if (answer->status != 200) return std::unexpected(failure_of(*answer, filter));
    auto page = parse_connections(answer->body);
    if (!page) return std::unexpected(page.error());
    after = page->next;
    for (ConnectionLine& line : page->connections) all.push_back(std::move(line));
  } while (!after.empty());
  return all;
}

Result<Answered<Receipt>> ApiClient::probe(const std::string& id, Duration wait) const {
  const auto answer =
      http_post(socket_, target(id, "probe"), fmt::format(R"({{"wait_s":{}}})", wait.seconds()), kLimit + wait);
  if (!answer) return std::unexpected(answer.error());
  if (answer->status != 200) return std::unexpected(failure_of(*answer, {}));
  auto receipt = parse_receipt(answer->body);
  if (!receipt) return std::unexpected(receipt.error());
  return Answered<Receipt>{std::move(*receipt), answer->body};
}

Result<Answered<ProspectLines>> ApiClient::prospect(const std::string& id, const std::string& how) const {
  const auto answer = http_post(socket_, target(id, "end"), body(how, true), kLimit);
  if (!answer) return std::unexpected(answer.error());
  if (answer->status != 200) return std::unexpected(failure_of(*answer, {}));
  auto prospect = parse_prospect(answer->body);
  if (!prospect) return std::unexpected(prospect.error());
  return Answered<ProspectLines>{std::move(*prospect), answer->body};
}

Result<Answered<Receipt>> ApiClient::end(const std::string& id, const std::string& how) const {
  const auto answer = http_post(socket_, target(id, "end"), body(how, false), kLimit);
  if (!answer) return std::unexpected(answer.error());
  if (answer->status != 200) return std::unexpected(failure_of(*answer, {}));
  auto receipt = parse_receipt(answer->body);
  if (!receipt) return std::unexpected(receipt.error());
  return Answered<Receipt>{std::move(*receipt), answer->body};
}

}  // namespace adieu::host
