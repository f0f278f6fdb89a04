// One host: an engine, its table, a control plane, and the applications on it.
//
// What lives here: Host. What does not: the path to the other host (world.h), plans, checks.
//
// input: step(now), deliver(packet), boot(), vanish(), freeze(), thaw(), stop_control() ... start_control().
// output: what the engine sends goes into the path that it was given.  deadline: next_deadline().
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/rng.h"
#include "control/attendant.h"
#include "device/impairment.h"
#include "plane/control_block.h"
#include "plane/table.h"
#include "sim/application.h"
#include "sim/ledger.h"
#include "sim/scene.h"
#include "sim/timers.h"
#include "stack/engine.h"

namespace adieu::sim {

// Memory that processes would share: zeroed, aligned to 64.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes) : lines_(bytes / sizeof(Line) + 1) {}
  MutableBytes bytes() { return {lines_.front().octets, lines_.size() * sizeof(Line)}; }

 private:
  struct alignas(64) Line {
    std::uint8_t octets[64] = {};
  };
  std::vector<Line> lines_;
};

class Host {
 public:
  Host(Scene& scene, unsigned number, device::Impairment& out);

  void boot(Instant now);
  // Power off: nothing remains but the ledger.
  void vanish(Instant now);
  void freeze() { frozen_ = true; }
  void thaw(Instant now);
  void stop_control() { control_stopped_ = true; }
  void continue_control() { control_stopped_ = false; }
  void kill_control() { attendant_.reset(); }  // a stack's own timers die with its engine alone
  void fill_disk(bool is_full) { ledger_.set_full(is_full); }
  void start_control(Instant now);

  void step(Instant now);
  void deliver(Bytes packet, const Offload& offload, Instant now);
  Instant next_deadline() const;
  // Reads all records anew, for whoever asks about facts rather than states.
  void refresh(Instant now);

  bool is_up() const { return engine_ != nullptr && !frozen_; }
  bool has_control() const { return attendant_.has_value() && !control_stopped_; }
  bool is_idle() const;  // no connection, and no application that might open one
  unsigned boots() const { return boots_; }
  stack::Engine& engine() { return *engine_; }

 private:
  static constexpr std::uint16_t kListenPort = 7000;

  void listen(Instant now);
  void begin_connections(Instant now);
  void connect(const ConnectionPlan& plan, std::size_t number, Instant now);
  void accept(stack::Listener listener, Instant now);
  void call(Instant now);
  void attend(Instant now);
  // When the applications or what waits for accept() want to be called.
  Instant next_call() const;
  // Until the engine has nothing to send and nobody to wake.
  void pump(Instant now);
  void emit(Bytes packet, const Offload& offload, Instant now);
  void put_on_wire(Bytes packet, const Offload& offload, const wire::IpPacket& ip, const wire::Segment& segment,
                   Instant now);
  void note_sent(End& end, const wire::Segment& segment, Instant now);
  void note_delivery(End& end, const wire::Segment& segment, Instant now);
  void wake(const stack::Wake& wake, Instant now);
  void sweep_applications();

  // Looks for what changed in the table, and tells the checkers.
  void observe(Instant now);
  void see(std::uint32_t slot, const plane::Record& record, Instant now);
  void see_missed(End& end, Instant now);
  void see_new(End& end);
  void see_move(End& end, const plane::Record& record, Instant now);
  void see_end(End& end, const plane::Record& record, Instant now);
  void bind_server(End& end, Instant now);

  Scene& scene_;
  const HostPlan& plan_;
  unsigned number_;
  device::Impairment& out_;
  Rng rng_;
  MemoryLedger ledger_;

  unsigned boots_ = 0;
  bool frozen_ = false;
  std::unique_ptr<SharedMemory> table_memory_;
  std::unique_ptr<SharedMemory> control_memory_;
  std::unique_ptr<stack::Engine> engine_;
  std::optional<plane::TableReader> reader_;
  plane::ControlView view_;
  std::optional<control::Attendant> attendant_;
  std::optional<StackTimers> timers_;
  bool control_stopped_ = false;
  Instant commands_at_ = Instant::never();

  std::vector<std::unique_ptr<Application>> applications_;
  mutable std::optional<Instant> next_call_;  // as long as none of them was called
  std::vector<End*> slots_;                   // who has each slot of the table
  std::uint64_t events_seen_ = 0;
  std::size_t begun_ = 0;  // of plan.connections, in the order of their instants
  struct Waiting {
    stack::Listener listener;
    Instant at;
  };
  std::vector<Waiting> accepts_;
  std::vector<std::uint8_t> buffer_;
  std::vector<std::uint8_t> cut_;
};

Address address_of(const Plan& plan, unsigned host, bool v6);

}  // namespace adieu::sim
