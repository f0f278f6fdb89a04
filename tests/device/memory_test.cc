// The in-memory link.
#include "device/memory.h"

#include <gtest/gtest.h>

#include <array>

namespace adieu::device {
namespace {

const std::array<std::uint8_t, 3> kFirst{1, 2, 3};
const std::array<std::uint8_t, 2> kSecond{4, 5};

TEST(MemoryLink, DeliversInOrderToTheOtherEndOnly) {
  MemoryLink link(4);
  std::array<std::uint8_t, 16> buffer{};
  EXPECT_EQ(*link.left.send(kFirst, {}), true);
  EXPECT_EQ(*link.left.send(kSecond, {}), true);
  EXPECT_FALSE(link.left.receive(buffer)->has_value());
  ASSERT_EQ(link.right.receive(buffer)->value().length, 3U);
  EXPECT_EQ(buffer[2], 3);
  ASSERT_EQ(link.right.receive(buffer)->value().length, 2U);
  EXPECT_EQ(buffer[1], 5);
  EXPECT_FALSE(link.right.receive(buffer)->has_value());
}

TEST(MemoryLink, HoldsItsCapacityAndNotOneMore) {
  MemoryLink link(2);
  std::array<std::uint8_t, 16> buffer{};
  EXPECT_TRUE(*link.right.send(kFirst, {}));
  EXPECT_TRUE(*link.right.send(kFirst, {}));
  EXPECT_FALSE(*link.right.send(kSecond, {}));
  EXPECT_TRUE(*link.left.send(kFirst, {})) << "each direction has its own";
  EXPECT_TRUE(link.left.receive(buffer)->has_value());
  EXPECT_TRUE(*link.right.send(kSecond, {}));
}

TEST(MemoryLink, TheReceiverNeedNotVerifyAPartialChecksum) {
  MemoryLink link(2);
  std::array<std::uint8_t, 16> buffer{};
  Offload sent;
  sent.checksum_partial = true;
  sent.checksum_start = 20;
  sent.checksum_offset = 16;
  sent.segment_size = 1400;
  sent.header_bytes = 40;
  ASSERT_TRUE(*link.left.send(kFirst, sent));
  const Offload received = link.right.receive(buffer)->value().offload;
  EXPECT_TRUE(received.checksum_valid);
  EXPECT_FALSE(received.checksum_partial);
  EXPECT_EQ(received.segment_size, 1400);
  EXPECT_EQ(received.header_bytes, 40);
  ASSERT_TRUE(*link.left.send(kFirst, {}));
  EXPECT_FALSE(link.right.receive(buffer)->value().offload.checksum_valid) << "a whole checksum is verified";
}

TEST(MemoryLink, CutsOffWhatTheBufferCannotHold) {
  MemoryLink link(2);
  std::array<std::uint8_t, 2> buffer{};
  ASSERT_TRUE(*link.left.send(kFirst, {}));
  EXPECT_EQ(link.right.receive(buffer)->value().length, 2U);
  EXPECT_FALSE(link.right.receive(buffer)->has_value());
}

}  // namespace
}  // namespace adieu::device
