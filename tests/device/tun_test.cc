// A TUN device in a network namespace of its own, the kernel's TCP on the other side.
#include "device/tun.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "base/limits.h"
#include "device/interface.h"
#include "wire/tcp.h"

namespace adieu::device {
namespace {

using Octets = std::vector<std::uint8_t>;

const Address kKernel4 = Address::v4(192, 0, 2, 1);
const Address kOurs4 = Address::v4(192, 0, 2, 2);
const Address kKernel6{{0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
const Address kOurs6{{0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
constexpr std::uint16_t kPort = 7777;

constexpr int kNotPermitted = 77;

// Runs `story` in a child process with a network namespace of its own; its failures are printed there and counted here.
void in_namespace(const std::function<void()>& story) {
  std::cout.flush();
  int reason[2];
  ASSERT_EQ(::pipe(reason), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
      const int code = errno;
      [[maybe_unused]] const auto written = ::write(reason[1], &code, sizeof(code));
      ::_exit(kNotPermitted);
    }
    ::alarm(20);  // a story that hangs ends
    story();
    std::cout.flush();
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ::close(reason[1]);
  int code = 0;
  const auto length = ::read(reason[0], &code, sizeof(code));
  ::close(reason[0]);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotPermitted) {
    std::cerr << "SKIPPED, NOT TESTED: no network namespace is permitted here: "
              << (length > 0 ? std::strerror(code) : "?") << "\n";
    GTEST_SKIP() << "no network namespace is permitted here";
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

std::string text(const Error& error) {
  return std::string(error.what) + ": " + std::strerror(error.code) + "; " + error.advice;
}

Tun open_configured(TunOptions options = {}) {
  auto tun = Tun::open("adieu%d", options);
  if (!tun) {
    std::cerr << text(tun.error()) << "\n";
    ADD_FAILURE() << text(tun.error());
    ::_exit(1);
  }
  for (const auto& done : {set_mtu(tun->name(), 1400), set_queue_length(tun->name(), 2000), bring_up(tun->name()),
                           set_address(tun->name(), kKernel4, 24), set_address(tun->name(), kKernel6, 64)})
    EXPECT_TRUE(done.has_value()) << text(done.error());
  return std::move(*tun);
}

sockaddr_storage socket_address(const Address& address, std::uint16_t port, socklen_t& length) {
  sockaddr_storage storage{};
  if (address.family() == Family::V4) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, address.octets.data() + 12, 4);
    length = sizeof(v4);
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.octets.data(), 16);
    length = sizeof(v6);
  }
  return storage;
}

// The end of a TCP connection that a test plays by hand against the kernel, over a TUN.
struct Peer {
  Tun& tun;
  Address kernel;
  Address ours;
  Octets buffer = Octets(limits::kPacketBytes);
  Offload offload{};  // of the last packet received
  std::size_t packet_bytes = 0;
  std::uint16_t kernel_port = 0;
  Seq snd_nxt{1000};
  Seq rcv_nxt{};

  // The next TCP segment for us; other packets (router solicitations, say) are passed over.
  std::optional<wire::Segment> receives() {
    for (;;) {
      pollfd ready{tun.descriptor(), POLLIN, 0};
      if (::poll(&ready, 1, 5000) != 1) return std::nullopt;
      const auto received = tun.receive(buffer);
      if (!received || !received->has_value()) continue;
      packet_bytes = (*received)->length;
      offload = (*received)->offload;
      const auto packet = wire::parse_ip(Bytes(buffer).first(packet_bytes));
      if (!packet || packet->protocol != wire::kProtocolTcp || packet->destination != ours) continue;
      EXPECT_EQ(packet->source, kernel);
      const auto segment = wire::parse_tcp(*packet, offload);
      EXPECT_TRUE(segment.has_value());
      return segment ? std::optional(*segment) : std::nullopt;
    }
  }
  void sends(wire::Segment segment, std::uint16_t segment_size = 0) {
    segment.source_port = kPort;
    segment.destination_port = kernel_port;
    segment.seq = snd_nxt;
    segment.ack = rcv_nxt;
    segment.ack_flag = true;
    segment.window = 65535;
    snd_nxt += segment.length();
    const std::size_t ip = wire::ip_header_bytes(ours.family());
    const std::size_t tcp = wire::tcp_header_bytes(segment);
    Octets packet(ip + tcp + segment.payload.size());
    wire::write_ip({ours, kernel}, tcp + segment.payload.size(), packet);
    const bool is_partial = tun.granted().vnet_header;
    wire::write_tcp(segment, ours, kernel, is_partial, MutableBytes(packet).subspan(ip));
    Offload with;
    if (is_partial) {
      with.checksum_partial = true;
      with.checksum_start = static_cast<std::uint16_t>(ip);
      with.checksum_offset = 16;
      with.segment_size = segment_size;
      with.header_bytes = static_cast<std::uint16_t>(ip + tcp);
    }
    const auto sent = tun.send(packet, with);
    ASSERT_TRUE(sent.has_value()) << text(sent.error());
    EXPECT_TRUE(*sent);
  }
};

// The kernel connects to us; returns its socket, connected.
int kernel_connects(Peer& peer) {
  socklen_t length = 0;
  const auto address = socket_address(peer.ours, kPort, length);
  const int socket = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  EXPECT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&address), length), -1);
  EXPECT_EQ(errno, EINPROGRESS);
  const auto syn = peer.receives();
  if (!syn) {
    ADD_FAILURE() << "the kernel sent no SYN";
    return socket;
  }
  EXPECT_TRUE(syn->syn);
  EXPECT_FALSE(syn->ack_flag);
  EXPECT_EQ(syn->destination_port, kPort);
  // MTU 1400 less the headers: the interface is set up as we said.
  EXPECT_EQ(syn->mss, peer.ours.family() == Family::V4 ? 1360 : 1340);
  peer.kernel_port = syn->source_port;
  peer.rcv_nxt = syn->end();
  wire::Segment syn_ack;
  syn_ack.syn = true;
  syn_ack.mss = 1340;
  peer.sends(syn_ack);
  const auto ack = peer.receives();
  EXPECT_TRUE(ack && ack->ack_flag && !ack->syn && ack->ack == peer.snd_nxt);
  ::fcntl(socket, F_SETFL, 0);
  return socket;
}

void exchange_bulk(TunOptions options, const Address& kernel, const Address& ours) {
  Tun tun = open_configured(options);
  if (options.vnet_header) {
    EXPECT_TRUE(tun.granted().checksum);
    EXPECT_TRUE(tun.granted().tso_v4);
    EXPECT_TRUE(tun.granted().tso_v6);
  }
  Peer peer{tun, kernel, ours};
  const int socket = kernel_connects(peer);

  // From the kernel: 60,000 octets. With the virtio header they come in segments larger than the MTU.
  Octets sent(60'000);
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  ASSERT_EQ(::send(socket, sent.data(), sent.size(), 0), static_cast<ssize_t>(sent.size()));
  Octets got;
  std::size_t largest = 0;
  while (got.size() < sent.size()) {
    const auto segment = peer.receives();
    ASSERT_TRUE(segment.has_value());
    if (segment->seq != peer.rcv_nxt) continue;
    if (options.vnet_header) {
      EXPECT_TRUE(peer.offload.checksum_valid);
    }
    if (peer.offload.segment_size > 0) {
      EXPECT_EQ(peer.offload.header_bytes, peer.packet_bytes - segment->payload.size());
      EXPECT_GT(segment->payload.size(), peer.offload.segment_size);
      EXPECT_LE(peer.offload.segment_size, 1340);
    } else {
      EXPECT_LE(peer.packet_bytes, 1400U);
    }
    largest = std::max(largest, segment->payload.size());
    got.insert(got.end(), segment->payload.begin(), segment->payload.end());
    peer.rcv_nxt = segment->end();
    peer.sends({});
  }
  EXPECT_EQ(got, sent);
  EXPECT_EQ(largest > 1400, options.vnet_header);

  // To the kernel: with the virtio header in one packet of 30,000 octets, segmented and summed by the kernel.
  const std::size_t piece = options.vnet_header ? 30'000 : 1000;
  Octets back(30'000);
  for (std::size_t at = 0; at < back.size(); at += piece) {
    wire::Segment segment;
    segment.psh = true;
    segment.payload = Bytes(sent).subspan(at, piece);
    peer.sends(segment, options.vnet_header ? 1340 : 0);
  }
  ASSERT_EQ(::recv(socket, back.data(), back.size(), MSG_WAITALL), static_cast<ssize_t>(back.size()));
  EXPECT_TRUE(std::equal(back.begin(), back.end(), sent.begin()));
  ::close(socket);
}

TEST(Tun, CarriesTcpOverIpV4BothWaysWithOffloads) {
  in_namespace([] { exchange_bulk({}, kKernel4, kOurs4); });
}
TEST(Tun, CarriesTcpOverIpV6BothWaysWithOffloads) {
  in_namespace([] { exchange_bulk({}, kKernel6, kOurs6); });
}
TEST(Tun, CarriesTcpOverIpV4WithoutAVirtioHeader) {
  TunOptions plain;
  plain.vnet_header = false;
  in_namespace([plain] { exchange_bulk(plain, kKernel4, kOurs4); });
}
TEST(Tun, CarriesTcpOverIpV6WithoutAVirtioHeader) {
  TunOptions plain;
  plain.vnet_header = false;
  in_namespace([plain] { exchange_bulk(plain, kKernel6, kOurs6); });
}

TEST(Tun, SaysThereIsNothingNowInsteadOfWaiting) {
  in_namespace([] {
    auto tun = Tun::open("adieu0");
    ASSERT_TRUE(tun.has_value());
    Octets buffer(limits::kPacketBytes);
    const auto received = tun->receive(buffer);
    ASSERT_TRUE(received.has_value()) << text(received.error());
    EXPECT_FALSE(received->has_value());
  });
}

TEST(Tun, AnAdoptedDescriptorIsTheSameInterfaceWithTheSameHeader) {
  in_namespace([] {
    for (const bool vnet_header : {true, false}) {
      TunOptions options;
      options.vnet_header = vnet_header;
      auto first = Tun::open("adieu%d", options);
      ASSERT_TRUE(first.has_value());
      auto second = Tun::adopt(::dup(first->descriptor()));
      ASSERT_TRUE(second.has_value()) << text(second.error());
      EXPECT_EQ(second->name(), first->name());
      EXPECT_EQ(second->granted().vnet_header, vnet_header);
      EXPECT_EQ(second->granted().tso_v6, first->granted().tso_v6);
    }
  });
}

TEST(Tun, AdoptsNothingButATun) {
  const auto adopted = Tun::adopt(::open("/dev/null", O_RDWR));
  ASSERT_FALSE(adopted.has_value());
  EXPECT_NE(std::string(adopted.error().advice), "");
}

TEST(Tun, ANameInUseIsAClearError) {
  in_namespace([] {
    const auto first = Tun::open("adieu0");
    ASSERT_TRUE(first.has_value());
    const auto second = Tun::open("adieu0");
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, EBUSY);
    EXPECT_NE(text(second.error()).find("another name"), std::string::npos);
    const auto loopback = Tun::open("lo");
    ASSERT_FALSE(loopback.has_value());
    EXPECT_EQ(loopback.error().code, EINVAL);
    EXPECT_NE(text(loopback.error()).find("another name"), std::string::npos);
  });
}

TEST(Tun, ANameHasFifteenCharactersAtMost) {
  in_namespace([] { EXPECT_TRUE(Tun::open("fifteen-letters").has_value()); });
  const auto tun = Tun::open("sixteen-letters!");
  ASSERT_FALSE(tun.has_value());
  EXPECT_EQ(tun.error().code, ENAMETOOLONG);
}

TEST(Tun, WithoutPrivilegeTheErrorSaysWhatIsNeeded) {
  in_namespace([] {
    if (::geteuid() == 0) {
      ASSERT_EQ(::setuid(65534), 0);  // and all capabilities with it
    }
    const auto tun = Tun::open("adieu0");
    if (tun) {
      ADD_FAILURE() << "an unprivileged process created an interface";
      return;
    }
    EXPECT_TRUE(tun.error().code == EPERM || tun.error().code == EACCES) << text(tun.error());
    EXPECT_TRUE(text(tun.error()).find("CAP_NET_ADMIN") != std::string::npos ||
                text(tun.error()).find("run as root") != std::string::npos)
        << text(tun.error());
  });
}

TEST(Tun, SendingWhileTheInterfaceIsDownSaysSo) {
  in_namespace([] {
    auto tun = Tun::open("adieu0");
    ASSERT_TRUE(tun.has_value());
    Octets packet(20);
    wire::write_ip({kOurs4, kKernel4, 17}, 0, packet);
    const auto sent = tun->send(packet, {});
    ASSERT_FALSE(sent.has_value());
    EXPECT_EQ(sent.error().code, EIO);
    EXPECT_NE(text(sent.error()).find("bring it up"), std::string::npos);
    ASSERT_TRUE(bring_up("adieu0").has_value());
    EXPECT_TRUE(tun->send(packet, {}).value_or(false));
  });
}

TEST(Interface, TheKernelHasTheAddressesThatWeSet) {
  in_namespace([] {
    Tun tun = open_configured();
    EXPECT_TRUE(set_address(tun.name(), kKernel6, 64).has_value()) << "twice is no error";
    ifaddrs* list = nullptr;
    ASSERT_EQ(::getifaddrs(&list), 0);
    int found = 0;
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
      if (entry->ifa_name != tun.name() || entry->ifa_addr == nullptr) continue;
      EXPECT_NE(entry->ifa_flags & IFF_UP, 0U);
      char address[INET6_ADDRSTRLEN] = "";
      char mask[INET6_ADDRSTRLEN] = "";
      if (entry->ifa_addr->sa_family == AF_INET) {
        ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(entry->ifa_addr)->sin_addr, address, sizeof(address));
        ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(entry->ifa_netmask)->sin_addr, mask, sizeof(mask));
      } else if (entry->ifa_addr->sa_family == AF_INET6) {
        ::inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6*>(entry->ifa_addr)->sin6_addr, address, sizeof(address));
        ::inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6*>(entry->ifa_netmask)->sin6_addr, mask, sizeof(mask));
      }
      const std::string both = std::string(address) + "/" + mask;
      found += both == "192.0.2.1/255.255.255.0" || both == "fd00:9::1/ffff:ffff:ffff:ffff::" ? 1 : 0;
    }
    ::freeifaddrs(list);
    EXPECT_EQ(found, 2);
    ifreq request{};
    tun.name().copy(request.ifr_name, sizeof(request.ifr_name) - 1);
    const int socket = ::socket(AF_INET, SOCK_DGRAM, 0);
    ASSERT_EQ(::ioctl(socket, SIOCGIFTXQLEN, &request), 0);
    EXPECT_EQ(request.ifr_qlen, 2000);
    ::close(socket);
  });
}

TEST(Interface, WhatCannotBeIsAClearError) {
  in_namespace([] {
    const auto tun = Tun::open("adieu0");
    ASSERT_TRUE(tun.has_value());
    for (const auto& done : {bring_up("nothing0"), set_mtu("nothing0", 1400), set_queue_length("nothing0", 5),
                             set_address("nothing0", kKernel4, 24), set_address("nothing0", kKernel6, 64)}) {
      ASSERT_FALSE(done.has_value());
      EXPECT_EQ(done.error().code, ENODEV);
      EXPECT_NE(text(done.error()).find("no such interface"), std::string::npos);
    }
    EXPECT_EQ(set_address("adieu0", kKernel4, 33).error().code, EINVAL);
    EXPECT_EQ(set_address("adieu0", kKernel6, 129).error().code, EINVAL);
    EXPECT_EQ(set_mtu("adieu0", 20).error().code, EINVAL);
    EXPECT_EQ(bring_up("sixteen-letters!").error().code, ENAMETOOLONG);
  });
}

}  // namespace
}  // namespace adieu::device
