// The one who goes round: reads every table, hands what it sees to the controller, and carries out what is decided.
//
// What lives here: Attendant: the order of things (receipts first, then hints, then what is due, then the whole sweep),
// the ledger before the ring, the control status, the ends. What does not: judgement (judge.h), choice (controller.h),
// sleeping and mapping memory (host, sim).
//
// input: watch, attend, request, plane_failed, set_policy, know.  output: poll_answer.  deadline: next_deadline: when
// to call attend() again; earlier is harmless. Events are hints: they make a slot be looked at before the next sweep,
// and losing all of them costs a sweep's time.
//
// A ledger that cannot write (a full disk): no command that ends anything is published, since nobody could later say
// why. Probes go on, marked kUnrecorded: they change nothing, and a connection whose path forgets it because our disk
// was full would have been ended by us all the same. Receipts of recorded destructive commands are not given back to
// the plane, nor are ends, until they are kept.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/limits.h"
#include "base/time.h"
#include "control/controller.h"
#include "control/ledger.h"
#include "control/policy.h"
#include "plane/control_block.h"
#include "plane/table.h"

namespace adieu::control {

class Attendant {
 public:
  struct Settings {
    Duration sweep_period = seconds(1);
    Controller::Settings controller;
  };
  struct Counts {
    std::uint64_t sweeps = 0;
    std::uint64_t torn = 0;        // slots that could not be read
    std::uint64_t verdicts = 0;    // recorded
    std::uint64_t commands = 0;    // published
    std::uint64_t unrecorded = 0;  // of them, probes that the ledger does not know
    std::uint64_t withheld = 0;    // commands not published: the ledger could not write, or the ring was full
    std::uint64_t receipts = 0;
    std::uint64_t receipts_lost = 0;  // unreadable: only a faulty plane does that
    std::uint64_t ends = 0;
    std::uint64_t ledger_failures = 0;  // commits
  };
  // What became of a person's request.
  struct Answer {
    std::uint64_t ticket = 0;
    std::uint64_t verdict = 0;              // 0: the ledger could not write it; then only questions are put
    std::optional<plane::Outcome> outcome;  // nullopt: the plane never had it, or has failed
    State state = State::Closed;            // after it
  };

  Attendant(const Policy& policy, Ledger& ledger, Instant start) : Attendant(policy, ledger, start, Settings{}) {}
  Attendant(const Policy& policy, Ledger& ledger, Instant start, const Settings& settings);

  // input
  // `before`: ControlView::status() of the block, read before `writer` took it over. `commands`: the ring of `writer`.
  // Returns the plane's index, by which the ledger hears of it.
  // `facts`: abilities, kind and length of TIME-WAIT are taken from the table.
  std::uint32_t watch(const PlaneFacts& facts, const plane::TableReader& table, const plane::ControlWriter& writer,
                      const std::optional<plane::ControlStatus>& before, Instant now,
                      std::uint32_t commands = limits::kCommandRing);
  void attend(Instant now);
  // nullopt: it is on its way, and poll_answer() will tell.
  std::optional<Refusal> request(std::uint32_t plane, const plane::ConnectionId& id, const Request& request,
                                 Instant now);
  // Every table is swept at the next attend(), so that it holds at once and readers learn of it.
  void set_policy(const Policy& policy) {
    controller_.set_policy(policy);
    sweep_at_ = Instant::unknown();
  }
  void set_pressure(bool is_pressed) { controller_.set_pressure(is_pressed); }
  // What an earlier control plane learned of a host.
  void know(const HostLearned& host) { controller_.know(host); }
  // The next sweep is due at once: what it writes into the control blocks outlives this process.
  void slept(Instant now) {
    controller_.slept(now);
    sweep_at_ = now;
  }
  // The plane's process is dead: what lived in its table has ended with it. The table is read one last time. False: the
  // ledger cannot keep that now; the memory must stay, and this be called again.
  [[nodiscard]] bool plane_failed(std::uint32_t plane, Instant now);

  // output
  Instant next_deadline() const;
  std::optional<Answer> poll_answer();
  const Counts& counts() const { return counts_; }
  const Controller& controller() const { return controller_; }
  std::size_t bytes() const;

 private:
  struct Watched {
    plane::TableReader table;
    plane::ControlWriter writer;
    std::uint32_t commands = 0;  // of the ring
    bool dying = false;          // its process is dead, and the ledger has not kept its last words yet
    bool failed = false;
    bool all_seen = false;  // in this sweep: no slot torn, no end that the ledger could not keep
    std::uint64_t receipts_read = 0;
    std::uint64_t events_read = 0;
    std::uint32_t first_slot = 0;                 // where the next sweep begins
    std::vector<std::uint32_t> ended;             // of a slot: the generation whose end the ledger knows
    std::vector<std::uint32_t> uncommitted_ends;  // slots
  };

  void drain_receipts(std::uint32_t index, Instant now);
  void follow_hints(std::uint32_t index, Instant now);
  void sweep(std::uint32_t index, Instant now);
  void look(std::uint32_t index, std::uint32_t slot, bool in_round, Instant now);
  void tell_end(std::uint32_t index, const plane::ConnectionId& id, const plane::Record& record);
  // Of hosts, once a round.
  void keep_learned();
  // Ledger, then rings.
  void carry_out(Instant now);
  void publish(const Decision& decision, std::optional<std::uint64_t> recorded, Instant now);
  struct Asked {
    std::uint64_t ticket = 0;
    std::uint64_t verdict = 0;  // kUnrecorded: the ledger does not know it
    std::uint32_t plane = 0;
    plane::ConnectionId id;
  };
  void answer(std::vector<Asked>::iterator asked, std::optional<plane::Outcome> outcome, State state);
  void answer(std::uint32_t plane, const plane::Receipt& receipt);
  bool commit();
  std::uint32_t room(const Watched& watched) const;

  Ledger& ledger_;
  Settings settings_;
  Controller controller_;
  std::vector<Watched> planes_;
  Instant sweep_at_;
  std::vector<Asked> asked_;  // requests whose receipt has not come
  std::deque<Answer> answers_;
  Counts counts_;
};

}  // namespace adieu::control
