// The kernel's answers, written by hand: what it says, what it leaves out, and what is no answer at all.
#include "kernel/reply.h"

#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/bpf.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace adieu::kernel {
namespace {

constexpr Asked kAsked{.number = 9, .port = 77};
constexpr Instant kAnsweredAt{seconds(5).ns};

inet_diag_msg a_socket() {
  inet_diag_msg said{};
  said.idiag_family = AF_INET;
  said.idiag_state = BPF_TCP_ESTABLISHED;
  said.id.idiag_sport = __builtin_bswap16(80);
  said.id.idiag_dport = __builtin_bswap16(4000);
  const std::uint8_t local[] = {10, 0, 0, 1};
  const std::uint8_t remote[] = {10, 0, 0, 2};
  std::memcpy(said.id.idiag_src, local, 4);
  std::memcpy(said.id.idiag_dst, remote, 4);
  said.id.idiag_cookie[0] = 5;
  said.id.idiag_cookie[1] = 1;
  return said;
}

// A batch of messages as the kernel would send it.
class Batch {
 public:
  Batch() : octets_(8192), end_(octets_.data()) {}
  nlmsghdr* add(std::uint16_t type, std::uint16_t flags = 0) {
    last_ = mnl_nlmsg_put_header(end_);
    last_->nlmsg_type = type;
    last_->nlmsg_flags = flags;
    last_->nlmsg_seq = kAsked.number;
    last_->nlmsg_pid = kAsked.port;
    return close();
  }
  Batch& socket(const inet_diag_msg& said, std::uint16_t flags = 0) {
    add(SOCK_DIAG_BY_FAMILY, flags);
    std::memcpy(mnl_nlmsg_put_extra_header(last_, sizeof said), &said, sizeof said);
    close();
    return *this;
  }
  Batch& attribute(std::uint16_t type, const void* value, std::size_t length) {
    mnl_attr_put(last_, type, length, value);
    close();
    return *this;
  }
  Batch& refusal(int error) {
    add(NLMSG_ERROR);
    const nlmsgerr said{.error = error, .msg = {}};
    std::memcpy(mnl_nlmsg_put_extra_header(last_, sizeof said), &said, sizeof said);
    close();
    return *this;
  }
  Batch& done(int error = 0) {
    add(NLMSG_DONE);
    std::memcpy(mnl_nlmsg_put_extra_header(last_, sizeof error), &error, sizeof error);
    close();
    return *this;
  }
  nlmsghdr* last() { return last_; }
  Replies read(std::vector<Socket>& sockets, std::size_t cut = 0) const {
    const Visit keep = [](void* to, const Socket& socket) { static_cast<std::vector<Socket>*>(to)->push_back(socket); };
    const auto length = static_cast<std::size_t>(end_ - octets_.data());
    return read_replies({octets_.data(), length - cut}, kAsked, kAnsweredAt, keep, &sockets);
  }

 private:
  nlmsghdr* close() {
    void* at = mnl_nlmsg_get_payload_tail(last_);
    end_ = static_cast<std::uint8_t*>(at);
    return last_;
  }
  std::vector<std::uint8_t> octets_;
  std::uint8_t* end_;
  nlmsghdr* last_ = nullptr;
};

TEST(Reply, ReadsTheNameOfASocket) {
  std::vector<Socket> sockets;
  const Replies replies = Batch().socket(a_socket()).done().read(sockets);
  EXPECT_TRUE(replies.done);
  EXPECT_EQ(replies.error, 0);
  EXPECT_FALSE(replies.interrupted || replies.malformed);
  ASSERT_EQ(sockets.size(), 1U);
  EXPECT_EQ(sockets[0].key.cookie, (std::uint64_t{1} << 32) + 5);
  EXPECT_EQ(sockets[0].key.local, (Endpoint{.address = Address::v4(10, 0, 0, 1), .port = 80}));
  EXPECT_EQ(sockets[0].key.remote, (Endpoint{.address = Address::v4(10, 0, 0, 2), .port = 4000}));
  EXPECT_EQ(sockets[0].read_at, kAnsweredAt);
  EXPECT_FALSE(sockets[0].is_whole);
}

TEST(Reply, ReadsAShorterTcpInfoOfAnOlderKernel) {
  tcp_info info{};
  info.tcpi_last_ack_recv = 12;
  info.tcpi_snd_wnd = 1;
  const std::size_t before = offsetof(tcp_info, tcpi_snd_wnd);
  std::vector<Socket> sockets;
  Batch batch;
  batch.socket(a_socket()).attribute(INET_DIAG_INFO, &info, before);
  batch.socket(a_socket()).attribute(INET_DIAG_INFO, &info, before + sizeof info.tcpi_snd_wnd);
  batch.done().read(sockets);
  ASSERT_EQ(sockets.size(), 2U);
  EXPECT_TRUE(sockets[0].is_whole);
  EXPECT_EQ(sockets[0].since_ack, milliseconds(12));
  EXPECT_FALSE(sockets[0].peer_window_known);
  EXPECT_TRUE(sockets[1].peer_window_known);
}

TEST(Reply, ReadsALongerTcpInfoOfAYoungerKernel) {
  std::vector<std::uint8_t> info(sizeof(tcp_info) + 64, 0xff);
  std::vector<Socket> sockets;
  Batch().socket(a_socket()).attribute(INET_DIAG_INFO, info.data(), info.size()).done().read(sockets);
  ASSERT_EQ(sockets.size(), 1U);
  EXPECT_EQ(sockets[0].peer_window, UINT32_MAX);
}

TEST(Reply, ReadsTheShutdownMask) {
  std::vector<Socket> sockets;
  Batch batch;
  for (const std::uint8_t mask : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{2}})
    batch.socket(a_socket()).attribute(INET_DIAG_SHUTDOWN, &mask, 1);
  batch.done().read(sockets);
  ASSERT_EQ(sockets.size(), 3U);
  EXPECT_FALSE(sockets[0].receive_shut || sockets[0].send_shut);
  EXPECT_TRUE(sockets[1].receive_shut && !sockets[1].send_shut);
  EXPECT_TRUE(!sockets[2].receive_shut && sockets[2].send_shut);
}

