// One connection as a reader sees it: its facts, and how they are judged now.
//
// What lives here: ConnectionView, CensusView, which looks connections up in a census, one or all. What does not:
// columns and colours (cli), JSON (json.h), words (sentences.h).
// The judgement is the control plane's own (control/onlooker.h), so it stands also while control is stopped or dead.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/onlooker.h"
#include "host/census.h"
#include "host/text.h"
#include "plane/record.h"

namespace adieu::host {

struct ConnectionView {
  NamedId id;
  std::uint32_t plane = 0;  // its place in the census
  std::uint64_t incarnation = 0;
  plane::PlaneKind kind = plane::PlaneKind::Engine;
  std::uint32_t process = 0;  // of the plane
  plane::Record record;       // reason PlaneFailed where the plane died with it
  // Who holds it, where that is known: an engine's process holds all its connections.
  std::uint32_t holder_process = 0;
  std::string comm;
  bool has_lasting_id = true;  // false: of a sweep of our own, in which slots are numbered anew each time
  control::Onlook seen;
  std::string rule;   // its name
  Instant judged_at;  // the control plane's last whole sweep; unknown(): never
  ControlState control = ControlState::Absent;
  Instant now;

  bool not_judged() const { return seen.not_judged_since.has_value(); }
  std::string ending() const;
  std::vector<std::string> evidence() const;
  std::vector<std::string> advice() const;
};

// Fills in what follows from view.record at view.now: what its plane says of all its connections, how they are judged
// with what is known of hosts.
void judge(ConnectionView& view, const control::PlaneFacts& plane, Instant heartbeat,
           const std::optional<plane::ControlStatus>& status, const NamedPolicy& policy,
           const control::HostBook& hosts);
control::Truth match(const control::Filter& filter, const ConnectionView& view, const control::PlaneFacts& plane);

// What a person typed as a filter, its words joined by blanks. An error is three lines: what is wrong, the text, and a
// caret under the place.
Result<control::Filter> parse_filter(const std::vector<std::string>& words);

struct Walk {
  std::uint64_t seen = 0;        // visited
  std::uint64_t unreadable = 0;  // slots that a dead writer left half-written
  std::uint64_t unsure = 0;      // the filter asks something of them that is not known
};

// Looks into the tables of a census, which must outlive it. Each connection is seen at its own instant: a record may be
// younger than the call.
class CensusView {
 public:
  using Visit = std::function<void(const ConnectionView&)>;

  explicit CensusView(const Census& census);

  // All, in the order of planes and slots.
  Walk each(const Visit& visit) const;
  // Those that surely match. One that has ended is among them if the filter asks for a standing, or `ended_too`.
  Walk each(const control::Filter& filter, bool ended_too, const Visit& visit) const;
  // nullopt: the slot is another connection's by now, or cannot be read.
  std::optional<ConnectionView> at(std::uint32_t plane, std::uint32_t slot, std::uint32_t generation) const;
  // By name, as it is or as it is printed.
  std::optional<ConnectionView> find(const NamedId& id) const;

 private:
  // What holds for all connections of a plane; reading it takes a look into /proc.
  struct Plane {
    control::PlaneFacts facts;
    std::optional<plane::ControlStatus> status;
  };
  void start(ConnectionView& view, std::uint32_t plane) const;
  void complete(ConnectionView& view, std::uint32_t slot, Instant now) const;

  const Census& census_;
  std::vector<Plane> planes_;
};

// CensusView(census).each(visit)
Walk for_each_connection(const Census& census, const CensusView::Visit& visit);

}  // namespace adieu::host
