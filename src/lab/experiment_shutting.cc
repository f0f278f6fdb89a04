// shutdown(SHUT_RD): what it says to the peer (nothing), and what becomes of data that comes later.
//
// What lives here: those experiments. What does not: how they are run (experiment.cc).
#include <fmt/format.h>

#include "host/clock.h"
#include "lab/experiment.h"

namespace adieu::lab {
namespace {

Finding shut_rd_silent(Stage& stage) {
  stage.build();
  End end = stage.connect();
  const Instant since = host::now();
  end.it.shut_receive();
  stage.pass(seconds(1));
  const auto sent = end.peer.count(since, [](const Heard&) { return true; });
  const auto state = end.it.state();
  return {fmt::format("{} segments sent; {}", sent, state_text(state)),
          sent == 0 && state == State::Established,
          {{"segments", static_cast<double>(sent)}}};
}

Finding shut_rd_data(Stage& stage) {
  stage.build();
  End end = stage.connect();
  end.it.shut_receive();
  const auto at_once = end.it.receive();
  const Seq before = end.peer.snd_nxt();
  end.peer.send_data(7);
  stage.until(seconds(1), [&] { return end.peer.acknowledged() == before + 7; });
  const bool acknowledged = end.peer.acknowledged() == before + 7;
  const auto later = end.it.receive();
  return {fmt::format("read {} at once; of 7 octets that came then: {}, {} read",
                      at_once ? std::to_string(*at_once) : "nothing",
                      acknowledged ? "acknowledged" : "not acknowledged", later.value_or(0)),
          later.value_or(0) == 0,
          {{"octets_read", static_cast<double>(later.value_or(0))}, {"acknowledged", acknowledged ? 7.0 : 0.0}}};
}

// The peer sends what the window lets it.
Finding shut_rd_window(Stage& stage) {
  constexpr std::uint32_t kMuch = 400'000;
  stage.build();
  End end = stage.connect();
  end.it.shut_receive();
  const Seq start = end.peer.snd_nxt();
  Instant moved = host::now();
  Seq acknowledged = start;
  stage.until(seconds(10), [&] {
    Puppet& peer = end.peer;
    if (peer.acknowledged() != acknowledged) moved = host::now();
    acknowledged = peer.acknowledged();
    for (int i = 0; i < 16 && distance(peer.acknowledged(), peer.snd_nxt()) + 1000 <= peer.window_heard(); ++i)
      peer.send_data(1000);
    return distance(start, acknowledged) >= kMuch || host::now() - moved > seconds(1);
  });
  const std::uint32_t taken = distance(start, acknowledged);
  return {fmt::format("{} octets acknowledged, then a window of {}; {} wait unread", taken, end.peer.window_heard(),
                      end.it.unread()),
          taken >= kMuch,
          {{"acknowledged", static_cast<double>(taken)},
           {"window", static_cast<double>(end.peer.window_heard())},
           {"unread", static_cast<double>(end.it.unread())}}};
}

}  // namespace

std::vector<Experiment> experiments_of_shutting() {
  return {
      {"shut-rd-silent", "shutdown(SHUT_RD) sends nothing and changes no TCP state",
       "often said; TCP has no such segment", shut_rd_silent},
      {"shut-rd-data", "after shutdown(SHUT_RD) \"further receptions will be disallowed\"", "shutdown(2)",
       shut_rd_data},
      {"shut-rd-window", "data that comes after shutdown(SHUT_RD) is acknowledged and silently discarded",
       "Stevens, UNIX Network Programming, section 6.6", shut_rd_window},
  };
}

}  // namespace adieu::lab
