// Two peers of one engine host: the far one behind a veth pair, the near one on the host itself.
#include "cli/story_two_peers.h"

#include "cli/story_programs.h"
#include "host/clock.h"

namespace adieu::cli {
namespace {

constexpr Duration kLong = seconds(20);

std::uint64_t probes_of(const Json& row) {
  const Json& probes = row["probes"];
  return probes.value("data_echo", 0ULL) + probes.value("bare", 0ULL) + probes.value("pending", 0ULL);
}

// The row of one connection, by its id: it may have ended, and its ends may be in use again.
Scene::Row by_id(const Scene& scene, const std::string& id) {
  for (const Json& row : scene.rows())
    if (row["id"] == id) return row;
  return std::nullopt;
}

Look look(const Json& row) { return {host::now(), row["standing"].get<std::string>(), probes_of(row)}; }

// The ledger's clock is the one that people read.
Instant from_wall(std::int64_t microseconds_since_1970) {
  return host::now() - microseconds(host::wall_clock() - microseconds_since_1970);
}

// Nothing, if it has not ended.
std::optional<Ending> ending_of(Scene& scene, const std::string& id) {
  const Json why = scene.why_json(id);
  if (!why.contains("end") || why["end"].is_null()) return std::nullopt;
  Ending ending;
  ending.reason = why["end"]["reason"].get<std::string>();
  ending.verdict = why["end"]["verdict"].get<std::uint64_t>();
  for (const Json& verdict : why["verdicts"]) {
    if (verdict["number"] != ending.verdict) continue;
    ending.standing = verdict["standing"].get<std::string>();
    ending.evidence = verdict["evidence"].get<std::vector<std::string>>();
    ending.at = from_wall(verdict["wall_us"].get<std::int64_t>());
  }
  return ending;
}

}  // namespace

TwoPeers build_two_peers(Scene& scene, std::string_view planes) {
  TwoPeers two{scene.net("here"), scene.net("far"), "", "", "", ""};
  scene.shortened("adieu up --interval", "1s", "25s");
  scene.shortened("adieu up --proof-span", "4s", "100s");
  scene.shortened("adieu up --probes", "5", "31, derived from a loss of 30 %");
  scene.say("");
  lab::World& world = scene.world();
  world.link(two.here, "far", "10.9.0.1/24", two.far, "here", "10.9.0.2/24");
  world.forward(two.here);
  world.route(two.far, "10.77.0.0/16 via 10.9.0.1");
  scene.up(two.here, fmt::format("{} --interval 1s --sweep 200ms --proof-span {:.0f}s --probes {}", planes,
                                 kProofSpan.seconds(), kProbesNeeded));
  scene.await_output(scene.python_text(two.far, kQuietServer, "5001"), "listening");
  scene.await_output(scene.python_text(two.here, kQuietServer, "5001"), "listening");
  return two;
}

void connect_both(Scene& scene, TwoPeers& two) {
  const auto client = [&](int n, const char* server) {
    scene.native(
        two.here, "half_closing_client",
        fmt::format("--tun adieu{0} --address 10.77.{0}.2/24 --gateway-address 10.77.{0}.1/24 --seconds 90 {1}", n,
                    server));
  };
  client(1, kFarServer);
  client(2, kNearServer);
  scene.await(kLong, "both connections are in FIN-WAIT-2", [&] {
    const auto doomed = scene.row("engine", "10.77.1.2:", kFarServer),
               other = scene.row("engine", "10.77.2.2:", kNearServer);
    if (!doomed || !other) return false;
    two.doomed = (*doomed)["local"].get<std::string>();
    two.other = (*other)["local"].get<std::string>();
    two.doomed_id = (*doomed)["id"].get<std::string>();
    two.other_id = (*other)["id"].get<std::string>();
    return (*doomed)["state"] == "FIN-WAIT-2" && (*other)["state"] == "FIN-WAIT-2";
  });
}

void vanish(Scene& scene, const lab::Net& far) {
  scene.world().filter(far,
                       "table inet gone {\n"
                       " chain in {\n type filter hook prerouting priority raw; policy drop;\n }\n"
                       " chain out {\n type filter hook output priority raw; policy drop;\n }\n"
                       "}\n");
}

Following follow(Scene& scene, const TwoPeers& two, const std::function<void(const std::vector<Look>&)>& each) {
  Following following;
  scene.until(kLong, [&] {
    const auto row = by_id(scene, two.doomed_id);
    const bool lives = row && (*row)["reason"] == "none";
    if (lives) following.looks.push_back(look(*row));
    each(following.looks);
    // A program that carries its engine ends with its only connection, and its table goes: then the ledger knows.
    const auto ending = lives ? std::nullopt : ending_of(scene, two.doomed_id);
    if (ending) following.ending = *ending;
    return ending.has_value();
  });
  return following;
}

std::vector<lab::Step> doomed_steps(const lab::Watch& watch, const TwoPeers& two) {
  return lab::read_exchange(watch.between(endpoint(two.doomed), endpoint(kFarServer)), endpoint(two.doomed));
}

void draw_doomed(Scene& scene, const TwoPeers& two, const lab::Watch& watch, const Following& following,
                 std::vector<lab::Note> notes) {
  const auto steps = doomed_steps(watch, two);
  std::string standing;
  for (const Look& l : following.looks) {
    if (l.standing != standing) notes.push_back({l.at, "the peer: " + l.standing});
    standing = l.standing;
  }
  const Ending& end = following.ending;
  if (end.at.is_known())
    notes.push_back({end.at, fmt::format("the peer: {}; verdict {}, {}", end.standing, end.verdict, end.reason)});
  scene.ladder({.left = "engine " + two.doomed,
                .right = std::string("kernel server ") + kFarServer,
                .steps = steps,
                .left_states = scene.states("engine", two.doomed, kFarServer),
                .right_states = scene.ss_states(two.far, kFarServer, two.doomed),
                .notes = std::move(notes),
                .zero = steps.empty() ? host::now() : steps.front().seen.at,
                .until = host::now()});
}

void claim_other_lives(Scene& scene, const TwoPeers& two) {
  const auto other = by_id(scene, two.other_id);
  scene.claim(other && (*other)["reason"] == "none" && (*other)["state"] == "FIN-WAIT-2",
              "nothing else ends: the connection to the living peer is what it was",
              fmt::format("adieu ls: {} {}, {}, heard {} s ago", two.other_id, field(other, "state"),
                          field(other, "standing"), field(other, "heard_ago_s")));
}

}  // namespace adieu::cli
