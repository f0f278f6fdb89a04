// Sequence numbers on their circle.
#include "base/seq.h"

#include <gtest/gtest.h>

namespace adieu {
namespace {

TEST(Seq, ComparesAcrossTheWrap) {
  const Seq before{0xffffffff};
  const Seq after{0};
  EXPECT_LT(before, after);
  EXPECT_GT(after, before);
  EXPECT_EQ(before + 1, after);
  EXPECT_EQ(after - 1U, before);
}

TEST(Seq, IsAheadUpToHalfTheCircleAndNoFurther) {
  for (const std::uint32_t base : {0U, 1U, 0x7fffffffU, 0x80000000U, 0xfffffff0U}) {
    const Seq here{base};
    EXPECT_GT(here + 0x7fffffffU, here) << base;
    EXPECT_LT(here + 0x80000001U, here) << base;
  }
}

TEST(Seq, DifferenceIsSignedAndDistanceIsNot) {
  const Seq a{0xfffffffe};
  const Seq b{3};
  EXPECT_EQ(b - a, 5);
  EXPECT_EQ(a - b, -5);
  EXPECT_EQ(distance(a, b), 5U);
  EXPECT_EQ(distance(Seq{0}, Seq{0xffffffff}), 0xffffffffU);
}

TEST(Seq, LaterAndEarlierFollowTheCircle) {
  const Seq a{0xfffffff0};
  const Seq b{0x10};
  EXPECT_EQ(later(a, b), b);
  EXPECT_EQ(later(b, a), b);
  EXPECT_EQ(earlier(a, b), a);
  EXPECT_EQ(earlier(b, a), a);
  EXPECT_EQ(later(a, a), a);
}

TEST(Seq, EqualNumbersAreNeitherBeforeNorAfterEachOther) {
  const Seq a{42};
  EXPECT_LE(a, a);
  EXPECT_GE(a, a);
  EXPECT_FALSE(a < a);
  EXPECT_FALSE(a > a);
}

}  // namespace
}  // namespace adieu
