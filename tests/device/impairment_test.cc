// A bad path, packet by packet.
#include "device/impairment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <numeric>
#include <vector>

#include "wire/tcp.h"

namespace adieu::device {
namespace {

using namespace literals;
using Octets = std::vector<std::uint8_t>;

constexpr Instant kStart{1'000'000'000};

struct Delivery {
  Instant at;
  Octets octets;
  bool operator==(const Delivery&) const = default;
};

Octets numbered(std::uint32_t number) {
  return {static_cast<std::uint8_t>(number >> 16), static_cast<std::uint8_t>(number >> 8),
          static_cast<std::uint8_t>(number)};
}
std::uint32_t number_of(const Octets& octets) {
  return static_cast<std::uint32_t>(octets[0]) << 16 | static_cast<std::uint32_t>(octets[1]) << 8 | octets[2];
}
void poll_all(Impairment& path, Instant now, std::vector<Delivery>& deliveries) {
  Octets buffer(65535);
  while (const auto received = path.poll(now, buffer))
    deliveries.push_back({now, Octets(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(received->length))});
}
// Sends `count` numbered packets, one a millisecond, then waits for the last; polls exactly at the deadlines.
std::vector<Delivery> run(Impairment& path, std::uint32_t count) {
  std::vector<Delivery> deliveries;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Instant now = kStart + 1_ms * i;
    while (path.next_deadline() <= now) poll_all(path, path.next_deadline(), deliveries);
    path.input(numbered(i), {}, now);
  }
  while (path.next_deadline() != Instant::never()) poll_all(path, path.next_deadline(), deliveries);
  return deliveries;
}
std::vector<std::uint32_t> numbers(const std::vector<Delivery>& deliveries) {
  std::vector<std::uint32_t> result;
  for (const Delivery& delivery : deliveries) result.push_back(number_of(delivery.octets));
  return result;
}
std::vector<std::uint32_t> counting(std::uint32_t count) {
  std::vector<std::uint32_t> result(count);
  std::iota(result.begin(), result.end(), 0U);
  return result;
}

TEST(Impairment, WithNothingWrongIsAPerfectWire) {
  Impairment path(1, {});
  const auto deliveries = run(path, 1000);
  EXPECT_EQ(numbers(deliveries), counting(1000));
  for (std::uint32_t i = 0; i < 1000; ++i) EXPECT_EQ(deliveries[i].at, kStart + 1_ms * i);
}

TEST(Impairment, TheSameSeedIsTheSameWorldAndAnotherIsNot) {
  ImpairmentSettings settings;
  settings.loss = 0.1;
  settings.duplicate = 0.1;
  settings.reorder = 0.1;
  settings.corrupt = 0.1;
  settings.delay = 20_ms;
  settings.jitter = 5_ms;
  settings.reorder_delay = 30_ms;
  Impairment one(7, settings);
  Impairment same(7, settings);
  Impairment other(8, settings);
  const auto deliveries = run(one, 2000);
  EXPECT_EQ(deliveries, run(same, 2000));
  EXPECT_NE(deliveries, run(other, 2000));
  const ImpairmentCounts& counts = one.counts();
  EXPECT_EQ(counts.offered, 2000U);
  EXPECT_EQ(counts.delivered, deliveries.size());
  EXPECT_EQ(counts.delivered, counts.offered - counts.lost + counts.duplicated);
  for (const std::uint64_t count : {counts.lost, counts.duplicated, counts.reordered, counts.corrupted})
    EXPECT_NEAR(static_cast<double>(count), 200, 90);
}

TEST(Impairment, APacketArrivesAtItsDelayAndNotANanosecondBefore) {
  ImpairmentSettings settings;
  settings.delay = 25_ms;
  Impairment path(1, settings);
  Octets buffer(65535);
  path.input(numbered(1), {}, kStart);
  EXPECT_EQ(path.next_deadline(), kStart + 25_ms);
  EXPECT_FALSE(path.poll(kStart + 25_ms - 1_ns, buffer).has_value());
  EXPECT_TRUE(path.poll(kStart + 25_ms, buffer).has_value());
  EXPECT_EQ(path.next_deadline(), Instant::never());
}

TEST(Impairment, JitterKeepsTheOrder) {
  ImpairmentSettings settings;
  settings.jitter = 50_ms;
  Impairment path(1, settings);
  const auto deliveries = run(path, 1000);
  EXPECT_EQ(numbers(deliveries), counting(1000));
  bool any_late = false;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    ASSERT_GE(deliveries[i].at, kStart + 1_ms * i);
    ASSERT_LE(deliveries[i].at, kStart + 1_ms * i + 50_ms);
    any_late = any_late || deliveries[i].at > kStart + 1_ms * i + 25_ms;
  }
  EXPECT_TRUE(any_late);
}

TEST(Impairment, AReorderedPacketIsPassedByOthersAndNothingIsLost) {
  ImpairmentSettings settings;
  settings.reorder = 0.1;
  settings.reorder_delay = 10_ms;
  Impairment path(1, settings);
  auto arrived = numbers(run(path, 1000));
  EXPECT_FALSE(std::ranges::is_sorted(arrived));
  for (std::uint32_t i = 0; i < 1000; ++i) ASSERT_LE(i > arrived[i] ? i - arrived[i] : arrived[i] - i, 11U);
  std::ranges::sort(arrived);
  EXPECT_EQ(arrived, counting(1000));
}

TEST(Impairment, LosesEverythingAtProbabilityOne) {
  ImpairmentSettings settings;
  settings.loss = 1;
  Impairment path(1, settings);
  EXPECT_TRUE(run(path, 100).empty());
  EXPECT_EQ(path.counts().lost, 100U);
}

TEST(Impairment, DoublesEverythingAtProbabilityOne) {
  ImpairmentSettings settings;
  settings.duplicate = 1;
  Impairment path(1, settings);
  EXPECT_EQ(run(path, 100).size(), 200U);
}

TEST(Impairment, ABlackHoleSwallowsFromItsFirstInstantUntilBeforeItsLast) {
  ImpairmentSettings settings;
  settings.delay = 5_ms;
  Impairment path(1, settings);
  path.black_hole(kStart + 10_ms, kStart + 20_ms);
  path.black_hole(kStart + 15_ms, kStart + 30_ms);
  const auto arrived = numbers(run(path, 40));
  std::vector<std::uint32_t> expected = counting(10);  // those in flight at its beginning arrive
  for (std::uint32_t i = 30; i < 40; ++i) expected.push_back(i);
  EXPECT_EQ(arrived, expected);
  EXPECT_EQ(path.counts().swallowed, 20U);
}

TEST(Impairment, ABlackHoleLeavesTheFateOfLaterPacketsAsItWas) {
  ImpairmentSettings settings;
  settings.loss = 0.5;
  Impairment with(3, settings);
  Impairment without(3, settings);
  with.black_hole(kStart, kStart + 50_ms);
  auto expected = numbers(run(without, 200));
  std::erase_if(expected, [](std::uint32_t number) { return number < 50; });
  EXPECT_EQ(numbers(run(with, 200)), expected);
}

TEST(Impairment, HoldsItsCapacityAndDropsWhatIsMore) {
  ImpairmentSettings settings;
  settings.capacity = 3;
  settings.delay = 1_h;
  Impairment path(1, settings);
  for (std::uint32_t i = 0; i < 5; ++i) path.input(numbered(i), {}, kStart);
  EXPECT_EQ(path.in_flight(), 3U);
  EXPECT_EQ(path.counts().overflowed, 2U);
}

TEST(Impairment, InvertsExactlyOneBitOfACorruptedPacketAndVouchesForItNoMore) {
  ImpairmentSettings settings;
  settings.corrupt = 1;
  Impairment path(1, settings);
  const Octets sent(100, 0x5a);
  Octets buffer(65535);
  Offload offload;
  offload.checksum_valid = true;
  path.input(sent, offload, kStart);
  const auto received = path.poll(kStart, buffer);
  ASSERT_TRUE(received.has_value());
  ASSERT_EQ(received->length, sent.size());
  EXPECT_FALSE(received->offload.checksum_valid);
  int inverted = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) inverted += std::popcount(static_cast<unsigned>(sent[i] ^ buffer[i]));
  EXPECT_EQ(inverted, 1);
}

