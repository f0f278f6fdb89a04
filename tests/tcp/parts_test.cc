// The parts of a connection: ring, reassembly, round-trip time, congestion window.
#include <gtest/gtest.h>

#include <deque>
#include <set>
#include <string>

#include "base/rng.h"
#include "tcp/byte_ring.h"
#include "tcp/congestion.h"
#include "tcp/reassembly.h"
#include "tcp/rtt.h"

namespace adieu::tcp {
namespace {

using namespace adieu::literals;

TEST(ByteRing, IsAQueueWhateverIsDoneWithIt) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Rng rng(seed);
    ByteRing ring;
    std::deque<std::uint8_t> model;
    for (int i = 0; i < 500; ++i) {
      std::vector<std::uint8_t> octets(rng.below(700));
      for (auto& o : octets) o = static_cast<std::uint8_t>(rng.next());
      if (rng.chance(0.5)) {
        ring.append(octets);
        model.insert(model.end(), octets.begin(), octets.end());
      } else if (rng.chance(0.5)) {
        // As a hole would be filled: behind the end first, then up to there, then counted.
        const std::size_t half = octets.size() / 2;
        ring.place(ring.size() + half, Bytes(octets).subspan(half));
        ring.place(ring.size(), Bytes(octets).first(half));
        ring.extend(octets.size());
        model.insert(model.end(), octets.begin(), octets.end());
      } else {
        const std::size_t n = rng.below(model.size() + 1);
        ring.consume(n);
        model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(n));
      }
      ASSERT_EQ(ring.size(), model.size());
      std::vector<std::uint8_t> all(model.size());
      ASSERT_EQ(ring.peek(all), model.size());
      ASSERT_TRUE(std::equal(all.begin(), all.end(), model.begin())) << seed;
    }
  }
}

TEST(Reassembly, HoldsTheSameOctetsAsASetOfNumbersAcrossTheWrap) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Rng rng(seed);
    Seq next{UINT32_MAX - 100};
    const Seq start = next;
    Reassembly ranges;
    std::set<std::uint32_t> model;
    for (int i = 0; i < 100; ++i) {
      const auto left = static_cast<std::uint32_t>(distance(start, next) + 1 + rng.below(300));
      const auto length = static_cast<std::uint32_t>(1 + rng.below(20));
      if (ranges.insert(start + left, start + left + length))
        for (std::uint32_t octet = left; octet < left + length; ++octet) model.insert(octet);
      if (rng.chance(0.1)) {
        next = ranges.advance(next + static_cast<std::uint32_t>(1 + rng.below(10)));
        std::uint32_t expected = distance(start, next);
        EXPECT_FALSE(model.contains(expected)) << "it stops at a hole";
        model.erase(model.begin(), model.lower_bound(expected));
      }
      ranges.check_invariants(next);
      std::array<wire::SackBlock, wire::kMaxSackBlocks> blocks;
      const unsigned count = ranges.sack_blocks(blocks, 4);
      for (unsigned b = 0; b < count; ++b)
        for (Seq s = blocks[b].left; s < blocks[b].right; s += 1) EXPECT_TRUE(model.contains(distance(start, s)));
      EXPECT_EQ(ranges.empty(), model.empty());
    }
  }
}

TEST(Reassembly, RefusesTheThirtyThirdRangeAndTakesWhatJoinsTwo) {
  Reassembly ranges;
  for (std::uint32_t i = 1; i <= limits::kReassemblyRanges; ++i)
    EXPECT_TRUE(ranges.insert(Seq{10 * i}, Seq{10 * i + 5}));
  EXPECT_FALSE(ranges.insert(Seq{1000}, Seq{1005}));
  EXPECT_TRUE(ranges.insert(Seq{15}, Seq{20}));
  EXPECT_TRUE(ranges.insert(Seq{1000}, Seq{1005}));
}

// RFC 6298 section 2: the numbers by hand.
TEST(RoundTripTime, FollowsRfc6298) {
  RttEstimate rtt;
  const Settings settings;
  EXPECT_EQ(rtt.rto(settings), 1_s);
  rtt.sample(400_ms);
  EXPECT_EQ(rtt.srtt(), 400_ms);
  EXPECT_EQ(rtt.rttvar(), 200_ms);
  EXPECT_EQ(rtt.rto(settings), 1200_ms);
  rtt.sample(800_ms);
  EXPECT_EQ(rtt.rttvar(), 250_ms);  // 3/4*200 + 1/4*|400-800|
  EXPECT_EQ(rtt.srtt(), 450_ms);    // 7/8*400 + 1/8*800
  EXPECT_EQ(rtt.rto(settings), 1450_ms);
}

TEST(RoundTripTime, StaysWithinItsBounds) {
  const Settings settings;
  RttEstimate fast;
  for (int i = 0; i < 100; ++i) fast.sample(10_us);
  EXPECT_EQ(fast.rto(settings), settings.rto_min);
  RttEstimate slow;
  for (int i = 0; i < 100; ++i) slow.sample(300_s);
  EXPECT_EQ(slow.rto(settings), settings.rto_max);
}

TEST(NewReno, BeginsWithTenSegmentsGrowsByWhatIsAcknowledgedAndOnlyWhenItWasTheLimit) {
  NewReno reno(1000);
  EXPECT_EQ(reno.cwnd(), 10'000U);
  EXPECT_FALSE(reno.acknowledged(2000, Seq{2000}, 8000, true));
  EXPECT_EQ(reno.cwnd(), 12'000U);
  EXPECT_FALSE(reno.acknowledged(2000, Seq{4000}, 8000, false));
  EXPECT_EQ(reno.cwnd(), 12'000U);
}

TEST(NewReno, HalvesAtTheThirdDuplicateRepairsAtEachPartialAckAndLeavesAtTheFull) {
  NewReno reno(1000);
  const Seq snd_nxt{20'000};
  EXPECT_FALSE(reno.duplicate_ack(10'000, snd_nxt));
  EXPECT_FALSE(reno.duplicate_ack(10'000, snd_nxt));
  EXPECT_TRUE(reno.duplicate_ack(10'000, snd_nxt));
  EXPECT_EQ(reno.ssthresh(), 5000U);
  EXPECT_EQ(reno.cwnd(), 8000U);
  EXPECT_TRUE(reno.acknowledged(2000, Seq{12'000}, 8000, true));
  EXPECT_EQ(reno.cwnd(), 7000U);
  EXPECT_FALSE(reno.acknowledged(8000, snd_nxt, 0, true));
  EXPECT_FALSE(reno.in_recovery());
  EXPECT_LE(reno.cwnd(), 5000U);
}

TEST(NewReno, IsOneSegmentAfterATimeout) {
  NewReno reno(1000);
  reno.retransmission_timeout(10'000, Seq{20'000});
  EXPECT_EQ(reno.cwnd(), 1000U);
  EXPECT_EQ(reno.ssthresh(), 5000U);
  // RFC 6582: duplicates of what was sent before the timeout start no recovery.
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(reno.duplicate_ack(10'000, Seq{20'000}));
}

}  // namespace
}  // namespace adieu::tcp
