// One connection as a reader sees it: its facts, and how they are judged now.
//
// What lives here: ConnectionView, the walk over a census. What does not: columns and colours (cli), JSON (json.h).
// The judgement is the control plane's own (control/onlooker.h), so it stands also while control is stopped or dead.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "control/onlooker.h"
#include "host/census.h"
#include "host/text.h"
#include "plane/record.h"

namespace adieu::host {

struct ConnectionView {
  NamedId id;
  std::uint64_t incarnation = 0;
  plane::PlaneKind kind = plane::PlaneKind::Engine;
  std::uint32_t process = 0;  // of the plane
  plane::Record record;       // reason PlaneFailed where the plane died with it
  control::Onlook seen;
  Instant judged_at;  // the control plane's last whole sweep; unknown(): never
  ControlState control = ControlState::Absent;
  Instant now;

  bool not_judged() const { return seen.not_judged_since.has_value(); }
  std::string ending() const;
  std::vector<std::string> evidence() const;
  std::vector<std::string> advice() const;
};

struct Walk {
  std::uint64_t seen = 0;
  std::uint64_t unreadable = 0;  // slots that a dead writer left half-written
};
// Each at its own instant: a record may be younger than the call.
Walk for_each_connection(const Census& census, const std::function<void(const ConnectionView&)>& visit);

}  // namespace adieu::host
