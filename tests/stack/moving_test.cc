// Octets move: acknowledgments, windows, holes, loss, silence in the middle of it.
#include <numeric>

#include "base/rng.h"
#include "peer.h"

namespace adieu::stack {
namespace {

std::string pattern(std::size_t length) {
  std::string text(length, '\0');
  for (std::size_t i = 0; i < length; ++i) text[i] = static_cast<char>('a' + (i * 7 + i / 251) % 26);
  return text;
}
std::vector<std::int64_t> milliseconds_of(const std::vector<Heard>& heard, Instant since) {
  std::vector<std::int64_t> at;
  for (const Heard& h : heard) at.push_back((h.at - since).milliseconds());
  return at;
}

// --- acknowledgments

TEST(Acknowledging, WaitsFortyMillisecondsForOneSmallSegment) {
  Scene scene;
  (void)scene.accepted();
  scene.sends("small");
  scene.run(39_ms);
  EXPECT_TRUE(scene.heard.empty());
  scene.run(2_ms);
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_TRUE(is_bare_ack(scene.heard[0]));
  EXPECT_EQ(scene.heard[0].segment.ack, scene.snd_nxt);
}

TEST(Acknowledging, DoesNotWaitForTheSecondFullSegment) {
  Scene scene;
  (void)scene.accepted();
  scene.sends(std::string(1460, 'x'));
  EXPECT_TRUE(scene.heard.empty());
  scene.sends(std::string(1460, 'x'));
  EXPECT_EQ(scene.heard.size(), 1U);
}

TEST(Acknowledging, RidesOnOctetsThatGoTheOtherWay) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.sends("ping");
  scene.send(socket, "pong");
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_EQ(scene.heard[0].segment.ack, scene.snd_nxt);
  scene.acknowledges();
  scene.look();
  scene.run(1_s);
  EXPECT_TRUE(scene.heard.empty());
}

// --- RFC 9293 section 3.7.4, Nagle

TEST(Nagle, HoldsASecondSmallSegmentBackUntilTheFirstIsAcknowledged) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.send(socket, "a");
  scene.send(socket, "b");
  scene.send(socket, "c");
  ASSERT_EQ(scene.heard.size(), 1U);
  scene.acknowledges();
  ASSERT_EQ(scene.heard.size(), 2U);
  EXPECT_EQ(scene.heard[1].text, "bc");
}

TEST(Nagle, CanBeSwitchedOff) {
  Scene scene;
  const Socket socket = scene.accepted();
  ASSERT_TRUE(scene.host.engine.set_no_delay(socket, true, scene.now));
  scene.send(socket, "a");
  scene.send(socket, "b");
  EXPECT_EQ(scene.heard.size(), 2U);
}

TEST(Nagle, HoldsNoFullSegmentBack) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.send(socket, "a");
  scene.send(socket, std::string(1460, 'b'));
  EXPECT_EQ(scene.heard.size(), 2U);
}

// --- sections 3.8.6.2.1 and 3.8.6.2.2, the silly window

TEST(SillyWindow, TheSenderDoesNotFillASliver) {
  Scene scene;
  scene.window = 65535;
  const Socket socket = scene.accepted();
  scene.window = 100;
  scene.acknowledges();
  scene.send(socket, std::string(5000, 'x'));
  EXPECT_TRUE(scene.heard.empty());
  scene.window = 1460;
  scene.acknowledges();
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_EQ(scene.heard[0].text.size(), 1460U);
}

TEST(SillyWindow, TheSenderTakesHalfOfTheLargestWindowItHasSeen) {
  Scene scene({.window = 400});
  scene.window = 400;
  const Socket socket = scene.accepted();
  scene.send(socket, std::string(5000, 'x'));
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_EQ(scene.heard[0].text.size(), 400U);
  scene.window = 199;
  scene.acknowledges();
  EXPECT_EQ(scene.heard.size(), 1U);
  scene.window = 200;
  scene.acknowledges();
  ASSERT_EQ(scene.heard.size(), 2U);
  EXPECT_EQ(scene.heard[1].text.size(), 200U);
}

