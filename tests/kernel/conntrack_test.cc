// What conntrack keeps of real connections: through loopback, through a router that translates, and once it has
// forgotten them.
#include "kernel/conntrack.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <poll.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "tests/kernel/child.h"
#include "tests/kernel/namespace.h"

namespace adieu::kernel {
namespace {

using test::connected;
using test::connects;
using test::Fd;
using test::kLoopback4;
using test::kLoopback6;
using test::listens;
using test::Pair;

constexpr const char* kNoNat = "SKIPPED, NOT TESTED: this kernel translates no addresses";

bool runs(const std::string& command) { return std::system(command.c_str()) == 0; }
bool filters(const std::string& rules) { return runs("nft -f - 2>/dev/null <<'END'\n" + rules + "\nEND\n"); }

// An ordinary user is not root in a user namespace of his own: what he may do there, programs that he starts may not.
void pass_on_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  EXPECT_EQ(syscall(SYS_capget, &header, data), 0);
  for (auto& part : data) part.inheritable = part.permitted;
  EXPECT_EQ(syscall(SYS_capset, &header, data), 0);
  // The second: to look at a network by our descriptor of it.
  for (const int capability : {CAP_NET_ADMIN, CAP_SYS_PTRACE})
    EXPECT_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0), 0);
}

Tuple of_client(const Pair& pair) { return {.source = pair.client_name, .destination = pair.server_name}; }
Tuple of_server(const Pair& pair) { return reversed(of_client(pair)); }

Tracked entry_of(const Tuple& tuple) {
  const auto found = find_tracked(tuple);
  EXPECT_TRUE(found) << (found ? "" : name(found.error().kind)) << (found ? 0 : found.error().code);
  EXPECT_TRUE(found && *found) << "there is no entry";
  return found && *found ? **found : Tracked{};
}
bool is_none(const Tuple& tuple) {
  const auto found = find_tracked(tuple);
  EXPECT_TRUE(found);
  return found && !*found;
}

class Conntrack : public test::Namespace {
 protected:
  void SetUp() override {
    Namespace::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    if (getuid() != 0) pass_on_capabilities();
    // A rule that asks conntrack makes a network track.
    if (!filters("table inet watched {\n chain in {\n type filter hook input priority 0\n ct state new ct mark set 7\n "
                 "}\n}") ||
        access("/proc/sys/net/netfilter/nf_conntrack_count", R_OK) != 0)
      GTEST_SKIP() << "SKIPPED, NOT TESTED: no conntrack in this kernel, or no nft(8)";
  }
  static void set(const char* setting, std::string_view value) {
    set_sysctl((std::string("/proc/sys/net/netfilter/nf_conntrack_") + setting).c_str(), value);
  }
};
class NoConntrack : public test::Namespace {};

TEST_F(NoConntrack, KeepsNothingWhereNoRuleAsksIt) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const auto found = find_tracked(of_client(pair));
  if (found)
    EXPECT_FALSE(*found);
  else
    EXPECT_EQ(found.error().kind, ErrorKind::NotSupported);
}

TEST_F(Conntrack, KnowsAConnectionByEitherOfItsEnds) {
  for (const Address& address : {kLoopback4, kLoopback6}) {
    const Fd listener = listens(address);
    const Pair pair = connected(listener, address);
    test::sends(pair.client, "hello");
    for (const Tuple& tuple : {of_client(pair), of_server(pair)}) {
      const Tracked entry = entry_of(tuple);
      EXPECT_EQ(entry.original, of_client(pair)) << "whoever connected comes first";
      EXPECT_EQ(entry.reply, of_server(pair));
      EXPECT_EQ(entry.beyond(tuple), tuple);
      EXPECT_FALSE(entry.is_translated());
      EXPECT_EQ(entry.state, TrackedState::Established);
      EXPECT_TRUE(entry.seen_reply);
      EXPECT_TRUE(entry.assured);
      EXPECT_FALSE(entry.fixed);
      EXPECT_EQ(entry.mark, 7U);
    }
  }
}

