// How long what was shut down or closed stays: FIN-WAIT-2, FIN-WAIT-1, LAST-ACK, held by a program and by nobody; and
// what close() says to the peer.
//
// What lives here: those experiments. What does not: how they are run (experiment.cc).
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "host/clock.h"
#include "host/text.h"
#include "lab/experiment.h"

namespace adieu::lab {
namespace {

bool is_fin(const Heard& heard) { return heard.segment.fin; }
bool is_reset(const Heard& heard) { return heard.segment.rst; }
bool is_any(const Heard&) { return true; }

double number(const std::optional<Duration>& time) { return time ? time->seconds() : -1; }

// "gone after 2.1 s", "FIN-WAIT-2 still after 6.0 s".
std::string fate(Stage& stage, End& end, const std::optional<Duration>& gone, Instant since) {
  if (gone) return "gone after " + in_seconds(*gone);
  return fmt::format("{} still after {}{}", state_text(end.it.state()), in_seconds(host::now() - since),
                     stage.is_kernel() ? ", " + timer_text(Stage::kernel(end).row()) : "");
}

// --- FIN-WAIT-2

// In FIN-WAIT-2, and near. Linux keeps an orphan no shorter than 3.5 retransmission timeouts (tcp_fin_time() in
// include/net/tcp.h), so where this machine was slow to answer, the time would be another's.
End near_fin_wait_2(Stage& stage, int linger2 = 0) {
  constexpr int kTries = 5;
  for (int i = 1;; ++i) {
    End end = stage.connect();
    if (linger2 != 0) Stage::kernel(end).set_option(IPPROTO_TCP, TCP_LINGER2, linger2);
    stage.into_fin_wait_2(end);
    if (!stage.is_kernel() || Stage::kernel(end).rto() < milliseconds(400)) return end;
    if (i == kTries) throw Trouble("this machine is too busy: an answer at hand takes it too long");
  }
}

Finding fin_wait_2_held(Stage& stage) {
  stage.build();
  stage.set("net.ipv4.tcp_fin_timeout", "1");
  End end = stage.connect();
  stage.into_fin_wait_2(end);
  const Instant since = host::now();
  const auto gone = stage.gone_after(end, since, stage.choose(seconds(20), seconds(3)));
  std::string text = fate(stage, end, gone, since);
  std::size_t read = 0;
  if (!gone) {
    end.peer.send_data(10);
    stage.until(seconds(1), [&] { return (read += end.it.receive().value_or(0)) >= 10; });
    text += fmt::format("; then it read {}", host::counted(read, "octet"));
  }
  return {text, gone.has_value(), {{"gone_s", number(gone)}, {"octets_read", static_cast<double>(read)}}};
}

Finding fin_wait_2_orphan(Stage& stage) {
  constexpr double kTimeout = 2;
  stage.build();
  stage.set("net.ipv4.tcp_fin_timeout", "2");
  End end = near_fin_wait_2(stage);
  const Instant since = host::now();
  end.it.close();
  const auto gone = stage.gone_after(end, since, stage.choose(seconds(10), milliseconds(3500)));
  const auto told = end.peer.count(since, is_any);
  return {fmt::format("{}; its peer was told nothing{}", fate(stage, end, gone, since),
                      told == 0 ? "" : fmt::format(" but {}", host::counted(told, "segment"))),
          gone && std::abs(gone->seconds() - kTimeout) < 1,
          {{"gone_s", number(gone)}}};
}

Finding fin_wait_2_orphan_far(Stage& stage) {
  constexpr double kTimeout = 1;
  stage.build();
  stage.set("net.ipv4.tcp_fin_timeout", "1");
  stage.was_set("an answer takes the peer 500 ms");
  End end = stage.connect_far(milliseconds(500));
  stage.into_fin_wait_2(end);
  const Duration rto = stage.is_kernel() ? Stage::kernel(end).rto() : Duration{};
  const Instant since = host::now();
  end.it.close();
  const auto gone = stage.gone_after(end, since, stage.choose(seconds(12), seconds(8)));
  std::string text = fate(stage, end, gone, since);
  if (gone && stage.is_kernel())
    text += fmt::format(", {:.1f} times its retransmission timeout", gone->seconds() / rto.seconds());
  return {text, gone && std::abs(gone->seconds() - kTimeout) < 1, {{"gone_s", number(gone)}, {"rto_s", rto.seconds()}}};
}

Finding fin_wait_2_orphan_data(Stage& stage) {
  stage.build();
  End end = stage.connect();
  stage.into_fin_wait_2(end);
  end.it.close();
  stage.pass(milliseconds(200));
  const Instant since = host::now();
  end.peer.send_data(10);
  stage.until(seconds(1), [&] { return end.peer.count(since, is_reset) > 0; });
  const auto reset = end.peer.first(since, is_reset);
  const auto state = end.it.state();
  return {reset ? fmt::format("RST after {:.0f} ms; the orphan: {}",
                              static_cast<double>((reset->at - since).milliseconds()), state_text(state))
                : fmt::format("no RST within {}; the orphan: {}", in_seconds(host::now() - since), state_text(state)),
          reset && !state,
          {{"resets", static_cast<double>(end.peer.count(since, is_reset))}}};
}

// --- close()

Finding close_unread(Stage& stage) {
  stage.build();
  End end = stage.connect();
  end.peer.send_data(10);
  stage.await("10 octets wait to be read", [&] { return end.it.unread() == 10; });
  const Instant since = host::now();
  end.it.close();
  stage.until(seconds(1), [&] { return end.peer.count(since, is_reset) > 0; });
  const auto resets = end.peer.count(since, is_reset), fins = end.peer.count(since, is_fin);
  return {fmt::format("{} RST, {} FIN; the connection: {}", resets, fins, state_text(end.it.state())),
          resets > 0 && fins == 0,
          {{"resets", static_cast<double>(resets)}, {"fins", static_cast<double>(fins)}}};
}

Finding linger2_held(Stage& stage) {
  stage.build();
  stage.was_set("TCP_LINGER2 = 1 (default: tcp_fin_timeout)");
  End end = stage.connect();
  Stage::kernel(end).set_option(IPPROTO_TCP, TCP_LINGER2, 1);
  stage.into_fin_wait_2(end);
  const Instant since = host::now();
  const auto gone = stage.gone_after(end, since, stage.choose(seconds(10), seconds(3)));
  return {fate(stage, end, gone, since), gone.has_value(), {{"gone_s", number(gone)}}};
}

Finding linger2_orphan(Stage& stage) {
  constexpr double kLinger = 2;
  stage.build();
  stage.was_set("TCP_LINGER2 = 2 (default: tcp_fin_timeout)");
  End end = near_fin_wait_2(stage, 2);
  const Instant since = host::now();
  end.it.close();
  const auto gone = stage.gone_after(end, since, seconds(5));
  return {fate(stage, end, gone, since), gone && std::abs(gone->seconds() - kLinger) < 1, {{"gone_s", number(gone)}}};
}

Finding linger2_negative(Stage& stage) {
  stage.build();
  stage.was_set("TCP_LINGER2 = -1 (default: tcp_fin_timeout)");
  End end = stage.connect();
  Stage::kernel(end).set_option(IPPROTO_TCP, TCP_LINGER2, -1);
  stage.into_fin_wait_2(end);
  const Instant since = host::now();
  end.it.close();
  const auto gone = stage.gone_after(end, since, seconds(2));
  const auto resets = end.peer.count(since, is_reset);
  return {fmt::format("{} RST; {}", resets, fate(stage, end, gone, since)),
          resets > 0 && gone && *gone < milliseconds(500),
          {{"gone_s", number(gone)}, {"resets", static_cast<double>(resets)}}};
}

// --- FIN-WAIT-1 and LAST-ACK into nothing

// From here on nothing comes back.
Instant fall_silent(End& end) {
  end.peer.answers = false;
  return host::now();
}

Finding unanswered_fin(Stage& stage, End& end, bool held, Duration limit) {
  const Instant since = fall_silent(end);
  held ? end.it.shut_send() : end.it.close();
  const auto gone = stage.gone_after(end, since, limit);
  const auto fins = end.peer.count(since, is_fin);
  std::string text = fmt::format("{}, FIN sent {}", fate(stage, end, gone, since), host::counted(fins, "time"));
  if (held && gone && stage.is_kernel()) text += fmt::format(", {}", Stage::kernel(end).error());
  return {text, gone.has_value(), {{"gone_s", number(gone)}, {"fins", static_cast<double>(fins)}}};
}

Finding orphan_unanswered(Stage& stage, bool last_ack) {
  stage.build();
  stage.set("net.ipv4.tcp_orphan_retries", stage.choose("2", "1"));
  End end = stage.connect();
  if (last_ack) stage.into_close_wait(end);
  Finding finding = unanswered_fin(stage, end, false, stage.choose(seconds(15), seconds(5)));
  if (finding.as_said) finding.text += ", no RST to the peer";
  if (end.peer.count({}, is_reset) > 0) finding.text += " but an RST";
  return finding;
}
Finding fin_wait_1_orphan(Stage& stage) { return orphan_unanswered(stage, false); }
Finding last_ack_orphan(Stage& stage) { return orphan_unanswered(stage, true); }

// The same FIN twice: held, and beside it by nobody. tcp_orphan_retries is small, so if it counts for both, both go.
Finding held_unanswered(Stage& stage, bool last_ack) {
  stage.build();
  stage.set("net.ipv4.tcp_orphan_retries", "1");
  stage.set("net.ipv4.tcp_retries2", stage.choose("4", "2"));
  End orphan = stage.connect();
  End end = stage.connect();
  if (last_ack) stage.into_close_wait(orphan);
  if (last_ack) stage.into_close_wait(end);
  const Instant since = fall_silent(orphan);
  std::optional<Duration> orphan_gone;
  orphan.it.close();
  end.peer.answers = false;
  end.it.shut_send();
  std::optional<Duration> gone;
  stage.until(stage.choose(seconds(20), seconds(6)), [&] {
    if (!orphan_gone && !orphan.it.state()) orphan_gone = host::now() - since;
    if (!gone && !end.it.state()) gone = host::now() - since;
    return orphan_gone && gone;
  });
  std::string text = fmt::format("held: {}", fate(stage, end, gone, since));
  if (gone && stage.is_kernel()) text += fmt::format(", {}", Stage::kernel(end).error());
  text += fmt::format("; by nobody: {}", fate(stage, orphan, orphan_gone, since));
  const bool same = gone && orphan_gone && (*gone - *orphan_gone) < milliseconds(700);
  return {text,
          same,
          {{"gone_s", number(gone)},
           {"orphan_gone_s", number(orphan_gone)},
           {"fins", static_cast<double>(end.peer.count(since, is_fin))}}};
}
Finding fin_wait_1_held(Stage& stage) { return held_unanswered(stage, false); }
Finding last_ack_held(Stage& stage) { return held_unanswered(stage, true); }

// --- TCP_USER_TIMEOUT

Finding user_timeout_held(Stage& stage) {
  stage.build();
  stage.was_set("TCP_USER_TIMEOUT = 2000 ms (default: none)");
  End end = stage.connect();
  Stage::kernel(end).set_option(IPPROTO_TCP, TCP_USER_TIMEOUT, 2000);
  Finding finding = unanswered_fin(stage, end, true, seconds(6));
  finding.as_said = finding.as_said && finding.figures[0].second > 1.5;
  return finding;
}

Finding user_timeout_orphan(Stage& stage) {
  stage.build();
  stage.set("net.ipv4.tcp_orphan_retries", "1");
  stage.was_set("TCP_USER_TIMEOUT = 5000 ms (default: none) on one of two");
  End plain = stage.connect(), end = stage.connect();
  Stage::kernel(end).set_option(IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
  end.peer.answers = false;
  const Instant since = fall_silent(plain);
  plain.it.close();
  end.it.close();
  const auto plain_gone = stage.gone_after(plain, since, seconds(4));
  const auto gone = stage.gone_after(end, since, seconds(6));
  return {fmt::format("with it: {}; without: {}", fate(stage, end, gone, since), fate(stage, plain, plain_gone, since)),
          gone && plain_gone && *gone - *plain_gone < milliseconds(700),
          {{"gone_s", number(gone)}, {"plain_gone_s", number(plain_gone)}}};
}

// --- a peer that is there and has closed its window

// FIN-WAIT-1, the FIN behind data that the peer has no room for. It answers each question.
Finding closed_window(Stage& stage, End& end, Duration limit) {
  end.peer.window = 0;
  end.peer.send_ack();
  stage.pass(milliseconds(50));
  const Instant since = host::now();
  end.it.send(1000);
  end.it.shut_send();
  const auto gone = stage.gone_after(end, since, limit);
  const auto asked = end.peer.count(since, [](const Heard& h) { return !h.segment.rst; });
  return {fmt::format("{}; the peer answered {}", fate(stage, end, gone, since), host::counted(asked, "probe")),
          gone.has_value(),
          {{"gone_s", number(gone)}, {"probes_answered", static_cast<double>(asked)}}};
}

Finding zero_window_held(Stage& stage) {
  stage.build();
  stage.set("net.ipv4.tcp_retries2", "2");
  End end = stage.connect();
  return closed_window(stage, end, stage.choose(seconds(20), seconds(4)));
}

Finding zero_window_user_timeout(Stage& stage) {
  stage.build();
  stage.was_set("TCP_USER_TIMEOUT = 2000 ms (default: none)");
  End end = stage.connect();
  Stage::kernel(end).set_option(IPPROTO_TCP, TCP_USER_TIMEOUT, 2000);
  return closed_window(stage, end, seconds(8));
}

constexpr std::string_view kNoUserTimeout =
    "not applicable: it has no such timer; a rule may end what makes no progress, and says so";
constexpr std::string_view kNoLinger2 = "not applicable: it has no such timer; orphans have a budget in the policy";

}  // namespace

std::vector<Experiment> experiments_of_closing() {
  return {
      {"fin-wait-2-held",
       "tcp_fin_timeout: \"how many seconds to wait for a final FIN packet before the socket is forcibly closed\"",
       "tcp(7)", fin_wait_2_held},
      {"fin-wait-2-orphan",
       "an orphan stays in FIN-WAIT-2 for tcp_fin_timeout \"before it is aborted at the local end\"", "ip-sysctl.rst",
       fin_wait_2_orphan},
      {"fin-wait-2-orphan-far", "tcp_fin_timeout bounds an orphan in FIN-WAIT-2, however far away the peer is",
       "ip-sysctl.rst", fin_wait_2_orphan_far},
      {"fin-wait-2-orphan-data",
       "\"if new data is received after CLOSE is called, its TCP SHOULD send a RST to show that data was lost\"",
       "RFC 1122 section 4.2.2.13", fin_wait_2_orphan_data},
      {"close-unread",
       "\"CLOSE call while received data is still pending in TCP\": it \"SHOULD send a RST\", and no FIN",
       "RFC 1122 section 4.2.2.13", close_unread},
      {"linger2-held", "TCP_LINGER2 forcibly closes a socket that is too long in FIN-WAIT-2", "often said",
       linger2_held, kNoLinger2},
      {"linger2-orphan", "TCP_LINGER2 is \"the lifetime of orphaned FIN_WAIT2 state sockets\"", "tcp(7)",
       linger2_orphan, kNoLinger2},
      {"linger2-negative", "with a negative TCP_LINGER2, closing in FIN-WAIT-2 resets the connection at once",
       "Linux, net/ipv4/tcp.c", linger2_negative, kNoLinger2},
      {"fin-wait-1-orphan", "tcp_orphan_retries bounds FIN-WAIT-1 when nobody holds the socket and nobody answers",
       "ip-sysctl.rst", fin_wait_1_orphan},
      {"fin-wait-1-held", "FIN-WAIT-1 is bounded by tcp_orphan_retries, as soon as shutdown() was called", "often said",
       fin_wait_1_held},
      {"last-ack-orphan", "LAST-ACK is bounded as FIN-WAIT-1 is: by tcp_orphan_retries, once it was closed",
       "often said", last_ack_orphan},
      {"last-ack-held", "LAST-ACK is bounded by tcp_orphan_retries, as soon as shutdown() was called", "often said",
       last_ack_held},
      {"user-timeout-held",
       "TCP_USER_TIMEOUT: how long \"transmitted data may remain unacknowledged\" before TCP closes the connection",
       "tcp(7)", user_timeout_held, kNoUserTimeout},
      {"user-timeout-orphan", "tcp_orphan_retries bounds what was closed locally and stays unacknowledged",
       "ip-sysctl.rst", user_timeout_orphan, kNoUserTimeout},
      {"zero-window-held", "FIN-WAIT-1 ends when tcp_retries2 is used up", "often said", zero_window_held},
      {"zero-window-user-timeout",
       "TCP_USER_TIMEOUT ends a peer that answers, too, if its window stays closed: buffered data remains "
       "untransmitted",
       "tcp(7)", zero_window_user_timeout, kNoUserTimeout},
  };
}

}  // namespace adieu::lab
