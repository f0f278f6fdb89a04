// Several networks of one host: who lives in which, and connections of all of them in one table.
#include "kernel/network.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <optional>

#include "kernel/plane.h"
#include "kernel/proc_holdings.h"
#include "tests/kernel/child.h"
#include "tests/kernel/namespace.h"
#include "tests/kernel/table.h"

namespace adieu::kernel {
namespace {

using test::Child;
using test::connected;
using test::kLoopback4;
using test::listens;
using test::monotonic_now;
using test::Pair;
using test::Table;

std::uint32_t own() { return static_cast<std::uint32_t>(getpid()); }
std::uint32_t network_of(std::uint32_t process) {
  struct stat status{};
  const std::string path = "/proc/" + std::to_string(process) + "/ns/net";
  return stat(path.c_str(), &status) == 0 ? static_cast<std::uint32_t>(status.st_ino) : 0;
}

class NetworksOfAHost : public test::Namespace {
 protected:
  // Goes into a network of its own, and does something there.
  static Child in_another_network(const std::function<std::string()>& does = [] { return std::string("there"); }) {
    return Child([&does] {
      if (unshare(CLONE_NEWNET) != 0) return std::string("not permitted");
      const test::Fd any(socket(AF_INET, SOCK_DGRAM, 0));
      ifreq loopback{};
      std::memcpy(loopback.ifr_name, "lo", 3);
      loopback.ifr_flags = IFF_UP;
      if (ioctl(any.get(), SIOCSIFFLAGS, &loopback) != 0) return std::string("no loopback");
      return does();
    });
  }
};

TEST_F(NetworksOfAHost, BeginWithTheOwnOneAlone) {
  auto networks = Networks::open();
  ASSERT_TRUE(networks);
  EXPECT_EQ(networks->all().size(), 1U);
  EXPECT_EQ(networks->own().inode, network_of(own()));
  EXPECT_EQ(networks->find(networks->own().inode), &networks->all().front());
  EXPECT_EQ(networks->find(networks->own().inode + 1), nullptr);
}

TEST_F(NetworksOfAHost, AreThoseInWhichProcessesLiveEachOnce) {
  const Child one = in_another_network();
  ASSERT_EQ(one.says(), "there");
  auto networks = Networks::open();
  ASSERT_TRUE(networks);
  Processes book;
  EXPECT_EQ(networks->look({own(), one.process(), own(), one.process()}, book), 0U);
  EXPECT_EQ(networks->all().size(), 2U);
  EXPECT_NE(networks->find(network_of(one.process())), nullptr);
  EXPECT_EQ(network_of(own()), networks->own().inode) << "whoever has looked around is at home again";
  EXPECT_EQ(networks->look({own(), one.process()}, book), 0U);
  EXPECT_EQ(networks->all().size(), 2U);
}

TEST_F(NetworksOfAHost, AreLetGoWhenNobodyLivesThereAnyMoreButTheOwnOneNever) {
  Child one = in_another_network();
  ASSERT_EQ(one.says(), "there");
  auto networks = Networks::open();
  ASSERT_TRUE(networks);
  Processes book;
  networks->look({one.process()}, book);
  ASSERT_EQ(networks->all().size(), 2U) << "the own one stays, whoever else was asked for";
  const std::uint32_t there = network_of(one.process());
  one.end();
  book.forget();
  EXPECT_EQ(networks->look({own()}, book), 0U);
  EXPECT_EQ(networks->find(there), nullptr);
  EXPECT_EQ(networks->look({}, book), 0U);
  EXPECT_EQ(networks->all().size(), 1U);
}

TEST_F(NetworksOfAHost, CountTheOneThatMayNotBeEntered) {
  if (getuid() != 0) GTEST_SKIP() << "SKIPPED, NOT TESTED: only root can give its capabilities away";
  const Child one = in_another_network();
  ASSERT_EQ(one.says(), "there");
  // As another user of whom nobody may be looked into, by the number of the network that a friend has told.
  const Child stranger([&one] {
    Processes book;
    book.of(one.process());
    if (setgid(65534) != 0 || setuid(65534) != 0) return std::string("cannot");
    auto networks = Networks::open();
    if (!networks) return std::string("no netlink");
    return std::to_string(networks->look({one.process()}, book)) + " closed, " +
           std::to_string(networks->all().size()) + " open";
  });
  EXPECT_EQ(stranger.says(), "1 closed, 1 open");
}

// --- the whole plane

class PlaneOfManyNetworks : public NetworksOfAHost {
 protected:
  void SetUp() override {
    NetworksOfAHost::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto opened = Plane::open(table.writer);
    ASSERT_TRUE(opened);
    plane.emplace(std::move(*opened));
  }
  void sweep() { ASSERT_TRUE(plane->sweep(monotonic_now(), table.view)); }
  // Its connections, by the network that stands beside them.
  std::vector<plane::Record> connections_in(std::uint32_t network) const {
    std::vector<plane::Record> found;
    for (std::uint32_t slot = 0; slot < table.reader.slots_used(); ++slot)
      if (const plane::Record record = table.read(slot); !record.has_ended() && record.beside.network == network)
        found.push_back(record);
    return found;
  }

