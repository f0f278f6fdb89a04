// Bugs that were found in who is heard, believed and told, by an expert's review, one story each: it failed on the bug.
//
// What lives here: signs of life, probes, last words, forged and hostile segments, bounds on peers. What does not: bugs
// in the stream and its windows (found_in_windows_test.cc).
#include <algorithm>

#include "orders.h"
#include "peer.h"

namespace adieu::stack {
namespace {

// The peer has filled our window of 4096, and the first of its segments was lost.
Socket with_the_window_filled_behind_a_hole(Scene& scene) {
  ListenOptions options;
  options.tcp.receive_buffer = 4096;
  const Socket socket = scene.accepted(options);
  wire::Segment s = scene.plain();
  s.seq += 1460;
  scene.say(s, std::string(1460, 'x'));
  s.seq += 1460;
  scene.say(s, std::string(4096 - 2920, 'x'));
  scene.run(1_s);
  scene.snd_nxt += 4096;  // from here it says everything, until its first segment gets through
  scene.look();
  return socket;
}

TEST(Hearing, APeerWhoseSndNxtIsTheRightEdgeOfOurWindow) {
  Scene scene;
  const Socket socket = with_the_window_filled_behind_a_hole(scene);
  scene.send(socket, "hello");
  const auto before = scene.record(socket).heard;
  scene.acknowledges();
  EXPECT_EQ(scene.record(socket).heard, before + 1);
  EXPECT_EQ(scene.record(socket).unsent, 0U);
  wire::Segment beyond = scene.plain();
  beyond.seq += 1;
  scene.say(beyond);
  EXPECT_EQ(scene.record(socket).heard, before + 1) << "one further nobody stands";
}

TEST(Hearing, ChallengesAResetFromTheRightEdgeOfOurWindow) {
  Scene scene;
  const Socket socket = with_the_window_filled_behind_a_hole(scene);
  wire::Segment reset = scene.plain();
  reset.rst = true;
  scene.say(reset);
  EXPECT_EQ(scene.state(socket), State::Established);
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_TRUE(is_bare_ack(scene.heard[0]));
}

// The octet that probes a closed window moves SND.NXT out of it; a reset from there would be dropped without a word.
TEST(LastWord, StandsWhereAPeerWithAClosedWindowTakesIt) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.window = 0;
  scene.acknowledges();
  const Seq expected = scene.rcv_nxt;
  scene.send(socket, "nobody reads");
  scene.run(1_min);
  EXPECT_FALSE(scene.look().empty());
  EXPECT_TRUE(scene.host.engine.abort(socket, scene.now));
  scene.pump();
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_TRUE(scene.heard[0].segment.rst);
  EXPECT_EQ(scene.heard[0].segment.seq, expected);
}

TEST(LastWord, OfAPeerWhoseProbeMovedItOutOfOurClosedWindowIsAskedForAgain) {
  Scene scene;
  ListenOptions options;
  options.tcp.receive_buffer = 2048;
  const Socket socket = scene.accepted(options);
  scene.sends(std::string(2048, 'x'));
  scene.run(1_s);
  ASSERT_EQ(scene.heard.back().segment.window, 0U);
  scene.look();
  wire::Segment reset = scene.plain();
  reset.rst = true;
  reset.seq += 1;
  scene.say(reset);
  EXPECT_EQ(scene.state(socket), State::Established);
  ASSERT_EQ(scene.heard.size(), 1U) << "a challenge";
  EXPECT_TRUE(is_bare_ack(scene.heard[0]));
  reset.seq = scene.heard[0].segment.ack;  // the answer to it is exact
  scene.say(reset);
  EXPECT_EQ(scene.reason(socket), EndReason::PeerReset);
}

// Answers to strangers are bounded; what a connection has to say at its end is not one of them.
TEST(LastWord, IsNotLostBehindAFlood) {
  Scene scene;
  const Socket socket = scene.accepted();
  std::vector<std::uint8_t> packet(40);
  wire::IpHeader ip;
  ip.source = scene.there.address;
  ip.destination = scene.here.address;
  for (std::uint16_t port = 1; port <= 1100; ++port) {
    wire::Segment s = scene.plain();
    s.source_port = port;
    s.destination_port = 9;
    wire::write_tcp(s, ip.source, ip.destination, false, MutableBytes(packet).subspan(20));
    wire::write_ip(ip, 20, packet);
    scene.host.engine.receive_packet(packet, {}, scene.now);
  }
  EXPECT_GT(scene.host.engine.counters().replies_dropped, 0U);
  EXPECT_TRUE(scene.host.engine.abort(socket, scene.now));
  scene.pump();
  EXPECT_EQ(
      std::ranges::count_if(
          scene.heard, [&](const Heard& h) { return h.segment.rst && h.segment.destination_port == scene.there.port; }),
      1);
}

// One segment that overlaps RCV.NXT by luck, with any ACK and a timestamp far ahead, made PAWS refuse the true peer.
TEST(Stranger, CannotSilenceAPeerByATimestampWithoutAnAcknowledgmentThatCouldBe) {
  Scene scene({.timestamp = 5000});
  const Socket socket = scene.accepted();
  const std::string text(1460, 'x');
  scene.sends(text);
  scene.run(1_s);
  wire::Segment forged = scene.plain();
  forged.seq = forged.seq - 700;
  forged.ack += 0x70000000;
  forged.timestamps->value += 0x7fff0000;
  scene.say(forged, text);
  const auto before = scene.record(socket).heard;
  scene.run(1_s);
  scene.sends("the true peer");
  EXPECT_EQ(scene.record(socket).heard, before + 1);
  EXPECT_EQ(scene.read(socket), text + "the true peer");
}

// All answers to segments without octets shared one allowance, and whoever knew the four numbers could spend it.
TEST(Stranger, CannotSpendTheAnswersThatThePeersOwnProbesNeed) {
  Scene scene;
  (void)scene.accepted();
  wire::Segment forged = scene.plain();
  forged.seq += 0x50000000;
  wire::Segment probe = scene.plain();
  probe.seq = probe.seq - 1;
  for (int i = 0; i < 5; ++i) {
    scene.run(5_s);
    scene.look();
    for (int n = 0; n < 10; ++n) scene.say(forged);
    EXPECT_EQ(scene.look().size(), 1U) << "all that a stranger gets";
    scene.say(probe);
    EXPECT_EQ(scene.look().size(), 1U);
  }
  scene.run(499_ms);
  scene.say(probe);
  EXPECT_TRUE(scene.look().empty()) << "these are limited as well";
  scene.run(1_ms);
  scene.say(probe);
  EXPECT_EQ(scene.look().size(), 1U);
}

// N unanswered probes must have been N questions on the wire.
TEST(Evidence, CountsAProbeOnceHoweverOftenItIsOrderedBeforeItLeaves) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.send(socket, "x");
  scene.acknowledges();
  scene.look();
  Orders orders;
  const plane::Command order = probe_order(scene.host, socket, ProbeForm::DataEcho, scene.now);
  for (int i = 0; i < 10; ++i) orders.write(order, scene.host);
  EXPECT_EQ(scene.host.engine.take_commands(orders.view, scene.now), 10U);
  scene.pump();
  EXPECT_EQ(scene.heard.size(), 1U);
  EXPECT_EQ(scene.record(socket).probes[static_cast<std::size_t>(ProbeForm::DataEcho)], 1U);
}