// What a stack with offloads sends, as a receiver sees it.
TEST(Impairment, CorruptionOfAPacketWithAPartialChecksumCanBeNoticed) {
  wire::IpHeader ip{Address::v4(192, 0, 2, 1), Address::v4(192, 0, 2, 2), wire::kProtocolTcp, 0, 64, 0};
  const Octets payload(333, 'x');
  wire::Segment segment;
  segment.payload = payload;
  Octets packet(20 + 20 + payload.size());
  wire::write_ip(ip, 20 + payload.size(), packet);
  wire::write_tcp(segment, ip.source, ip.destination, true, MutableBytes(packet).subspan(20));
  Offload offload;
  offload.checksum_partial = true;
  offload.checksum_start = 20;
  offload.checksum_offset = 16;

  Octets buffer(65535);
  const auto is_accepted = [&](double corrupt, std::uint64_t seed) {
    ImpairmentSettings settings;
    settings.corrupt = corrupt;
    Impairment path(seed, settings);
    path.input(packet, offload, kStart);
    const auto received = path.poll(kStart, buffer);
    const auto parsed = wire::parse_ip(Bytes(buffer).first(received->length));
    return parsed && wire::parse_tcp(*parsed, received->offload).has_value();
  };
  EXPECT_TRUE(is_accepted(0, 1));
  for (std::uint64_t seed = 1; seed <= 200; ++seed) EXPECT_FALSE(is_accepted(1, seed)) << seed;
}

}  // namespace
}  // namespace adieu::device
