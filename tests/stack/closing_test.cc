// Closing: both at once, with octets left, after the application is gone, SHUT_RD, TIME-WAIT.
#include "peer.h"

namespace adieu::stack {
namespace {

TEST(Closing, BothAtOnceLeadsThroughClosingToTimeWaitAtBothEnds) {
  for (const Family family : {Family::V4, Family::V6}) {
    Pair pair(family);
    const auto [client, server] = pair.connected();
    ASSERT_TRUE(pair.a.engine.close(client, pair.now));
    ASSERT_TRUE(pair.b.engine.close(server, pair.now));
    pair.run(11_ms);
    EXPECT_EQ(pair.a.state(client), State::Closing);
    EXPECT_EQ(pair.b.state(server), State::Closing);
    pair.run(50_ms);
    EXPECT_EQ(pair.a.state(client), State::TimeWait);
    EXPECT_EQ(pair.b.state(server), State::TimeWait);
    pair.run(61_s);
    EXPECT_EQ(pair.a.record(client).reason, EndReason::BothClosed);
    EXPECT_EQ(pair.b.record(server).reason, EndReason::BothClosed);
  }
}

TEST(Closing, SendsItsFinOnlyBehindAllThatWasGivenToIt) {
  Scene scene;
  scene.window = 0;
  const Socket socket = scene.accepted();
  EXPECT_EQ(scene.send(socket, "behind a closed window"), 22U);
  scene.close(socket);
  EXPECT_EQ(scene.state(socket), State::FinWait1);
  EXPECT_TRUE(scene.heard.empty());
  scene.window = 65535;
  scene.acknowledges();
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_EQ(scene.heard[0].text, "behind a closed window");
  EXPECT_TRUE(scene.heard[0].segment.fin);
}

TEST(Closing, WithOctetsUnreadIsAResetAndWithAllOfThemReadAFin) {
  for (const bool reads : {false, true}) {
    Scene scene;
    const Socket socket = scene.accepted();
    scene.sends("octets");
    if (reads) {
      EXPECT_EQ(scene.read(socket), "octets");
    }
    scene.look();
    scene.close(socket);
    ASSERT_EQ(scene.heard.size(), 1U);
    EXPECT_EQ(scene.heard[0].segment.rst, !reads);
    EXPECT_EQ(scene.heard[0].segment.fin, reads);
    EXPECT_EQ(scene.reason(socket), reads ? EndReason::None : EndReason::DataAfterClose);
  }
}

TEST(Closing, ResetsForOctetsThatArriveWhenNobodyIsLeftToReadThem) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.close(socket);
  scene.acknowledges();
  EXPECT_EQ(scene.state(socket), State::FinWait2);
  EXPECT_EQ(scene.record(socket).holder, plane::Holder::Orphan);
  scene.look();
  // What is old, or nothing, changes nothing; one new octet does.
  wire::Segment keepalive = scene.plain();
  keepalive.seq = scene.snd_nxt - 1;
  scene.say(keepalive);
  EXPECT_EQ(scene.state(socket), State::FinWait2);
  scene.look();
  scene.sends("x");
  EXPECT_EQ(scene.reason(socket), EndReason::DataAfterClose);
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_TRUE(scene.heard[0].segment.rst);
  EXPECT_EQ(scene.heard[0].segment.seq, scene.rcv_nxt);
}

TEST(Closing, OfAnOrphanStillTakesThePeersFin) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.close(socket);
  scene.acknowledges();
  scene.run(24_h);
  EXPECT_EQ(scene.state(socket), State::FinWait2);
  scene.sends_fin();
  EXPECT_EQ(scene.state(socket), State::TimeWait);
  scene.run(61_s);
  EXPECT_EQ(scene.reason(socket), EndReason::BothClosed);
}

// --- SHUT_RD

