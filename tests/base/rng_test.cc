// The same seed gives the same world.
#include "base/rng.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

namespace adieu {
namespace {

// From an implementation of the published algorithms in another language, which reproduces the authors' vector for
// the state {1, 2, 3, 4}: 11520, 0, 1509978240, 1215971899390074240.
TEST(Rng, IsXoshiro256StarStarSeededBySplitmix64) {
  Rng zero(0);
  for (const std::uint64_t expected :
       {0x99ec5f36cb75f2b4U, 0xbf6e1f784956452aU, 0x1a5f849d4933e6e0U, 0x6aa594f1262d2d2cU})
    EXPECT_EQ(zero.next(), expected);
  Rng other(42);
  for (const std::uint64_t expected :
       {0x15780b2e0c2ec716U, 0x6104d9866d113a7eU, 0xae17533239e499a1U, 0xecb8ad4703b360a1U})
    EXPECT_EQ(other.next(), expected);
}

TEST(Rng, StaysBelowItsBoundAndReachesEveryNumberUnderIt) {
  Rng rng(1);
  std::array<unsigned, 7> seen{};
  for (int i = 0; i < 70'000; ++i) {
    const std::uint64_t draw = rng.below(seen.size());
    ASSERT_LT(draw, seen.size());
    ++seen[draw];
  }
  // 10,000 expected; six standard deviations are 556.
  for (const unsigned count : seen) EXPECT_NEAR(count, 10'000, 556);
  EXPECT_EQ(rng.below(1), 0U);
}

TEST(Rng, ChanceIsNeverAtZeroAlwaysAtOneAndFairBetween) {
  Rng rng(2);
  int hits = 0;
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_FALSE(rng.chance(0.0));
    ASSERT_TRUE(rng.chance(1.0));
    hits += rng.chance(0.3) ? 1 : 0;
  }
  EXPECT_NEAR(hits, 30'000, 870);  // six standard deviations
}

TEST(Rng, AForkIsNotDisturbedByItsParent) {
  Rng one(3);
  Rng two(3);
  Rng fork_of_one = one.fork();
  Rng fork_of_two = two.fork();
  for (int i = 0; i < 100; ++i) one.next();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(fork_of_one.next(), fork_of_two.next());
  EXPECT_NE(one.next(), two.next());
}

TEST(RngDeathTest, NothingIsBelowZero) {
  Rng rng(4);
  EXPECT_DEATH(rng.below(0), "bug in adieu");
}

}  // namespace
}  // namespace adieu
