// IP headers: what is understood, and what is refused under which name.
#include "wire/ip.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/wire/octets_builder.h"

namespace adieu::wire {
namespace {

const Octets kPayload{1, 2, 3, 4, 5};

Malformed refused(const Octets& packet) {
  const auto parsed = parse_ip(packet);
  EXPECT_FALSE(parsed.has_value());
  return parsed ? Malformed::NotForUs : parsed.error();
}
Octets payload_of(const Octets& packet) {
  const auto parsed = parse_ip(packet);
  EXPECT_TRUE(parsed.has_value()) << name(parsed ? Malformed::NotForUs : parsed.error());
  return parsed ? Octets(parsed->payload.begin(), parsed->payload.end()) : Octets{};
}

TEST(IpV4, AWholePacketIsUnderstood) {
  Octets octets = v4(17, kPayload);
  octets[1] = 0xfe;  // ECN bits are the two lowest
  seal_v4(octets);
  const auto packet = parse_ip(octets);
  ASSERT_TRUE(packet.has_value());
  EXPECT_EQ(packet->source, kThere4);
  EXPECT_EQ(packet->destination, kHere4);
  EXPECT_EQ(packet->protocol, 17);
  EXPECT_EQ(packet->ecn, 2);
  EXPECT_EQ(packet->hop_limit, 64);
  EXPECT_EQ(packet->payload.data(), octets.data() + 20);
  EXPECT_EQ(packet->payload.size(), 5U);
}

TEST(IpV4, PaddingOfTheLinkIsNoPayload) { EXPECT_EQ(payload_of(v4(17, kPayload) + Octets(21, 0xee)), kPayload); }

TEST(IpV4, OptionsAreSkipped) { EXPECT_EQ(payload_of(v4(17, kPayload, Octets(40, 1))), kPayload); }

TEST(IpV4, EveryCutIsTruncated) {
  const Octets whole = v4(6, kPayload);
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_EQ(refused(Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))),
              Malformed::Truncated);
}

TEST(IpV4, HeaderLengthsThatCannotBeAreRefused) {
  Octets packet = v4(6, kPayload);
  packet[0] = 0x44;  // 16 octets
  EXPECT_EQ(refused(packet), Malformed::BadHeaderLength);
  packet = v4(6, kPayload);
  packet[0] = 0x47;  // 28 octets, more than the packet's 25
  EXPECT_EQ(refused(packet), Malformed::BadHeaderLength);
  packet = v4(6, kPayload);
  put16(packet, 2, 19);
  EXPECT_EQ(refused(packet), Malformed::BadHeaderLength);
}

TEST(IpV4, EveryInvertedHeaderBitIsNoticed) {
  const Octets whole = v4(6, kPayload);
  for (std::size_t bit = 0; bit < 20 * 8; ++bit) {
    Octets packet = whole;
    packet[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(parse_ip(packet).has_value()) << bit;
  }
  Octets packet = whole;
  packet[10] ^= 1;
  EXPECT_EQ(refused(packet), Malformed::BadChecksum);
}

TEST(IpV4, FragmentsAreRefusedAndDontFragmentIsNot) {
  const auto with_fragment_field = [](std::size_t field) {
    Octets packet = v4(6, kPayload);
    put16(packet, 6, field);
    seal_v4(packet);
    return packet;
  };
  EXPECT_EQ(refused(with_fragment_field(0x2000)), Malformed::Fragment);  // more follow
  EXPECT_EQ(refused(with_fragment_field(0x0001)), Malformed::Fragment);  // the second
  EXPECT_EQ(refused(with_fragment_field(0x1fff)), Malformed::Fragment);
  EXPECT_EQ(payload_of(with_fragment_field(0x0000)), kPayload);
  EXPECT_EQ(payload_of(with_fragment_field(0x4000)), kPayload);
}

TEST(IpV4, AddressesOfManyOrOfNobodyAreRefused) {
  const auto with = [](std::size_t at, const Octets& address) {
    Octets packet = v4(6, kPayload);
    std::copy(address.begin(), address.end(), packet.begin() + static_cast<std::ptrdiff_t>(at));
    seal_v4(packet);
    return packet;
  };
  for (const Octets& address :
       {Octets{0, 0, 0, 0}, Octets{224, 0, 0, 1}, Octets{239, 1, 2, 3}, Octets{255, 255, 255, 255}}) {
    EXPECT_EQ(refused(with(12, address)), Malformed::BadSource);
    EXPECT_EQ(refused(with(16, address)), Malformed::BadDestination);
  }
  EXPECT_TRUE(parse_ip(with(12, {223, 255, 255, 255})).has_value());
  EXPECT_TRUE(parse_ip(with(12, {0, 0, 0, 1})).has_value());
}

TEST(Ip, OtherVersionsAreRefused) {
  for (const std::uint8_t version : Octets{0, 1, 2, 3, 5, 7, 8, 15}) {
    Octets packet = v4(6, kPayload);
    packet[0] = static_cast<std::uint8_t>(version << 4 | 5);
    EXPECT_EQ(refused(packet), Malformed::BadVersion);
  }
}

TEST(IpV6, AWholePacketIsUnderstood) {
  Octets octets = v6(17, kPayload);
  octets[0] = 0x6f;
  octets[1] = 0xd5;  // traffic class 0xfd: its two lowest bits are ECN
  const auto packet = parse_ip(octets);
  ASSERT_TRUE(packet.has_value());
  EXPECT_EQ(packet->source, kThere6);
  EXPECT_EQ(packet->destination, kHere6);
  EXPECT_EQ(packet->protocol, 17);
  EXPECT_EQ(packet->ecn, 1);
  EXPECT_EQ(packet->hop_limit, 64);
  EXPECT_EQ(packet->payload.data(), octets.data() + 40);
  EXPECT_EQ(packet->payload.size(), 5U);
}

TEST(IpV6, EveryCutIsTruncatedAndPaddingIsNoPayload) {
  const Octets whole = v6(6, kPayload);
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_EQ(refused(Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))),
              Malformed::Truncated);
  EXPECT_EQ(payload_of(whole + Octets(6, 0xee)), kPayload);
}

