// A router that tracks connections and masquerades: what it forgets after one FIN, what it answers then, and what
// brings a connection back.
//
// What lives here: those experiments. What does not: how they are run (experiment.cc).
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "host/clock.h"
#include "lab/experiment.h"

namespace adieu::lab {
namespace {

constexpr Duration kBudget = seconds(4);  // of a half-closed connection, in the router
constexpr Duration kSilence = milliseconds(6500);

bool is_reset(const Heard& heard) { return heard.segment.rst; }

void shorten(Stage& stage) {
  stage.build_router();
  stage.set_on_router("net.netfilter.nf_conntrack_tcp_timeout_close_wait", fmt::format("{:.0f}", kBudget.seconds()));
}

// The outside speaks; whether it was heard inside.
bool speaks_outside(Stage& stage, End& end) {
  const Seq before = end.peer.snd_nxt();
  const Instant since = host::now();
  end.peer.send_data(10);
  stage.until(milliseconds(1500),
              [&] { return end.peer.acknowledged() == before + 10 || end.peer.count(since, is_reset) > 0; });
  return end.peer.acknowledged() == before + 10;
}

// Two connections as idle as each other, one half-closed from inside.
Finding half_closed_budget(Stage& stage) {
  shorten(stage);
  stage.set_control("--interval 1s --sweep 200ms");
  End whole = stage.connect(), half = stage.connect();
  // An octet each way before: a silence between two that have spoken.
  whole.it.send(1);
  half.it.send(1);
  stage.pass(milliseconds(200));
  const std::string before = stage.router_entry(half.peer.own().port);
  stage.into_fin_wait_2(half);
  const std::string after = stage.router_entry(half.peer.own().port);
  stage.pass(kSilence);
  const bool whole_heard = speaks_outside(stage, whole), half_heard = speaks_outside(stage, half);
  const auto told = [](bool heard) { return heard ? "is heard" : "is not"; };
  return {fmt::format("before its FIN: {}; after it: {}; after {} of silence the peer of a whole connection {}, of a "
                      "half-closed one {}",
                      before, after, in_seconds(kSilence), told(whole_heard), told(half_heard)),
          whole_heard && half_heard,
          {{"whole_heard", whole_heard ? 1.0 : 0.0}, {"half_heard", half_heard ? 1.0 : 0.0}}};
}

// Half-closed, and forgotten by the router.
End forgotten(Stage& stage) {
  End end = stage.connect();
  stage.into_fin_wait_2(end);
  if (!stage.until(seconds(10), [&] { return stage.router_entry(end.peer.own().port) == "none"; }))
    throw Trouble("the router does not forget");
  return end;
}

Finding router_resets(Stage& stage) {
  shorten(stage);
  End end = forgotten(stage);
  const Instant since = host::now();
  end.peer.send_data(10);
  stage.until(milliseconds(1500), [&] { return end.peer.count(since, is_reset) > 0; });
  const auto resets = end.peer.count(since, is_reset);
  stage.pass(milliseconds(500));
  const auto state = end.it.state();
  return {fmt::format("{} RST; inside, nothing was heard of it: {}", resets, state_text(state)),
          resets > 0 && !state,
          {{"resets", static_cast<double>(resets)}, {"inside_lives", state ? 1.0 : 0.0}}};
}

Finding inside_revives(Stage& stage) {
  shorten(stage);
  stage.was_set("SO_KEEPALIVE, TCP_KEEPIDLE = 1 s (default 7200), once the router has forgotten");
  End end = forgotten(stage);
  const Instant since = host::now();
  KernelSubject& it = Stage::kernel(end);
  it.set_option(IPPROTO_TCP, TCP_KEEPIDLE, 1);
  it.set_option(IPPROTO_TCP, TCP_KEEPINTVL, 1);
  it.set_option(SOL_SOCKET, SO_KEEPALIVE, 1);
  // At the same port outside, or the puppet would not know the sender.
  const bool same =
      stage.until(seconds(4), [&] { return end.peer.count(since, [](const Heard&) { return true; }) > 0; });
  stage.pass(milliseconds(200));
  const std::string entry = stage.router_entry(end.peer.own().port);
  const bool heard = speaks_outside(stage, end);
  return {
      fmt::format("the keepalive {}; the router: {}; then the peer {}", same ? "gets through" : "does not get through",
                  entry, heard ? "is heard inside" : "is not heard"),
      same && heard,
      {{"got_through", same ? 1.0 : 0.0}, {"heard", heard ? 1.0 : 0.0}}};
}

}  // namespace

std::vector<Experiment> experiments_of_routers() {
  return {
      {"conntrack-half-closed", "a router keeps a TCP connection for five idle days (half-closed ones, too)",
       "nf_conntrack-sysctl.rst, tcp_timeout_established", half_closed_budget},
      {"conntrack-reset", "a RST in reply means that the other end has no such connection", "RFC 9293 section 3.5.2",
       router_resets, "not applicable: the router answers; row conntrack-half-closed shows how the engine avoids it"},
      {"conntrack-revived", "a router takes up again a connection that it has forgotten, in its middle",
       "nf_conntrack-sysctl.rst, tcp_loose", inside_revives,
       "not applicable: its question comes before the router forgets, row conntrack-half-closed"},
  };
}

}  // namespace adieu::lab
