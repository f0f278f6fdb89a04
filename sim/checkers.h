// What must hold in every world, each rule a class of its own.
//
// What lives here: Checker, what it is told, and the checkers. What does not: the world that tells them (world.h).
// A checker knows what both ends did and what the wire carried; it never asks an engine for its opinion of itself.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "control/controller.h"
#include "plane/command.h"
#include "plane/table.h"
#include "sim/ends.h"
#include "sim/path.h"
#include "wire/tcp.h"

namespace adieu::sim {

struct Violation {
  std::string checker;
  Instant at;
  std::string text;
};

// How a world stands when it is over.
struct Settlement {
  const Book& book;
  Instant now;
  bool is_up[kHosts];                      // neither off nor away
  bool has_control[kHosts];                // a control plane runs
  const plane::Totals* totals[kHosts];     // of the host's last boot
  std::uint32_t live_connections[kHosts];  // as the engine counts them
  unsigned boot[kHosts];
};

class Checker {
 public:
  virtual ~Checker() = default;
  virtual std::string_view name() const = 0;

  virtual void moved(const End& /*end*/, State /*before*/, Instant /*now*/) {}
  virtual void ended(const End& /*end*/, Instant /*now*/) {}
  // Octets that an application got, from `position` of the peer's stream.
  virtual void read(const End& /*end*/, std::uint64_t /*position*/, Bytes /*octets*/, Instant /*now*/) {}
  // The application was told that the peer's stream is over.
  virtual void end_of_stream(const End& /*end*/, Instant /*now*/) {}
  // A segment leaves the engine of `host`; `end` is the connection with its numbers, nullptr: there never was one.
  virtual void sent(unsigned /*host*/, const End* /*end*/, const wire::Segment& /*segment*/, Instant /*now*/) {}
  // `number`: the verdict's, in the ledger.
  virtual void decided(unsigned /*host*/, std::uint64_t /*number*/, const control::Decision& /*decision*/) {}
  virtual void answered(unsigned /*host*/, const plane::Receipt& /*receipt*/) {}
  // Nothing is on its way between the hosts.
  virtual void quiet(const Book& /*book*/, Instant /*now*/) {}
  virtual void settled(const Settlement& /*settlement*/) {}

  const std::vector<Violation>& violations() const { return violations_; }

 protected:
  void fail(Instant at, std::string text) {
    if (violations_.size() < kMost) violations_.push_back({std::string(name()), at, std::move(text)});
  }

 private:
  static constexpr std::size_t kMost = 5;
  std::vector<Violation> violations_;
};

// Octets exactly once and in order; all of them where the stream ends cleanly, and where nothing but loss stood between
// two applications that wanted them.
class StreamChecker final : public Checker {
 public:
  explicit StreamChecker(const Book& book) : book_(book) {}
  std::string_view name() const override { return "streams"; }
  void read(const End& end, std::uint64_t position, Bytes octets, Instant now) override;
  void end_of_stream(const End& end, Instant now) override;
  void settled(const Settlement& settlement) override;

 private:
  const Book& book_;
};

// Which states two ends can have at one moment, whatever is on its way between them.
//
// A state tells what its end must have heard (Facts). Whoever has heard the peer's SYN or FIN, or an acknowledgment of
// its own, has a peer that did send it: syn_received(A) => syn_sent(B), syn_acked(A) => syn_received(B),
// fin_received(A) => fin_sent(B), fin_acked(A) => fin_received(B), and with A and B exchanged. Segments in flight only
// ever leave these one-sided, so the table holds at every moment, not just at rest. An end that is over keeps the facts
// of its last state.
bool may_coexist(const Facts& a, const Facts& b);
// At rest nothing is unacknowledged either: the four pairs ESTABLISHED/ESTABLISHED, FIN-WAIT-2/CLOSE-WAIT and back,
// TIME-WAIT/TIME-WAIT remain.
bool may_rest(State a, State b);

class StateChecker final : public Checker {
 public:
  std::string_view name() const override { return "states"; }
  void moved(const End& end, State before, Instant now) override;
  void ended(const End& end, Instant now) override;
  void quiet(const Book& book, Instant now) override;

 private:
  void check(const End& end, Instant now);
};

// Exactly one reason an end, each with its cause; the table's totals reconcile with what was seen.
class ReasonChecker final : public Checker {
 public:
  std::string_view name() const override { return "reasons"; }
  void moved(const End& end, State before, Instant now) override;
  void ended(const End& end, Instant now) override;
  void settled(const Settlement& settlement) override;

 private:
  std::map<plane::ConnectionId, EndReason> reasons_;
};

// No end by command without a verdict in the ledger that cites N questions over T, or that an orphan was one too many;
// an abort that names it, and a receipt that says Done.
class VerdictChecker final : public Checker {
 public:
  explicit VerdictChecker(const Plan& plan) : plan_(plan) {}
  std::string_view name() const override { return "verdicts"; }
  void decided(unsigned host, std::uint64_t number, const control::Decision& decision) override;
  void answered(unsigned host, const plane::Receipt& receipt) override;
  void ended(const End& end, Instant now) override;
  void settled(const Settlement& settlement) override;

 private:
  void check_proof(const End& end, const control::Decision& decision, Instant now);
  void check_budget(const End& end, const control::Decision& decision, Instant now);
  struct Case {
    control::Decision decision;
    bool is_done = false;
  };
  const Plan& plan_;
  std::uint64_t highest_[kHosts] = {};           // number of a verdict
  std::map<std::uint64_t, Case> cases_[kHosts];  // by the verdict's number; those that end a connection
};

// Nobody is ended by command whose peer was there: up, with the connection, and not cut off for longer than the rule's
// span. One that was cut off for longer is dead by rule, and counted apart; an orphan over its budget is nobody's.
class LivingChecker final : public Checker {
 public:
  LivingChecker(const Plan& plan, const Cuts& cuts) : plan_(plan), cuts_(cuts) {}
  std::string_view name() const override { return "living"; }
  void decided(unsigned host, std::uint64_t number, const control::Decision& decision) override;
  void ended(const End& end, Instant now) override;
  unsigned dead() const { return dead_; }
  unsigned dead_by_rule() const { return dead_by_rule_; }

 private:
  const Plan& plan_;
  const Cuts& cuts_;
  std::set<std::uint64_t> over_budget_[kHosts];  // verdicts
  unsigned dead_ = 0;
  unsigned dead_by_rule_ = 0;
};

// What leaves an engine fits the state that it is in: nothing but an RST from a connection that is over, no new octet
// after the FIN, only what the application wrote and the peer has room for, no window taken back, nothing from
// TIME-WAIT but answers, no bare probe within a second of the last.
class WireChecker final : public Checker {
 public:
  explicit WireChecker(const Book& book) : book_(book) {}
  std::string_view name() const override { return "wire"; }
  void sent(unsigned host, const End* end, const wire::Segment& segment, Instant now) override;
  void answered(unsigned host, const plane::Receipt& receipt) override;

 private:
  void check_living(const End& end, const wire::Segment& segment, Instant now);
  void check_windows(const End& end, const wire::Segment& segment, Instant now);
  void check_octets(const End& end, const wire::Segment& segment, Instant now);
  const Book& book_;
};

// Every connection ends at last, once all applications are done with it and the path has healed.
class EndingChecker final : public Checker {
 public:
  std::string_view name() const override { return "ending"; }
  void settled(const Settlement& settlement) override;
};

}  // namespace adieu::sim
