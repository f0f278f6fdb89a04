// Observations in, decisions out.
//
// What lives here: Controller: which connections need attention, what to ask of their planes and when, at most one
// command in flight for each. What does not: reading tables and writing rings (attendant.h), what evidence means
// (judge.h).
//
// input: add_plane, attend, observe, request, end_of_round, receipt, plane_failed, set_policy, set_pressure, know.
// output: poll_decision, poll_note, poll_look, learned.  deadline: next_deadline. Decisions come in the order of the
// observations that led to them, and in no other.
//
// Nothing is remembered of a quiet connection but four octets of its slot's place. Whatever a new controller must know
// (how often was asked, when first, when last) stands in the record.
//
// Invariants (check() asserts them): an entry and its slot's place name each other; what is in flight has an expiry; no
// more entries than Settings::most_attended.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/slab.h"
#include "base/time.h"
#include "base/wheel.h"
#include "control/evidence.h"
#include "control/host_book.h"
#include "control/judge.h"
#include "control/policy.h"
#include "control/rule.h"
#include "plane/command.h"
#include "plane/connection_id.h"
#include "plane/control_block.h"
#include "plane/record.h"
#include "plane/table.h"

namespace adieu::control {

// A verdict worth writing down, with the evidence it rests on and what follows from it.
struct Decision {
  std::uint32_t plane = 0;
  plane::ConnectionId id;
  Standing before = Standing::Unknown;  // what was decided last; Unknown: nothing, by this controller
  Evidence evidence;
  Verdict verdict;
  std::uint32_t rule = 0;  // by its number in the policy
  // A question that changes nothing: it needs no row of its own.
  bool is_routine = false;
  std::uint64_t ticket = 0;  // of a person's request; 0: nobody asked
  // Without its verdict's number and its epoch, which are its publisher's to fill in.
  std::optional<plane::Command> command;
};

// A fact about more than one connection, worth writing down once.
enum class NoteKind : std::uint8_t {
  HostSilent,  // number: connections that are doubted, `host`'s first among them; span: since it was heard
  HostBack,    // a doubted connection of it was heard again
  PathForgot,  // span: the timer that fits; silence: what it took
  OverBudget,  // number: orphans; silence, span: unused
  WithinBudget,
};
struct Note {
  NoteKind kind = NoteKind::HostSilent;
  Address host;
  std::uint64_t number = 0;
  Duration span;
  Duration silence;
};
std::string_view name(NoteKind kind);

// What a person asks for. A probe in a form that the connection does not allow, or an act that its plane cannot do, is
// refused at once.
struct Request {
  plane::CommandKind kind = plane::CommandKind::Probe;
  bool silent = false;           // Abort only
  std::uint32_t user = 0;        // who asks (a uid)
  std::uint64_t ticket = 0;      // never 0; comes back with the answer
  plane::Keepalive keepalive{};  // Keepalive only
};
enum class Refusal : std::uint8_t {
  Ended,
  PlaneStopped,
  NotAskable,  // no form of question is possible now: not synchronized, TIME-WAIT, or its plane has none
  Unable,      // the plane cannot do that, or not in this state
  Busy,        // another command is on its way to it
  NoRoom,
};
std::string_view message(Refusal refusal);

// A plane as the controller needs to know it.
struct PlaneFacts {
  plane::Abilities abilities = 0;
  plane::PlaneKind kind = plane::PlaneKind::Engine;
  std::array<char, 40> name{};  // as `adieu ls` shows it
  std::uint32_t process = 0;    // that carries an engine, and holds its connections; 0: not known
  std::array<char, 16> comm{};
  Duration time_wait{};  // 0: not known

  std::string_view plane_name() const { return {name.data()}; }
};

// `record` as a filter is asked about it. The process of an engine holds all its connections; who holds the kernel's is
// not known here.
class SubjectOf {
 public:
  SubjectOf(const PlaneFacts& plane, const plane::Record& record, Instant now);
  SubjectOf(const SubjectOf&) = delete;
  SubjectOf& operator=(const SubjectOf&) = delete;
  operator const Subject&() const { return subject_; }

 private:
  Process process_;
  Subject subject_;
};

// A slot that is worth reading now.
struct Look {
  std::uint32_t plane = 0;
  std::uint32_t slot = 0;
};

// Changes a connection for good, rather than asking it.
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

  // No instant before `start` will be heard of.
  Controller(Policy policy, Instant start) : Controller(std::move(policy), start, Settings{}) {}
  Controller(Policy policy, Instant start, const Settings& settings);

