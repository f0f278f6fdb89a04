// Chapter 4: four half-closed connections to one kind of peer, a Python server that is alive and has nothing to say.
#include <algorithm>

#include "cli/story_programs.h"
#include "cli/story_scene.h"
#include "host/clock.h"

namespace adieu::cli {
namespace {

constexpr Duration kLong = seconds(15);
constexpr Duration kFinTimeout = seconds(3);
constexpr Duration kSilence = seconds(7);

struct Quiet {
  std::string name;
  std::string local;   // the client's end
  std::string remote;  // the server's
  bool engine = false;
};

std::vector<lab::Step> steps_of(const lab::Watch& watch, const Quiet& one) {
  return lab::read_exchange(watch.between(endpoint(one.local), endpoint(one.remote)), endpoint(one.local));
}

void draw(Scene& scene, const lab::Net& net, const lab::Watch& watch, const Quiet& one, const lab::Note& note) {
  const auto steps = steps_of(watch, one);
  scene.ladder({.left = fmt::format("{} {}", one.name, one.local),
                .right = fmt::format("kernel server {}", one.remote),
                .steps = steps,
                .left_states = one.engine ? scene.states("engine", one.local, one.remote)
                                          : scene.ss_states(net, one.local, one.remote),
                .right_states = scene.ss_states(net, one.remote, one.local),
                .notes = {note},
                .zero = steps.empty() ? host::now() : steps.front().seen.at,
                .until = host::now()});
}

// Waits for one more connection of a client, and learns its own end.
void learn(Scene& scene, const lab::Net& net, Quiet& one, const std::string& local_address) {
  scene.await(kLong, one.name + " is in FIN-WAIT-2", [&] {
    if (one.engine) {
      const auto row = scene.row("engine", local_address, one.remote);
      if (row) one.local = (*row)["local"].get<std::string>();
      return row && (*row)["state"] == "FIN-WAIT-2";
    }
    const auto row = scene.ss(net, local_address, one.remote);
    if (row) one.local = row->local;
    return row && row->state == "FIN-WAIT-2";
  });
}

struct Silence {
  lab::Net host;
  lab::Process* talker;    // the server of the held connections
  lab::Process* listener;  // the server of the orphans
  lab::Process* engine_client;
  lab::Process* kernel_client;
  Quiet engine_held{"engine, held", "", "10.77.1.1:5001", true};
  Quiet engine_orphan{"engine, orphan", "", "10.77.2.1:5002", true};
  Quiet kernel_held{"kernel, held", "", "127.0.0.1:5001", false};
  Quiet kernel_orphan{"kernel, orphan", "", "127.0.0.1:5002", false};
};

Silence open_all(Scene& scene, const lab::Net& host) {
  Silence s{.host = host,
            .talker = &scene.python_text(host, kQuietServer, "5001"),
            .listener = &scene.python_text(host, kQuietServer, "5002"),
            .engine_client = nullptr,
            .kernel_client = nullptr};
  scene.await_output(*s.talker, "listening");
  scene.await_output(*s.listener, "listening");
  s.engine_client = &scene.native(
      host, "half_closing_client",
      "--tun adieu1 --address 10.77.1.2/24 --gateway-address 10.77.1.1/24 --seconds 60 " + s.engine_held.remote);
  scene.native(host, "half_closing_client",
               "--tun adieu2 --address 10.77.2.2/24 --gateway-address 10.77.2.1/24 --seconds 60 --close-after 500 " +
                   s.engine_orphan.remote);
  s.kernel_client = &scene.python(host, "half_closing_client.py", "127.0.0.1 5001");
  learn(scene, host, s.engine_held, "10.77.1.2:");
  learn(scene, host, s.engine_orphan, "10.77.2.2:");
  learn(scene, host, s.kernel_held, "127.0.0.1:");
  // Last, so that its whole life is sampled.
  scene.python(host, "half_closing_client.py", "--close-after 300 127.0.0.1 5002");
  learn(scene, host, s.kernel_orphan, "127.0.0.1:");
  return s;
}

// When the kernel's orphan became one, and when it was gone, as `ss` showed them.
struct OrphanLife {
  std::string timer;
  Instant orphaned = Instant::unknown();
  Instant gone = Instant::unknown();
};

OrphanLife watch_orphan(Scene& scene, const Silence& s) {
  OrphanLife life;
  scene.until(kFinTimeout + kLong, [&] {
    const auto row = scene.ss(s.host, s.kernel_orphan.local, s.kernel_orphan.remote);
    if (row && !row->timer.empty() && life.timer.empty()) {
      life.timer = row->timer;
      life.orphaned = host::now();
    }
    if (!row) life.gone = host::now();
    return !row;
  });
  return life;
}

void claim_probed(Scene& scene, const lab::Watch& watch, const Quiet& one, std::string_view what, Duration silence) {
  const auto steps = steps_of(watch, one);
  const auto row = scene.row("engine", one.local, one.remote);
  const auto probes = lab::count(steps, true, lab::Kind::DataEcho) + lab::count(steps, true, lab::Kind::Bare);
  const auto answers = lab::count(steps, false, lab::Kind::Answer);
  scene.claim(row && (*row)["state"] == "FIN-WAIT-2" && probes >= 3 && answers + 1 >= probes,
              fmt::format("{} lives after {} of silence, probed and answered", what, seconds_text(silence)),
              fmt::format("adieu ls: {}, holder {}, standing {}, heard {} s ago; wire: {} probes, {} answers",
                          field(row, "state"), field(row, "holder"), field(row, "standing"), field(row, "heard_ago_s"),
                          probes, answers));
}

void claim_kernel(Scene& scene, const Silence& s, const lab::Watch& loopback, const OrphanLife& life,
                  Duration silence) {
  const auto held = scene.ss(s.host, s.kernel_held.local, s.kernel_held.remote);
  const auto plane = scene.row("kernel", s.kernel_held.local, s.kernel_held.remote);
  scene.claim(held && held->state == "FIN-WAIT-2" && held->timer.empty() && plane,
              fmt::format("the kernel's, its descriptor open, lives after {} too, and has no timer at all",
                          seconds_text(silence)),
              fmt::format("ss -o: {}, {}; adieu ls: {}, holder {}, \"{}\"", held ? held->state : "no socket",
                          held && !held->timer.empty() ? held->timer : "no timer", field(plane, "state"),
                          field(plane, "holder"), field(plane, "ends")));
  const auto orphan = scene.ss(s.host, s.kernel_orphan.local, s.kernel_orphan.remote);
  const auto peer = scene.ss(s.host, s.kernel_orphan.remote, s.kernel_orphan.local);
  const auto steps = steps_of(loopback, s.kernel_orphan);
  const auto farewells =
      std::ranges::count_if(steps, [&](const lab::Step& step) { return step.seen.at > life.orphaned; });
  const bool known = life.gone.is_known() && life.orphaned.is_known();
  scene.claim(!orphan && known && peer && peer->state == "CLOSE-WAIT" && s.listener->runs(),
              "the kernel's orphan is killed by its timer, although its peer is alive, and nobody tells the peer",
              fmt::format("ss: \"{}\" at first, gone {} later; its peer: {}, process {} runs; segments since: {}",
                          life.timer, known ? seconds_text(life.gone - life.orphaned) : "never",
                          peer ? peer->state : "no socket", s.listener->pid(), farewells));
}

void claim_speech(Scene& scene, const Silence& s) {
  s.talker->tell("speak\n");
  const bool heard = scene.until(seconds(5), [&] {
    return contains(s.engine_client->output(), "still here") && contains(s.kernel_client->output(), "still here");
  });
  scene.claim(heard, "both held connections are of use: the server speaks, and both clients hear it",
              fmt::format("printed by the engine's client: {}; by the kernel's: {}",
                          contains(s.engine_client->output(), "still here") ? "\"still here\"" : "nothing",
                          contains(s.kernel_client->output(), "still here") ? "\"still here\"" : "nothing"));
}

// The peers of the two orphans close at last: one in order, the other into a void.
void claim_ends(Scene& scene, const Silence& s, const lab::Watch& tun, const lab::Watch& loopback) {
  s.listener->tell("close\n");
  const auto fin_then_reset = [&] {
    return lab::count(steps_of(loopback, s.kernel_orphan), true, lab::Kind::Reset) > 0;
  };
  const auto fin_acked = [&] {
    const auto row = scene.row("engine", s.engine_orphan.local, s.engine_orphan.remote);
    return row && ((*row)["state"] == "TIME-WAIT" || (*row)["reason"] == "both closed");
  };
  scene.until(seconds(5), [&] { return fin_then_reset() && fin_acked(); });
  const auto row = scene.row("engine", s.engine_orphan.local, s.engine_orphan.remote);
  const auto resets = lab::count(steps_of(tun, s.engine_orphan), true, lab::Kind::Reset);
  scene.claim(
      fin_acked() && resets == 0 && fin_then_reset(),
      "their peers close at last: to the engine's orphan in order, to the kernel's into a void",
      fmt::format("wire: engine {} RSTs, adieu ls {}; kernel: {} RST in answer to the FIN", resets, field(row, "state"),
                  lab::count(steps_of(loopback, s.kernel_orphan), true, lab::Kind::Reset)));
}

}  // namespace

void chapter_silence(Scene& scene) {
  const lab::Net host = scene.net("host");
  const std::string by_default = scene.world().sysctl(host, "net.ipv4.tcp_fin_timeout");
  scene.world().set_sysctl(host, "net.ipv4.tcp_fin_timeout", fmt::format("{:.0f}", kFinTimeout.seconds()));
  scene.shortened("net.ipv4.tcp_fin_timeout", seconds_text(kFinTimeout), by_default + " s");
  scene.shortened("adieu up --interval", "1s", "25s");
  scene.say("");
  scene.up(host, "--plane kernel --interval 1s --sweep 200ms");
  const lab::Watch first(host, "adieu1"), second(host, "adieu2"), loopback(host, "lo");
  const Silence s = open_all(scene, host);
  const Instant quiet_since = host::now();
  const OrphanLife life = watch_orphan(scene, s);
  scene.pass(kSilence - (host::now() - quiet_since));
  scene.sample(true);
  const Duration silence = host::now() - quiet_since;
  const lab::Note spoken{host::now(), "the servers speak, and close"};
  claim_probed(scene, first, s.engine_held, "the engine's half-closed connection", silence);
  claim_kernel(scene, s, loopback, life, silence);
  claim_probed(scene, second, s.engine_orphan, "the engine's orphan", silence);
  claim_speech(scene, s);
  claim_ends(scene, s, second, loopback);
  draw(scene, host, first, s.engine_held, spoken);
  draw(scene, host, loopback, s.kernel_held, spoken);
  draw(scene, host, loopback, s.kernel_orphan, spoken);
  draw(scene, host, second, s.engine_orphan, spoken);
}

}  // namespace adieu::cli
