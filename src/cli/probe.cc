// `adieu probe`: asks a connection's peer once, by way of the control plane, and says whether a sign came.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/named.h"
#include "host/api_client.h"
#include "host/text.h"

namespace adieu::cli {
namespace {

// The one that is meant: an ID stands for itself, two endpoints for the connection between them that still lives.
// Empty: there is none.
std::string id_of(const std::vector<std::string>& what, const host::ApiClient& api) {
  const Named named = parse_named(what);
  if (named.id) return host::text(*named.id);
  const auto found = api.connections(
      fmt::format("src {} and dst {} and not standing ended", host::text(named.local), host::text(named.remote)));
  if (!found) throw Trouble(found.error().text);
  return found->connections.empty() ? std::string() : found->connections.front().id;
}

}  // namespace

void run_probe(const ProbeCommand& command) {
  if (command.wait > seconds(10)) throw Trouble("--wait is 10s at the most");
  const host::ApiClient api(host::RunDir::chosen(command.run_dir));
  const std::string id = id_of(command.what, api);
  if (id.empty())
    return fmt::print(stderr, "adieu: there is no connection from {} to {}, or not any more\n", command.what[0],
                      command.what[1]);
  const auto answer = api.probe(id, command.wait);
  if (!answer && answer.error().is_unknown()) return fmt::print(stderr, "adieu: {}\n", answer.error().text);
  if (!answer) throw Trouble(answer.error().text);
  const host::Receipt& receipt = answer->value;
  const bool was_reset = receipt.ended == name(EndReason::PeerReset);
  const bool heard = receipt.heard.value_or(false);
  if (command.json)
    fmt::print("{}\n", answer->json);
  else if (!receipt.done)
    throw Trouble(fmt::format("{} was not asked: {}", receipt.id, receipt.sentence));
  else if (was_reset || (!heard && !receipt.ended.empty()))
    fmt::print("{}: {}\n", host::printable(receipt.id), receipt.sentence);
  else if (heard)
    fmt::print("{}: asked, and heard after {} (now in {})\n", host::printable(receipt.id),
               host::readable(nanoseconds(static_cast<std::int64_t>(receipt.heard_after_s.value_or(0) * 1e9))),
               receipt.state);
  else
    fmt::print("{}: asked, and not heard within {} (now in {}); one question that stays unanswered proves nothing\n",
               host::printable(receipt.id), host::readable(command.wait), receipt.state);
  if (!receipt.done) throw Exit{2};
  if (heard || was_reset) throw Exit{1};
}

}  // namespace adieu::cli
