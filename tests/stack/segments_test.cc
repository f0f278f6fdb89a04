// Single segments that somebody else may have made: RFC 5961, PAWS, ICMP, garbage, pings.
#include "peer.h"
#include "wire/checksum.h"

namespace adieu::stack {
namespace {

// --- RFC 5961

TEST(Reset, EndsAConnectionOnlyExactlyAtRcvNxt) {
  for (const std::int32_t offset : {-1, 0, 1, 65535, 65536}) {
    Scene scene;
    const Socket socket = scene.accepted();
    wire::Segment reset;
    reset.rst = true;
    reset.seq = scene.snd_nxt + static_cast<std::uint32_t>(offset);
    scene.say(reset);
    EXPECT_EQ(scene.reason(socket), offset == 0 ? EndReason::PeerReset : EndReason::None) << offset;
    const bool challenged = offset == 1 || offset == 65535;  // in the window, its right edge included
    EXPECT_EQ(scene.heard.size(), challenged ? 1U : 0U) << offset;
  }
}

TEST(Challenge, IsAnsweredOnceInHalfASecondForSegmentsWithoutOctets) {
  Scene scene;
  const Socket socket = scene.accepted();
  wire::Segment syn = scene.syn();
  scene.say(syn);
  EXPECT_EQ(scene.heard.size(), 1U);
  for (int i = 0; i < 20; ++i) scene.say(syn);
  EXPECT_EQ(scene.heard.size(), 1U);
  scene.run(499_ms);
  scene.say(syn);
  EXPECT_EQ(scene.heard.size(), 1U);
  scene.run(1_ms);
  scene.say(syn);
  EXPECT_EQ(scene.heard.size(), 2U);
  // A segment with an octet is always answered: it cannot be part of a loop of acknowledgments.
  wire::Segment old = scene.plain();
  old.seq = scene.snd_nxt - 1;
  for (int i = 0; i < 20; ++i) scene.say(old, "x");
  EXPECT_EQ(scene.heard.size(), 22U);
  EXPECT_EQ(scene.state(socket), State::Established);
}

TEST(Acknowledgment, IsTakenFromOneLargestWindowBelowSndUnaUpToSndNxt) {
  struct Case {
    std::int64_t offset;  // from SND.UNA = SND.NXT
    bool good;
  };
  for (const auto& [offset, good] : {Case{0, true}, Case{1, false}, Case{-65535, true}, Case{-65536, false}}) {
    Scene scene;
    const Socket socket = scene.accepted();
    wire::Segment s = scene.plain();
    s.ack = scene.rcv_nxt + static_cast<std::uint32_t>(offset);
    scene.say(s, "octets");
    EXPECT_EQ(scene.host.engine.details(socket)->unread, good ? 6U : 0U) << offset;
    scene.run(50_ms);
    EXPECT_EQ(scene.heard.size(), 1U) << offset;
  }
}

// --- RFC 7323 section 5, PAWS

TEST(Paws, DropsWhatIsOlderThanTheLatestAndAcknowledgesIt) {
  Scene scene({.mss = 1460, .timestamp = 1'000'000});
  const Socket socket = scene.accepted();
  scene.run(1_s);
  scene.sends("current");
  EXPECT_EQ(scene.read(socket), "current");
  scene.run(1_s);
  scene.look();
  wire::Segment s = scene.plain();
  s.timestamps->value = 1'000'999;  // a millisecond before "current"
  scene.say(s, "old");
  EXPECT_EQ(scene.heard.size(), 1U);
  EXPECT_TRUE(is_bare_ack(scene.heard[0]));
  EXPECT_EQ(scene.read(socket), "");
  s.timestamps->value = 1'001'000;  // equal is not old
  scene.say(s, "new");
  EXPECT_EQ(scene.read(socket), "new");
}

TEST(Paws, ComparesNothingWithAClockThatStoodForTwentyFourDays) {
  for (const bool outdated : {false, true}) {
    Scene scene({.mss = 1460, .timestamp = 1'000'000});
    const Socket socket = scene.accepted();
    scene.run(hours(24 * 24) + (outdated ? 2_s : Duration{}));
    wire::Segment s = scene.plain();
    s.timestamps->value = 999'000;
    scene.say(s, "hello");
    EXPECT_EQ(scene.read(socket), outdated ? "hello" : "");
  }
}

TEST(Paws, DoesNotLookAtAReset) {
  Scene scene({.mss = 1460, .timestamp = 1'000'000});
  const Socket socket = scene.accepted();
  wire::Segment reset = scene.plain();
  reset.rst = true;
  reset.timestamps.reset();
  scene.say(reset);
  EXPECT_EQ(scene.reason(socket), EndReason::PeerReset);
}

TEST(Paws, IsNotMovedByWhatIsNotAcceptable) {
  Scene scene({.mss = 1460, .timestamp = 1'000'000});
  const Socket socket = scene.accepted();
  wire::Segment outside = scene.plain();
  outside.seq += 100'000;
  outside.timestamps->value = 5'000'000;
  scene.say(outside, "future");
  scene.sends("present");
  EXPECT_EQ(scene.read(socket), "present");
}

TEST(Timestamps, AreOnEverySegmentOnceAgreedAndASegmentWithoutIsDropped) {
  Scene scene({.mss = 1460, .timestamp = 1});
  const Socket socket = scene.accepted();
  scene.send(socket, "x");
  scene.acknowledges();
  scene.sends("y");
  scene.run(1_s);
  scene.shut(socket, Shut::Send);
  for (const Heard& h : scene.heard) EXPECT_TRUE(h.segment.timestamps);
  wire::Segment bare = scene.plain();
  bare.timestamps.reset();
  scene.look();
  scene.say(bare, "z");
  EXPECT_TRUE(scene.heard.empty());
  EXPECT_EQ(scene.read(socket), "y");
}

// --- packets that are nobody's

TEST(Packets, WithABrokenChecksumAreCountedAndDropped) {
  Scene scene;
  (void)scene.listens();
  std::vector<std::uint8_t> packet(40);
  wire::Segment syn = scene.syn();
  syn.mss.reset();
  wire::IpHeader ip;
  ip.source = scene.there.address;
  ip.destination = scene.here.address;
  syn.source_port = scene.there.port;
  syn.destination_port = scene.here.port;
  wire::write_tcp(syn, ip.source, ip.destination, false, MutableBytes(packet).subspan(20));
  wire::write_ip(ip, 20, packet);
  packet[37] ^= 1;
  scene.host.engine.receive_packet(packet, {}, scene.now);
  EXPECT_EQ(scene.host.engine.counters().malformed[static_cast<std::size_t>(wire::Malformed::BadChecksum)], 1U);
  EXPECT_EQ(scene.host.engine.live_connections(), 0U);
  packet[37] ^= 1;
  scene.host.engine.receive_packet(packet, {}, scene.now);
  EXPECT_EQ(scene.host.engine.live_connections(), 1U);
}

TEST(Packets, ToAnotherAddressAreDroppedAndCounted) {
  Scene scene;
  (void)scene.listens();
  scene.here.address = Address::v4(10, 0, 0, 77);
  scene.say(scene.syn());
  EXPECT_TRUE(scene.heard.empty());
  EXPECT_EQ(scene.host.engine.counters().not_for_us, 1U);
}

TEST(Packets, OfAFloodAreAnsweredUpToABoundAndThenBySilence) {
  Scene scene;
  std::vector<std::uint8_t> packet(40);
  wire::IpHeader ip;
  ip.source = scene.there.address;
  ip.destination = scene.here.address;
  for (std::uint16_t port = 1; port <= 5000; ++port) {
    wire::Segment s = scene.syn();
    s.mss.reset();
    s.source_port = port;
    s.destination_port = 9;
    wire::write_tcp(s, ip.source, ip.destination, false, MutableBytes(packet).subspan(20));
    wire::write_ip(ip, 20, packet);
    scene.host.engine.receive_packet(packet, {}, scene.now);
  }
  scene.pump();
  const Counters& counters = scene.host.engine.counters();
  EXPECT_EQ(counters.no_connection, 5000U);
  EXPECT_EQ(counters.resets_out + counters.replies_dropped, 5000U);
  EXPECT_GT(counters.replies_dropped, 0U);
}

TEST(Ping, IsAnsweredWithTheSameOctets) {
  for (const Family family : {Family::V4, Family::V6}) {
    Scene scene({}, family);
    const bool v4 = family == Family::V4;
    std::vector<std::uint8_t> message{static_cast<std::uint8_t>(v4 ? 8 : 128), 0, 0, 0, 0, 7, 0, 1, 'p', 'i', 'n', 'g'};
    const std::uint16_t start =
        v4 ? std::uint16_t{0}
           : wire::pseudo_header_sum(scene.there.address, scene.here.address, wire::kProtocolIcmpV6, 12);
    const std::uint16_t sum = wire::checksum_of(wire::ones_sum(message, start));
    message[2] = static_cast<std::uint8_t>(sum >> 8);
    message[3] = static_cast<std::uint8_t>(sum);
    wire::IpHeader ip;
    ip.source = scene.there.address;
    ip.destination = scene.here.address;
    ip.protocol = v4 ? wire::kProtocolIcmp : wire::kProtocolIcmpV6;
    std::vector<std::uint8_t> packet(wire::ip_header_bytes(family) + message.size());
    const std::size_t length = wire::write_ip(ip, message.size(), packet);
    std::copy(message.begin(), message.end(), packet.begin() + static_cast<std::ptrdiff_t>(length));
    scene.host.engine.receive_packet(packet, {}, scene.now);
    std::vector<std::uint8_t> buffer(limits::kPacketBytes);
    const auto out = scene.host.engine.poll_packet(buffer, scene.now);
    ASSERT_TRUE(out);
    const auto reply = wire::parse_ip(Bytes(buffer).first(out->length));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->destination, scene.there.address);
    EXPECT_EQ(reply->payload[0], v4 ? 0 : 129);
    EXPECT_TRUE(std::equal(reply->payload.begin() + 4, reply->payload.end(), message.begin() + 4, message.end()));
  }
}

}  // namespace
}  // namespace adieu::stack
