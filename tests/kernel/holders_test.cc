// Who comes first, how many there are, and what is known of a process: gathered descriptors, not where they come from.
#include "kernel/holders.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <optional>
#include <string>

#include "tests/kernel/child.h"
#include "tests/kernel/namespace.h"

namespace adieu::kernel {
namespace {

using test::Child;
using test::eventually;
using test::monotonic_now;

constexpr std::uint32_t kSocket = 4711;
std::uint32_t own() { return static_cast<std::uint32_t>(getpid()); }

// A number that no process has any more.
std::uint32_t gone() {
  Child child;
  const std::uint32_t number = child.process();
  child.end();
  return number;
}

// A child that began, by the kernel's tick, after this process.
Child younger(pid_t number = 0) {
  for (;;) {
    Child child = number == 0 ? Child() : Child::numbered(number);
    Processes book;
    if (!child.is_alive() || book.of(child.process()).began > book.of(own()).began) return child;
  }
}

TEST(Holders, NameNobodyForASocketThatNobodyHas) {
  Holders holders;
  holders.begin(Instant{1});
  holders.add({.inode = kSocket, .process = own(), .descriptor = 3});
  holders.add({.inode = 0, .process = own(), .descriptor = 4});
  holders.finish(true);
  EXPECT_EQ(holders.of(kSocket + 1).descriptors, 0U);
  EXPECT_EQ(holders.of(kSocket - 1).process, 0U);
  EXPECT_EQ(holders.of(0).descriptors, 0U) << "no inode is no socket, whatever was told of it";
  EXPECT_TRUE(holders.all_of(kSocket + 1).empty());
}

TEST(Holders, CountProcessesAndDescriptorsEachOnce) {
  const Child child;
  Holders holders;
  holders.begin(Instant{1});
  for (int twice = 0; twice < 2; ++twice)  // what moves during a walk may be met twice
    for (const std::int32_t descriptor : {9, 3, 7})
      holders.add({.inode = kSocket, .process = own(), .descriptor = descriptor});
  holders.add({.inode = kSocket, .process = child.process(), .descriptor = 3});
  holders.add({.inode = kSocket + 1, .process = child.process(), .descriptor = 5});
  holders.finish(true);
  const Held held = holders.of(kSocket);
  EXPECT_EQ(held.descriptors, 4U);
  EXPECT_EQ(held.processes, 2U);
  EXPECT_EQ(held.references, 0U);
  EXPECT_EQ(holders.all_of(kSocket).size(), 4U);
  EXPECT_EQ(holders.of(kSocket + 1).descriptors, 1U);
}

TEST(Holders, PutTheProcessThatBeganFirstFirstWithItsLowestDescriptor) {
  const Child child = younger();
  ASSERT_TRUE(child.is_alive());
  Holders holders;
  holders.begin(Instant{1});
  holders.add({.inode = kSocket, .process = child.process(), .descriptor = 2});
  holders.add({.inode = kSocket, .process = own(), .descriptor = 9});
  holders.add({.inode = kSocket, .process = own(), .descriptor = 3});
  holders.finish(true);
  EXPECT_EQ(holders.of(kSocket).process, own());
  EXPECT_EQ(holders.of(kSocket).descriptor, 3);
}

TEST(Holders, GoByTheBeginningAndNotByTheNumberWhichWrapsAround) {
  std::optional<Child> child;
  for (pid_t number = getpid() - 1; number > 1 && (!child || (!child->is_alive() && errno == EEXIST)); --number)
    child.emplace(younger(number));
  if (!child || !child->is_alive())
    GTEST_SKIP() << "SKIPPED, NOT TESTED: no process may choose its number here: " << std::strerror(errno);
  Holders holders;
  holders.begin(Instant{1});
  holders.add({.inode = kSocket, .process = child->process(), .descriptor = 2});
  holders.add({.inode = kSocket, .process = own(), .descriptor = 3});
  holders.finish(true);
  EXPECT_LT(child->process(), own());
  EXPECT_EQ(holders.of(kSocket).process, own());
}

TEST(Holders, DoNotPutAProcessFirstThatHasGoneMeanwhile) {
  const std::uint32_t before = gone();
  const Child child;
  Holders holders;
  holders.begin(Instant{1});
  holders.add({.inode = kSocket, .process = before, .descriptor = 3});
  holders.add({.inode = kSocket, .process = child.process(), .descriptor = 4});
  holders.add({.inode = kSocket + 1, .process = before, .descriptor = 5});
  holders.finish(true);
  EXPECT_EQ(holders.of(kSocket).process, child.process());
  EXPECT_EQ(holders.of(kSocket).descriptor, 4);
  EXPECT_EQ(holders.of(kSocket + 1).process, before) << "where it is all that was seen, it is told";
}

TEST(Holders, TellTheReferencesThatTheirSourceKnows) {
  Holders holders;
  holders.begin(Instant{1});
  holders.add({.inode = kSocket, .process = own(), .descriptor = 3, .references = 2});
  holders.add({.inode = kSocket, .process = own(), .descriptor = 4, .references = 5});
  holders.finish(true);
  EXPECT_EQ(holders.of(kSocket).references, 5U);
}

TEST(Holders, ForgetAtEachLookWhatTheLastOneFound) {
  Holders holders;
  EXPECT_FALSE(holders.looked_at().is_known());
  EXPECT_FALSE(holders.everywhere());
  holders.begin(Instant{1});
  holders.add({.inode = kSocket, .process = own(), .descriptor = 3});
  holders.finish(true);
  EXPECT_EQ(holders.looked_at(), Instant{1});
  EXPECT_TRUE(holders.everywhere());
  holders.begin(Instant{2});
  EXPECT_FALSE(holders.everywhere()) << "a look that is not finished has not been everywhere";
  holders.finish(false);
  EXPECT_EQ(holders.looked_at(), Instant{2});
  EXPECT_FALSE(holders.everywhere());
  EXPECT_EQ(holders.of(kSocket).descriptors, 0U);
}

// --- what /proc says of a process

std::string comm_of(const Process& process) {
  const std::string all(process.comm.data(), process.comm.size());
  return all.substr(0, all.find('\0'));
}

Child named(const std::string& name) {
  return Child([&name] {
    prctl(PR_SET_NAME, name.c_str());
    return std::string();
  });
}

TEST(Processes, KeepANameOfBlanksAndParenthesesWhole) {
  for (const std::string name : {"plain", ") R 1 (", "((", "a) b", "))))))))))))))) ", "\x1b[2J\n"}) {
    const Instant before = monotonic_now();
    const Child child = named(name);
    Processes book;
    const Process& process = book.of(child.process());
    EXPECT_EQ(comm_of(process), name.substr(0, 15));
    // Told in ticks of 10 ms, and never later than in truth.
    EXPECT_LE(process.began, monotonic_now()) << name;
    EXPECT_GE(process.began, before - milliseconds(20)) << name;
  }
}

TEST(Processes, KnowTheNetworkInWhichAProcessLives) {
  struct stat status{};
  ASSERT_EQ(stat("/proc/self/ns/net", &status), 0);
  Processes book;
  EXPECT_EQ(book.of(own()).network, static_cast<std::uint32_t>(status.st_ino));
}

TEST(Processes, KnowNothingOfOneThatHasGone) {
  Processes book;
  const Process& process = book.of(gone());
  EXPECT_FALSE(process.began.is_known());
  EXPECT_EQ(comm_of(process), "");
  EXPECT_EQ(process.network, 0U);
}

TEST(Processes, AreAsTheyWereWhenAskedForFirstUntilForgotten) {
  Child child = named("lives");
  const std::uint32_t number = child.process();
  Processes book;
  EXPECT_EQ(comm_of(book.of(number)), "lives");
  child.end();
  EXPECT_EQ(comm_of(book.of(number)), "lives");
  book.forget();
  EXPECT_FALSE(book.of(number).began.is_known());
}

}  // namespace
}  // namespace adieu::kernel
