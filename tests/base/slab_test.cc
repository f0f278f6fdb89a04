// Objects by index, at addresses that stay.
#include "base/slab.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace adieu {
namespace {

struct Counted {
  explicit Counted(int& living) : living_(&living) { ++*living_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --*living_; }
  int* living_;
};

TEST(Slab, KeepsAddressesWhileItGrows) {
  Slab<std::uint64_t, 4> slab;
  std::vector<std::pair<std::uint32_t, std::uint64_t*>> held;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const auto index = slab.emplace(i);
    held.emplace_back(index, &slab[index]);
  }
  EXPECT_EQ(slab.size(), 1000U);
  std::set<std::uint32_t> indices;
  for (std::uint64_t i = 0; i < held.size(); ++i) {
    EXPECT_EQ(&slab[held[i].first], held[i].second);
    EXPECT_EQ(*held[i].second, i);
    indices.insert(held[i].first);
  }
  EXPECT_EQ(indices.size(), 1000U);
}

TEST(Slab, GivesOutTheLastFreedFirstAndAsksForNoMemoryMeanwhile) {
  Slab<int, 8> slab;
  std::vector<std::uint32_t> held;
  for (int i = 0; i < 8; ++i) held.push_back(slab.emplace(i));
  const std::size_t bytes = slab.bytes();
  slab.erase(held[2]);
  slab.erase(held[5]);
  EXPECT_EQ(slab.size(), 6U);
  EXPECT_EQ(slab.emplace(50), held[5]);
  EXPECT_EQ(slab.emplace(20), held[2]);
  EXPECT_EQ(slab.bytes(), bytes);
  const auto ninth = slab.emplace(9);
  EXPECT_GT(slab.bytes(), bytes);
  EXPECT_EQ(slab[ninth], 9);
  EXPECT_EQ(slab[held[5]], 50);
}

TEST(Slab, DestroysWhatIsErased) {
  int living = 0;
  Slab<Counted> slab;
  const auto first = slab.emplace(living);
  const auto second = slab.emplace(living);
  EXPECT_EQ(living, 2);
  slab.erase(first);
  EXPECT_EQ(living, 1);
  slab.erase(second);
  EXPECT_EQ(living, 0);
}

TEST(SlabDeathTest, AnIndexThatWasNeverGivenOutIsOurBug) {
  Slab<int, 4> slab;
  slab.emplace(1);
  EXPECT_DEATH(slab[4], "bug in adieu");
}

TEST(SlabDeathTest, LeavingObjectsWithDestructorsBehindIsOurBug) {
  EXPECT_DEATH(
      {
        Slab<std::string> slab;
        slab.emplace("left behind");
      },
      "bug in adieu");
}

}  // namespace
}  // namespace adieu