  Table table{1U << 14};  // whatever else this host has
  std::optional<Plane> plane;
};

TEST_F(PlaneOfManyNetworks, ShowsTheConnectionsOfAllUntilTheirNetworkIsNoMore) {
  const test::Fd listener = listens(kLoopback4);
  const Pair here = connected(listener, kLoopback4);
  Child there = in_another_network([] {
    static const test::Fd its_listener = listens(kLoopback4);
    static const Pair pair = connected(its_listener, kLoopback4);
    return std::to_string(pair.client_name.port);
  });
  const std::uint32_t network = network_of(there.process());

  sweep();
  EXPECT_TRUE(connections_in(network).empty()) << "before the first look only the own one is known";
  plane->look(monotonic_now());
  EXPECT_GE(plane->sight().networks, 2U);
  sweep();
  const auto found = connections_in(network);
  ASSERT_EQ(found.size(), 2U);
  for (const plane::Record& record : found) {
    EXPECT_EQ(record.state, State::Established);
    EXPECT_EQ(record.beside.process, there.process());
    EXPECT_TRUE(std::to_string(record.local.port) == there.says() ||
                std::to_string(record.remote.port) == there.says());
  }
  EXPECT_EQ(connections_in(network_of(own())).size(), 2U);

  there.end();
  EXPECT_TRUE(test::eventually([&] {
    plane->look(monotonic_now());
    sweep();
    return connections_in(network).empty();
  }));
  EXPECT_EQ(connections_in(network_of(own())).size(), 2U);
}

TEST_F(PlaneOfManyNetworks, KeepsTwoConnectionsOfTheSameAddressesApart) {
  const test::Fd listener = listens(kLoopback4);
  const Pair here = connected(listener, kLoopback4);
  const Child there = in_another_network([&here] {
    const test::Fd its_listener(socket(AF_INET, SOCK_STREAM, 0));
    test::SocketName name = test::to_name(here.server_name);
    if (bind(its_listener.get(), name.raw(), name.length) != 0 || listen(its_listener.get(), 8) != 0)
      return std::string("cannot listen");
    static test::Fd client;
    client = test::Fd(socket(AF_INET, SOCK_STREAM, 0));
    test::SocketName from = test::to_name(here.client_name);
    if (bind(client.get(), from.raw(), from.length) != 0 || connect(client.get(), name.raw(), name.length) != 0)
      return std::string("cannot connect");
    static test::Fd server;
    server = test::accepts(its_listener);
    return std::string("connected");
  });
  ASSERT_EQ(there.says(), "connected");
  plane->look(monotonic_now());
  sweep();
  for (const auto& [network, process] :
       {std::pair(network_of(own()), own()), std::pair(network_of(there.process()), there.process())}) {
    const auto found = connections_in(network);
    ASSERT_EQ(found.size(), 2U);
    for (const plane::Record& record : found) EXPECT_EQ(record.beside.process, process);
  }
}

}  // namespace
}  // namespace adieu::kernel
