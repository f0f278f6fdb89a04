// Connections as the API reads them: out of the tables, at the moment of the request.
//
// What lives here: ApiTables: one request's own readers, finding one connection, walking over many from where the last
// walk stopped. What does not: JSON (api_json.h), counting (api_metrics.h), the whole census that `adieu ls` takes
// (view.h).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "control/controller.h"
#include "control/filter.h"
#include "host/api_board.h"
#include "host/text.h"
#include "host/view.h"

namespace adieu::host {

class ApiTables {
 public:
  explicit ApiTables(ApiSnapshot snapshot);

  const ApiSnapshot& snapshot() const { return snapshot_; }
  // The plane's place in snapshot().planes; nullopt: no such plane.
  std::optional<std::size_t> plane(std::string_view name) const;
  // nullopt: never used, or being written.
  std::optional<ConnectionView> read(std::size_t plane, std::uint32_t slot) const;
  // Under this very name, generation included; it may have ended.
  std::optional<ConnectionView> find(const NamedId& id) const;
  plane::ConnectionId identity(const ConnectionView& view) const;

  struct Page {
    std::vector<ConnectionView> connections;
    bool more = false;  // ask again, after the last of these
    // On the way, as far as the last of these if there are more: the filter asks something that is not known of them.
    std::uint64_t unsure = 0;
  };
  // Those that surely match, in the order of planes' names and slots, after `after`'s slot. Ended ones too.
  Page page(const control::Filter& filter, const std::optional<NamedId>& after, std::size_t limit) const;

 private:
  ApiSnapshot snapshot_;
  std::vector<control::PlaneFacts> facts_;  // of each plane
};

}  // namespace adieu::host
