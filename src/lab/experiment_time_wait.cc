// TIME-WAIT: how long, what starts it anew, and what may end it early.
//
// What lives here: those experiments. What does not: how they are run (experiment.cc).
#include <fmt/format.h>

#include "host/clock.h"
#include "lab/experiment.h"

namespace adieu::lab {
namespace {

Finding length(Stage& stage) {
  stage.build();
  stage.set("net.ipv4.tcp_fin_timeout", "1");
  End end = stage.connect();
  stage.into_time_wait(end);
  const std::string timer = stage.is_kernel() ? ", " + timer_text(Stage::kernel(end).row()) : "";
  end.it.close();
  const Instant since = host::now();
  const auto gone = stage.gone_after(end, since, stage.choose(seconds(10), milliseconds(2500)));
  return {
      fmt::format("TIME-WAIT{}; {}", timer,
                  gone ? "gone after " + in_seconds(*gone) : "still there after " + in_seconds(host::now() - since)),
      gone.has_value(),
      {{"gone_s", gone ? gone->seconds() : -1}}};
}

// --- what starts it anew

struct Touched {
  const char* with;
  End end;
  Instant entered;
  bool anew = false;
};

wire::Segment fin_again(const Puppet& peer) {
  wire::Segment segment = peer.keepalive();  // the FIN's own number
  segment.fin = true;
  return segment;
}

std::vector<Touched> three_in_time_wait(Stage& stage) {
  std::vector<Touched> all;
  for (const char* with : {"its FIN again", "a keepalive", "a plain ACK"}) {
    all.push_back({with, stage.connect(), {}});
    stage.into_time_wait(all.back().end);
    all.back().end.it.close();
    all.back().entered = host::now();
  }
  return all;
}

void touch(std::vector<Touched>& all) {
  all[0].end.peer.say(fin_again(all[0].end.peer));
  all[1].end.peer.say(all[1].end.peer.keepalive());
  all[2].end.peer.say(all[2].end.peer.next());
}

Finding anew(Stage& stage) {
  constexpr Duration kBefore = seconds(2);
  constexpr Duration kEngineLength = seconds(4);
  stage.build();
  stage.set_time_wait(kEngineLength);
  if (!stage.is_kernel()) stage.was_set("--time-wait 4s (default 1min)");
  std::vector<Touched> all = three_in_time_wait(stage);
  std::string text;
  if (stage.is_kernel()) {
    const auto left = [](Touched& one) {
      const auto row = Stage::kernel(one.end).row();
      return row ? row->expires.seconds() : -1;
    };
    stage.pass(kBefore);
    std::vector<double> before;
    for (Touched& one : all) before.push_back(left(one));
    touch(all);
    stage.pass(milliseconds(300));
    for (std::size_t i = 0; i < all.size(); ++i) {
      const double after = left(all[i]);
      all[i].anew = after > before[i];
      text += fmt::format("{}{}: {:.1f} -> {:.1f} s left", i == 0 ? "" : "; ", all[i].with, before[i], after);
    }
  } else {
    // The engine's length is known and short: the end tells.
    stage.pass(kBefore);
    touch(all);
    std::vector<std::optional<Duration>> lasted(all.size());
    stage.until(seconds(10), [&] {
      bool over = true;
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (!lasted[i] && !all[i].end.it.state()) lasted[i] = host::now() - all[i].entered;
        over = over && lasted[i];
      }
      return over;
    });
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i].anew = !lasted[i] || *lasted[i] > kEngineLength + kBefore / 2;
      text += fmt::format("{}{} after 2 s: {}", i == 0 ? "" : "; ", all[i].with,
                          lasted[i] ? fmt::format("it lasts {}", in_seconds(*lasted[i])) : "no end");
    }
  }
  return {text,
          all[0].anew && !all[1].anew && !all[2].anew,
          {{"fin_anew", all[0].anew ? 1.0 : 0.0},
           {"keepalive_anew", all[1].anew ? 1.0 : 0.0},
           {"plain_ack_anew", all[2].anew ? 1.0 : 0.0}}};
}

// --- what may end it early

// A connection that the tried end closed first is in TIME-WAIT; its peer opens it again from the same port.
bool opens_again(Stage& stage, std::optional<std::uint32_t> clock, bool later_seq, bool later_clock) {
  Puppet& peer = stage.puppet();
  peer.clock = clock;
  peer.connect(stage.listener(), Seq{1'000'000'000});
  End end = stage.accept(peer);
  stage.into_time_wait(end);
  end.it.close();
  stage.pass(milliseconds(50));
  if (clock) peer.clock = later_clock ? *clock + 10'000 : *clock - 10'000;
  const Instant since = host::now();
  peer.connect(stage.listener(), later_seq ? Seq{1'100'000'000} : Seq{900'000'000});
  const auto is_taken = [](const Heard& h) { return h.segment.syn && h.segment.ack_flag; };
  stage.until(milliseconds(800), [&] { return peer.count(since, is_taken) > 0; });
  return peer.count(since, is_taken) > 0;
}

Finding recycled(Stage& stage) {
  stage.build();
  stage.listen(7000);
  struct Case {
    const char* text;
    bool expected;
    bool taken;
  };
  const Case cases[] = {
      {"later timestamp, lower sequence number", true, opens_again(stage, 5'000'000, false, true)},
      {"earlier timestamp", false, opens_again(stage, 5'000'000, false, false)},
      {"no timestamps, higher sequence number", true, opens_again(stage, std::nullopt, true, false)},
      {"no timestamps, lower one", false, opens_again(stage, std::nullopt, false, false)},
  };
  Finding finding{.text = {}, .as_said = true, .figures = {}};
  for (const Case& one : cases) {
    finding.as_said = finding.as_said && one.taken == one.expected;
    finding.text +=
        fmt::format("{}{}: {}", finding.text.empty() ? "" : "; ", one.text, one.taken ? "taken" : "refused");
    finding.figures.emplace_back(one.text, one.taken ? 1.0 : 0.0);
  }
  return finding;
}

}  // namespace

std::vector<Experiment> experiments_of_time_wait() {
  return {
      {"time-wait-length", "a smaller tcp_fin_timeout shortens TIME-WAIT", "often said", length},
      {"time-wait-anew",
       "\"the only thing that can arrive in this state is a retransmission of the remote FIN\": only it starts "
       "TIME-WAIT anew",
       "RFC 9293 section 3.10.7.4", anew},
      {"time-wait-recycled",
       "a SYN with a later timestamp, or without timestamps a higher sequence number, may end TIME-WAIT early; no "
       "other",
       "RFC 6191 section 2", recycled},
  };
}

}  // namespace adieu::lab
