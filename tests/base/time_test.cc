// Instants and durations as values.
#include "base/time.h"

#include <gtest/gtest.h>

namespace adieu {
namespace {

using namespace literals;

TEST(Time, UnitsAgree) {
  EXPECT_EQ(1_s, 1000_ms);
  EXPECT_EQ(1_ms, 1000_us);
  EXPECT_EQ(1_us, 1000_ns);
  EXPECT_EQ(2_h, 120_min);
  EXPECT_EQ(1_min, seconds(60));
  EXPECT_DOUBLE_EQ((1500_ms).seconds(), 1.5);
  EXPECT_EQ((1999_us).milliseconds(), 1);
}

TEST(Time, NeverStaysNeverAndUnknownStaysUnknown) {
  EXPECT_EQ(Instant::never() + 1_h, Instant::never());
  EXPECT_EQ(Instant::never() - 1_h, Instant::never());
  EXPECT_EQ(Instant::unknown() + 1_h, Instant::unknown());
  EXPECT_EQ(Instant::unknown() - 1_h, Instant::unknown());
  EXPECT_FALSE(Instant::never().is_known());
  EXPECT_FALSE(Instant{}.is_known());
  EXPECT_TRUE(Instant{0}.is_known());
}

TEST(Time, EveryInstantLiesBetweenUnknownAndNever) {
  for (const std::int64_t ns : {INT64_MIN + 1, std::int64_t{-1}, std::int64_t{0}, INT64_MAX - 1}) {
    EXPECT_LT(Instant::unknown(), Instant{ns});
    EXPECT_LT(Instant{ns}, Instant::never());
  }
}

TEST(Time, ArithmeticSaturatesInsteadOfWrapping) {
  EXPECT_EQ(Instant{INT64_MAX - 1} + 1_s, Instant::never());
  EXPECT_EQ(Instant{INT64_MAX - 2} + 1_ns, Instant{INT64_MAX - 1});
  EXPECT_EQ(Duration::max() + 1_ns, Duration::max());
  EXPECT_EQ(Duration::max() * 2, Duration::max());
  EXPECT_EQ(Duration{INT64_MIN} * 2, Duration{INT64_MIN});
  EXPECT_EQ(Instant::never() - Instant{-5}, Duration::max());
  EXPECT_EQ((Instant{-5} - Instant::never()).ns, INT64_MIN);
}

TEST(Time, DifferencesAndScaling) {
  const Instant start{7};
  EXPECT_EQ((start + 3_s) - start, 3_s);
  EXPECT_EQ(start - (start + 3_s), Duration{} - 3_s);
  EXPECT_EQ(3_s * 2, 6_s);
  EXPECT_EQ(3_s / 2, 1500_ms);
  EXPECT_EQ(earlier(start, start + 1_ns), start);
  EXPECT_EQ(later(start, start + 1_ns), start + 1_ns);
}

}  // namespace
}  // namespace adieu
