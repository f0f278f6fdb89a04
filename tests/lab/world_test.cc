// Worlds on the real kernel: what they can do, and that nothing of them is left.
#include "lab/world.h"

#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "host/clock.h"
#include "lab/exchange.h"
#include "lab/trouble.h"
#include "lab/watch.h"

namespace adieu::lab {
namespace {

using testing::HasSubstr;

class WorldTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = why_no_world();
    if (!reason.empty()) GTEST_SKIP() << "SKIPPED, NOTHING WAS TESTED: " << reason;
  }
  // Runs `inside` in a world, where failed expectations print as usual; this test fails with them.
  static void in_a_world(const std::function<void(World&)>& inside) {
    auto world = start_world([&](World& w) {
      inside(w);
      return testing::Test::HasFailure() ? 1 : 0;
    });
    ASSERT_TRUE(world) << world.error().text;
    EXPECT_EQ(world->wait(seconds(30)), 0);
  }
};

bool until(Duration limit, const std::function<bool()>& condition) {
  const Instant end = host::now() + limit;
  while (!condition()) {
    if (host::now() > end) return false;
    usleep(10'000);
  }
  return true;
}

// A command line that no other process has, because it sleeps for so long and no longer.
std::string strange_time() { return "98765." + std::to_string(getpid()) + std::to_string(host::now().ns % 1'000'000); }

bool somebody_sleeps(const std::string& time) {
  DIR* all = opendir("/proc");
  bool found = false;
  while (const dirent* entry = readdir(all)) {
    std::ifstream file("/proc/" + std::string(entry->d_name) + "/cmdline");
    const std::string line{std::istreambuf_iterator<char>(file), {}};
    found = found || line == std::string("sleep") + '\0' + time + '\0';
  }
  closedir(all);
  return found;
}

TEST_F(WorldTest, NamespacesReachEachOtherOverALinkInBothFamilies) {
  in_a_world([](World& world) {
    const Net a = world.add("a"), b = world.add("b");
    world.link(a, "to-b", "10.0.0.1/24", b, "to-a", "10.0.0.2/24");
    world.link(a, "to-b6", "fd00::1/64", b, "to-a6", "fd00::2/64");
    const std::string server =
        "import socket,sys\ns=socket.create_server((sys.argv[1],80),family=int(sys.argv[2]))\n"
        "print('ready',flush=True)\nprint(s.accept()[0].recv(9))";
    const std::string client = "import socket,sys\nsocket.create_connection((sys.argv[1],80)).sendall(b'hello')";
    for (const auto& [address, family] : {std::pair{"10.0.0.2", "2"}, {"fd00::2", "10"}}) {
      Process listener = world.start(b, {"python3", "-c", server, address, family});
      ASSERT_TRUE(until(seconds(10), [&] { return listener.output().find("ready") != std::string::npos; }));
      world.run(a, {"python3", "-c", client, address});
      EXPECT_EQ(listener.wait(seconds(5)), 0);
      EXPECT_THAT(listener.output(), HasSubstr("b'hello'"));
    }
  });
}

TEST_F(WorldTest, AWatchSeesTheSegmentsOfBothDirectionsOnce) {
  in_a_world([](World& world) {
    const Net net = world.add("a");
    const Watch watch(net, "lo");
    world.run(net, {"python3", "-c",
                    "import socket\nl=socket.create_server(('127.0.0.1',80))\n"
                    "c=socket.create_connection(('127.0.0.1',80))\ns=l.accept()[0]\n"
                    "c.shutdown(1)\ns.recv(1)\ns.sendall(b'x'*3)\nc.recv(9)\ns.close()\nc.recv(9)\nc.close()"});
    const Endpoint server{Address::v4(127, 0, 0, 1), 80};
    const auto steps = [&] { return read_exchange(watch.seen(), server); };
    EXPECT_TRUE(until(seconds(2), [&] { return count(steps(), true, Kind::Fin) == 1; }));
    EXPECT_EQ(count(steps(), true, Kind::Syn), 1U);
    EXPECT_EQ(count(steps(), false, Kind::Syn), 1U);
    EXPECT_EQ(count(steps(), false, Kind::Fin), 1U);
    EXPECT_EQ(data_since(steps(), true, Instant::unknown()), 3U);
    EXPECT_EQ(watch.lost(), 0U);
  });
}

TEST_F(WorldTest, ASysctlIsOfOneNamespaceOnly) {
  in_a_world([](World& world) {
    const Net a = world.add("a"), b = world.add("b");
    const std::string before = world.sysctl(b, "net.ipv4.tcp_fin_timeout");
    world.set_sysctl(a, "net.ipv4.tcp_fin_timeout", "3");
    EXPECT_EQ(world.sysctl(a, "net.ipv4.tcp_fin_timeout"), "3");
    EXPECT_EQ(world.sysctl(b, "net.ipv4.tcp_fin_timeout"), before);
  });
}

TEST_F(WorldTest, WhatAProgramPrintsIsInTheTroubleThatItMakes) {
  in_a_world([](World& world) {
    const Net net = world.add("a");
    try {
      world.run(net, {"sh", "-c", "echo this went wrong; exit 7"});
      ADD_FAILURE() << "no trouble";
    } catch (const Trouble& trouble) {
      EXPECT_THAT(trouble.what(), HasSubstr("this went wrong"));
      EXPECT_THAT(trouble.what(), HasSubstr("(7)"));
    }
    EXPECT_THROW(world.run(net, {"sleep", "60"}, milliseconds(50)), Trouble);
  });
}

TEST_F(WorldTest, AnExceptionInsideEndsTheWorldWithAStatusOfItsOwn) {
  auto world = start_world([](World&) -> int { throw Trouble("an experiment that fails on purpose"); });
  ASSERT_TRUE(world);
  EXPECT_EQ(world->wait(seconds(10)), 3);
}

// A process that makes a world, and in it a program that has left its session and its parent.
pid_t somebody_with_a_world(const std::string& time) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  const auto world = start_world([&](World& w) {
    const Net net = w.add("a");
    const Process daemon = w.start(net, {"setsid", "--fork", "sleep", time});
    usleep(60'000'000);
    return 0;
  });
  usleep(60'000'000);
  _exit(0);
}

TEST_F(WorldTest, NothingOfItOutlivesAMakerKilledWithSigkill) {
  const std::string time = strange_time();
  const pid_t maker = somebody_with_a_world(time);
  EXPECT_TRUE(until(seconds(10), [&] { return somebody_sleeps(time); })) << "else the test would prove nothing";
  kill(maker, SIGKILL);
  waitpid(maker, nullptr, 0);
  EXPECT_TRUE(until(seconds(5), [&] { return !somebody_sleeps(time); }));
}

TEST_F(WorldTest, NothingOfItOutlivesItsHandle) {
  const std::string time = strange_time();
  {
    auto world = start_world([&](World& w) {
      const Net net = w.add("a");
      const Process sleeper = w.start(net, {"sleep", time});
      usleep(60'000'000);
      return 0;
    });
    ASSERT_TRUE(world);
    EXPECT_TRUE(until(seconds(10), [&] { return somebody_sleeps(time); }));
  }
  EXPECT_TRUE(until(seconds(5), [&] { return !somebody_sleeps(time); }));
}

TEST_F(WorldTest, LeavesNoMountBehind) {
  const auto mounts = [] {
    std::ifstream file("/proc/self/mounts");
    return std::string{std::istreambuf_iterator<char>(file), {}};
  };
  const std::string before = mounts();
  in_a_world([](World& world) { world.add("a"); });
  EXPECT_EQ(mounts(), before);
}

}  // namespace
}  // namespace adieu::lab
