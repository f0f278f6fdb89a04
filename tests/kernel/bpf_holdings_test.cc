// Who holds which TCP socket, by the iterator, on real sockets of real processes. Needs BPF.
#include "kernel/bpf_holdings.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "kernel/sock_diag.h"
#include "tests/kernel/bpf.h"
#include "tests/kernel/namespace.h"

namespace adieu::kernel {
namespace {

using namespace test;

std::uint32_t inode_of(int fd) {
  struct stat facts{};
  EXPECT_EQ(fstat(fd, &facts), 0) << std::strerror(errno);
  return static_cast<std::uint32_t>(facts.st_ino);
}

std::vector<Holding> holdings_of(BpfHoldings& holdings, std::uint32_t inode) {
  struct Asked {
    std::uint32_t inode;
    std::vector<Holding> found;
  } asked{.inode = inode, .found = {}};
  const auto each = holdings.each(
      [](void* context, const Holding& holding) {
        auto* wanted = static_cast<Asked*>(context);
        if (holding.inode == wanted->inode) wanted->found.push_back(holding);
      },
      &asked);
  EXPECT_TRUE(each) << bpf_words();
  std::ranges::sort(asked.found, {}, [](const Holding& h) { return std::pair(h.process, h.descriptor); });
  return asked.found;
}

std::uint32_t own_process() { return static_cast<std::uint32_t>(getpid()); }

class BpfHoldingsTest : public Namespace {
 protected:
  void SetUp() override {
    Namespace::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto opened = BpfHoldings::open();
    SKIP_WITHOUT_BPF(opened);
    holdings.emplace(std::move(*opened));
  }
  std::vector<Holding> holdings_of_socket(const Fd& fd) { return holdings_of(*holdings, inode_of(fd.get())); }

  std::optional<BpfHoldings> holdings;
};

// A process that holds what this one held when it was made, until the end of its scope.
class Heir {
 public:
  Heir() : pid_(fork()) {
    if (pid_ == 0) {
      pause();
      _exit(0);
    }
  }
  ~Heir() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  std::uint32_t process() const { return static_cast<std::uint32_t>(pid_); }

 private:
  pid_t pid_;
};

TEST_F(BpfHoldingsTest, TellsBothEndsOfAConnectionAndTheListenerInBothFamilies) {
  for (const Address& address : {kLoopback4, kLoopback6}) {
    const Fd listener = listens(address);
    const Pair pair = connected(listener, address);
    for (const Fd* fd : {&listener, &pair.client, &pair.server}) {
      const Holding wanted{
          .inode = inode_of(fd->get()), .process = own_process(), .descriptor = fd->get(), .references = 1};
      EXPECT_EQ(holdings_of_socket(*fd), std::vector{wanted});
    }
  }
}

TEST_F(BpfHoldingsTest, TellsEveryDescriptorOfEveryProcessThatInheritedTheSocket) {
  const Fd listener = listens(kLoopback4);
  const Fd again(dup(listener.get()));
  const Heir heir;
  const std::uint32_t inode = inode_of(listener.get());
  std::vector<Holding> wanted;
  for (const std::uint32_t process : {own_process(), heir.process()})
    for (const Fd* fd : {&listener, &again})
      wanted.push_back({.inode = inode, .process = process, .descriptor = fd->get(), .references = 4});
  std::ranges::sort(wanted, {}, [](const Holding& h) { return std::pair(h.process, h.descriptor); });
  EXPECT_EQ(holdings_of_socket(listener), wanted);
}

TEST_F(BpfHoldingsTest, CountsTheReferenceOfADescriptorInFlight) {
  const Fd listener = listens(kLoopback4);
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const Fd from(ends[0]);
  const Fd to(ends[1]);
  char octet = 0;
  iovec data{.iov_base = &octet, .iov_len = 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int sent = listener.get();
  std::memcpy(CMSG_DATA(header), &sent, sizeof sent);
  ASSERT_EQ(sendmsg(from.get(), &message, 0), 1) << std::strerror(errno);
  const std::vector<Holding> found = holdings_of_socket(listener);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].references, 2U);
}

TEST_F(BpfHoldingsTest, TellsTcpSocketsAlone) {
  for (const auto& [family, type] : {std::pair(AF_INET, SOCK_DGRAM), std::pair(AF_UNIX, SOCK_STREAM)}) {
    const Fd other(socket(family, type, 0));
    EXPECT_TRUE(holdings_of_socket(other).empty());
  }
  const Fd tcp(socket(AF_INET6, SOCK_STREAM, 0));
  EXPECT_EQ(holdings_of_socket(tcp).size(), 1U);
}

TEST_F(BpfHoldingsTest, TellsWhoHasASocketOfMptcpOpenByTheInodeOfItsSubflow) {
  constexpr int kMptcp = 262;  // IPPROTO_MPTCP
  const Fd listener(socket(AF_INET, SOCK_STREAM, kMptcp));
  if (listener.get() < 0) GTEST_SKIP() << "SKIPPED, NOT TESTED: no MPTCP here: " << std::strerror(errno);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  const auto found = holdings_of_socket(listener);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].process, own_process());
  auto diag = Diag::open();
  ASSERT_TRUE(diag);
  std::uint32_t told = 0;
  ASSERT_TRUE(diag->dump_listeners(
      [](void* context, const Socket& socket) { *static_cast<std::uint32_t*>(context) = socket.inode; }, &told));
  EXPECT_EQ(told, found[0].inode);
}

TEST_F(BpfHoldingsTest, TellsADescriptorThatOnlyOneThreadHas) {
  // The thread's table is its own: this thread could not even name the descriptor.
  std::thread([this] {
    ASSERT_EQ(unshare(CLONE_FILES), 0) << std::strerror(errno);
    const Fd own = listens(kLoopback4);
    const Holding wanted{
        .inode = inode_of(own.get()), .process = own_process(), .descriptor = own.get(), .references = 1};
    EXPECT_EQ(holdings_of_socket(own), std::vector{wanted});
  }).join();
}

TEST_F(BpfHoldingsTest, SaysADescriptorOnceHoweverManyThreadsShareIt) {
  const Fd listener = listens(kLoopback4);
  std::vector<Holding> found;
  std::thread([&] { found = holdings_of_socket(listener); }).join();
  EXPECT_EQ(found.size(), 1U);
}

TEST_F(BpfHoldingsTest, NamesProcessesAsTheReadersPidNamespaceDoes) {
  const Fd listener = listens(kLoopback4);
  const std::uint32_t inode = inode_of(listener.get());
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWPID) != 0) _exit(2);
    const pid_t first = fork();  // process 1 of the new namespace
    if (first == 0) {
      const std::vector<Holding> found = holdings_of(*holdings, inode);
      _exit(found.size() == 1 && found[0].process == 1 ? 0 : 1);
    }
    int status = 0;
    waitpid(first, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace adieu::kernel