TEST_F(Conntrack, HasNoEntryOfAnyOtherAddresses) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  entry_of(of_client(pair));
  Tuple other = of_client(pair);
  ++other.source.port;
  EXPECT_TRUE(is_none(other));
  other = of_client(pair);
  other.destination.address = kLoopback6;
  other.source.address = kLoopback6;
  EXPECT_TRUE(is_none(other));
}

TEST_F(Conntrack, GivesAHalfClosedConnectionTheTimeThatThisNetworkIsSetTo) {
  set("tcp_timeout_close_wait", "17");
  set("tcp_loose", "0");
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  EXPECT_FALSE(entry_of(of_client(pair)).picks_up);
  set("tcp_loose", "1");
  shutdown(pair.client.get(), SHUT_WR);
  ASSERT_TRUE(test::eventually([&] { return entry_of(of_client(pair)).state == TrackedState::CloseWait; }));
  const Tracked entry = entry_of(of_client(pair));
  EXPECT_EQ(name(entry.state), "CLOSE_WAIT");
  EXPECT_EQ(entry.renewed_to, seconds(17));
  EXPECT_LE(entry.expires, seconds(17));
  EXPECT_GT(entry.expires, seconds(0));
  EXPECT_TRUE(entry.picks_up);
}

TEST_F(Conntrack, CountsWhatPassesWhereItIsToldTo) {
  const Fd listener = listens(kLoopback4);
  const Pair uncounted = connected(listener, kLoopback4);
  set("acct", "1");
  const Pair pair = connected(listener, kLoopback4);
  test::sends(pair.client, std::string(1000, 'x'));
  EXPECT_EQ(test::receives(pair.server).size(), 1000U);
  const Tracked entry = entry_of(of_client(pair));
  ASSERT_TRUE(entry.sent && entry.answered);
  EXPECT_GE(entry.sent->packets, 3U);
  EXPECT_GT(entry.sent->octets, 1000U);
  EXPECT_LT(entry.answered->octets, 1000U);
  EXPECT_EQ(entry_of(of_client(uncounted)).sent, std::nullopt);
}

TEST_F(Conntrack, LeadsFromOneEndToTheOtherThroughAServiceAddress) {
  const Fd listener = listens(kLoopback4);
  const Endpoint server{.address = kLoopback4, .port = test::local_of(listener).port};
  const Endpoint service{.address = Address::v4(127, 9, 9, 9), .port = 80};
  if (!filters(
          "table ip nat {\n chain out {\n type nat hook output priority -100\n ip daddr 127.9.9.9 tcp dport 80 dnat to "
          "127.0.0.1:" +
          std::to_string(server.port) + "\n }\n}"))
    GTEST_SKIP() << kNoNat;
  const Fd client = connects(service);
  const Endpoint name = test::local_of(client);
  const Tuple here{.source = name, .destination = service}, there{.source = server, .destination = name};
  for (const Tuple& tuple : {here, there}) {
    const Tracked entry = entry_of(tuple);
    EXPECT_EQ(entry.original, here);
    EXPECT_EQ(entry.reply, there);
    EXPECT_TRUE(entry.is_destination_translated());
    EXPECT_FALSE(entry.is_source_translated());
  }
  EXPECT_EQ(entry_of(here).beyond(here), reversed(there)) << "as the server has it";
  EXPECT_EQ(entry_of(here).beyond(there), reversed(here)) << "as the client has it";
  EXPECT_TRUE(is_none(reversed(there))) << "no packet comes to this host with these addresses";
}

