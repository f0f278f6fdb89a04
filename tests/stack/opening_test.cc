// Opening: simultaneous, refused, unanswered, bounded; what a SYN carries and what comes of it.
#include "peer.h"

namespace adieu::stack {
namespace {

TEST(Opening, IsSimultaneousWhenTwoSynsCross) {
  for (const Family family : {Family::V4, Family::V6}) {
    Pair pair(family);
    ConnectOptions from_a;
    ConnectOptions from_b;
    from_a.local = Endpoint{Pair::address(family, 1), 5000};
    from_b.local = Endpoint{Pair::address(family, 2), 6000};
    const auto a = pair.a.engine.connect(*from_b.local, from_a, pair.now);
    const auto b = pair.b.engine.connect(*from_a.local, from_b, pair.now);
    ASSERT_TRUE(a && b);
    pair.run(15_ms);
    EXPECT_EQ(pair.a.state(*a), State::SynReceived);
    EXPECT_EQ(pair.b.state(*b), State::SynReceived);
    pair.run(100_ms);
    EXPECT_EQ(pair.a.state(*a), State::Established);
    EXPECT_EQ(pair.b.state(*b), State::Established);
    EXPECT_EQ(pair.a.engine.send(*a, bytes_of("one"), pair.now), 3U);
    EXPECT_EQ(pair.b.engine.send(*b, bytes_of("other"), pair.now), 5U);
    pair.run(100_ms);
    EXPECT_EQ(pair.b.read(*b, pair.now), "one");
    EXPECT_EQ(pair.a.read(*a, pair.now), "other");
    EXPECT_EQ(pair.a.engine.counters().resets_out + pair.b.engine.counters().resets_out, 0U);
  }
}

TEST(Opening, TakesTheWindowOfASynAckUnscaledAlsoWhenTwoSynsCrossed) {
  Scene scene({.mss = 1460, .window_scale = 7});
  const Socket socket = scene.connecting();
  scene.say(scene.syn());
  EXPECT_EQ(scene.state(socket), State::SynReceived);
  wire::Segment answer = scene.syn();
  answer.ack_flag = true;
  answer.ack = scene.rcv_nxt;
  scene.say(answer);
  EXPECT_EQ(scene.state(socket), State::Established);
  const std::uint32_t window = scene.host.engine.details(socket)->send_window;
  EXPECT_LE(window, 65535U);
  EXPECT_GT(window, 65535U - 128);
}

TEST(Opening, QueuesTheFinOfACloseInSynReceivedUntilItIsEstablished) {
  Scene scene;
  const Socket socket = scene.connecting();
  scene.say(scene.syn());
  scene.shut(socket, Shut::Send);
  EXPECT_EQ(scene.state(socket), State::SynReceived);
  scene.look();
  scene.snd_nxt += 1;
  scene.acknowledges();
  EXPECT_EQ(scene.state(socket), State::FinWait1);
  ASSERT_FALSE(scene.heard.empty());
  EXPECT_TRUE(scene.heard.back().segment.fin);
}

TEST(Opening, SendsItsSynAgainAtDoublingIntervalsUntilTheCallersLimitEndsIt) {
  Scene scene;
  ConnectOptions options;
  options.limit = 20_s;
  const Socket socket = scene.connecting(options);
  scene.run(19'999_ms);
  EXPECT_EQ(scene.state(socket), State::SynSent);
  std::vector<std::int64_t> at;
  for (const Heard& h : scene.heard) {
    EXPECT_TRUE(h.segment.syn);
    at.push_back((h.at - Instant{seconds(1000).ns}).milliseconds());
  }
  EXPECT_EQ(at, (std::vector<std::int64_t>{0, 1000, 3000, 7000, 15000}));
  scene.run(2_ms);
  EXPECT_EQ(scene.reason(socket), EndReason::Aborted);
  EXPECT_EQ(scene.host.engine.error(socket), Error::TimedOut);
  scene.run(1_h);
  EXPECT_EQ(scene.heard.size(), 5U);
}

TEST(Opening, WithoutALimitGoesOnForEver) {
  Scene scene;
  ConnectOptions options;
  options.limit = Duration::max();
  const Socket socket = scene.connecting(options);
  scene.run(24_h);
  EXPECT_EQ(scene.state(socket), State::SynSent);
  EXPECT_GT(scene.heard.size(), 24U * 59);
}

TEST(Opening, TellsOfARefusalAndAfterwardsKnowsTheSocketUntilItIsClosed) {
  Scene scene;
  const Socket socket = scene.connecting();
  wire::Segment reset = scene.plain();
  reset.rst = true;
  scene.say(reset);
  EXPECT_EQ(scene.reason(socket), EndReason::Refused);
  EXPECT_EQ(scene.host.engine.error(socket), Error::Refused);
  std::uint8_t octet = 0;
  EXPECT_EQ(scene.host.engine.receive(socket, {&octet, 1}, false, scene.now).error(), Error::Refused);
  EXPECT_EQ(scene.host.engine.send(socket, {&octet, 1}, scene.now).error(), Error::Refused);
  EXPECT_TRUE(scene.host.engine.readiness(socket).ended);
  scene.close(socket);
  EXPECT_EQ(scene.host.engine.close(socket, scene.now).error(), Error::BadSocket);
}

// RFC 9293 section 3.7.1, MUST-15: 536 over IPv4, 1220 over IPv6.
TEST(Opening, TakesTheDefaultSegmentSizeFromAPeerThatNamesNone) {
  for (const auto& [family, size] : {std::pair{Family::V4, 536U}, std::pair{Family::V6, 1220U}}) {
    PeerOptions silent;
    silent.mss = std::nullopt;
    Scene scene(silent, family);
    const Socket socket = scene.accepted();
    scene.send(socket, std::string(5000, 'x'));
    ASSERT_FALSE(scene.heard.empty());
    EXPECT_EQ(scene.heard[0].text.size(), size);
  }
}

TEST(Opening, TakesTheSmallerOfBothSegmentSizesLessWhatOptionsNeed) {
  for (const std::uint16_t offered : {std::uint16_t{1000}, std::uint16_t{9000}}) {
    Scene scene({.mss = offered, .timestamp = 5000});
    const Socket socket = scene.accepted();
    scene.send(socket, std::string(20000, 'x'));
    ASSERT_FALSE(scene.heard.empty());
    EXPECT_EQ(scene.heard[0].text.size(), std::min<std::size_t>(offered, 1460) - 12);
  }
}

TEST(Opening, SaysItsOwnSegmentSizeForEachFamily) {
  for (const auto& [family, size] : {std::pair{Family::V4, 1460}, std::pair{Family::V6, 1440}}) {
    Scene scene({}, family);
    (void)scene.connecting();
    EXPECT_EQ(scene.heard.at(0).segment.mss, size);
  }
}

TEST(Opening, OffersOptionsAndAnswersOnlyThoseThatWereOffered) {
  Scene plain;
  (void)plain.listens();
  plain.say(plain.syn());
  const wire::Segment bare = plain.heard.at(0).segment;
  EXPECT_TRUE(bare.mss);
  EXPECT_FALSE(bare.window_scale || bare.timestamps || bare.sack_permitted);
  Scene rich({.mss = 1460, .window_scale = 3, .sack = true, .timestamp = 77});
  (void)rich.listens();
  rich.say(rich.syn());
  const wire::Segment full = rich.heard.at(0).segment;
  EXPECT_TRUE(full.mss && full.window_scale && full.sack_permitted);
  ASSERT_TRUE(full.timestamps);
  EXPECT_EQ(full.timestamps->echo, 77U);
}

// RFC 7323 section 2.3: above 14 means 14.
TEST(Opening, ScalesThePeersWindowByWhatItsSynSaid) {
  for (const auto& [said, meant] : {std::pair<int, int>{0, 0}, {4, 4}, {14, 14}, {15, 14}, {255, 14}}) {
    Scene scene({.mss = 1460, .window_scale = static_cast<std::uint8_t>(said)});
    const Socket socket = scene.accepted();
    EXPECT_EQ(scene.host.engine.details(socket)->send_scale, meant);
    EXPECT_EQ(scene.host.engine.details(socket)->send_window, 65535U << meant);
  }
}

TEST(Opening, ReplacesTheOldestEmbryonicConnectionWhenTheBoundIsReached) {
  Settings settings;
  settings.max_embryonic = 4;
  Scene scene({}, Family::V4, settings);
  const Listener listener = scene.listens();
  for (std::uint16_t i = 0; i < 6; ++i) {
    scene.there.port = static_cast<std::uint16_t>(40000 + i);
    scene.say(scene.syn());
  }
  EXPECT_EQ(scene.host.engine.live_connections(), 4U);
  EXPECT_EQ(scene.host.engine.counters().embryonic_replaced, 2U);
  // The newest completes its handshake; the oldest is unknown now.
  scene.snd_nxt += 1;
  scene.acknowledges();
  EXPECT_TRUE(scene.host.engine.accept(listener, scene.now));
  scene.there.port = 40000;
  scene.look();
  scene.rcv_nxt = Seq{1};
  scene.acknowledges();
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_TRUE(scene.heard[0].segment.rst);
}

TEST(Opening, LetsNobodyInBeyondTheBacklogUntilSomebodyAccepts) {
  Scene scene;
  ListenOptions options;
  options.backlog = 2;
  const Listener listener = scene.listens(options);
  const auto comes = [&](std::uint16_t port) {
    scene.there.port = port;
    scene.look();
    scene.say(scene.syn());
    if (scene.heard.empty()) return false;
    wire::Segment ack = scene.plain();
    ack.seq += 1;
    scene.say(ack);
    return true;
  };
  EXPECT_TRUE(comes(40001));
  EXPECT_TRUE(comes(40002));
  EXPECT_FALSE(comes(40003));
  EXPECT_EQ(scene.host.engine.counters().backlog_full, 1U);
  const auto first = scene.host.engine.accept(listener, scene.now);
  ASSERT_TRUE(first);
  EXPECT_EQ(scene.host.engine.remote(*first)->port, 40001);
  EXPECT_TRUE(comes(40003));
  EXPECT_EQ(scene.host.engine.remote(*scene.host.engine.accept(listener, scene.now))->port, 40002);
  EXPECT_EQ(scene.host.engine.remote(*scene.host.engine.accept(listener, scene.now))->port, 40003);
  EXPECT_EQ(scene.host.engine.accept(listener, scene.now).error(), Error::WouldBlock);
}

TEST(Opening, RefusesWhatIsNewWhenTheTableIsFullAndKeepsWhatItHas) {
  Scene scene({}, Family::V4, {}, 2);
  const Listener listener = scene.listens();
  for (std::uint16_t port = 1; port <= 3; ++port) {
    scene.there.port = port;
    scene.say(scene.syn());
  }
  EXPECT_EQ(scene.host.engine.live_connections(), 2U);
  EXPECT_EQ(scene.heard.size(), 2U);  // the third gets no answer, and may come again
  EXPECT_EQ(scene.host.engine.counters().table_full, 1U);
  EXPECT_EQ(scene.host.engine.connect({Pair::address(Family::V4, 9), 80}, {}, scene.now).error(), Error::Full);
  (void)listener;
}

TEST(Opening, RunsOutOfPortsToOnePeerAndNotToAnother) {
  Settings settings;
  settings.first_ephemeral_port = 50000;
  settings.last_ephemeral_port = 50003;
  Scene scene({}, Family::V4, settings);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(scene.host.engine.connect(scene.there, {}, scene.now));
  EXPECT_EQ(scene.host.engine.connect(scene.there, {}, scene.now).error(), Error::NoPorts);
  Endpoint other = scene.there;
  other.port = 40001;
  EXPECT_TRUE(scene.host.engine.connect(other, {}, scene.now));
}

TEST(Opening, RefusesWhatCannotBe) {
  Scene scene;
  const auto why = [&](Endpoint remote, ConnectOptions options = {}) {
    return scene.host.engine.connect(remote, options, scene.now).error();
  };
  EXPECT_EQ(why({Pair::address(Family::V4, 9), 0}), Error::InvalidArgument);
  EXPECT_EQ(why({Address::v4(224, 0, 0, 1), 80}), Error::InvalidArgument);
  EXPECT_EQ(why({Address::v4(0, 0, 0, 0), 80}), Error::InvalidArgument);
  EXPECT_EQ(why({Pair::address(Family::V6, 9), 80}), Error::AddressNotAvailable);  // the engine has IPv4 only
  ConnectOptions foreign;
  foreign.local = Endpoint{Address::v4(10, 0, 0, 77), 0};
  EXPECT_EQ(why({Pair::address(Family::V4, 9), 80}, foreign), Error::AddressNotAvailable);
  ConnectOptions never;
  never.limit = Duration{};
  EXPECT_EQ(why({Pair::address(Family::V4, 9), 80}, never), Error::InvalidArgument);
  (void)scene.listens();
  EXPECT_EQ(scene.host.engine.listen(scene.here, {}).error(), Error::AddressInUse);
}

TEST(Opening, ResetsWhatWaitsInTheQueueWhenItsListenerCloses) {
  Scene scene;
  const Listener listener = scene.listens();
  scene.say(scene.syn());
  scene.snd_nxt += 1;
  scene.acknowledges();
  scene.look();
  scene.host.engine.close_listener(listener, scene.now);
  scene.pump();
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_TRUE(scene.heard[0].segment.rst);
  EXPECT_EQ(scene.host.engine.live_connections(), 0U);
  EXPECT_EQ(scene.host.engine.accept(listener, scene.now).error(), Error::BadSocket);
  scene.look();
  scene.say(scene.syn());
  EXPECT_TRUE(scene.heard.at(0).segment.rst);  // nobody listens any more
}

TEST(Opening, DropsAHandshakeWhoseListenerHasClosedMeanwhile) {
  Scene scene;
  const Listener listener = scene.listens();
  scene.say(scene.syn());
  scene.snd_nxt += 1;
  scene.host.engine.close_listener(listener, scene.now);
  scene.pump();
  scene.look();
  scene.acknowledges();
  scene.run(1_s);
  // Nobody can ever accept it: it must not live on unseen.
  EXPECT_EQ(scene.host.engine.live_connections(), 0U);
}

TEST(Opening, GivesTheOldestWaitingOneAlthoughItHasEnded) {
  Scene scene;
  const Listener listener = scene.listens();
  scene.say(scene.syn());
  scene.snd_nxt += 1;
  scene.acknowledges();
  scene.sends("last words");
  wire::Segment reset = scene.plain();
  reset.rst = true;
  scene.say(reset);
  const auto socket = scene.host.engine.accept(listener, scene.now);
  ASSERT_TRUE(socket);
  EXPECT_EQ(scene.read(*socket), "last words");
  EXPECT_EQ(scene.host.engine.error(*socket), Error::Reset);
}

TEST(Opening, KeepsInitialSequenceNumbersRisingOverARestart) {
  Seq before;
  Instant restart;
  {
    Scene scene;
    (void)scene.connecting();
    before = scene.heard.at(0).segment.seq;
    restart = scene.now + 10_ms;
  }
  Scene again;
  again.now = restart;
  (void)again.connecting();
  EXPECT_EQ(again.heard.at(0).segment.seq - before, 2500);  // four microseconds a step, RFC 6528
}

TEST(Opening, TellsTheFamiliesApart) {
  Settings both;
  both.addresses = {Pair::address(Family::V4, 1), Pair::address(Family::V6, 1)};
  Host host(both, Instant{seconds(1000).ns});
  const Instant now{seconds(1000).ns};
  EXPECT_TRUE(host.engine.listen({Address{}, 80}, {}));
  EXPECT_TRUE(host.engine.listen({Address::v4(0, 0, 0, 0), 80}, {}));
  const auto v4 = host.engine.connect({Pair::address(Family::V4, 9), 80}, {}, now);
  const auto v6 = host.engine.connect({Pair::address(Family::V6, 9), 80}, {}, now);
  ASSERT_TRUE(v4 && v6);
  EXPECT_EQ(host.engine.local(*v4)->address, both.addresses[0]);
  EXPECT_EQ(host.engine.local(*v6)->address, both.addresses[1]);
  EXPECT_EQ(host.engine.live_connections(), 2U);
}

}  // namespace
}  // namespace adieu::stack