TEST(ShutReceive, SaysNothingChangesNoStateAndNeverClosesTheWindow) {
  Scene scene({.mss = 1460, .window_scale = 7});
  ListenOptions options;
  options.tcp.receive_buffer = 64 << 10;
  const Socket socket = scene.accepted(options);
  scene.shut(socket, Shut::Receive);
  scene.run(1_s);
  EXPECT_TRUE(scene.heard.empty());
  EXPECT_EQ(scene.state(socket), State::Established);
  EXPECT_TRUE(scene.record(socket).receive_shut);
  const std::string block(1460, 'x');
  for (int i = 0; i < 700; ++i) {  // a megabyte into 64 KiB that nobody reads
    scene.sends(block);
    scene.run(50_ms);
    ASSERT_FALSE(scene.heard.empty());
    const wire::Segment ack = scene.heard.back().segment;
    EXPECT_EQ(ack.ack, scene.snd_nxt);
    EXPECT_GE(std::uint32_t{ack.window} << scene.host.engine.details(socket)->receive_scale, 32U << 10);
    scene.look();
  }
  EXPECT_EQ(scene.host.engine.details(socket)->unread, 0U);
  EXPECT_EQ(scene.read(socket), "");
  EXPECT_EQ(scene.send(socket, "the other way"), 13U);
  EXPECT_EQ(scene.heard.back().text, "the other way");
}

TEST(ShutReceive, LeavesReadableWhatHadArrivedInOrder) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.sends("before");
  scene.shut(socket, Shut::Receive);
  scene.sends("after");
  EXPECT_EQ(scene.read(socket), "before");
  EXPECT_EQ(scene.read(socket), "");
  scene.sends_fin();
  EXPECT_EQ(scene.state(socket), State::CloseWait);
}

TEST(ShutReceive, DiscardsWhatWaitedBehindAHole) {
  Scene scene;
  const Socket socket = scene.accepted();
  wire::Segment ahead = scene.plain();
  ahead.seq += 3;
  scene.say(ahead, "def");
  scene.shut(socket, Shut::Receive);
  scene.sends("abc");
  scene.run(50_ms);
  EXPECT_EQ(scene.heard.back().segment.ack, scene.snd_nxt + 3);
  EXPECT_EQ(scene.read(socket), "");
  EXPECT_EQ(scene.host.engine.details(socket)->unread, 0U);
}

TEST(ShutReceive, ThenCloseWithNothingUnreadIsAFin) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.shut(socket, Shut::Receive);
  scene.sends("discarded");
  scene.look();
  scene.close(socket);
  ASSERT_FALSE(scene.heard.empty());
  EXPECT_TRUE(scene.heard.back().segment.fin);
}

// --- TIME-WAIT

struct InTimeWait {
  explicit InTimeWait(PeerOptions options = {}) : scene(options), socket(scene.accepted()) {
    scene.shut(socket, Shut::Send);
    scene.acknowledges();
    scene.sends_fin();
    EXPECT_EQ(scene.state(socket), State::TimeWait);
    scene.look();
  }
  Scene scene;
  Socket socket;
};

TEST(TimeWait, LastsItsTimeAndNotAMillisecondMore) {
  InTimeWait t;
  t.scene.run(59'999_ms);
  EXPECT_EQ(t.scene.state(t.socket), State::TimeWait);
  t.scene.run(2_ms);
  EXPECT_EQ(t.scene.reason(t.socket), EndReason::BothClosed);
  EXPECT_TRUE(t.scene.heard.empty());
}

TEST(TimeWait, BeginsAgainForThePeersFinAndForNothingElse) {
  for (const bool fin : {true, false}) {
    InTimeWait t;
    t.scene.run(50_s);
    wire::Segment again = t.scene.plain();
    again.seq = t.scene.snd_nxt - 1;
    again.fin = fin;
    t.scene.say(again);
    ASSERT_EQ(t.scene.heard.size(), 1U);
    EXPECT_TRUE(is_bare_ack(t.scene.heard[0]));
    t.scene.run(20_s);
    EXPECT_EQ(t.scene.reason(t.socket), fin ? EndReason::None : EndReason::BothClosed);
  }
  InTimeWait t;
  t.scene.run(50_s);
  wire::Segment strange = t.scene.plain();
  strange.seq = t.scene.snd_nxt - 5000;
  strange.fin = true;
  t.scene.say(strange);
  t.scene.run(20_s);
  EXPECT_EQ(t.scene.reason(t.socket), EndReason::BothClosed);
}

TEST(TimeWait, StaysWhenItsApplicationClosesWithOctetsUnread) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.sends("nobody reads this");
  scene.shut(socket, Shut::Send);
  scene.acknowledges();
  scene.sends_fin();
  scene.look();
  scene.close(socket);
  EXPECT_EQ(scene.state(socket), State::TimeWait);
  EXPECT_TRUE(scene.heard.empty());
  scene.run(61_s);
  EXPECT_EQ(scene.reason(socket), EndReason::BothClosed);
}

