// What chapters 6 and 7 share: two half-closed connections of the engine, one of them to a host that vanishes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/story_scene.h"

namespace adieu::cli {

inline constexpr const char* kFarServer = "10.9.0.2:5001";
inline constexpr const char* kNearServer = "10.77.2.1:5001";
// What proves that a peer is gone, shortened by flags.
inline constexpr std::uint64_t kProbesNeeded = 5;
inline constexpr Duration kProofSpan = seconds(4);

struct TwoPeers {
  lab::Net here;
  lab::Net far;
  std::string doomed;  // our end of the connection to the far host
  std::string other;   // our end of the connection to a peer that stays
  std::string doomed_id;
  std::string other_id;
};

// Prints what is shortened, builds both hosts, and starts `adieu up` with these planes.
TwoPeers build_two_peers(Scene& scene, std::string_view planes);
void connect_both(Scene& scene, TwoPeers& two);
// From then on the far host hears nothing and says nothing, and nobody tells.
void vanish(Scene& scene, const lab::Net& far);

// One look at the doomed connection through `adieu ls`.
struct Look {
  Instant at;
  std::string standing;
  std::uint64_t probes = 0;  // unanswered since last heard
};

// How it ended, by `adieu why --json`.
struct Ending {
  std::string reason = "none";
  std::uint64_t verdict = 0;
  std::string standing;               // of that verdict
  std::vector<std::string> evidence;  // of that verdict
  Instant at = Instant::unknown();
};

struct Following {
  std::vector<Look> looks;
  Ending ending;
};

// Looks until the doomed connection has ended; `each` sees the looks so far.
Following follow(Scene& scene, const TwoPeers& two, const std::function<void(const std::vector<Look>&)>& each);

std::vector<lab::Step> doomed_steps(const lab::Watch& watch, const TwoPeers& two);
void draw_doomed(Scene& scene, const TwoPeers& two, const lab::Watch& watch, const Following& following,
                 std::vector<lab::Note> notes);
void claim_other_lives(Scene& scene, const TwoPeers& two);

}  // namespace adieu::cli
