// ICMP: what a router or host says about a segment of ours, and echo.
#include "wire/icmp.h"

#include <gtest/gtest.h>

#include "tests/wire/octets_builder.h"

namespace adieu::wire {
namespace {

// The segment that we sent and that is quoted: from kHere to kThere.
const Octets kPortsAndSeq{0x12, 0x34, 0, 80, 0xaa, 0xbb, 0xcc, 0xdd};

Octets quoted_v4(const Octets& tcp_start = kPortsAndSeq) {
  Octets packet = v4(6, tcp_start);
  std::swap_ranges(packet.begin() + 12, packet.begin() + 16, packet.begin() + 16);
  put16(packet, 2, 1500);  // the quoted packet was longer than its quotation
  put16(packet, 10, 0xdead);
  return packet;
}
Octets quoted_v6(const Octets& tcp_start = kPortsAndSeq) {
  Octets packet = v6(6, tcp_start);
  std::swap_ranges(packet.begin() + 8, packet.begin() + 24, packet.begin() + 24);
  put16(packet, 4, 1440);
  return packet;
}
Octets message_v4(std::uint8_t type, std::uint8_t code, const Octets& quoted, const Octets& word = {0, 0, 0, 0}) {
  Octets message = Octets{type, code, 0, 0} + word + quoted;
  put16(message, 2, static_cast<std::uint16_t>(~slow_sum(message)));
  return v4(1, message);
}
Octets message_v6(std::uint8_t type, std::uint8_t code, const Octets& quoted, const Octets& word = {0, 0, 0, 0}) {
  Octets message = Octets{type, code, 0, 0} + word + quoted;
  put16(message, 2, slow_upper_checksum(kThere6, kHere6, 58, message));
  return v6(58, message);
}
std::expected<IcmpError, Malformed> parse(const Octets& packet) {
  const auto ip = parse_ip(packet);
  EXPECT_TRUE(ip.has_value());
  return parse_icmp_error(*ip);
}

TEST(Icmp, NamesTheSegmentThatItIsAbout) {
  for (const Octets& packet : {message_v4(3, 1, quoted_v4()), message_v6(1, 0, quoted_v6())}) {
    const auto error = parse(packet);
    ASSERT_TRUE(error.has_value()) << name(error.error());
    EXPECT_EQ(error->kind, IcmpKind::SoftError);
    const bool is_v4 = packet[0] >> 4 == 4;
    EXPECT_EQ(error->quoted_source, (Endpoint{is_v4 ? kHere4 : kHere6, 0x1234}));
    EXPECT_EQ(error->quoted_destination, (Endpoint{is_v4 ? kThere4 : kThere6, 80}));
    EXPECT_EQ(error->quoted_seq, Seq{0xaabbccdd});
  }
}

TEST(Icmp, SortsEveryUnreachableCodeOfIpV4) {
  for (std::uint8_t code = 0; code <= 15; ++code) {
    const auto error = parse(message_v4(3, code, quoted_v4()));
    ASSERT_TRUE(error.has_value()) << int{code};
    const bool is_hard = code == 2 || code == 3 || code == 9 || code == 10 || code == 13;
    EXPECT_EQ(error->kind, code == 4 ? IcmpKind::PacketTooBig
                           : is_hard ? IcmpKind::HardError
                                     : IcmpKind::SoftError)
        << int{code};
    EXPECT_EQ(error->code, code);
  }
  EXPECT_EQ(parse(message_v4(3, 16, quoted_v4())).error(), Malformed::NotForUs);
}

TEST(Icmp, SortsEveryUnreachableCodeOfIpV6) {
  for (std::uint8_t code = 0; code <= 7; ++code) {
    const auto error = parse(message_v6(1, code, quoted_v6()));
    ASSERT_TRUE(error.has_value()) << int{code};
    const bool is_hard = code == 1 || code == 4 || code == 5 || code == 6;
    EXPECT_EQ(error->kind, is_hard ? IcmpKind::HardError : IcmpKind::SoftError) << int{code};
  }
  EXPECT_EQ(parse(message_v6(1, 8, quoted_v6())).error(), Malformed::NotForUs);
}

TEST(Icmp, TimeExceededAndParameterProblemAreSoft) {
  EXPECT_EQ(parse(message_v4(11, 0, quoted_v4()))->kind, IcmpKind::SoftError);
  EXPECT_EQ(parse(message_v4(12, 0, quoted_v4()))->kind, IcmpKind::SoftError);
  EXPECT_EQ(parse(message_v6(3, 0, quoted_v6()))->kind, IcmpKind::SoftError);
  EXPECT_EQ(parse(message_v6(4, 1, quoted_v6()))->kind, IcmpKind::SoftError);
}

TEST(Icmp, ReadsTheMtuOfATooBigPacket) {
  EXPECT_EQ(parse(message_v4(3, 4, quoted_v4(), {0xff, 0xff, 0x05, 0xdc}))->mtu, 1500U);  // upper half unused
  EXPECT_EQ(parse(message_v4(3, 4, quoted_v4()))->mtu, 0U);
  EXPECT_EQ(parse(message_v6(2, 0, quoted_v6(), {0, 1, 0x05, 0xdc}))->mtu, 0x105dcU);
  EXPECT_EQ(parse(message_v6(2, 0, quoted_v6()))->kind, IcmpKind::PacketTooBig);
  EXPECT_EQ(parse(message_v4(3, 1, quoted_v4(), {0, 0, 0x05, 0xdc}))->mtu, 0U);  // another message's word is no MTU
}

TEST(Icmp, SourceQuenchRedirectAndEchoAreNotForTcp) {
  for (const std::uint8_t type : Octets{0, 4, 5, 8, 13})
    EXPECT_EQ(parse(message_v4(type, 0, quoted_v4())).error(), Malformed::NotForUs);
  for (const std::uint8_t type : Octets{128, 129, 135, 137})
    EXPECT_EQ(parse(message_v6(type, 0, quoted_v6())).error(), Malformed::NotForUs);
}

TEST(Icmp, EightOctetsOfTheSegmentSufficeAndSevenDoNot) {
  const Octets seven(kPortsAndSeq.begin(), kPortsAndSeq.end() - 1);
  EXPECT_TRUE(parse(message_v4(3, 1, quoted_v4())).has_value());
  EXPECT_EQ(parse(message_v4(3, 1, quoted_v4(seven))).error(), Malformed::Truncated);
  EXPECT_TRUE(parse(message_v6(1, 0, quoted_v6())).has_value());
  EXPECT_EQ(parse(message_v6(1, 0, quoted_v6(seven))).error(), Malformed::Truncated);
}

TEST(Icmp, EveryCutQuotationIsTruncated) {
  for (std::size_t length = 0; length < 28; ++length) {
    Octets quoted = quoted_v4();
    quoted.resize(length);
    EXPECT_EQ(parse(message_v4(3, 1, quoted)).error(), Malformed::Truncated) << length;
  }
  for (std::size_t length = 0; length < 48; ++length) {
    Octets quoted = quoted_v6();
    quoted.resize(length);
    EXPECT_EQ(parse(message_v6(1, 0, quoted)).error(), Malformed::Truncated) << length;
  }
  EXPECT_EQ(parse(v4(1, {3, 1, 0, 0, 0, 0, 0})).error(), Malformed::Truncated);
}

TEST(Icmp, OptionsInTheQuotedHeaderAreSkipped) {
  Octets quoted = quoted_v4();
  quoted[0] = 0x46;
  quoted.insert(quoted.begin() + 20, {1, 1, 1, 1});
  const auto error = parse(message_v4(3, 3, quoted));
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->quoted_source.port, 0x1234);
  quoted[0] = 0x44;
  EXPECT_EQ(parse(message_v4(3, 3, quoted)).error(), Malformed::BadHeaderLength);
}

TEST(Icmp, AQuotationOfSomethingElseIsNotForUs) {
  Octets udp = quoted_v4();
  udp[9] = 17;
  EXPECT_EQ(parse(message_v4(3, 3, udp)).error(), Malformed::NotForUs);
  udp = quoted_v6();
  udp[6] = 17;
  EXPECT_EQ(parse(message_v6(1, 4, udp)).error(), Malformed::NotForUs);
  EXPECT_EQ(parse(message_v4(3, 3, quoted_v6())).error(), Malformed::BadVersion);
  Octets later_fragment = quoted_v4();
  put16(later_fragment, 6, 1);
  EXPECT_EQ(parse(message_v4(3, 3, later_fragment)).error(), Malformed::Fragment);
  Octets mapped = quoted_v6();
  const Address forged = Address::v4(192, 0, 2, 1);
  std::copy(forged.octets.begin(), forged.octets.end(), mapped.begin() + 8);
  EXPECT_EQ(parse(message_v6(1, 4, mapped)).error(), Malformed::BadSource);
}

TEST(Icmp, OfTheOtherFamilyIsNotForUs) {
  Octets v4_in_v6 = message_v4(3, 3, quoted_v4());
  EXPECT_EQ(parse(v6(1, Octets(v4_in_v6.begin() + 20, v4_in_v6.end()))).error(), Malformed::NotForUs);
  EXPECT_EQ(parse(v4(58, {1, 4, 0, 0, 0, 0, 0, 0})).error(), Malformed::NotForUs);
  EXPECT_EQ(parse(v4(6, kPortsAndSeq)).error(), Malformed::NotForUs);
}

TEST(Icmp, ABadChecksumIsNotBelieved) {
  Octets packet = message_v4(3, 3, quoted_v4());
  packet.back() ^= 1;
  EXPECT_EQ(parse(packet).error(), Malformed::BadChecksum);
  packet = message_v6(1, 4, quoted_v6());
  packet.back() ^= 1;
  EXPECT_EQ(parse(packet).error(), Malformed::BadChecksum);
}

TEST(Echo, ARequestComesBackWithItsOwnWords) {
  const Octets words{'a', 'd', 'i', 'e', 'u'};
  for (const bool is_v4 : {true, false}) {
    const Octets request = is_v4 ? message_v4(8, 0, words, {0, 7, 0, 1}) : message_v6(128, 0, words, {0, 7, 0, 1});
    Octets out(request.size());
    const std::size_t length = write_echo_reply(*parse_ip(request), out);
    ASSERT_EQ(length, request.size());
    const auto reply = parse_ip(out);
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->source, is_v4 ? kHere4 : kHere6);
    EXPECT_EQ(reply->destination, is_v4 ? kThere4 : kThere6);
    EXPECT_EQ(reply->payload[0], is_v4 ? 0 : 129);
    EXPECT_EQ(Octets(reply->payload.begin() + 4, reply->payload.end()), (Octets{0, 7, 0, 1} + words));
    Octets message(reply->payload.begin(), reply->payload.end());
    if (is_v4) {
      EXPECT_EQ(slow_sum(message), 0xffff);
    } else {
      EXPECT_EQ(slow_upper_checksum(kHere6, kThere6, 58, message), 0);
    }
    EXPECT_EQ(write_echo_reply(*parse_ip(request), MutableBytes(out).first(request.size() - 1)), 0U);
  }
}

TEST(Echo, OnlyAnIntactRequestIsAnswered) {
  Octets out(100);
  EXPECT_EQ(write_echo_reply(*parse_ip(message_v4(0, 0, {})), out), 0U);  // a reply
  EXPECT_EQ(write_echo_reply(*parse_ip(message_v4(3, 3, quoted_v4())), out), 0U);
  EXPECT_EQ(write_echo_reply(*parse_ip(message_v4(8, 1, {})), out), 0U);  // no such code
  EXPECT_EQ(write_echo_reply(*parse_ip(v4(6, kPortsAndSeq)), out), 0U);
  Octets damaged = message_v4(8, 0, {1, 2, 3});
  damaged.back() ^= 1;
  EXPECT_EQ(write_echo_reply(*parse_ip(damaged), out), 0U);
  damaged.back() ^= 1;
  EXPECT_EQ(write_echo_reply(*parse_ip(damaged), out), damaged.size());
}

}  // namespace
}  // namespace adieu::wire
