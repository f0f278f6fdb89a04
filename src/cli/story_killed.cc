// Chapter 7: the control process is killed, in the middle of a transfer and of a ladder of probes.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <set>

#include "cli/story_programs.h"
#include "cli/story_two_peers.h"
#include "host/clock.h"
#include "host/text.h"
#include "lab/trouble.h"

namespace adieu::cli {
namespace {

constexpr Duration kLong = seconds(20);
constexpr const char* kEcho = "10.77.0.2:7";
constexpr std::uint64_t kOctets = 96'000'000;
constexpr int kPauseMs = 3;

// The process id that a lock file of the run directory names; 0 if none.
int pid_in(const std::string& path) {
  std::ifstream file(path);
  int pid = 0;
  file >> pid;
  return file ? pid : 0;
}

// The longest time between two segments with new data, of one side.
Duration longest_gap(const std::vector<lab::Step>& steps, bool from_left) {
  Duration longest{};
  Instant before = Instant::unknown();
  for (const lab::Step& s : steps) {
    if (s.from_left != from_left || s.kind != lab::Kind::Data) continue;
    if (before.is_known()) longest = std::max(longest, s.seen.at - before);
    before = s.seen.at;
  }
  return longest;
}

struct Killing {
  int killed = 0;
  int successor = 0;
  Instant at = Instant::unknown();
  Instant followed = Instant::unknown();
  std::uint64_t probes_before = 0;
  std::uint64_t echoed_before = 0;  // octets of the transfer, at the moment of the kill
};

// SIGKILL to the control process as soon as two probes are unanswered; then looks who takes its place.
void kill_control(Scene& scene, const std::vector<Look>& looks, const lab::Watch& bulk, Killing& killing) {
  const std::string lock = scene.run_dir() + "/control.lock";
  if (killing.killed == 0 && !looks.empty() && looks.back().standing == "suspect" && looks.back().probes >= 2) {
    killing.killed = pid_in(lock);
    if (killing.killed == 0 || kill(killing.killed, SIGKILL) != 0) throw lab::Trouble("no control process to kill");
    killing.at = host::now();
    killing.probes_before = looks.back().probes;
    killing.echoed_before = lab::data_since(lab::read_exchange(bulk.seen(), endpoint(kEcho)), true, Instant::unknown());
  }
  if (killing.killed == 0 || killing.successor != 0) return;
  const int now = pid_in(lock);
  if (now == 0 || now == killing.killed || kill(now, 0) != 0) return;
  killing.successor = now;
  killing.followed = host::now();
}

void claim_transfer(Scene& scene, lab::Process& client, const lab::Watch& bulk, const Killing& killing) {
  scene.until(kLong, [&] { return contains(client.output(), "octets"); });
  const auto said = lab::words(client.output());  // connected P octets N sent H heard H
  const bool complete = said.size() == 8 && said[3] == std::to_string(kOctets);
  const bool equal = complete && said[5] == said[7];
  const bool middle = killing.echoed_before > 0 && killing.echoed_before < kOctets;
  scene.claim(
      equal && middle, "the transfer in whose middle it was killed is whole: the hashes of both ends are equal",
      complete ? fmt::format("{} octets echoed by the engine, {} of them at the kill; sha256 sent {}..., heard {}...",
                             said[3], killing.echoed_before, said[5].substr(0, 12), said[7].substr(0, 12))
               : "the client printed: " + client.output());
  const auto steps = lab::read_exchange(bulk.seen(), endpoint(kEcho));
  const auto gap = [&](bool from_left) { return longest_gap(steps, from_left).seconds() * 1000; };
  scene.say(fmt::format("the longest gap between data segments: {:.0f} ms from the engine, {:.0f} ms to it", gap(true),
                        gap(false)));
  if (bulk.lost() > 0) scene.say(fmt::format("({} segments were not captured)", bulk.lost()));
  scene.say("");
}

void claim_ladder(Scene& scene, const Following& following, const std::vector<lab::Step>& steps, Instant vanished,
                  const Killing& killing) {
  std::uint64_t highest = 0;
  bool fell = false;
  for (const Look& l : following.looks) {
    if (l.at < killing.at) continue;
    fell = fell || l.probes < highest || l.probes < killing.probes_before;
    highest = std::max(highest, l.probes);
  }
  const bool lived = following.ending.at.is_known() && killing.successor != 0 && following.ending.at > killing.followed;
  scene.claim(killing.successor != 0 && lived, "a new control process takes its place, and until then nothing ends",
              fmt::format("process {} killed; process {} in its place {}", killing.killed, killing.successor,
                          killing.successor == 0 ? "never" : host::readable(killing.followed - killing.at) + " later"));
  const auto on_wire =
      lab::count(steps, true, lab::Kind::DataEcho, vanished) + lab::count(steps, true, lab::Kind::Bare, vanished);
  scene.claim(
      !fell && killing.probes_before >= 2 && following.ending.reason == "commanded" &&
          on_wire < killing.probes_before + kProbesNeeded,
      "it reads the table and goes on where the ladder stood: no probe is forgotten",
      fmt::format("adieu ls: {} probes unanswered at the kill, never fewer since; wire: {} in all; adieu why: {}, "
                  "by verdict {} ({})",
                  killing.probes_before, on_wire, following.ending.reason, following.ending.verdict,
                  following.ending.standing));
}

}  // namespace

void chapter_killed(Scene& scene) {
  TwoPeers two = build_two_peers(scene, "");
  const lab::Watch watch(two.here, "adieu1"), bulk(two.here, "adieu0");
  connect_both(scene, two);
  lab::Process& client = scene.python_text(two.here, kEchoClient, fmt::format("10.77.0.2 7 {} {}", kOctets, kPauseMs));
  scene.await_output(client, "connected");
  const Instant vanished = host::now();
  vanish(scene, two.far);
  Killing killing;
  std::set<std::string> ended;  // other than the doomed one, and other than by both ends' closing
  const Following following = follow(scene, two, [&](const std::vector<Look>& looks) {
    kill_control(scene, looks, bulk, killing);
    for (const Json& row : scene.rows())
      if (row["id"] != two.doomed_id && row["reason"] != "none" && row["reason"] != "both closed")
        ended.insert(fmt::format("{} ({})", field(row, "id"), field(row, "reason")));
  });
  std::vector<lab::Note> notes{{vanished, "the peer's host vanishes"}};
  if (killing.killed != 0) notes.push_back({killing.at, fmt::format("SIGKILL to control, process {}", killing.killed)});
  if (killing.successor != 0)
    notes.push_back({killing.followed, fmt::format("a new control process: {}", killing.successor)});
  draw_doomed(scene, two, watch, following, notes);
  claim_transfer(scene, client, bulk, killing);
  claim_ladder(scene, following, doomed_steps(watch, two), vanished, killing);
  std::string names;
  for (const std::string& name : ended) names += " " + name;
  scene.claim(ended.empty(), "no other connection is ended by anybody but its own two ends",
              fmt::format("adieu ls, in every look:{}", names.empty() ? " none" : names));
  claim_other_lives(scene, two);
}

}  // namespace adieu::cli