TEST(Reply, TakesATimerThatItDoesNotKnowForOther) {
  std::vector<Socket> sockets;
  inet_diag_msg known = a_socket();
  known.idiag_timer = 4;
  inet_diag_msg unknown = a_socket();
  unknown.idiag_timer = 5;
  Batch().socket(known).socket(unknown).done().read(sockets);
  ASSERT_EQ(sockets.size(), 2U);
  EXPECT_EQ(sockets[0].timer, Timer::Persist);
  EXPECT_EQ(sockets[1].timer, Timer::Other);
}

TEST(Reply, CallsAConnectionRequestSynReceived) {
  std::vector<Socket> sockets;
  inet_diag_msg request = a_socket();
  request.idiag_state = BPF_TCP_NEW_SYN_RECV;
  Batch().socket(request).done().read(sockets);
  ASSERT_EQ(sockets.size(), 1U);
  EXPECT_EQ(sockets[0].state, State::SynReceived);
}

TEST(Reply, LeavesListenersAndOtherFamiliesOut) {
  std::vector<Socket> sockets;
  inet_diag_msg listener = a_socket();
  listener.idiag_state = BPF_TCP_LISTEN;
  inet_diag_msg other = a_socket();
  other.idiag_family = AF_UNIX;
  const Replies replies = Batch().socket(listener).socket(other).socket(a_socket()).done().read(sockets);
  EXPECT_EQ(replies.strangers, 2U);
  EXPECT_EQ(sockets.size(), 1U);
}

TEST(Reply, NoticesAnInterruptedDumpAndReadsItToItsEnd) {
  std::vector<Socket> sockets;
  const Replies replies = Batch().socket(a_socket(), NLM_F_DUMP_INTR).socket(a_socket()).done().read(sockets);
  EXPECT_TRUE(replies.interrupted);
  EXPECT_TRUE(replies.done);
  EXPECT_EQ(sockets.size(), 2U);
}

TEST(Reply, PassesOverAnswersToOtherQuestions) {
  std::vector<Socket> sockets;
  Batch batch;
  batch.socket(a_socket()).last()->nlmsg_seq = kAsked.number - 1;
  batch.done().last()->nlmsg_pid = kAsked.port + 1;
  const Replies replies = batch.read(sockets);
  EXPECT_FALSE(replies.done);
  EXPECT_FALSE(replies.malformed);
  EXPECT_TRUE(sockets.empty());
}

TEST(Reply, SaysWhichErrorTheKernelAnswered) {
  std::vector<Socket> sockets;
  EXPECT_EQ(Batch().done(-ENOENT).read(sockets).error, ENOENT);
  const Replies replies = Batch().refusal(-EPERM).read(sockets);
  EXPECT_TRUE(replies.done);
  EXPECT_EQ(replies.error, EPERM);
}

TEST(Reply, NoticesAMessageThatIsCutShort) {
  std::vector<Socket> sockets;
  EXPECT_FALSE(Batch().socket(a_socket()).read(sockets).malformed);
  EXPECT_TRUE(Batch().socket(a_socket()).read(sockets, 1).malformed);
  Batch brief;
  brief.add(SOCK_DIAG_BY_FAMILY);
  EXPECT_TRUE(brief.read(sockets).malformed);
  EXPECT_EQ(sockets.size(), 1U);
}

}  // namespace
}  // namespace adieu::kernel
