// The short form lowers the router's timer and adieu's interval; the long one takes both as it finds them.
#include "cli/story_router_paths.h"

#include <poll.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "cli/story_programs.h"
#include "host/clock.h"
#include "host/options.h"
#include "lab/trouble.h"

namespace adieu::cli {
namespace {

constexpr Duration kLong = seconds(15);
constexpr const char* kTimeout = "net.netfilter.nf_conntrack_tcp_timeout_";
constexpr const char* kNone = "none";

struct Entry {
  std::string text = kNone;  // "CLOSE_WAIT, 3 s left"
  int left = 0;
};

std::string port_of(const std::string& endpoint) { return endpoint.substr(endpoint.rfind(':') + 1); }

// The router's entry for one server's port, from "ipv4 2 tcp 6 3 CLOSE_WAIT src=...". Reading the list is also what
// makes the kernel throw out expired ones now; the bare count (nf_conntrack_count) keeps them until its next sweep.
Entry entry_in(const std::string& list, const std::string& port) {
  std::istringstream lines(list);
  for (std::string line; std::getline(lines, line);) {
    const auto words = lab::words(line);
    if (!contains(line, fmt::format(" dport={} ", port)) || words.size() < 6) continue;
    return {fmt::format("{}, {} s left", words[5], words[4]), std::atoi(words[4].c_str())};
  }
  return {};
}

void look(Scene& scene, const RouterNets& nets, Paths& paths) {
  scene.sample(true);
  const std::string list = scene.world().run(nets.router, {"cat", "/proc/net/nf_conntrack"});
  for (Path& path : paths) {
    Remembered& r = path.remembered;
    const Entry entry = entry_in(list, port_of(path.server));
    if (r.looks++ == 0) r.first = entry.text;
    r.last = entry.text;
    r.left = entry.left;
    if (entry.text == kNone && !r.gone.is_known()) r.gone = host::now();
    if (r.looks == 1 || entry.left < r.least_left) r.least_left = entry.left;
    const auto row = scene.row(path.kind, path.inner, path.server);
    if (row && (*row)["state"] == "FIN-WAIT-2") ++r.in_fin_wait_2;
  }
}

void report(Scene& scene, const Paths& paths, Duration since) {
  std::string text;
  for (const Path& path : paths) {
    const Remembered& r = path.remembered;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", path.name,
                        r.last == kNone ? "gone" : fmt::format("{} s left", r.left));
  }
  scene.say(fmt::format("{:>4.0f} s idle, {} probes; in the router: {}", since.seconds(),
                        probes_in(steps_inside(paths[kProbed])), text));
}

void learn(Scene& scene, const lab::Net& outside, Path& path, std::string_view local) {
  scene.await(kLong, path.name + " is in FIN-WAIT-2", [&] {
    const auto row = scene.row(path.kind, local, path.server);
    const auto there = scene.ss(outside, path.server, "203.0.113.1:");
    if (row) path.inner = (*row)["local"].get<std::string>();
    if (there) path.outer = there->remote;
    return row && (*row)["state"] == "FIN-WAIT-2" && there && there->state == "CLOSE-WAIT";
  });
}

}  // namespace

RouterTimes choose_times(Scene& scene, const lab::Net& router) {
  const std::string close_wait = fmt::format("{}close_wait", kTimeout);
  const std::string by_default = scene.world().sysctl(router, close_wait);
  const std::string interval = host::text(host::UpOptions{}.rule.interval);
  RouterTimes times{.close_wait = seconds(std::atoi(by_default.c_str())),
                    .idle = scene.settings().idle,
                    .look = seconds(1),
                    .report = minutes(1),
                    .up_flags = ""};
  if (scene.settings().default_timers) {
    std::string all;
    for (const char* name : {"established", "fin_wait", "close_wait", "last_ack", "time_wait"})
      all += fmt::format("{}{} {} s", all.empty() ? "" : ", ", name,
                         scene.world().sysctl(router, fmt::format("{}{}", kTimeout, name)));
    scene.say(fmt::format("nothing is shortened; {}*, as the router has them:", kTimeout));
    scene.say("  " + all);
    scene.say(fmt::format("adieu up: its default rule, --interval {}; idle for {}", interval, host::text(times.idle)));
    if (times.idle <= times.close_wait + seconds(5))
      throw lab::Trouble(
          fmt::format("--idle {} is too short for a router that forgets after {}: let it be more by 10 s",
                      host::text(times.idle), host::text(times.close_wait)));
  } else {
    times = {seconds(5), seconds(7), milliseconds(250), seconds(2), "--interval 2s --sweep 200ms"};
    scene.world().set_sysctl(router, close_wait, fmt::format("{:.0f}", times.close_wait.seconds()));
    scene.shortened(close_wait, fmt::format("{:.0f} s", times.close_wait.seconds()), by_default + " s");
    scene.shortened("adieu up --interval", "2s", interval);
  }
  scene.say("");
  return times;
}