TEST(SillyWindow, TheReceiverOpensAClosedWindowOnlyByASegmentOrHalfTheBuffer) {
  Scene scene;
  ListenOptions options;
  options.tcp.receive_buffer = 8192;
  const Socket socket = scene.accepted(options);
  while (scene.snd_nxt - Seq{100'001} < 8192) scene.sends(std::string(1024, 'x'));
  scene.run(100_ms);
  ASSERT_FALSE(scene.heard.empty());
  EXPECT_EQ(scene.heard.back().segment.window, 0);
  scene.look();
  EXPECT_EQ(scene.read(socket, 1000).size(), 1000U);
  wire::Segment probe = scene.plain();
  scene.say(probe, "p");  // a zero-window probe
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_EQ(scene.heard[0].segment.window, 0) << "a sliver of 1000 octets";
  scene.look();
  EXPECT_EQ(scene.read(socket, 4000).size(), 4000U);
  ASSERT_EQ(scene.heard.size(), 1U) << "the opening is told by itself";
  EXPECT_EQ(scene.heard[0].segment.window, 5000);
}

// Of what the scale can express: RFC 7323 section 2.4 foresees a retraction of less than one unit.
TEST(Window, NeverShrinksByAUnitOfItsScale) {
  Rng rng(11);
  Scene scene({.mss = 1460, .window_scale = 7});
  ListenOptions options;
  options.tcp.receive_buffer = 100'000;
  const Socket socket = scene.accepted(options);
  const unsigned scale = scene.host.engine.details(socket)->receive_scale;
  Seq edge{0};
  bool first = true;
  for (int i = 0; i < 3000; ++i) {
    if (rng.chance(0.7)) scene.sends(std::string(1 + rng.below(1400), 'x'));
    if (rng.chance(0.4)) (void)scene.read(socket, 1 + rng.below(4000));
    if (rng.chance(0.1)) scene.run(50_ms);
    for (const Heard& h : scene.look()) {
      const Seq right = h.segment.ack + (std::uint32_t{h.segment.window} << scale);
      EXPECT_TRUE(first || edge - right < (1 << scale));
      edge = first ? right : later(edge, right);
      first = false;
    }
    const auto details = scene.host.engine.details(socket);
    if (details->unread > 90'000) (void)scene.read(socket);
  }
  EXPECT_FALSE(first);
}

// --- section 3.8.6.1, a closed window

TEST(ClosedWindow, IsProbedForEverAndOpensInTheEnd) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.window = 0;
  scene.acknowledges();
  scene.send(socket, pattern(3000));
  const Instant start = scene.now;
  scene.look();
  for (int day = 0; day < 30; ++day) {
    scene.run(24_h);
    EXPECT_EQ(scene.state(socket), State::Established);
  }
  const auto probes = scene.look();
  const auto at = milliseconds_of({probes.begin(), probes.begin() + 6}, start);
  EXPECT_EQ(at, (std::vector<std::int64_t>{200, 600, 1400, 3000, 6200, 12600}));
  for (const Heard& h : probes) EXPECT_EQ(h.text, pattern(1));
  const double days = (scene.now - start).seconds();
  EXPECT_NEAR(static_cast<double>(probes.size()), days / 60, 10);  // never more than a minute apart
  EXPECT_TRUE(scene.record(socket).peer_window_closed);
  scene.window = 65535;
  scene.rcv_nxt = probes[0].segment.seq;  // it has taken nothing
  scene.acknowledges();
  scene.acknowledges();  // Nagle: the last piece is no full segment
  std::string text;
  for (const Heard& h : scene.look()) text += h.text;
  EXPECT_TRUE(text == pattern(3000));
}

TEST(ClosedWindow, StillHearsAcknowledgmentsAndResets) {
  Scene scene;
  ListenOptions options;
  options.tcp.receive_buffer = 2048;
  const Socket socket = scene.accepted(options);
  scene.sends(std::string(1024, 'x'));
  scene.sends(std::string(1024, 'x'));
  scene.run(50_ms);
  ASSERT_FALSE(scene.heard.empty());
  EXPECT_EQ(scene.heard.back().segment.window, 0);
  scene.send(socket, "our own way is free");
  scene.acknowledges();
  EXPECT_EQ(scene.host.engine.details(socket)->unsent, 0U);
  // A peer whose own probe octet moved its SND.NXT speaks from one beyond; it is heard as well.
  scene.send(socket, "more");
  wire::Segment ack = scene.plain();
  ack.seq += 1;
  const std::uint32_t before = scene.record(socket).heard;
  scene.say(ack);
  EXPECT_GT(scene.record(socket).heard, before);
  wire::Segment reset = scene.plain();
  reset.rst = true;
  scene.say(reset);
  EXPECT_EQ(scene.reason(socket), EndReason::PeerReset);
}

// --- loss

TEST(Loss, SendsAgainAtDoublingIntervalsUpToAMinuteForEverAndSaysThatItPassedR1) {
  Scene scene;
  const Socket socket = scene.accepted();
  const Instant start = scene.now;
  scene.send(socket, "hello");
  scene.run(1'399_ms);
  EXPECT_FALSE(scene.record(socket).passed_r1);
  scene.run(2_ms);
  EXPECT_TRUE(scene.record(socket).passed_r1);
  scene.run(24_h);
  const auto at = milliseconds_of(scene.heard, start);
  EXPECT_EQ((std::vector<std::int64_t>{at.begin(), at.begin() + 11}),
            (std::vector<std::int64_t>{0, 200, 600, 1400, 3000, 6200, 12600, 25400, 51000, 102200, 162200}));
  EXPECT_EQ(scene.state(socket), State::Established);
  for (const Heard& h : scene.heard) EXPECT_EQ(h.text, "hello");
  EXPECT_EQ(scene.record(socket).attempts, scene.heard.size());
  scene.acknowledges();
  EXPECT_FALSE(scene.record(socket).passed_r1);
  EXPECT_EQ(scene.record(socket).attempts, 0U);
  EXPECT_EQ(scene.record(socket).oldest_unacked, Instant::never());
}

// RFC 6298 section 3, Karn: an octet that was sent twice tells nothing about the round trip.
TEST(Loss, TakesNoRoundTripTimeFromWhatWasSentTwice) {
  Scene scene;
  const Socket socket = scene.accepted();
  const Duration before = scene.host.engine.details(socket)->srtt;
  scene.send(socket, "hello");
  scene.run(5_s);
  scene.acknowledges();
  EXPECT_EQ(scene.host.engine.details(socket)->srtt, before);
  scene.send(socket, "again");
  scene.run(50_ms);
  scene.acknowledges();
  EXPECT_GT(scene.host.engine.details(socket)->srtt, before);
}

// RFC 7323 section 4: the echo tells which of the two it was.
TEST(Loss, TakesItFromTheEchoedTimestampWhereThereIsOne) {
  Scene scene({.mss = 1460, .timestamp = 1000});
  const Socket socket = scene.accepted();
  scene.send(socket, "hello");
  scene.run(5_s);
  scene.run(30_ms);
  scene.acknowledges();
  const Duration srtt = scene.host.engine.details(socket)->srtt;
  EXPECT_LT(srtt, 1_s);
}

TEST(Loss, IsRepairedAtTheThirdDuplicateAcknowledgmentAndNotAtTheSecond) {
  for (const int duplicates : {2, 3}) {
    Scene scene;
    const Socket socket = scene.accepted();
    const Seq first = scene.rcv_nxt;
    scene.send(socket, pattern(8 * 1460));
    ASSERT_EQ(scene.heard.size(), 8U);
    scene.look();
    wire::Segment duplicate = scene.plain();
    duplicate.ack = first;
    for (int i = 0; i < duplicates; ++i) scene.say(duplicate);
    if (duplicates == 2) {
      EXPECT_TRUE(scene.heard.empty());
    } else {
      ASSERT_FALSE(scene.heard.empty());
      EXPECT_EQ(scene.heard[0].segment.seq, first);
      EXPECT_EQ(scene.heard[0].text.size(), 1460U);
    }
  }
}

TEST(Loss, OfEachSecondSegmentOnceDeliversEverythingInOrder) {
  Pair pair(Family::V4, false);
  const auto [client, server] = pair.connected();
  int count = 0;
  pair.passes = [&](const Seen& seen) { return !seen.from_a || seen.segment.payload.empty() || ++count % 2 == 0; };
  const std::string sent = pattern(50'000);
  ASSERT_EQ(pair.a.engine.send(client, bytes_of(sent), pair.now), sent.size());
  pair.run(10_min);
  EXPECT_TRUE(pair.b.read(server, pair.now) == sent);
}

// --- reassembly

TEST(Reassembling, DeliversPiecesInAnyOrderWithAnyOverlapExactlyOnce) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Rng rng(seed);
    Scene scene;
    const Socket socket = scene.accepted();
    const std::string whole = pattern(1 + rng.below(3000));
    std::string received;
    const Seq start = scene.snd_nxt;
    bool fin_said = false;
    for (int i = 0; i < 4000 && scene.state(socket) == State::Established; ++i) {
      const auto drawn = static_cast<std::uint32_t>(rng.below(whole.size() + 50));
      const std::uint32_t left = drawn < 50 ? 0 : drawn - 50;  // the front often enough
      const auto length = static_cast<std::uint32_t>(1 + rng.below(std::min<std::size_t>(200, whole.size() - left)));
      wire::Segment piece = scene.plain();
      piece.seq = start + left;
      piece.fin = left + length == whole.size();
      fin_said |= piece.fin;
      scene.say(piece, std::string_view(whole).substr(left, length));
      if (rng.chance(0.2)) received += scene.read(socket, 1 + rng.below(100));
    }
    received += scene.read(socket);
    EXPECT_TRUE(received == whole) << "seed " << seed;
    EXPECT_TRUE(fin_said);
    EXPECT_EQ(scene.state(socket), State::CloseWait) << "seed " << seed;
  }
}

TEST(Reassembling, RemembersThirtyTwoHolesAndAsksAgainForTheRest) {
  Scene scene;
  const Socket socket = scene.accepted();
  const Seq start = scene.snd_nxt;
  const std::string whole = pattern(200);
  const auto says = [&](std::uint32_t left, std::uint32_t length) {
    wire::Segment piece = scene.plain();
    piece.seq = start + left;
    scene.say(piece, std::string_view(whole).substr(left, length));
  };
  for (std::uint32_t i = 1; i <= 33; ++i) says(2 * i, 1);
  for (std::uint32_t i = 0; i <= 32; ++i) says(2 * i + 1, 1);
  says(0, 1);
  scene.run(50_ms);
  EXPECT_EQ(scene.heard.back().segment.ack - start, 66) << "the 33rd piece was not kept";
  says(66, 134);
  EXPECT_EQ(scene.read(socket), whole);
}

TEST(Reassembling, TakesAFinThatCameBeforeTheOctetsInFrontOfIt) {
  Scene scene;
  const Socket socket = scene.accepted();
  wire::Segment fin = scene.plain();
  fin.seq += 5;
  fin.fin = true;
  scene.say(fin);
  EXPECT_EQ(scene.state(socket), State::Established);
  EXPECT_EQ(scene.heard.back().segment.ack, scene.snd_nxt);
  scene.sends("first");
  EXPECT_EQ(scene.state(socket), State::CloseWait);
  EXPECT_EQ(scene.heard.back().segment.ack, scene.snd_nxt + 1);
  EXPECT_EQ(scene.read(socket), "first");
  EXPECT_TRUE(scene.host.engine.readiness(socket).peer_closed);
}

// RFC 2018 section 4: the block with what arrived last comes first; three beside a timestamp, four without.
TEST(Reassembling, OffersSackBlocksTheLatestFirst) {
  for (const bool timestamps : {true, false}) {
    PeerOptions options{.mss = 1460, .sack = true};
    if (timestamps) options.timestamp = 1;
    Scene scene(options);
    (void)scene.accepted();
    const Seq start = scene.snd_nxt;
    for (std::uint32_t i = 1; i <= 6; ++i) {
      wire::Segment piece = scene.plain();
      piece.seq = start + 100 * i;
      scene.say(piece, "0123456789");
      const wire::Segment ack = scene.heard.back().segment;
      EXPECT_EQ(ack.ack, start);
      EXPECT_EQ(ack.sack_count, std::min(i, timestamps ? 3U : 4U));
      EXPECT_EQ(ack.sack_blocks[0], (wire::SackBlock{start + 100 * i, start + 100 * i + 10}));
    }
  }
}

TEST(Reassembling, OffersNoSackBlocksToAPeerThatDidNotAskForThem) {
  Scene scene;
  (void)scene.accepted();
  wire::Segment piece = scene.plain();
  piece.seq += 100;
  scene.say(piece, "x");
  EXPECT_EQ(scene.heard.back().segment.sack_count, 0);
}

// --- path MTU

std::vector<std::uint8_t> too_big(const Scene& scene, std::uint32_t mtu, Seq seq) {
  std::vector<std::uint8_t> quoted(28);
  wire::IpHeader inner;
  inner.source = scene.here.address;
  inner.destination = scene.there.address;
  std::vector<std::uint8_t> packet(20 + 8 + 20 + 8);
  const auto put = [&](std::size_t at, std::uint32_t value, int octets) {
    for (int i = 0; i < octets; ++i)
      packet[at + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(value >> (8 * (octets - 1 - i)));
  };
  wire::IpHeader outer;
  outer.source = Address::v4(10, 0, 0, 254);
  outer.destination = scene.here.address;
  outer.protocol = wire::kProtocolIcmp;
  wire::write_ip(outer, 36, packet);
  put(20, 0x0304, 2);
  put(26, mtu, 2);
  wire::write_ip(inner, 1480, MutableBytes(packet).subspan(28));
  put(48, scene.here.port, 2);
  put(50, scene.there.port, 2);
  put(52, seq.value, 4);
  std::uint32_t sum = 0;
  for (std::size_t i = 20; i < packet.size(); i += 2) sum += static_cast<std::uint32_t>(packet[i] << 8 | packet[i + 1]);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  put(22, ~sum & 0xffff, 2);
  return packet;
}

TEST(PathMtu, MakesSegmentsSmallerAndSendsTheLostOnesAgainAtOnce) {
  Scene scene;
  const Socket socket = scene.accepted();
  const Seq first = scene.rcv_nxt;
  scene.send(socket, pattern(4 * 1460));
  scene.look();
  scene.host.engine.receive_packet(too_big(scene, 1000, first), {}, scene.now);
  scene.pump();
  ASSERT_FALSE(scene.heard.empty());
  EXPECT_EQ(scene.heard[0].segment.seq, first);
  for (const Heard& h : scene.heard) EXPECT_LE(h.text.size(), 960U);
}

TEST(PathMtu, IsNotBelievedAboutWhatIsNotInFlightNorBelowWhatAPathMustCarry) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.host.engine.receive_packet(too_big(scene, 1000, scene.rcv_nxt), {}, scene.now);
  EXPECT_EQ(scene.host.engine.counters().icmp_ignored, 1U);
  EXPECT_EQ(scene.host.engine.details(socket)->mss, 1460);
  const Seq first = scene.rcv_nxt;
  scene.send(socket, pattern(1460));
  scene.host.engine.receive_packet(too_big(scene, 68, first), {}, scene.now);
  EXPECT_EQ(scene.host.engine.details(socket)->mss, 536);
  scene.host.engine.receive_packet(too_big(scene, 9000, first), {}, scene.now);
  EXPECT_EQ(scene.host.engine.details(socket)->mss, 536);
}

// --- the half-closed, left alone

TEST(HalfClosed, LiveThroughThirtySilentDaysWithoutAControlPlaneAndThenExchangeOctets) {
  for (const Family family : {Family::V4, Family::V6}) {
    Pair pair(family);
    const auto [client, server] = pair.connected();
    const auto [client2, server2] = pair.connected(7001);
    ASSERT_TRUE(pair.a.engine.shutdown(client, Shut::Send, pair.now));   // FIN-WAIT-2 at A
    ASSERT_TRUE(pair.b.engine.shutdown(server2, Shut::Send, pair.now));  // FIN-WAIT-2 at B
    pair.run(10_s);
    const std::size_t said = pair.log.size();
    for (int day = 0; day < 30; ++day) pair.run(24_h);
    EXPECT_EQ(pair.log.size(), said) << "thirty days of silence";
    EXPECT_EQ(pair.a.engine.next_deadline(), Instant::never());
    EXPECT_EQ(pair.a.state(client), State::FinWait2);
    EXPECT_EQ(pair.b.state(server), State::CloseWait);
    EXPECT_EQ(pair.a.state(client2), State::CloseWait);
    EXPECT_EQ(pair.b.state(server2), State::FinWait2);
    EXPECT_EQ(pair.b.engine.send(server, bytes_of("to the half-closed client"), pair.now), 25U);
    EXPECT_EQ(pair.a.engine.send(client2, bytes_of("to the half-closed server"), pair.now), 25U);
    pair.run(1_s);
    EXPECT_EQ(pair.a.read(client, pair.now), "to the half-closed client");
    EXPECT_EQ(pair.b.read(server2, pair.now), "to the half-closed server");
    ASSERT_TRUE(pair.b.engine.close(server, pair.now));
    ASSERT_TRUE(pair.a.engine.close(client2, pair.now));
    pair.run(61_s);
    EXPECT_EQ(pair.a.record(client).reason, EndReason::BothClosed);
    EXPECT_EQ(pair.b.record(server2).reason, EndReason::BothClosed);
  }
}

}  // namespace
}  // namespace adieu::stack