  // input
  // `before`: what the last control plane of this plane left behind; the time since its last sweep is a gap, and
  // without one, so is all time until now. Returns the plane's index; those of failed planes are used again.
  std::uint32_t add_plane(const PlaneFacts& facts, const std::optional<plane::ControlStatus>& before, Instant now);
  // Somebody looks at the plane now. `room`: how many commands its ring takes; none is decided beyond it.
  void attend(std::uint32_t plane, plane::Abilities abilities, Instant heartbeat, std::uint32_t room, Instant now);
  void observe(std::uint32_t plane, const plane::ConnectionId& id, const plane::Record& record, Instant now);
  // True: a sweep may pass this connection by; observe() would find nothing to do.
  bool passes_by(std::uint32_t plane, std::uint32_t slot, const plane::Glance& glance, Instant now);
  // An orphan is met in a round over all tables; once in each.
  void count_orphan(std::uint32_t plane, const plane::ConnectionId& id, const plane::Record& record, Instant now);
  // On a person's word. Else the decision comes by poll_decision().
  std::optional<Refusal> request(std::uint32_t plane, const plane::ConnectionId& id, const plane::Record& record,
                                 const Request& request, Instant now);
  // Every table has been swept: budgets are looked at.
  void end_of_round(Instant now);
  void set_policy(Policy policy);
  // This host has been suspended, by a clock that does not run meanwhile: an answer may have been missed.
  void slept(Instant now);
  // What an earlier control plane learned of a host.
  void know(const HostLearned& host) { book_.know(host); }
  // This host is short of memory: the tighter budget holds.
  void set_pressure(bool is_pressed) { pressed_ = is_pressed; }
  void receipt(std::uint32_t plane, const plane::Receipt& receipt, Instant now);
  void plane_failed(std::uint32_t plane);
  // What became of a decision's command: it is in its ring, or it was not given.
  void published(const Decision& decision, std::uint64_t verdict);
  void withheld(const Decision& decision, Instant now);

  // output
  std::optional<Decision> poll_decision();
  std::optional<Note> poll_note();
  std::optional<Look> poll_look(Instant now);
  Instant next_deadline() const { return wheel_.next_deadline(); }

  const Policy& policy() const { return policy_; }
  std::span<const plane::Gap> gaps(std::uint32_t plane) const;
  std::optional<Instant> stopped_since(std::uint32_t plane) const;
  // What is worth keeping of hosts, until kept() says that it is kept.
  std::vector<HostLearned> learned() const { return book_.learned(); }
  void kept() { book_.kept(); }
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
    Duration silence;           // before the first question
    std::uint32_t plane = 0;
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
    TimingWheel::Handle look = TimingWheel::kNone;
    HostBook::Handle host = HostBook::kNone;
    std::uint32_t spacing_ms = 1000;  // between two questions, by the rule that holds
    std::uint16_t asked = 0;          // and not answered, when last looked at
    bool is_doubted = false;          // in the book
    std::optional<plane::CommandKind> in_flight;
    Standing decided = Standing::Unknown;
    FormSet unable = 0;  // forms that the plane refused
  };
  static_assert(sizeof(Entry) <= 64);

  struct Plane {
    bool failed = false;
    PlaneFacts facts;
    Instant attended_at;
    Instant heartbeat;
    Instant stopped_since;  // unknown(): it runs
    std::uint32_t room = 0;
    std::vector<plane::Gap> gaps;      // at most kGaps
    std::vector<std::uint32_t> place;  // of a slot: its entry's index
  };

  static void add_gap(Plane& plane, plane::Gap gap);
  Entry* find(std::uint32_t plane, const plane::ConnectionId& id);
  Entry* enter(std::uint32_t plane, const plane::ConnectionId& id, const Address& host);
  void forget(Entry& entry);
  void look_at(Entry& entry, Instant at, Instant now);

  bool is_quiet(const Plane& plane, const plane::Glance& glance, Instant now) const;
  Duration heard_lately() const;
  // The rule for a connection as it holds now, with what is known of its path and its peer's host.
  Rule rule_for(Decision& decision, const plane::Record& record, const HostFacts& host, Instant now) const;
  Decision judged(std::uint32_t plane, const plane::ConnectionId& id, const plane::Record& record, const Entry* entry,
                  Rule& rule, Instant now) const;
  void settle(Entry& entry, Decision&& decision, Instant now);
  void climb(Entry* entry, Decision&& decision, const Rule& rule, Instant now);
  void ended(Entry& entry, const Decision& decision);
  void note_doubt(Entry& entry, const Decision& decision, Instant now);
  void note_lost_path(const Entry& entry, const Evidence& evidence);
  bool acts(const Decision& decision, const Rule& rule, Instant now) const;
  std::optional<plane::Command> command_for(const Decision& decision, const Entry* entry, const Rule& rule,
                                            Instant now) const;
  static plane::Command command_of(const Decision& decision, plane::CommandKind kind, const Rule& rule, Instant now);
  static plane::Command act_of(const Decision& decision, const Rule& rule, Instant now);
  std::optional<ProbeForm> choose_form(const Evidence& evidence, FormSet unable) const;
  // When the next question is due, were nothing heard.
  Instant due(const Decision& decision, const Entry* entry, const Rule& rule, Instant now) const;
  Instant next_probe(const Entry* entry, Instant now) const;
  void spend_probe(const Entry& entry, Instant now);
  void refused(Entry& entry, const plane::Receipt& receipt, Instant now);

  Policy policy_;
  Settings settings_;
  std::vector<Plane> planes_;
  Slab<Entry> entries_;
  TimingWheel wheel_;
  HostBook book_;
  Instant next_probe_;  // of all hosts together
  std::deque<Decision> decisions_;
  std::deque<Note> notes_;

  // Orphans of this round, and the ones that would go first. Who goes first: the doubted before the living (gone,
  // suspect, silent, alive), among equals the one heard longest ago.
  struct Candidate {
    Decision decision;
    Rule rule;
    bool operator<(const Candidate& other) const;  // goes later
  };
  std::uint64_t orphans_ = 0;
  std::uint64_t orphan_bytes_ = 0;
  std::uint64_t excess_ = 0;  // of the last round
  std::vector<Candidate> candidates_;
  bool pressed_ = false;
  bool over_budget_ = false;
  bool wants_room_ = false;
};

}  // namespace adieu::control
