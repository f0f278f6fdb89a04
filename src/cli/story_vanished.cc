// Chapter 6: the peer's host vanishes, and nobody sends word.
#include <algorithm>
#include <sstream>

#include "cli/story_two_peers.h"
#include "host/clock.h"

namespace adieu::cli {
namespace {

// When each standing was first seen.
struct Stage {
  std::string standing;
  Duration after;
};

std::vector<Stage> stages_of(const Following& following, Instant since) {
  std::vector<Stage> stages;
  for (const Look& l : following.looks)
    if (stages.empty() || stages.back().standing != l.standing) stages.push_back({l.standing, l.at - since});
  if (following.ending.at.is_known()) stages.push_back({following.ending.standing, following.ending.at - since});
  return stages;
}

void claim_stages(Scene& scene, const std::vector<Stage>& stages) {
  std::string text;
  for (const Stage& s : stages)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", s.standing,
                        s.after < Duration{} ? "until then" : seconds_text(s.after));
  // In this order; others may lie between.
  auto at = stages.begin();
  bool ordered = true;
  for (const char* standing : {"alive", "silent", "suspect", "gone"}) {
    at = std::find_if(at, stages.end(), [&](const Stage& s) { return s.standing == standing; });
    ordered = ordered && at != stages.end();
  }
  scene.claim(ordered, "the peer is alive, silent, suspect, gone, in this order",
              "adieu ls and the ledger, since the host vanished: " + text);
}

void claim_proof(Scene& scene, const std::vector<lab::Step>& steps, Instant vanished) {
  std::size_t probes = 0, answers = 0, resets = 0;
  Instant first = Instant::unknown(), reset = Instant::unknown();
  for (const lab::Step& s : steps) {
    if (s.seen.at < vanished) continue;
    if (!s.from_left) ++answers;
    if (lab::is_probe(s.kind) && !first.is_known()) first = s.seen.at;
    if (lab::is_probe(s.kind)) ++probes;
    if (s.kind == lab::Kind::Reset && resets++ == 0) reset = s.seen.at;
  }
  const Duration span = first.is_known() && reset.is_known() ? reset - first : Duration{};
  scene.claim(probes >= kProbesNeeded && answers == 0 && span >= kProofSpan,
              "nothing is done to it before that is proven: 5 probes, over 4 s at least, and no answer",
              fmt::format("wire: {} probes, {} answers, RST {} after the first probe", probes, answers,
                          resets == 0 ? "never" : seconds_text(span)));
}

void claim_reason(Scene& scene, const Ending& ending) {
  std::string evidence;
  for (const std::string& sentence : ending.evidence) evidence += "; " + sentence;
  scene.claim(ending.reason == "commanded" && ending.standing == "gone" && !ending.evidence.empty(),
              "it ends with its reason, and the reason with its evidence",
              fmt::format("adieu why --json: {}, by verdict {} ({}){}", ending.reason, ending.verdict, ending.standing,
                          evidence));
}

void show(Scene& scene, const std::string& screen) {
  std::istringstream lines(screen);
  for (std::string line; std::getline(lines, line);) scene.say("  " + line);
  scene.say("");
}

}  // namespace

void chapter_vanished(Scene& scene) {
  TwoPeers two = build_two_peers(scene, "--plane kernel");
  const lab::Watch watch(two.here, "adieu1");
  connect_both(scene, two);
  // After a probe that was answered, for comparison, and while the answer is fresh.
  scene.await(seconds(15), "a probe is answered", [&] {
    const auto row = scene.row("engine", two.doomed, kFarServer);
    return lab::count(doomed_steps(watch, two), false, lab::Kind::Answer) > 0 && row && (*row)["standing"] == "alive" &&
           (*row)["heard_ago_s"].get<double>() < 0.3;
  });
  const Look before{host::now(), "alive", 0};
  vanish(scene, two.far);
  const Instant vanished = host::now();
  Following following = follow(scene, two, [](const std::vector<Look>&) {});
  following.looks.insert(following.looks.begin(), before);
  draw_doomed(scene, two, watch, following, {{vanished, "the peer's host vanishes"}});
  scene.say("$ adieu why " + two.doomed_id);
  show(scene, scene.why(two.doomed_id));
  claim_stages(scene, stages_of(following, vanished));
  claim_proof(scene, doomed_steps(watch, two), vanished);
  claim_reason(scene, following.ending);
  claim_other_lives(scene, two);
}

}  // namespace adieu::cli
