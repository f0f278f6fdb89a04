// What chapter 5 works with: a router that masquerades and forgets, two hosts inside it, and three connections through
// it that are half-closed and then idle.
//
// What lives here: building that, and watching it while nothing is said. What does not: the claims (story_router.cc).
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "cli/story_scene.h"

namespace adieu::cli {

// All in which the long form of the chapter differs from the short one.
struct RouterTimes {
  Duration close_wait;  // of the router's conntrack
  Duration idle;
  Duration look;         // between two looks at the router, at `ss` and at the tables
  Duration report;       // between two lines that say how it stands
  std::string up_flags;  // of both `adieu up`
};

// The two hosts inside differ in one flag of their `adieu up`: --no-probes.
struct RouterNets {
  lab::Net asking;
  lab::Net mute;
  lab::Net router;
  lab::Net outside;
};

// What was seen of a connection while it was idle.
struct Remembered {
  std::string first;  // the router's entry, as text; "none"
  std::string last;
  int left = 0;        // seconds until the router would have forgotten it, at the last look
  int least_left = 0;  // and the fewest
  int looks = 0;
  int in_fin_wait_2 = 0;              // looks at which adieu's table said so
  Instant gone = Instant::unknown();  // the first look that found no entry
};

struct Path {
  std::string name;
  std::string kind;  // "engine", "kernel"
  lab::Net host;
  std::string server;  // address and port
  std::string inner;   // its own end, and the one that the router gave it
  std::string outer;
  std::unique_ptr<lab::Watch> inside;
  lab::Process* client = nullptr;
  lab::Process* speaker = nullptr;
  Remembered remembered = {};
};

enum PathIndex : std::size_t { kProbed, kUnasked, kKernel, kPaths };
using Paths = std::array<Path, kPaths>;

// Prints the times, and what is shortened in them.
RouterTimes choose_times(Scene& scene, const lab::Net& router);
RouterNets build_router(Scene& scene);
// Until each client is in FIN-WAIT-2 and its server in CLOSE-WAIT.
Paths open_paths(Scene& scene, const RouterNets& nets, const RouterTimes& times);
void stay_idle(Scene& scene, const RouterNets& nets, Paths& paths, const RouterTimes& times);

// What passed inside the router, and outside of it; the client is on the left.
std::vector<lab::Step> steps_inside(const Path& path);
std::vector<lab::Step> steps_outside(const lab::Watch& wan, const Path& path);
std::size_t probes_in(const std::vector<lab::Step>& steps);

}  // namespace adieu::cli