// RFC 6191 section 2.
TEST(TimeWait, EndsForASynAboveAllThatWasSeenAndNotForOneThatIsNot) {
  for (const bool above : {true, false}) {
    InTimeWait t;
    const Seq last_used = t.scene.rcv_nxt;
    wire::Segment syn = t.scene.syn();
    syn.seq = above ? t.scene.snd_nxt + 1 : t.scene.snd_nxt;
    t.scene.say(syn);
    ASSERT_EQ(t.scene.heard.size(), 1U);
    EXPECT_EQ(t.scene.heard[0].segment.syn, above);
    if (above) {
      EXPECT_EQ(t.scene.reason(t.socket), EndReason::BothClosed);
      EXPECT_GT(t.scene.heard[0].segment.seq, last_used);  // the new ISN lies above all that was used before
      EXPECT_EQ(t.scene.host.engine.live_connections(), 1U);
    } else {
      EXPECT_TRUE(is_bare_ack(t.scene.heard[0]));
      EXPECT_EQ(t.scene.state(t.socket), State::TimeWait);
    }
  }
}

TEST(TimeWait, WithTimestampsEndsForALaterOneWhateverTheSequenceNumber) {
  for (const bool later : {true, false}) {
    InTimeWait t({.mss = 1460, .timestamp = 10'000});
    t.scene.run(1_s);
    wire::Segment syn = t.scene.syn();
    syn.seq = t.scene.snd_nxt - 1'000'000;
    syn.timestamps->value = later ? t.scene.clock() : 9'000;
    t.scene.say(syn);
    ASSERT_EQ(t.scene.heard.size(), 1U);
    EXPECT_EQ(t.scene.heard[0].segment.syn, later);
    EXPECT_EQ(t.scene.host.engine.live_connections(), 1U);
  }
}

TEST(TimeWait, WithoutAListenerAnswersSuchASynByAnAcknowledgment) {
  Scene scene;
  const Socket socket = scene.connected();
  scene.shut(socket, Shut::Send);
  scene.acknowledges();
  scene.sends_fin();
  scene.look();
  wire::Segment syn = scene.syn();
  syn.seq = scene.snd_nxt + 1000;
  scene.say(syn);
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_TRUE(is_bare_ack(scene.heard[0]));
  EXPECT_EQ(scene.state(socket), State::TimeWait);
}

// --- what is left for the application

TEST(AfterTheEnd, OctetsThatHadArrivedCanBeReadAndThenTheReasonIsTold) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.sends("they stay");
  wire::Segment reset = scene.plain();
  reset.rst = true;
  scene.say(reset);
  EXPECT_EQ(scene.reason(socket), EndReason::PeerReset);
  EXPECT_EQ(scene.read(socket), "they stay");
  std::uint8_t octet = 0;
  EXPECT_EQ(scene.host.engine.receive(socket, {&octet, 1}, false, scene.now).error(), Error::Reset);
  EXPECT_EQ(scene.host.engine.error(socket), Error::Reset);
  scene.close(socket);
  EXPECT_FALSE(scene.host.engine.error(socket));
}

TEST(AfterTheEnd, ASlotKeepsItsReasonUntilItIsUsedAgainAndTotalsReconcile) {
  Scene scene({}, Family::V4, {}, 4);
  std::vector<Socket> sockets;
  for (int i = 0; i < 3; ++i) {
    ConnectOptions options;
    options.local = Endpoint{scene.here.address, static_cast<std::uint16_t>(8000 + i)};
    sockets.push_back(*scene.host.engine.connect(scene.there, options, scene.now));
  }
  for (const Socket socket : sockets) ASSERT_TRUE(scene.host.engine.abort(socket, scene.now));
  for (const Socket socket : sockets) {
    EXPECT_TRUE(scene.host.engine.table().is_ended(scene.host.engine.id(socket)));
    EXPECT_EQ(scene.reason(socket), EndReason::Aborted);
  }
  const plane::Totals totals = scene.host.engine.table().totals();
  EXPECT_EQ(totals.opened, 3U);
  EXPECT_EQ(totals.live, 0U);
  EXPECT_EQ(totals.ended[static_cast<std::size_t>(EndReason::Aborted)], 3U);
}

}  // namespace
}  // namespace adieu::stack
