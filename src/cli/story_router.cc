// Chapter 5: between two ends stands a router that masquerades and forgets.
#include <algorithm>

#include "cli/story_router_paths.h"
#include "host/clock.h"

namespace adieu::cli {
namespace {

constexpr std::string_view kSpeech = "still here";

struct Moments {
  Instant idle_from;
  Instant spoken;
};

void draw(Scene& scene, const RouterNets& nets, const Path& path, std::string left, std::vector<lab::Step> steps,
          const std::vector<lab::Note>& notes) {
  const Instant zero = steps.empty() ? host::now() : steps.front().seen.at;
  scene.ladder({.left = std::move(left),
                .right = "kernel outside " + path.server,
                .steps = std::move(steps),
                .left_states = path.kind == "engine" ? scene.states("engine", path.inner, path.server)
                                                     : scene.ss_states(path.host, path.inner, path.server),
                .right_states = scene.ss_states(nets.outside, path.server, path.outer),
                .notes = notes,
                .zero = zero,
                .until = host::now()});
}

// The last segment of a connection before `at`: from then on the router's time ran.
Instant last_before(const std::vector<lab::Step>& steps, Instant at) {
  Instant last = Instant::unknown();
  for (const lab::Step& step : steps)
    if (step.seen.at < at) last = step.seen.at;
  return last;
}

void claim_remembered(Scene& scene, const lab::Watch& wan, const Paths& paths, const RouterTimes& times,
                      const Moments& moments) {
  const Remembered& probed = paths[kProbed].remembered;
  bool held = !probed.gone.is_known() && probed.least_left > 0;
  std::string text;
  for (const PathIndex index : {kUnasked, kKernel}) {
    const Path& path = paths[index];
    const Remembered& r = path.remembered;
    const Duration after = r.gone.is_known() ? r.gone - last_before(steps_outside(wan, path), r.gone) : Duration{};
    // The kernel counts in jiffies, and tells whole seconds.
    held = held && r.first.starts_with("CLOSE_WAIT") && r.last == "none" && after > times.close_wait - seconds(1);
    text += fmt::format(
        "; {} {}, {}", path.name, r.first,
        r.gone.is_known() ? fmt::format("gone {} after its last segment", seconds_text(after)) : "then " + r.last);
  }
  scene.claim(held, "the router forgets the two idle connections that nobody asks, and keeps the one that is probed",
              fmt::format("/proc/net/nf_conntrack, {} looks in {}: probed engine never fewer than {} s left, at last "
                          "{}{}",
                          probed.looks, seconds_text(moments.spoken - moments.idle_from), probed.least_left,
                          probed.last, text));
}

void claim_idle(Scene& scene, const Paths& paths, const RouterTimes& times, const Moments& moments) {
  const auto steps = steps_inside(paths[kProbed]);
  const auto in_silence = [&](const lab::Step& s) {
    return s.seen.at >= moments.idle_from && s.seen.at < moments.spoken;
  };
  std::size_t probes = 0, answers = 0, other = 0;
  Instant last = last_before(steps, moments.idle_from);
  Duration longest = Duration{};
  for (const lab::Step& step : steps) {
    if (!in_silence(step)) continue;
    longest = std::max(longest, step.seen.at - last);
    last = step.seen.at;
    if (lab::is_probe(step.kind) && step.from_left)
      ++probes;
    else
      ++(step.kind == lab::Kind::Answer && !step.from_left ? answers : other);
  }
  std::uint64_t missed = 0;  // by the watchers: zero segments seen must mean that there were none
  for (const Path& path : paths) missed += path.inside->lost();
  std::size_t unasked = 0;
  for (const PathIndex index : {kUnasked, kKernel})
    unasked += static_cast<std::size_t>(std::ranges::count_if(steps_inside(paths[index]), in_silence));
  const Remembered& r = paths[kProbed].remembered;
  scene.claim(
      probes > 0 && answers == probes && other == 0 && longest < times.close_wait && unasked == 0 && missed == 0 &&
          r.in_fin_wait_2 == r.looks,
      "nothing passes meanwhile but adieu's questions, each answered, and never too late for the router",
      fmt::format(
          "wire: {} probes, {} answers, {} others; longest pause {}; of the other two {} segments ({} missed); adieu "
          "ls: FIN-WAIT-2 at {} of {} looks",
          probes, answers, other, seconds_text(longest), unasked, missed, r.in_fin_wait_2, r.looks));
}

void claim_lost(Scene& scene, const RouterNets& nets, const lab::Watch& wan, const Path& path, Instant spoken) {
  const auto reset = lab::count(steps_outside(wan, path), true, lab::Kind::Reset, spoken);
  const auto arrived =
      std::ranges::count_if(steps_inside(path), [&](const lab::Step& s) { return s.seen.at >= spoken; });
  const auto peer = scene.ss(nets.outside, path.server, path.outer);
  scene.claim(reset > 0 && arrived == 0 && !peer,
              fmt::format("the outside end speaks first, and the router itself resets it ({})", path.name),
              fmt::format("wire outside: RST from the router's address {}; inside, segments since: {}; ss outside: {}",
                          reset > 0 ? fmt::format("x{}", reset) : "never", arrived, peer ? peer->state : "no socket"));
}

void claim_ignorance(Scene& scene, const Path& engine, const Path& kernel) {
  const auto row = scene.row("engine", engine.inner, engine.server);
  const auto held = scene.ss(kernel.host, kernel.inner, kernel.server);
  scene.claim(held && held->state == "FIN-WAIT-2" && held->timer.empty() && row && (*row)["state"] == "FIN-WAIT-2" &&
                  (*row)["reason"] == "none",
              "their inside ends do not know: FIN-WAIT-2, no timer, for ever",
              fmt::format("ss inside: {}{}; adieu ls, --no-probes: {}, standing {}, heard {} s ago, \"{}\"",
                          held ? held->state : "no socket",
                          !held                 ? ""
                          : held->timer.empty() ? ", no timer"
                                                : ", " + held->timer,
                          field(row, "state"), field(row, "standing"), field(row, "heard_ago_s"), field(row, "ends")));
}

// Data goes in, its acknowledgement goes out, and the connection closes as it would have on the first day.
void claim_use(Scene& scene, const RouterNets& nets, Path& path, bool heard, Instant spoken) {
  path.speaker->tell("close\n");
  const auto ended = path.client->wait(seconds(5));
  scene.until(seconds(2), [&] { return !scene.ss(nets.outside, path.server, path.outer); });
  const auto steps = steps_inside(path);
  const auto octets = lab::data_since(steps, false, spoken);
  const auto fins = lab::count(steps, false, lab::Kind::Fin, spoken);
  const auto resets = lab::count(steps, false, lab::Kind::Reset) + lab::count(steps, true, lab::Kind::Reset);
  const auto acknowledged = std::ranges::count_if(
      steps, [&](const lab::Step& s) { return s.from_left && s.seen.at >= spoken && s.ack > octets; });
  const auto peer = scene.ss(nets.outside, path.server, path.outer);
  scene.claim(heard && octets == kSpeech.size() + 1 && acknowledged > 0,
              "the probed one is of use: its outside end speaks, is heard and acknowledged",
              fmt::format("wire: {} octets in, {} segments out that acknowledge them; printed by its client: {}",
                          octets, acknowledged, heard ? "\"still here\"" : "nothing"));
  scene.claim(
      ended == 0 && fins == 1 && resets == 0 && !peer, "and then it closes in order, on both sides",
      fmt::format("wire: {} FIN in, {} RST; its client {}; ss outside: {}", fins, resets,
                  ended == 0 ? "read the end of the stream" : "did not end well", peer ? peer->state : "no socket"));
}

}  // namespace

void chapter_router(Scene& scene) {
  const RouterNets nets = build_router(scene);
  const RouterTimes times = choose_times(scene, nets.router);
  const lab::Watch wan(nets.outside, "wan");
  Paths paths = open_paths(scene, nets, times);
  Moments moments{host::now(), Instant::unknown()};
  stay_idle(scene, nets, paths, times);
  moments.spoken = host::now();
  for (const Path& path : paths) path.speaker->tell("speak\n");
  const bool heard = scene.until(seconds(5), [&] { return contains(paths[kProbed].client->output(), kSpeech); });
  scene.until(seconds(2), [&] {
    return !scene.ss(nets.outside, paths[kUnasked].server, paths[kUnasked].outer) &&
           !scene.ss(nets.outside, paths[kKernel].server, paths[kKernel].outer);
  });
  claim_remembered(scene, wan, paths, times, moments);
  claim_idle(scene, paths, times, moments);
  claim_lost(scene, nets, wan, paths[kUnasked], moments.spoken);
  claim_lost(scene, nets, wan, paths[kKernel], moments.spoken);
  claim_ignorance(scene, paths[kUnasked], paths[kKernel]);
  claim_use(scene, nets, paths[kProbed], heard, moments.spoken);
  const std::vector<lab::Note> notes = {{moments.spoken, "the outside ends speak"}};
  draw(scene, nets, paths[kProbed], "probed engine inside " + paths[kProbed].inner, steps_inside(paths[kProbed]),
       notes);
  for (const PathIndex index : {kUnasked, kKernel})
    draw(scene, nets, paths[index], fmt::format("router, for the {} {}", paths[index].name, paths[index].outer),
         steps_outside(wan, paths[index]), notes);
}

}  // namespace adieu::cli
