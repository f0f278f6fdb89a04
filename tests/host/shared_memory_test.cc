// The seals of the seam's memory.
#include "host/shared_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace adieu::host {
namespace {

constexpr std::size_t kBytes = 8192;

TEST(SharedMemory, NeitherShrinksNorGrows) {
  const auto made = make_shared("test", kBytes);
  ASSERT_TRUE(made);
  EXPECT_EQ(*check_shared(made->get()), kBytes);
  EXPECT_EQ(::ftruncate(made->get(), kBytes - 1), -1);
  EXPECT_EQ(::ftruncate(made->get(), kBytes + 1), -1);
}

TEST(SharedMemory, OnceSealedItsOneWriterStillWritesAndNobodyElseCan) {
  const auto made = make_shared("test", kBytes);
  auto writer = Mapping::of(made->get(), kBytes, Mapping::Access::Write);
  ASSERT_TRUE(writer);
  ASSERT_TRUE(seal_for_one_writer(made->get()));
  EXPECT_FALSE(Mapping::of(made->get(), kBytes, Mapping::Access::Write));
  const auto reader = Mapping::of(made->get(), kBytes, Mapping::Access::Read);
  ASSERT_TRUE(reader);
  writer->writable()[100] = 7;
  EXPECT_EQ(reader->bytes()[100], 7);
  EXPECT_EQ(::write(made->get(), "x", 1), -1);
}

TEST(SharedMemory, AReadOnlyDescriptorStaysReadOnly) {
  const auto made = make_shared("test", kBytes);
  const auto reopened = reopen_read_only(made->get());
  ASSERT_TRUE(reopened);
  EXPECT_TRUE(Mapping::of(reopened->get(), kBytes, Mapping::Access::Read));
  EXPECT_FALSE(Mapping::of(reopened->get(), kBytes, Mapping::Access::Write));
  EXPECT_TRUE(Mapping::of(made->get(), kBytes, Mapping::Access::Write));
}

TEST(SharedMemory, WhatCouldShrinkOrIsNoMemfdIsRefused) {
  const Descriptor unsealed(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(unsealed.get(), kBytes), 0);
  EXPECT_FALSE(check_shared(unsealed.get()));
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Descriptor one(ends[0]), other(ends[1]);
  EXPECT_FALSE(check_shared(one.get()));
  EXPECT_FALSE(check_shared(-1));
}

TEST(SharedMemory, AnEmptyOrAbsurdOneIsRefused) {
  const auto empty = make_shared("test", 0);
  ASSERT_TRUE(empty);
  EXPECT_FALSE(check_shared(empty->get()));
  EXPECT_TRUE(check_shared(make_shared("test", kMostSharedBytes)->get()));
  EXPECT_FALSE(check_shared(make_shared("test", kMostSharedBytes + 1)->get()));
}

}  // namespace
}  // namespace adieu::host
