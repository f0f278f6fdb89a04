// TCP segments and their options, read and written.
#include "wire/tcp.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/wire/octets_builder.h"

namespace adieu::wire {
namespace {

constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kAck = 0x10;

IpPacket carrying(Bytes tcp_bytes, Family family = Family::V4) {
  IpPacket packet;
  packet.source = family == Family::V4 ? kThere4 : kThere6;
  packet.destination = family == Family::V4 ? kHere4 : kHere6;
  packet.protocol = kProtocolTcp;
  packet.payload = tcp_bytes;
  return packet;
}
std::expected<Segment, Malformed> parse(const Octets& octets) { return parse_tcp(carrying(octets), {}); }
// The segment with these options; a test that expects one has it checked here.
Segment with_options(const Octets& options, std::uint8_t flags = kSyn) {
  const auto parsed = parse(tcp(options, {}, flags));
  EXPECT_TRUE(parsed.has_value());
  return parsed.value_or(Segment{});
}
bool is_bad_option(const Octets& options) {
  const auto parsed = parse(tcp(options, {}, kSyn));
  return !parsed && parsed.error() == Malformed::BadOption;
}

TEST(TcpParser, ReadsTheHeaderOfThePicture) {
  const Octets octets = tcp({}, {'h', 'i'}, kAck);
  const auto segment = parse(octets);
  ASSERT_TRUE(segment.has_value());
  EXPECT_EQ(segment->source_port, 0x1234);
  EXPECT_EQ(segment->destination_port, 80);
  EXPECT_EQ(segment->seq, Seq{0xaabbccdd});
  EXPECT_EQ(segment->ack, Seq{0x11223344});
  EXPECT_EQ(segment->window, 0x2000);
  EXPECT_EQ(segment->payload.data(), octets.data() + 20);
  EXPECT_EQ(segment->payload.size(), 2U);
  EXPECT_EQ(segment->length(), 2U);
}

TEST(TcpParser, ReadsEachFlagAlone) {
  const auto flags = [](std::uint8_t bits) {
    const auto s = parse(tcp({}, {}, bits));
    EXPECT_TRUE(s.has_value());
    return Octets{s->fin, s->syn, s->rst, s->psh, s->ack_flag, s->urg, s->ece, s->cwr};
  };
  for (unsigned i = 0; i < 8; ++i) {
    Octets expected(8, 0);
    expected[i] = 1;
    EXPECT_EQ(flags(static_cast<std::uint8_t>(1U << i)), expected);
  }
}

TEST(TcpParser, SynAndFinCountOneEach) {
  EXPECT_EQ(parse(tcp({}, {1, 2, 3}, 0x03))->length(), 5U);
  EXPECT_EQ(parse(tcp({}, {1, 2, 3}, 0x03))->end(), Seq{0xaabbccdd} + 5);
  EXPECT_EQ(parse(tcp({}, {}, kAck))->length(), 0U);
}

TEST(TcpParser, EveryCutIsRefused) {
  const Octets whole = tcp(Octets(12, 1));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    Offload valid;
    valid.checksum_valid = true;
    const auto parsed = parse_tcp(carrying(Bytes(whole).first(length)), valid);
    ASSERT_FALSE(parsed.has_value());
    EXPECT_EQ(parsed.error(), Malformed::Truncated);
  }
}

TEST(TcpParser, ADataOffsetBelowFiveCannotBe) {
  for (const std::uint8_t words : Octets{0, 1, 4}) {
    Octets octets = tcp({});
    octets[12] = static_cast<std::uint8_t>(words << 4);
    EXPECT_EQ(parse(octets).error(), Malformed::BadHeaderLength);
  }
}

TEST(TcpParser, EveryInvertedBitIsNoticed) {
  for (const Family family : {Family::V4, Family::V6}) {
    const Octets whole = tcp({1, 1, 1, 1}, {'o', 'd', 'd'}, kAck, family);
    ASSERT_TRUE(parse_tcp(carrying(whole, family), {}).has_value());
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
      Octets octets = whole;
      octets[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      EXPECT_FALSE(parse_tcp(carrying(octets, family), {}).has_value()) << bit;
    }
  }
}

TEST(TcpParser, AnotherAddressInThePseudoHeaderIsNoticed) {
  const Octets octets = tcp({});
  IpPacket packet = carrying(octets);
  packet.source = Address::v4(198, 51, 100, 8);
  EXPECT_EQ(parse_tcp(packet, {}).error(), Malformed::BadChecksum);
}

TEST(TcpParser, ADeviceThatKnowsBetterIsBelieved) {
  Octets octets = tcp({});
  octets[16] ^= 1;
  Offload offload;
  EXPECT_EQ(parse_tcp(carrying(octets), offload).error(), Malformed::BadChecksum);
  offload.checksum_valid = true;
  EXPECT_TRUE(parse_tcp(carrying(octets), offload).has_value());
}

TEST(TcpOptions, OfAnOrdinarySynAreAllRead) {
  const Segment segment = with_options({2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0, 1, 3, 3, 7});
  EXPECT_EQ(segment.mss, 1460);
  EXPECT_TRUE(segment.sack_permitted);
  EXPECT_EQ(segment.timestamps, (Timestamps{7, 0}));
  EXPECT_EQ(segment.window_scale, 7);
  EXPECT_EQ(segment.sack_count, 0);
}

TEST(TcpOptions, ThatOnlyASynMayCarryAreIgnoredElsewhere) {
  const Segment segment = with_options({2, 4, 0x05, 0xb4, 4, 2, 1, 1, 1, 3, 3, 7}, kAck);
  EXPECT_EQ(segment.mss, std::nullopt);
  EXPECT_FALSE(segment.sack_permitted);
  EXPECT_EQ(segment.window_scale, std::nullopt);
}

TEST(TcpOptions, AWindowScaleAboveFourteenIsReadAsItIs) { EXPECT_EQ(with_options({3, 3, 15, 0}).window_scale, 15); }

TEST(TcpOptions, NothingAfterTheEndOfListIsRead) {
  const Segment segment = with_options({1, 0, 2, 4, 0x05, 0xb4, 8, 0});  // what follows would even be malformed
  EXPECT_EQ(segment.mss, std::nullopt);
}

TEST(TcpOptions, NoOperationsMayStandAnywhere) {
  EXPECT_EQ(with_options({1, 1, 1, 2, 4, 0x05, 0xb4, 1}).mss, 1460);
  EXPECT_EQ(with_options(Octets(40, 1)).mss, std::nullopt);
}

TEST(TcpOptions, UnknownOnesAreSkippedByTheirLength) {
  EXPECT_EQ(with_options({254, 6, 2, 4, 9, 9, 2, 4, 0x05, 0xb4, 0, 0}).mss, 1460);
  EXPECT_EQ(with_options({254, 2, 2, 4, 0x05, 0xb4, 0, 0}).mss, 1460);
}

TEST(TcpOptions, ALengthOfZeroOrOneIsRefused) {
  for (const std::uint8_t kind : Octets{2, 3, 4, 5, 8, 254}) {
    EXPECT_TRUE(is_bad_option({kind, 0, 0, 0})) << int{kind};
    EXPECT_TRUE(is_bad_option({kind, 1, 0, 0})) << int{kind};
  }
}

TEST(TcpOptions, ALengthBeyondTheHeaderIsRefused) {
  EXPECT_TRUE(is_bad_option({254, 5, 0, 0}));
  EXPECT_FALSE(is_bad_option({254, 4, 0, 0}));
  EXPECT_TRUE(is_bad_option({1, 1, 1, 254}));  // no room for a length at all
  EXPECT_TRUE(is_bad_option({1, 1, 1, 2}));
  EXPECT_TRUE(is_bad_option({1, 2, 4, 5}));
}

TEST(TcpOptions, AKnownKindOfAnotherLengthIsRefused) {
  EXPECT_TRUE(is_bad_option({2, 3, 5, 0}));
  EXPECT_TRUE(is_bad_option({2, 5, 5, 0xb4, 0, 0, 0, 0}));
  EXPECT_TRUE(is_bad_option({3, 2, 0, 0}));
  EXPECT_TRUE(is_bad_option({3, 4, 7, 7}));
  EXPECT_TRUE(is_bad_option({4, 3, 0, 0}));
  EXPECT_TRUE(is_bad_option({8, 9, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0}));
  EXPECT_TRUE(is_bad_option({8, 11, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0}));
  EXPECT_TRUE(is_bad_option({5, 2, 0, 0}));  // a SACK without a block
  EXPECT_TRUE(is_bad_option({5, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(TcpOptions, SackBlocksAreReadInTheirOrder) {
  const Segment segment = with_options({1, 1, 5, 18, 0, 0, 0, 5, 0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1}, kAck);
  ASSERT_EQ(segment.sack_count, 2);
  EXPECT_EQ(segment.sack_blocks[0], (SackBlock{Seq{5}, Seq{9}}));
  EXPECT_EQ(segment.sack_blocks[1], (SackBlock{Seq{0xffffffff}, Seq{1}}));
}

TEST(TcpOptions, FourSackBlocksAreTheMost) {
  const Segment segment = with_options(Octets{5, 34} + Octets(32, 3) + Octets{1, 1}, kAck);
  EXPECT_EQ(segment.sack_count, 4);
  EXPECT_TRUE(is_bad_option(Octets{5, 42} + Octets(38, 3)));  // five cannot fit
}

Octets written(const Segment& segment, bool partial = false) {
  Octets out(tcp_header_bytes(segment) + segment.payload.size());
  EXPECT_EQ(write_tcp(segment, kThere4, kHere4, partial, out), out.size());
  return out;
}

TEST(TcpWriter, WritesTheHeaderOfThePicture) {
  const Octets payload{'h', 'i', '!'};
  Segment segment;
  segment.source_port = 0x1234;
  segment.destination_port = 80;
  segment.seq = Seq{0xaabbccdd};
  segment.ack = Seq{0x11223344};
  segment.ack_flag = true;
  segment.window = 0x2000;
  segment.payload = payload;
  EXPECT_EQ(written(segment), tcp({}, payload, kAck));
}

TEST(TcpWriter, PutsEachOptionOnAWordBoundary) {
  Segment segment;
  segment.syn = true;
  segment.mss = 1460;
  segment.sack_permitted = true;
  segment.timestamps = Timestamps{1, 2};
  segment.window_scale = 7;
  Octets options = written(segment);
  options.erase(options.begin(), options.begin() + 20);
  EXPECT_EQ(options, (Octets{2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7}));
  segment.timestamps.reset();
  options = written(segment);
  options.erase(options.begin(), options.begin() + 20);
  EXPECT_EQ(options, (Octets{2, 4, 0x05, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7}));
}

TEST(TcpWriter, LeavesOutSackBlocksThatDoNotFitBesideTimestamps) {
  Segment segment;
  segment.ack_flag = true;
  segment.sack_count = 4;
  for (std::uint32_t i = 0; i < 4; ++i) segment.sack_blocks[i] = {Seq{i * 10}, Seq{i * 10 + 5}};
  EXPECT_EQ(tcp_header_bytes(segment), 56U);
  EXPECT_EQ(parse(written(segment))->sack_count, 4);
  segment.timestamps = Timestamps{1, 2};
  EXPECT_EQ(tcp_header_bytes(segment), 60U);
  const Octets octets = written(segment);
  ASSERT_EQ(parse(octets)->sack_count, 3);
  EXPECT_EQ(parse(octets)->sack_blocks[2], segment.sack_blocks[2]);
}

TEST(TcpWriter, APartialChecksumIsThePseudoHeaderAloneForADeviceToComplete) {
  const Octets payload(1001, 'x');
  Segment segment;
  segment.payload = payload;
  const Octets whole = written(segment);
  Octets partial = written(segment, true);
  EXPECT_EQ(ones_sum(Bytes(partial).subspan(16, 2)), pseudo_header_sum(kThere4, kHere4, kProtocolTcp, 1021));
  // What the device does: sum from the TCP header on, the field as it stands included.
  put16(partial, 16, checksum_of(ones_sum(partial)));
  EXPECT_EQ(partial, whole);
}

TEST(TcpWriter, TakesAPayloadThatAlreadyStandsInItsPlace) {
  Octets packet = Octets(20, 0) + Octets{'i', 'n', ' ', 'p', 'l', 'a', 'c', 'e'};
  Segment segment;
  segment.payload = Bytes(packet).subspan(20);
  EXPECT_EQ(write_tcp(segment, kThere4, kHere4, false, packet), packet.size());
  EXPECT_EQ(Octets(packet.begin() + 20, packet.end()), (Octets{'i', 'n', ' ', 'p', 'l', 'a', 'c', 'e'}));
  EXPECT_TRUE(parse(packet).has_value());
}

Segment any_segment(const Octets& payload) {
  using rc::gen::arbitrary;
  Segment segment;
  segment.source_port = *arbitrary<std::uint16_t>();
  segment.destination_port = *arbitrary<std::uint16_t>();
  segment.seq = Seq{*arbitrary<std::uint32_t>()};
  segment.ack = Seq{*arbitrary<std::uint32_t>()};
  const auto flags = *arbitrary<std::uint8_t>();
  segment.syn = (flags & 1) != 0;
  segment.ack_flag = (flags & 2) != 0;
  segment.fin = (flags & 4) != 0;
  segment.rst = (flags & 8) != 0;
  segment.psh = (flags & 16) != 0;
  segment.urg = (flags & 32) != 0;
  segment.ece = (flags & 64) != 0;
  segment.cwr = (flags & 128) != 0;
  segment.window = *arbitrary<std::uint16_t>();
  if (*arbitrary<bool>()) segment.timestamps = Timestamps{*arbitrary<std::uint32_t>(), *arbitrary<std::uint32_t>()};
  if (segment.syn) {
    if (*arbitrary<bool>()) segment.mss = *arbitrary<std::uint16_t>();
    if (*arbitrary<bool>()) segment.window_scale = *arbitrary<std::uint8_t>();
    segment.sack_permitted = *arbitrary<bool>();
  }
  // As many blocks as fit beside the other options, packed.
  const int others = (segment.timestamps ? 10 : 0) + (segment.mss ? 4 : 0) + (segment.window_scale ? 3 : 0) +
                     (segment.sack_permitted ? 2 : 0);
  segment.sack_count = *rc::gen::inRange<std::uint8_t>(0, static_cast<std::uint8_t>((40 - others - 2) / 8 + 1));
  for (std::size_t i = 0; i < segment.sack_count; ++i)
    segment.sack_blocks[i] = {Seq{*arbitrary<std::uint32_t>()}, Seq{*arbitrary<std::uint32_t>()}};
  segment.payload = payload;
  return segment;
}

RC_GTEST_PROP(TcpWriter, WhatIsWrittenIsReadBack, (const Octets& payload)) {
  const Segment segment = any_segment(payload);
  const Octets octets = written(segment);
  const auto back = parse(octets);
  RC_ASSERT(back.has_value());
  RC_ASSERT(octets.size() % 4 == payload.size() % 4);
  RC_ASSERT(written(*back) == octets);  // all that is not compared below
  RC_ASSERT(back->seq == segment.seq && back->ack == segment.ack && back->window == segment.window);
  RC_ASSERT(back->length() == segment.length());
  RC_ASSERT(back->mss == segment.mss);
  RC_ASSERT(back->window_scale == segment.window_scale);
  RC_ASSERT(back->sack_permitted == segment.sack_permitted);
  RC_ASSERT(back->timestamps == segment.timestamps);
  RC_ASSERT(back->sack_count == segment.sack_count);
  RC_ASSERT(back->sack_blocks == segment.sack_blocks);
  RC_ASSERT(Octets(back->payload.begin(), back->payload.end()) == payload);
}

}  // namespace
}  // namespace adieu::wire
