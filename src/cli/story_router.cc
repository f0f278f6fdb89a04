// Chapter 5: between two ends stands a router that masquerades and forgets.
#include <algorithm>
#include <sstream>

#include "cli/story_programs.h"
#include "cli/story_scene.h"
#include "host/clock.h"

namespace adieu::cli {
namespace {

constexpr Duration kLong = seconds(15);
constexpr int kCloseWaitSeconds = 5;
constexpr const char* kCloseWait = "net.netfilter.nf_conntrack_tcp_timeout_close_wait";
constexpr const char* kEngineServer = "203.0.113.2:5001";
constexpr const char* kKernelServer = "203.0.113.2:5002";

struct Nets {
  lab::Net inside;
  lab::Net router;
  lab::Net outside;
};

Nets build(Scene& scene) {
  Nets nets{scene.net("inside"), scene.net("router"), scene.net("outside")};
  lab::World& world = scene.world();
  world.link(nets.inside, "lan", "192.168.5.2/24", nets.router, "lan", "192.168.5.1/24");
  world.link(nets.router, "wan", "203.0.113.1/24", nets.outside, "wan", "203.0.113.2/24");
  world.route(nets.inside, "default via 192.168.5.1");
  world.route(nets.router, "10.77.1.0/24 via 192.168.5.2");  // the engine's addresses lie behind the inside host
  world.forward(nets.inside);
  world.forward(nets.router);
  world.filter(nets.router,
               "table ip nat {\n chain post {\n type nat hook postrouting priority srcnat\n oifname \"wan\" "
               "masquerade\n }\n}\n");
  return nets;
}

// The router's entries for one server's port. Reading the list is also what makes the kernel throw out expired ones
// now; the bare count (nf_conntrack_count) keeps them until its next sweep.
std::vector<std::string> entries(Scene& scene, const lab::Net& router, std::string_view port) {
  std::vector<std::string> found;
  std::istringstream lines(scene.world().run(router, {"cat", "/proc/net/nf_conntrack"}));
  for (std::string line; std::getline(lines, line);)
    if (contains(line, fmt::format(" dport={} ", port))) found.push_back(line);
  return found;
}

// "CLOSE_WAIT, 3 s left", from "ipv4 2 tcp 6 3 CLOSE_WAIT src=...".
std::string entry_text(const std::vector<std::string>& found) {
  if (found.empty()) return "none";
  const auto words = lab::words(found.front());
  return words.size() < 6 ? found.front() : fmt::format("{}, {} s left", words[5], words[4]);
}

// One connection of the chapter, seen from outside: `outer` is the address that the router gave it.
struct Path {
  std::string inner;
  std::string outer;
  std::string server;
};

Path learn(Scene& scene, const Nets& nets, const char* server, std::string_view kind, std::string_view local) {
  Path path{"", "", server};
  scene.await(kLong, fmt::format("the {}'s client is in FIN-WAIT-2", kind), [&] {
    const auto row = scene.row(kind, local, server);
    const auto there = scene.ss(nets.outside, server, "203.0.113.1:");
    if (row) path.inner = (*row)["local"].get<std::string>();
    if (there) path.outer = there->remote;
    return row && (*row)["state"] == "FIN-WAIT-2" && there && there->state == "CLOSE-WAIT";
  });
  return path;
}

std::vector<lab::Step> steps_of(const lab::Watch& watch, const std::string& left, const std::string& right) {
  return lab::read_exchange(watch.between(endpoint(left), endpoint(right)), endpoint(left));
}

void draw_both(Scene& scene, const Nets& nets, const lab::Watch& tun, const lab::Watch& wan, const Path& engine,
               const Path& kernel, const lab::Note& spoken) {
  const auto through = steps_of(tun, engine.inner, engine.server);
  scene.ladder({.left = "engine inside " + engine.inner,
                .right = "kernel outside " + engine.server,
                .steps = through,
                .left_states = scene.states("engine", engine.inner, engine.server),
                .right_states = scene.ss_states(nets.outside, engine.server, engine.outer),
                .notes = {spoken},
                .zero = through.empty() ? host::now() : through.front().seen.at,
                .until = host::now()});
  const auto lost = steps_of(wan, kernel.outer, kernel.server);
  scene.ladder({.left = "the router, for the kernel inside " + kernel.outer,
                .right = "kernel outside " + kernel.server,
                .steps = lost,
                .left_states = scene.ss_states(nets.inside, kernel.inner, kernel.server),
                .right_states = scene.ss_states(nets.outside, kernel.server, kernel.outer),
                .notes = {spoken},
                .zero = lost.empty() ? host::now() : lost.front().seen.at,
                .until = host::now()});
}

void claim_forgotten(Scene& scene, const std::vector<std::string>& at_first, const std::vector<std::string>& engine,
                     const std::vector<std::string>& kernel, Duration idle) {
  scene.claim(!at_first.empty() && kernel.empty() && !engine.empty(),
              "the router forgets the kernel's idle connection, and keeps the engine's",
              fmt::format("/proc/net/nf_conntrack: kernel's {}, then {} after {}; engine's {}", entry_text(at_first),
                          entry_text(kernel), seconds_text(idle), entry_text(engine)));
}

void claim_lost(Scene& scene, const Nets& nets, const lab::Watch& lan, const lab::Watch& wan, const Path& kernel,
                Instant spoken) {
  const auto outside = steps_of(wan, kernel.outer, kernel.server);
  const auto reset = lab::count(outside, true, lab::Kind::Reset, spoken);
  const auto inside = steps_of(lan, kernel.inner, kernel.server);
  const auto arrived = std::ranges::count_if(inside, [&](const lab::Step& s) { return s.seen.at >= spoken; });
  const auto held = scene.ss(nets.inside, kernel.inner, kernel.server);
  const auto peer = scene.ss(nets.outside, kernel.server, kernel.outer);
  scene.claim(reset > 0 && arrived == 0, "the kernel's outside end speaks first, and the router itself resets it",
              fmt::format("wire outside: RST from the router's address {}; inside, segments since: {}",
                          reset > 0 ? fmt::format("x{}", reset) : "never", arrived));
  scene.claim(held && held->state == "FIN-WAIT-2" && held->timer.empty() && !peer,
              "its inside end does not know: FIN-WAIT-2, no timer, for ever",
              fmt::format("ss inside: {}{}; ss outside: {}", held ? held->state : "no socket",
                          held && held->timer.empty() ? ", no timer" : "", peer ? peer->state : "no socket"));
}

}  // namespace

void chapter_router(Scene& scene) {
  const Nets nets = build(scene);
  const std::string by_default = scene.world().sysctl(nets.router, kCloseWait);
  scene.world().set_sysctl(nets.router, kCloseWait, std::to_string(kCloseWaitSeconds));
  scene.shortened(kCloseWait, fmt::format("{} s", kCloseWaitSeconds), by_default + " s");
  scene.shortened("adieu up --interval", "2s", "25s");
  scene.say("");
  scene.up(nets.inside, "--plane kernel --interval 2s --sweep 200ms");
  lab::Process& engine_server = scene.python_text(nets.outside, kQuietServer, "5001");
  lab::Process& kernel_server = scene.python_text(nets.outside, kQuietServer, "5002");
  scene.await_output(engine_server, "listening");
  scene.await_output(kernel_server, "listening");
  const lab::Watch tun(nets.inside, "adieu1"), lan(nets.inside, "lan"), wan(nets.outside, "wan");
  lab::Process& engine_client = scene.native(
      nets.inside, "half_closing_client",
      fmt::format("--tun adieu1 --address 10.77.1.2/24 --gateway-address 10.77.1.1/24 --seconds 60 {}", kEngineServer));
  scene.python(nets.inside, "half_closing_client.py", "203.0.113.2 5002");
  const Path engine = learn(scene, nets, kEngineServer, "engine", "10.77.1.2:");
  const Path kernel = learn(scene, nets, kKernelServer, "kernel", "192.168.5.2:");
  const auto at_first = entries(scene, nets.router, "5002");
  scene.until(seconds(kCloseWaitSeconds) + kLong, [&] { return entries(scene, nets.router, "5002").empty(); });
  scene.pass(seconds(1));
  const auto engine_entries = entries(scene, nets.router, "5001"), kernel_entries = entries(scene, nets.router, "5002");
  const lab::Note spoken{host::now(), "the outside ends speak"};
  const Instant idle_since = steps_of(wan, kernel.outer, kernel.server).back().seen.at;
  engine_server.tell("speak\n");
  kernel_server.tell("speak\n");
  const bool heard = scene.until(seconds(5), [&] { return contains(engine_client.output(), "still here"); });
  scene.until(seconds(2), [&] { return !scene.ss(nets.outside, kernel.server, kernel.outer); });
  draw_both(scene, nets, tun, wan, engine, kernel, spoken);
  claim_forgotten(scene, at_first, engine_entries, kernel_entries, spoken.at - idle_since);
  claim_lost(scene, nets, lan, wan, kernel, spoken.at);
  const auto steps = steps_of(tun, engine.inner, engine.server);
  scene.claim(heard, "the engine's, probed in time, is not lost: its outside end speaks, and is heard",
              fmt::format("wire: {} probes, {} answers; printed by its client: {}",
                          lab::count(steps, true, lab::Kind::DataEcho) + lab::count(steps, true, lab::Kind::Bare),
                          lab::count(steps, false, lab::Kind::Answer), heard ? "\"still here\"" : "nothing"));
}

}  // namespace adieu::cli