TEST(Hearing, APeerThatRepeatsItsSynAckBecauseNothingOfOursArrives) {
  Pair pair;
  ASSERT_TRUE(pair.b.engine.listen({Address::v4(0, 0, 0, 0), 7000}, {}));
  pair.passes = [](const Seen& seen) { return !seen.from_a || seen.segment.syn; };
  const Socket client = *pair.a.engine.connect(pair.endpoint_b(7000), {}, pair.now);
  pair.run(100_ms);
  ASSERT_TRUE(pair.a.engine.shutdown(client, Shut::Send, pair.now));
  EXPECT_EQ(pair.a.state(client), State::FinWait1);
  const auto before = pair.a.record(client).heard;
  pair.run(30_s);
  EXPECT_GE(pair.a.record(client).heard, before + 3);
}

// Octets from behind the FIN survived it: a broken invariant, and a transfer that was never given back.
TEST(EndOfStream, LeavesNothingOfWhatWasSentBehindIt) {
  Scene scene({.sack = true});
  const Socket socket = scene.accepted();
  wire::Segment s = scene.plain();
  s.seq += 1;
  scene.say(s, "behind the end");
  s.seq += 100;
  scene.say(s, "further behind");
  scene.look();
  scene.sends_fin();
  EXPECT_EQ(scene.state(socket), State::CloseWait);
  ASSERT_FALSE(scene.heard.empty());
  EXPECT_EQ(scene.heard.back().segment.sack_count, 0U);
  scene.run(2_s);
  EXPECT_EQ(scene.host.engine.details(socket)->cwnd, 0U) << "quiet, and small again";
}

// Handshakes that were begun while the queue was empty all got in.
TEST(Backlog, HoldsForHandshakesThatWereBegunBeforeItWasFull) {
  Scene scene;
  ListenOptions options;
  options.backlog = 1;
  const Listener listener = scene.listens(options);
  std::vector<wire::Segment> last_steps;
  for (std::uint16_t i = 0; i < 5; ++i) {
    scene.there.port = static_cast<std::uint16_t>(5000 + i);
    scene.say(scene.syn());
    wire::Segment ack = scene.plain();
    ack.seq += 1;
    ack.ack = scene.heard.back().segment.seq + 1;
    last_steps.push_back(ack);
  }
  const auto end_all = [&] {
    for (std::uint16_t i = 0; i < 5; ++i) {
      scene.there.port = static_cast<std::uint16_t>(5000 + i);
      scene.say(last_steps[i]);
    }
  };
  end_all();
  EXPECT_TRUE(scene.host.engine.accept(listener, scene.now));
  EXPECT_FALSE(scene.host.engine.accept(listener, scene.now));
  end_all();  // those that wait repeat what ends their handshake, and one finds room
  EXPECT_TRUE(scene.host.engine.accept(listener, scene.now));
  EXPECT_FALSE(scene.host.engine.accept(listener, scene.now));
}

// Where timestamps were not agreed, an "echo" is a number that the peer made up.
TEST(Timestamps, ThatWereNeverAgreedMeasureNoRoundTrip) {
  for (const std::uint32_t echo : {77U, 0x80000077U}) {  // one of both lies before our clock
    Scene scene;
    const Socket socket = scene.accepted();
    scene.send(socket, "sent twice");
    scene.run(1500_ms);
    const Duration before = scene.host.engine.details(socket)->srtt;
    wire::Segment ack = scene.plain();
    ack.timestamps = {1, echo};
    scene.say(ack);
    EXPECT_EQ(scene.record(socket).unsent, 0U);
    EXPECT_EQ(scene.host.engine.details(socket)->srtt, before);
  }
}

}  // namespace
}  // namespace adieu::stack
