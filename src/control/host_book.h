// What is known of remote hosts from all their connections together: silence, loss, what the path forgot, how many
// questions a second are theirs.
//
// What lives here: HostBook. What does not: connections (controller.h), judgement (judge.h).
// A host is in the book while one of its connections is attended to, and as long as something was learned of it; at
// most kMost, of which the ones nobody attends to go first. A host that finds no room has no facts and no budget.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "base/address.h"
#include "base/slab.h"
#include "base/time.h"
#include "control/evidence.h"

namespace adieu::control {

// What has been learned of a host, as it outlives the control plane that learned it.
struct HostLearned {
  Address host;
  std::uint32_t asked = 0;                // questions whose fate is known
  std::uint32_t lost = 0;                 // of them
  Duration path_timer = Duration::max();  // of a path that was forgotten; max(): none was
  bool operator==(const HostLearned&) const = default;
};

class HostBook {
 public:
  using Handle = std::uint32_t;
  static constexpr Handle kNone = UINT32_MAX;
  static constexpr std::size_t kMost = 16384;

  // A connection to the host is attended to, until release().
  Handle attend(const Address& host);
  void release(Handle handle);
  // The connection is doubted (suspect or gone), or is so no more. Returns how many of the host's are, now.
  std::uint32_t doubt(Handle handle);
  void trust(Handle handle);
  // Whether its silence, or its return, is news: each is told once.
  bool tell_silent(Handle handle);
  bool tell_back(Handle handle);
  // Some connection to `host` was last heard at `at`. Cheap when nobody's peer is doubted.
  void heard(const Address& host, Instant at);
  // It answered after `unanswered` questions that it did not.
  void answered(Handle handle, std::uint32_t unanswered);
  // A path to it was forgotten by a middlebox with such a timer.
  void forgot(Handle handle, Duration timer);
  // From an earlier control plane. What has been learned here of the same host since stands.
  void know(const HostLearned& host);

  // Of whom something worth keeping has been learned since the last kept(), by address: a timer, or a share of loss
  // that is another by a hundredth or rests on twice the questions.
  std::vector<HostLearned> learned() const;
  void kept();
  HostFacts facts(Handle handle) const;
  HostFacts facts(const Address& host) const;
  // The shortest timer of a path that was forgotten; max(): none was.
  Duration shortest_path_timer() const { return shortest_path_timer_; }
  // The instant from which the next question may go; spend_probe() takes it.
  Instant next_probe(Handle handle, Instant now) const;
  void spend_probe(Handle handle, std::uint32_t per_second, Instant now);

  std::size_t size() const { return places_.size(); }
  std::size_t bytes() const;

 private:
  struct Host {
    Address address;
    Instant heard_at;
    Instant next_probe;
    Duration path_timer = Duration::max();
    std::uint32_t attended = 0;
    std::uint32_t doubted = 0;
    std::uint32_t asked = 0;  // questions whose fate is known
    std::uint32_t lost = 0;   // of them
    bool told = false;        // that it is silent
    std::uint32_t asked_kept = 0, lost_kept = 0;
  };
  static double share_lost(std::uint32_t asked, std::uint32_t lost);
  void learn_timer(Host& host, Duration timer);
  bool has_learned(const Host& host) const { return host.asked > 0 || host.path_timer != Duration::max(); }
  bool make_room();
  static unsigned shadow_of(const Address& host);

  std::map<Address, Handle> places_;
  Slab<Host> hosts_;
  std::set<Address> news_;  // for learned()
  Duration shortest_path_timer_ = Duration::max();
  std::uint32_t doubted_ = 0;  // in all
  // Doubted hosts by a few bits of their address: most others are told apart without a look into the map.
  static constexpr unsigned kShadows = 4096;
  std::uint32_t shadows_[kShadows] = {};
};

}  // namespace adieu::control