TEST(IpV6, AnIpV4MappedAddressIsRefusedAtEitherEnd) {
  const Address mapped = Address::v4(192, 0, 2, 9);
  Octets packet = v6(6, kPayload);
  std::copy(mapped.octets.begin(), mapped.octets.end(), packet.begin() + 8);
  EXPECT_EQ(refused(packet), Malformed::BadSource);
  packet = v6(6, kPayload);
  std::copy(mapped.octets.begin(), mapped.octets.end(), packet.begin() + 24);
  EXPECT_EQ(refused(packet), Malformed::BadDestination);
  packet[24 + 11] = 0xfe;  // ::fffe:... is an ordinary address again
  EXPECT_EQ(payload_of(packet), kPayload);
}

TEST(IpV6, AddressesOfManyOrOfNobodyAreRefused) {
  for (const std::size_t at : {8U, 24U}) {
    const Malformed expected = at == 8 ? Malformed::BadSource : Malformed::BadDestination;
    Octets packet = v6(6, kPayload);
    std::fill_n(packet.begin() + static_cast<std::ptrdiff_t>(at), 16, std::uint8_t{0});
    EXPECT_EQ(refused(packet), expected);
    packet[at] = 0xff;
    packet[at + 1] = 0x02;
    EXPECT_EQ(refused(packet), expected);
    packet[at] = 0xfe;
    EXPECT_EQ(payload_of(packet), kPayload);
  }
}

// Extension headers, each: next header, length in units of eight octets beyond the first, contents.
TEST(IpV6, HopByHopRoutingAndDestinationHeadersAreSkipped) {
  const Octets hop_by_hop{60, 0, 5, 2, 0, 0, 1, 0};                           // router alert, PadN
  const Octets destination{43, 1, 1, 4, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0};  // PadN, then Pad1 eight times
  const Octets routing{6, 0, 3, 0, 0, 0, 0, 0};                               // no segments left
  const Octets octets = v6(0, hop_by_hop + destination + routing + kPayload);
  const auto packet = parse_ip(octets);
  ASSERT_TRUE(packet.has_value()) << name(packet.error());
  EXPECT_EQ(packet->protocol, kProtocolTcp);
  EXPECT_EQ(Octets(packet->payload.begin(), packet->payload.end()), kPayload);
}

TEST(IpV6, AnExtensionHeaderThatReachesBeyondThePacketIsTruncated) {
  EXPECT_EQ(refused(v6(60, {6, 0, 1, 4, 0, 0, 0})), Malformed::Truncated);
  EXPECT_EQ(refused(v6(60, {6, 1, 1, 4, 0, 0, 0, 0})), Malformed::Truncated);
  EXPECT_EQ(refused(v6(44, {6, 0, 0})), Malformed::Truncated);
  EXPECT_EQ(payload_of(v6(60, {6, 0, 1, 4, 0, 0, 0, 0})), Octets{});
}

TEST(IpV6, HopByHopIsRefusedAnywhereButFirst) {
  const Octets destination{0, 0, 1, 4, 0, 0, 0, 0};
  const Octets hop_by_hop{6, 0, 1, 4, 0, 0, 0, 0};
  EXPECT_EQ(refused(v6(60, destination + hop_by_hop + kPayload)), Malformed::UnsupportedHeader);
  EXPECT_EQ(payload_of(v6(0, hop_by_hop + kPayload)), kPayload);
}