TEST_F(Conntrack, IsNotForEverybodyToAskAndThatItIsEmptyIs) {
  if (getuid() != 0) GTEST_SKIP() << "SKIPPED, NOT TESTED: only root can become somebody else";
  const auto asks = [](const Tuple& tuple) {
    return test::Child([tuple] {
             if (setgid(65534) != 0 || setuid(65534) != 0) return std::string("cannot");
             const auto found = find_tracked(tuple);
             return found ? std::string(*found ? "found" : "none") : std::string(name(found.error().kind));
           })
        .says();
  };
  EXPECT_EQ(asks({.source = {.address = kLoopback4, .port = 1}, .destination = {.address = kLoopback4, .port = 2}}),
            "none");
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  EXPECT_EQ(asks(of_client(pair)), "not permitted");
}

// --- a router that translates, between two networks

// This thread is in it while `does` runs.
class Net {
 public:
  Net() {
    const Fd home(own());
    EXPECT_EQ(unshare(CLONE_NEWNET), 0) << std::strerror(errno);
    file_ = Fd(own());
    EXPECT_TRUE(runs("ip link set lo up"));
    EXPECT_EQ(setns(home.get(), CLONE_NEWNET), 0);
  }
  template <typename Does>
  auto in(Does does) const {
    const Fd home(own());
    EXPECT_EQ(setns(file_.get(), CLONE_NEWNET), 0) << std::strerror(errno);
    auto result = does();
    EXPECT_EQ(setns(home.get(), CLONE_NEWNET), 0);
    return result;
  }
  // For ip(8).
  std::string path() const { return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(file_.get()); }

 private:
  static int own() { return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC); }
  Fd file_;
};

struct Way {
  Fd client, server;
  Tuple of_client, of_server;  // each as its own host names the two ends
};

// A client, a server, and between them the network of the test.
class Router : public Conntrack {
 protected:
  void SetUp() override {
    Conntrack::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    client_net.emplace();
    server_net.emplace();
    ASSERT_TRUE(attach(*client_net, "near", "10.1.0"));
    ASSERT_TRUE(attach(*server_net, "far", "10.2.0"));
    set_sysctl("/proc/sys/net/ipv4/ip_forward", "1");
  }
  static bool attach(const Net& net, const std::string& name, const std::string& prefix) {
    return runs("ip link add " + name + " type veth peer name eth0 netns " + net.path()) &&
           runs("ip address add " + prefix + ".2/24 dev " + name) && runs("ip link set " + name + " up") && net.in([&] {
             return runs("ip address add " + prefix + ".1/24 dev eth0") && runs("ip link set eth0 up") &&
                    runs("ip route add default via " + prefix + ".2");
           });
  }
  void listen_at(std::uint16_t port) {
    listener = server_net->in([&] {
      Fd fd(socket(AF_INET, SOCK_STREAM, 0));
      test::SocketName name = test::to_name({.address = Address::v4(10, 2, 0, 1), .port = port});
      EXPECT_EQ(bind(fd.get(), name.raw(), name.length), 0);
      EXPECT_EQ(listen(fd.get(), 8), 0);
      return fd;
    });
  }
  Way connect_to(const Endpoint& service) const {
    Way way;
    way.client = client_net->in([&] { return connects(service); });
    test::SocketName peer;
    way.server = Fd(accept(listener.get(), peer.raw(), &peer.length));
    way.of_client = {.source = test::local_of(way.client), .destination = service};
    way.of_server = {.source = test::local_of(way.server), .destination = test::from_name(peer)};
    return way;
  }
  // "heard" at the other end, or how its own end learned that it was not. Nothing comes late where nothing is expected.
  static std::string speaks(const Fd& from, const Fd& to, bool is_expected) {
    test::sends(from, "x");
    pollfd ends[] = {{.fd = from.get(), .events = POLLIN, .revents = 0},
                     {.fd = to.get(), .events = POLLIN, .revents = 0}};
    if (poll(ends, 2, is_expected ? 3000 : 500) <= 0) return "nothing";
    if (ends[1].revents != 0) return test::receives(to) == "x" ? "heard" : "ended";
    char octet = 0;
    return recv(from.get(), &octet, 1, 0) < 0 && errno == ECONNRESET ? "reset" : "other";
  }
  // The two of each pair, once the router has forgotten, and either speaks first.
  void see_what_is_forgotten(const Endpoint& service, const std::string& from_client, const std::string& from_server) {
    const Way one = connect_to(service), other = connect_to(service);
    for (const Way* way : {&one, &other})
      ASSERT_TRUE(test::eventually([&] { return is_none(way->of_client) && is_none(way->of_server); }));
    EXPECT_EQ(speaks(one.client, one.server, from_client != "nothing"), from_client);
    EXPECT_EQ(speaks(other.server, other.client, from_server != "nothing"), from_server);
  }

