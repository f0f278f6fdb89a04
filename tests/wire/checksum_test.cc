// The Internet checksum.
#include "wire/checksum.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/wire/octets_builder.h"

namespace adieu::wire {
namespace {

TEST(Checksum, OfTheExampleInRfc1071Section3) {
  const Octets example{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(ones_sum(example), 0xddf2);
  EXPECT_EQ(checksum_of(ones_sum(example)), 0x220d);
}

TEST(Checksum, OfAnExampleHeaderIsIntactAndOneBitLessIsNot) {
  Octets header{0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7};
  EXPECT_EQ(ones_sum(header), 0xffff);
  for (std::size_t bit = 0; bit < header.size() * 8; ++bit) {
    header[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_NE(ones_sum(header), 0xffff) << bit;
    header[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
  }
}

TEST(Checksum, PadsAnOddEndOnTheRight) {
  EXPECT_EQ(ones_sum(Octets{0x12}), 0x1200);
  EXPECT_EQ(ones_sum(Octets{0x12, 0x34, 0x56}), 0x1234 + 0x5600);
}

TEST(Checksum, OfNothingIsWhatItContinues) {
  EXPECT_EQ(ones_sum({}), 0);
  EXPECT_EQ(ones_sum({}, 0xabcd), 0xabcd);
  EXPECT_EQ(ones_sum({}, 0xffff), 0xffff);
}

TEST(Checksum, CarriesEndAround) {
  EXPECT_EQ(ones_sum(Octets{0xff, 0xff, 0x00, 0x01}), 0x0001);
  EXPECT_EQ(ones_sum(Octets(65'535, 0xff)), slow_sum(Octets(65'535, 0xff)));
}

RC_GTEST_PROP(Checksum, AgreesWithTheSlowOneAtEveryLengthAndAlignment, ()) {
  const auto length = *rc::gen::inRange<std::size_t>(0, 300);
  const auto octets = *rc::gen::container<Octets>(length, rc::gen::arbitrary<std::uint8_t>());
  const auto skip = *rc::gen::inRange<std::size_t>(0, length + 1);
  const auto start = *rc::gen::arbitrary<std::uint16_t>();
  const Bytes bytes = Bytes(octets).subspan(skip);
  RC_ASSERT(ones_sum(bytes, start) == slow_sum(bytes, start));
}

RC_GTEST_PROP(Checksum, OfPiecesIsThatOfTheWhole, ()) {
  const auto octets = *rc::gen::arbitrary<Octets>();
  const auto cut = *rc::gen::inRange<std::size_t>(0, octets.size() / 2 + 1) * 2;
  const Bytes bytes(octets);
  RC_ASSERT(ones_sum(bytes.subspan(cut), ones_sum(bytes.first(cut))) == ones_sum(bytes));
}

TEST(PseudoHeader, IsTheRfcsPictureSummed) {
  // 192.0.2.1, 198.51.100.7, protocol 6, 20 octets
  EXPECT_EQ(pseudo_header_sum(kHere4, kThere4, 6, 20), slow_sum(Octets{192, 0, 2, 1, 198, 51, 100, 7, 0, 6, 0, 20}));
  Octets picture(kHere6.octets.begin(), kHere6.octets.end());
  picture.insert(picture.end(), kThere6.octets.begin(), kThere6.octets.end());
  // RFC 8200: 32 bits of length, 24 of zero, 8 of next header
  EXPECT_EQ(pseudo_header_sum(kHere6, kThere6, 6, 0x12345), slow_sum(picture + Octets{0, 1, 0x23, 0x45, 0, 0, 0, 6}));
}

}  // namespace
}  // namespace adieu::wire
