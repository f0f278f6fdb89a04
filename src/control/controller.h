// Observations in, decisions out.
//
// What lives here: Controller: which connections need attention, what to ask of their planes and when, at most one
// command in flight for each. What does not: reading tables and writing rings (attendant.h), what evidence means
// (judge.h).
//
// input: add_plane, attend, observe, receipt, plane_failed.  output: poll_decision, poll_look.  deadline:
// next_deadline. Decisions come in the order of the observations that led to them, and in no other.
//
// Nothing is remembered of a quiet connection but four octets of its slot's place. Whatever a new controller must know
// (how often was asked, when first, when last) stands in the record.
//
// Invariants (check() asserts them): an entry and its slot's place name each other; what is in flight has an expiry; no
// more entries than Settings::most_attended.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "base/slab.h"
#include "base/time.h"
#include "base/wheel.h"
#include "control/evidence.h"
#include "control/judge.h"
#include "control/rule.h"
#include "plane/command.h"
#include "plane/connection_id.h"
#include "plane/control_block.h"
#include "plane/record.h"

namespace adieu::control {

// A verdict worth writing down, with the evidence it rests on and what follows from it.
struct Decision {
  std::uint32_t plane = 0;
  plane::ConnectionId id;
  Standing before = Standing::Unknown;  // what was decided last; Unknown: nothing, by this controller
  Evidence evidence;
  Verdict verdict;
  // Without its verdict's number and its epoch, which are its publisher's to fill in.
  std::optional<plane::Command> command;
};

// A slot that is worth reading now.
struct Look {
  std::uint32_t plane = 0;
  std::uint32_t slot = 0;
};

// Ends a connection rather than asking it.
constexpr bool is_destructive(plane::CommandKind kind) { return kind != plane::CommandKind::Probe; }

class Controller {
 public:
  struct Settings {
    // Longer between two calls of attend(), and nobody attended in between. Three of the attendant's sweeps.
    Duration gap_after = seconds(3);
    // A plane whose heartbeat is older has stopped; planes beat at least once a second.
    Duration plane_stopped_after = seconds(5);
    // Connections that are being asked or ended at one time; others wait their turn, unasked.
    std::uint32_t most_attended = 65536;
  };

  // No instant before `start` will be heard of. `rule` is valid (rule.h).
  Controller(const Rule& rule, Instant start) : Controller(rule, start, Settings{}) {}
  Controller(const Rule& rule, Instant start, const Settings& settings);

  // input
  // `before`: what the last control plane of this plane left behind; the time since its last sweep is a gap, and
  // without one, so is all time until now. Returns the plane's index; those of failed planes are used again.
  std::uint32_t add_plane(plane::Abilities abilities, const std::optional<plane::ControlStatus>& before, Instant now);
  // Somebody looks at the plane now. `room`: how many commands its ring takes; none is decided beyond it.
  void attend(std::uint32_t plane, plane::Abilities abilities, Instant heartbeat, std::uint32_t room, Instant now);
  void observe(std::uint32_t plane, const plane::ConnectionId& id, const plane::Record& record, Instant now);
  void receipt(std::uint32_t plane, const plane::Receipt& receipt, Instant now);
  void plane_failed(std::uint32_t plane);
  // What became of a decision's command: it is in its ring, or it was not given.
  void published(const Decision& decision, std::uint64_t verdict);
  void withheld(const Decision& decision, Instant now);

  // output
  std::optional<Decision> poll_decision();
  std::optional<Look> poll_look(Instant now);
  Instant next_deadline() const { return wheel_.next_deadline(); }

  const Rule& rule() const { return rule_; }
  std::span<const plane::Gap> gaps(std::uint32_t plane) const;
  std::optional<Instant> stopped_since(std::uint32_t plane) const;
  // A command was wanted by the last observation and there was no room for it, in the ring or in here.
  bool wants_room() const { return wants_room_; }
  std::uint32_t attended() const { return entries_.size(); }
  std::size_t bytes() const;
  void check() const;

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  // A connection that needs attention.
  struct Entry {
    std::uint64_t verdict = 0;  // behind the command in flight, once published
    Instant expires;            // of the command in flight
    Instant not_before;         // the next command
    std::uint32_t plane = 0;
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
    TimingWheel::Handle look = TimingWheel::kNone;
    std::optional<plane::CommandKind> in_flight;
    Standing decided = Standing::Unknown;
    FormSet unable = 0;  // forms that the plane refused
  };
  static_assert(sizeof(Entry) <= 64);

  struct Plane {
    bool failed = false;
    plane::Abilities abilities = 0;
    Instant attended_at;
    Instant heartbeat;
    Instant stopped_since;  // unknown(): it runs
    std::uint32_t room = 0;
    std::vector<plane::Gap> gaps;      // at most kGaps
    std::vector<std::uint32_t> place;  // of a slot: its entry's index
  };

  static void add_gap(Plane& plane, plane::Gap gap);
  Entry* find(std::uint32_t plane, const plane::ConnectionId& id);
  Entry* enter(std::uint32_t plane, const plane::ConnectionId& id);
  void forget(Entry& entry);
  void look_at(Entry& entry, Instant at, Instant now);

  bool is_quiet(const plane::Record& record, Instant now) const;
  void settle(Entry& entry, Decision&& decision, Instant now);
  void climb(Entry* entry, Decision&& decision, Instant now);
  std::optional<plane::Command> command_for(const Decision& decision, const Entry* entry, Instant now) const;
  std::optional<ProbeForm> choose_form(const Evidence& evidence, FormSet unable) const;
  // When the next question is due, were nothing heard.
  Instant due(const Decision& decision, const Entry* entry) const;
  void refused(Entry& entry, const plane::Receipt& receipt, Instant now);

  Rule rule_;
  Settings settings_;
  std::vector<Plane> planes_;
  Slab<Entry> entries_;
  TimingWheel wheel_;
  std::deque<Decision> decisions_;
  bool wants_room_ = false;
};

}  // namespace adieu::control