  std::optional<Net> client_net, server_net;
  Fd listener{-1};
};

constexpr const char* kMasquerade =
    "table ip nat {\n chain post {\n type nat hook postrouting priority 100\n oifname \"far\" masquerade\n }\n}";
constexpr const char* kForwardPort =
    "table ip nat {\n chain pre {\n type nat hook prerouting priority -100\n iifname \"near\" tcp dport 80 dnat to "
    "10.2.0.1:8080\n }\n}";

TEST_F(Router, KnowsAConnectionByTheNamesThatEachEndHasForIt) {
  if (!filters(kMasquerade)) GTEST_SKIP() << kNoNat;
  listen_at(80);
  const Way way = connect_to({.address = Address::v4(10, 2, 0, 1), .port = 80});
  ASSERT_EQ(way.of_server.destination.address, Address::v4(10, 2, 0, 2)) << "the router's";
  for (const Tuple& tuple : {way.of_client, way.of_server}) {
    const Tracked entry = entry_of(tuple);
    EXPECT_EQ(entry.original, way.of_client);
    EXPECT_EQ(entry.reply, way.of_server);
    EXPECT_TRUE(entry.is_source_translated());
    EXPECT_FALSE(entry.is_destination_translated());
    EXPECT_EQ(entry.beyond(tuple), reversed(tuple == way.of_client ? way.of_server : way.of_client));
  }
  EXPECT_TRUE(client_net->in([&] {
    const auto found = find_tracked(way.of_client);
    return found && !*found;
  })) << "it is the router that keeps it";
}

TEST_F(Router, OnceItHasForgottenTranslatesOnlyForWhoConnectedAndTheOtherIsReset) {
  if (!filters(kMasquerade)) GTEST_SKIP() << kNoNat;
  for (const char* timer : {"established", "unacknowledged"}) set((std::string("tcp_timeout_") + timer).c_str(), "1");
  listen_at(80);
  const Endpoint server{.address = Address::v4(10, 2, 0, 1), .port = 80};
  see_what_is_forgotten(server, "heard", "reset");
  set("tcp_loose", "0");
  see_what_is_forgotten(server, "reset", "reset");
}

TEST_F(Router, ForgetsAForwardedPortLikewise) {
  if (!filters(kForwardPort)) GTEST_SKIP() << kNoNat;
  for (const char* timer : {"established", "unacknowledged"}) set((std::string("tcp_timeout_") + timer).c_str(), "1");
  listen_at(8080);
  const Endpoint service{.address = Address::v4(10, 1, 0, 2), .port = 80};
  see_what_is_forgotten(service, "heard", "reset");
  set("tcp_loose", "0");
  see_what_is_forgotten(service, "reset", "reset");
}

TEST_F(Router, WithoutTranslationPicksAConnectionUpAgainInItsMiddleWhoeverSpeaks) {
  ASSERT_TRUE(filters(
      "table ip wall {\n chain forward {\n type filter hook forward priority 0\n ct state invalid drop\n }\n}"));
  for (const char* timer : {"established", "unacknowledged"}) set((std::string("tcp_timeout_") + timer).c_str(), "1");
  listen_at(80);
  const Endpoint server{.address = Address::v4(10, 2, 0, 1), .port = 80};
  see_what_is_forgotten(server, "heard", "heard");
  set("tcp_loose", "0");
  see_what_is_forgotten(server, "nothing", "nothing");
}

}  // namespace
}  // namespace adieu::kernel
