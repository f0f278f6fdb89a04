// A whole world in one process under virtual time: two hosts, the path between them, what befalls them, and the
// checkers that watch.
//
// What lives here: World and its outcome. What does not: how a host works (host.h), what is drawn from a seed (plan.h),
// what must hold (checkers.h).
//
// One loop: the next event is the earliest deadline of all; nothing happens between two of them. The same plan gives
// the same world, on every machine.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "device/impairment.h"
#include "sim/host.h"
#include "sim/path.h"
#include "sim/plan.h"
#include "sim/scene.h"

namespace adieu::sim {

struct Outcome {
  std::uint64_t hash = 0;
  std::uint64_t events = 0;
  std::uint64_t packets = 0;
  Instant over;
  std::vector<Violation> violations;
  std::vector<Finding> findings;
  unsigned connections = 0;
  unsigned ended[kEndReasons] = {};
  unsigned dead = 0;          // ended by command, and the peer was not there any more
  unsigned dead_by_rule = 0;  // ended by command, and cut off for longer than the rule's span
};

class World {
 public:
  // `trace`: where one line an event goes; nullptr: nowhere.
  explicit World(const Plan& plan, std::FILE* trace = nullptr);

  Outcome run();
  // One checker more, told of all that the others are told of.
  void watch(std::unique_ptr<Checker> checker) { scene_.checkers.push_back(std::move(checker)); }
  // For stories that look while the world goes: everything that happens until `until`.
  void run_until(Instant until);
  Instant now() const { return now_; }
  const Book& book() const { return scene_.book; }
  Book& book() { return scene_.book; }
  Host& host(unsigned number) { return hosts_[number]; }
  // Reads all records anew.
  void refresh();
  const Cuts& cuts() const { return cuts_; }
  std::uint64_t probes() const { return scene_.probes; }
  std::uint64_t packets() const { return path_[0].counts().offered + path_[1].counts().offered; }
  std::vector<Violation> violations() const;
  // Ends the world, and says what was seen.
  Outcome settle();

 private:
  struct Turn {
    Instant at;
    FaultKind kind;
    unsigned host;
    bool is_end;
  };

  void plan_turns();
  void take_turn(const Turn& turn);
  bool is_over();
  Instant next_event() const;
  void step();
  void deliver();
  void pass_nat(unsigned from, Bytes packet);
  void look_if_quiet(Instant next);

  Plan plan_;
  Scene scene_;
  Cuts cuts_;
  device::Impairment path_[kHosts];  // by the host that sends
  std::optional<Nat> nat_;           // at the far end of both
  Host hosts_[kHosts];
  std::vector<Turn> turns_;
  std::size_t turned_ = 0;
  LivingChecker* living_ = nullptr;
  std::vector<std::uint8_t> buffer_;
  std::uint64_t steps_ = 0;
  Instant idle_since_ = Instant::never();
  Instant now_ = kGenesis;
};

// "streams at 12.345 s: ...", and how to see it again.
std::string describe(const Violation& violation);
std::string how_to_replay(std::uint64_t seed);

}  // namespace adieu::sim
