// The words. What does not live here: their syntax (host/text.h).
#include "cli/named.h"

#include <string_view>

#include "cli/command.h"

namespace adieu::cli {
namespace {

std::string unmapped(std::string_view text) {
  constexpr std::string_view kMapped = "[::ffff:";
  const std::size_t end = text.find(']');
  const bool is_mapped =
      text.starts_with(kMapped) && end != std::string_view::npos && text.substr(0, end).contains('.');
  if (!is_mapped) return std::string(text);
  return std::string(text.substr(kMapped.size(), end - kMapped.size())) + std::string(text.substr(end + 1));
}

}  // namespace

std::optional<std::pair<Endpoint, Endpoint>> parse_ends(const std::vector<std::string>& what) {
  if (what.size() != 2) return std::nullopt;
  const auto local = host::parse_endpoint(unmapped(what[0]));
  const auto remote = host::parse_endpoint(unmapped(what[1]));
  if (!local || !remote) return std::nullopt;
  return std::pair(*local, *remote);
}

Named parse_named(const std::vector<std::string>& what) {
  if (what.size() == 1) {
    const auto id = host::parse_id(what[0]);
    if (!id) throw Trouble(id.error().text);
    return {.id = *id, .local = {}, .remote = {}};
  }
  if (const auto ends = parse_ends(what)) return {.id = {}, .local = ends->first, .remote = ends->second};
  if (host::parse_id(what[0])) throw Trouble("one connection at a time: write one ID, or LOCAL REMOTE");
  const auto local = host::parse_endpoint(unmapped(what[0]));
  throw Trouble((local ? host::parse_endpoint(unmapped(what[1])) : local).error().text);
}

}  // namespace adieu::cli