RouterNets build_router(Scene& scene) {
  RouterNets nets{scene.net("asking"), scene.net("mute"), scene.net("router"), scene.net("outside")};
  lab::World& world = scene.world();
  world.link(nets.asking, "lan", "192.168.5.2/24", nets.router, "lan5", "192.168.5.1/24");
  world.link(nets.mute, "lan", "192.168.6.2/24", nets.router, "lan6", "192.168.6.1/24");
  world.link(nets.router, "wan", "203.0.113.1/24", nets.outside, "wan", "203.0.113.2/24");
  world.route(nets.asking, "default via 192.168.5.1");
  world.route(nets.mute, "default via 192.168.6.1");
  // Each engine's addresses lie behind its host.
  world.route(nets.router, "10.77.1.0/24 via 192.168.5.2");
  world.route(nets.router, "10.77.2.0/24 via 192.168.6.2");
  for (const lab::Net& net : {nets.asking, nets.mute, nets.router}) world.forward(net);
  world.filter(nets.router,
               "table ip nat {\n chain post {\n type nat hook postrouting priority srcnat\n oifname \"wan\" "
               "masquerade\n }\n}\n");
  return nets;
}

Paths open_paths(Scene& scene, const RouterNets& nets, const RouterTimes& times) {
  Paths paths = {
      {{"probed engine", "engine", nets.asking, "203.0.113.2:5001", "", "",
        std::make_unique<lab::Watch>(nets.asking, "adieu1")},
       {"unasked engine", "engine", nets.mute, "203.0.113.2:5002", "", "",
        std::make_unique<lab::Watch>(nets.mute, "adieu2")},
       {"kernel", "kernel", nets.mute, "203.0.113.2:5003", "", "", std::make_unique<lab::Watch>(nets.mute, "lan")}}};
  for (Path& path : paths) path.speaker = &scene.python_text(nets.outside, kQuietServer, port_of(path.server));
  scene.up(nets.asking, "--plane kernel " + times.up_flags);
  scene.up(nets.mute, "--plane kernel --no-probes " + times.up_flags);
  for (const Path& path : paths) scene.await_output(*path.speaker, "listening");
  const auto engine = [&](int n, Path& path) {
    path.client = &scene.native(
        path.host, "half_closing_client",
        fmt::format("--tun adieu{0} --address 10.77.{0}.2/24 --gateway-address 10.77.{0}.1/24 --seconds {1:.0f} {2}", n,
                    (times.idle + minutes(1)).seconds(), path.server));
  };
  engine(1, paths[kProbed]);
  engine(2, paths[kUnasked]);
  // It sets no SO_KEEPALIVE.
  paths[kKernel].client = &scene.python(nets.mute, "half_closing_client.py", "203.0.113.2 5003");
  learn(scene, nets.outside, paths[kProbed], "10.77.1.2:");
  learn(scene, nets.outside, paths[kUnasked], "10.77.2.2:");
  learn(scene, nets.outside, paths[kKernel], "192.168.6.2:");
  return paths;
}

void stay_idle(Scene& scene, const RouterNets& nets, Paths& paths, const RouterTimes& times) {
  const Instant start = host::now();
  Instant reported = start;
  for (;;) {
    look(scene, nets, paths);
    const Instant now = host::now();
    if (now - reported >= times.report) {
      reported = reported + times.report;
      report(scene, paths, now - start);
    }
    const Duration left = times.idle - (now - start);
    if (left <= Duration{}) break;
    poll(nullptr, 0, static_cast<int>(std::min(left, times.look).ns / 1'000'000) + 1);
  }
  scene.say("");
}

std::vector<lab::Step> steps_inside(const Path& path) {
  const Endpoint client = endpoint(path.inner);
  return lab::read_exchange(path.inside->between(client, endpoint(path.server)), client);
}

std::vector<lab::Step> steps_outside(const lab::Watch& wan, const Path& path) {
  const Endpoint client = endpoint(path.outer);
  return lab::read_exchange(wan.between(client, endpoint(path.server)), client);
}

std::size_t probes_in(const std::vector<lab::Step>& steps) {
  return lab::count(steps, true, lab::Kind::DataEcho) + lab::count(steps, true, lab::Kind::Bare);
}

}  // namespace adieu::cli