TEST(IpV6, AnUnknownOptionIsSkippedOnlyIfItsTypeAllowsThat) {
  const auto with_option = [](std::uint8_t type) { return v6(60, Octets{6, 0, type, 4, 1, 2, 3, 4} + kPayload); };
  EXPECT_EQ(payload_of(with_option(0x3e)), kPayload);
  for (const std::uint8_t type : Octets{0x7e, 0xbe, 0xfe})
    EXPECT_EQ(refused(with_option(type)), Malformed::UnsupportedHeader);
}

TEST(IpV6, AnOptionThatReachesBeyondItsHeaderIsRefused) {
  EXPECT_EQ(refused(v6(60, Octets{6, 0, 1, 5, 0, 0, 0, 0} + kPayload)), Malformed::UnsupportedHeader);
  EXPECT_EQ(refused(v6(60, Octets{6, 0, 1, 3, 0, 0, 0, 1} + kPayload)), Malformed::UnsupportedHeader);
}

TEST(IpV6, ARoutingHeaderWithSegmentsLeftIsRefused) {
  EXPECT_EQ(refused(v6(43, Octets{6, 0, 3, 1, 0, 0, 0, 0} + kPayload)), Malformed::UnsupportedHeader);
}

TEST(IpV6, AFragmentIsRefusedAndAWholeDatagramInOneIsNot) {
  const auto with = [](std::uint8_t high, std::uint8_t low) {
    return v6(44, Octets{6, 0, high, low, 1, 2, 3, 4} + kPayload);
  };
  EXPECT_EQ(refused(with(0, 1)), Malformed::Fragment);  // more follow
  EXPECT_EQ(refused(with(0, 8)), Malformed::Fragment);  // the second
  EXPECT_EQ(refused(with(0x80, 0)), Malformed::Fragment);
  EXPECT_EQ(payload_of(with(0, 0)), kPayload);  // RFC 8200 section 4.5
  EXPECT_EQ(payload_of(with(0, 6)), kPayload);  // reserved bits are ignored
}

TEST(IpV6, EncryptedAuthenticatedAndMobileAreRefused) {
  for (const std::uint8_t next : Octets{50, 51, 135, 139, 140})
    EXPECT_EQ(refused(v6(next, Octets{6, 0, 0, 0, 0, 0, 0, 0} + kPayload)), Malformed::UnsupportedHeader);
}

TEST(IpV6, AJumbogramIsRefused) {
  Octets packet = v6(0, Octets{6, 0, 0xc2, 4, 0, 1, 0, 0} + kPayload);
  EXPECT_EQ(refused(packet), Malformed::UnsupportedHeader);
  put16(packet, 4, 0);
  EXPECT_EQ(refused(packet), Malformed::Truncated);
}

TEST(IpWriter, WritesTheHeaderOfThePicture) {
  Octets out(20);
  EXPECT_EQ(write_ip({kThere4, kHere4, 17, 0, 64, 0}, 5, out), 20U);
  Octets expected = v4(17, kPayload);
  expected.resize(20);
  EXPECT_EQ(out, expected);
  Octets out6(40);
  EXPECT_EQ(write_ip({kThere6, kHere6, 17, 0, 64, 0}, 5, out6), 40U);
  expected = v6(17, kPayload);
  expected.resize(40);
  EXPECT_EQ(out6, expected);
}

RC_GTEST_PROP(IpWriter, WhatIsWrittenIsReadBack,
              (bool is_v4, std::uint8_t protocol, std::uint8_t hop_limit, std::uint16_t id)) {
  IpHeader header{is_v4 ? kHere4 : kHere6, is_v4 ? kThere4 : kThere6, kProtocolTcp, 0, hop_limit, id};
  header.ecn = *rc::gen::inRange<std::uint8_t>(0, 4);
  header.protocol = is_v4 ? protocol : kProtocolTcp;
  const auto payload = *rc::gen::arbitrary<Octets>();
  Octets packet(ip_header_bytes(header.source.family()));
  RC_ASSERT(write_ip(header, payload.size(), packet) == packet.size());
  packet = packet + payload;
  const auto parsed = parse_ip(packet);
  RC_ASSERT(parsed.has_value());
  RC_ASSERT(parsed->source == header.source);
  RC_ASSERT(parsed->destination == header.destination);
  RC_ASSERT(parsed->protocol == header.protocol);
  RC_ASSERT(parsed->ecn == header.ecn);
  RC_ASSERT(parsed->hop_limit == hop_limit);
  RC_ASSERT(Octets(parsed->payload.begin(), parsed->payload.end()) == payload);
}

}  // namespace
}  // namespace adieu::wire
