// The run directory: who may use it, who lives, and the key that outlives processes.
#include "host/run_dir.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "host/clock.h"
#include "world.h"

namespace adieu::host {
namespace {

std::string contents(const std::string& path) {
  std::ostringstream all;
  all << std::ifstream(path, std::ios::binary).rdbuf();
  return all.str();
}

TEST(RunDir, IsMadeForItsUserAlone) {
  const TemporaryDirectory parent;
  const RunDir dir(parent.path() + "/run");
  ASSERT_TRUE(dir.make());
  struct stat facts{};
  ASSERT_EQ(::stat(dir.path().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0700U);
  EXPECT_TRUE(dir.make()) << "one that is there already is used";
}

TEST(RunDir, OneThatOthersMayWriteToIsRefused) {
  const TemporaryDirectory parent;
  ASSERT_EQ(::chmod(parent.path().c_str(), 0777), 0);
  EXPECT_FALSE(parent.run_dir().make());
  ASSERT_EQ(::chmod(parent.path().c_str(), 0755), 0);
  EXPECT_TRUE(parent.run_dir().make());
}

TEST(RunDir, ThatCannotBeMadeSaysWhatToDo) {
  const auto made = RunDir("/proc/no/such/place").make();
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().text.find("--run-dir"), std::string::npos);
}

TEST(Lock, IsHeldAsLongAsItsProcessLives) {
  const TemporaryDirectory dir;
  const std::string path = dir.run_dir().lock("engine");
  EXPECT_EQ(Lock::holder(path), std::nullopt);
  auto process = Process::fork([&] {
    const auto lock = Lock::take(path);
    ::pause();
    return lock ? 0 : 1;
  });
  ASSERT_TRUE(eventually([&] { return Lock::holder(path).has_value(); }));
  ASSERT_TRUE(eventually([&] { return Lock::holder(path) == process.pid(); }));
  EXPECT_FALSE(Lock::take(path));
  process.signal(SIGKILL);
  EXPECT_EQ(process.wait(), 128 + SIGKILL);
  EXPECT_EQ(Lock::holder(path), std::nullopt);
  EXPECT_TRUE(Lock::take(path));
}

TEST(IsnKey, OutlivesTheProcessAndIsNobodyElsesToRead) {
  const TemporaryDirectory dir;
  const auto first = isn_key(dir.run_dir(), seconds(30));
  const auto second = isn_key(dir.run_dir(), seconds(30));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->key, second->key);
  EXPECT_NE(first->key, IsnKey{}.key);
  struct stat facts{};
  ASSERT_EQ(::stat(dir.run_dir().isn_key().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600U);
}

TEST(IsnKey, OfAnotherBootIsDrawnAnew) {
  const TemporaryDirectory dir;
  const auto first = isn_key(dir.run_dir(), seconds(30));
  std::string file = contents(dir.run_dir().isn_key());
  file[0] = file[0] == '0' ? '1' : '0';
  std::ofstream(dir.run_dir().isn_key(), std::ios::binary) << file;
  const auto second = isn_key(dir.run_dir(), seconds(30));
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->key, second->key);
}

TEST(IsnKey, IsUsedOnlyOnceTheHostHasBeenUpForASegmentsLifetime) {
  const TemporaryDirectory dir;
  EXPECT_EQ(isn_key(dir.run_dir(), uptime() / 2)->quiet, Duration{});
  const Duration quiet = isn_key(dir.run_dir(), uptime() + seconds(100))->quiet;
  EXPECT_GT(quiet, seconds(99));
  EXPECT_LE(quiet, seconds(100));
}

}  // namespace
}  // namespace adieu::host
