// Where an experiment is made: namespaces, the end that is tried in the near one, puppets as its peers in the far one.
//
// What lives here: Stage: building, connecting, and letting time pass until something has happened. What does not: what
// is tried and what it shows (experiment_*.cc), one end (subject.h), the peer (puppet.h).
//
//   near 10.1.0.1 ---------------------------- 10.1.0.2 far, puppets at 10.9.0.1
//   near 10.1.0.1 --- router, masquerading --- 10.2.0.2 far, puppets at 10.9.0.1
// An engine lives in the near one as well, at 10.77.0.2 behind a TUN.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "lab/process.h"
#include "lab/puppet.h"
#include "lab/subject.h"
#include "lab/trouble.h"
#include "lab/world.h"

namespace adieu::lab {

enum class Tried : std::uint8_t { Kernel, Engine };

// What this host lacks for an experiment.
class Skip : public Trouble {
 public:
  using Trouble::Trouble;
};

struct StageSettings {
  Tried tried = Tried::Kernel;
  bool quick = false;
  std::string program;  // adieu itself, for the control plane of an engine; empty: there is none
};

// A connection: the end that is tried, and its peer.
struct End {
  Subject& it;
  Puppet& peer;
};

class Stage {
 public:
  Stage(World& world, const StageSettings& settings) : world_(world), settings_(settings) {}
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  bool is_kernel() const { return settings_.tried == Tried::Kernel; }
  bool is_quick() const { return settings_.quick; }
  // What a quick run takes instead.
  template <typename T>
  T choose(T full, T quick) const {
    return settings_.quick ? quick : full;
  }

  // Building; first one of these two. What was set is remembered.
  void build();
  void build_router();
  void set(const std::string& name, const std::string& value);            // in the near namespace
  void set_on_router(const std::string& name, const std::string& value);  // in the router
  void set_time_wait(Duration length) { time_wait_ = length; }            // of the engine; before it is used
  // `adieu up` watches the engine and asks its peers; before it is used. Does nothing for the kernel.
  void set_control(const std::string& flags);
  void was_set(std::string text) { set_.push_back(std::move(text)); }
  const std::vector<std::string>& what_was_set() const { return set_; }
  // What the router remembers of the connection to that port: "ESTABLISHED, 431999 s left".
  std::string router_entry(std::uint16_t port) const;

  // Established when they return.
  End connect();
  // To a peer that answers so much later.
  End connect_far(Duration delay);
  void listen(std::uint16_t port);
  Endpoint listener() const { return listener_; }
  End accept(Puppet& from);
  Puppet& puppet() { return puppets_->add(); }
  // Of an end of the kernel's.
  static KernelSubject& kernel(End& end) { return static_cast<KernelSubject&>(end.it); }

  // Lets time pass, at most `limit`; false: it has not happened.
  bool until(Duration limit, const std::function<bool()>& condition);
  // The same, but not to be had is Trouble.
  void await(std::string_view what, const std::function<bool()>& condition);
  void pass(Duration time);
  // So long after `since` the connection was no more; nullopt: it is still there at the limit.
  std::optional<Duration> gone_after(End& end, Instant since, Duration limit);

  // Ways into a state.
  void into_fin_wait_2(End& end);
  void into_close_wait(End& end);
  void into_time_wait(End& end);

 private:
  void furnish_far(const Net& far);
  void set_in(const Net& net, const std::string& name, const std::string& value);
  End connect_to(Puppet& peer);
  host::EngineLoop& engine();
  void turn();

  World& world_;
  const StageSettings settings_;
  std::optional<Net> near_;
  std::optional<Net> router_;
  std::optional<KernelTable> table_;
  std::optional<Puppets> puppets_;
  Duration time_wait_ = seconds(60);
  std::string run_dir_;
  std::optional<Process> up_;
  std::unique_ptr<host::EngineLoop> engine_;
  std::vector<std::unique_ptr<Subject>> subjects_;
  std::vector<std::string> set_;
  Endpoint listener_;
  host::Descriptor kernel_listener_;
  stack::Listener engine_listener_;
};

std::string in_seconds(Duration time);                      // "3.1 s"
std::string state_text(const std::optional<State>& state);  // "gone" if there is none

}  // namespace adieu::lab
