// The walk through /proc: which descriptors it meets, of whom.
#include "kernel/proc_holdings.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include "tests/kernel/child.h"
#include "tests/kernel/namespace.h"

namespace adieu::kernel {
namespace {

using test::Child;
using test::Fd;

std::uint32_t own() { return static_cast<std::uint32_t>(getpid()); }

std::uint32_t inode_of(const Fd& fd) {
  struct stat status{};
  EXPECT_EQ(fstat(fd.get(), &status), 0);
  return static_cast<std::uint32_t>(status.st_ino);
}

bool is_among(const std::vector<std::uint32_t>& processes, std::uint32_t process) {
  return std::ranges::find(processes, process) != processes.end();
}
bool tells(const std::vector<Holding>& found, std::uint32_t process) {
  return std::ranges::find(found, process, &Holding::process) != found.end();
}

// By process and descriptor.
std::vector<Holding> holdings_of(std::uint32_t inode) {
  struct Asked {
    std::uint32_t inode;
    std::vector<Holding> found;
  } asked{.inode = inode, .found = {}};
  std::vector<std::uint32_t> processes;
  walk_proc(
      [](void* context, const Holding& holding) {
        Asked& of = *static_cast<Asked*>(context);
        if (holding.inode == of.inode) of.found.push_back(holding);
      },
      &asked, processes);
  EXPECT_TRUE(is_among(processes, own()));
  std::ranges::sort(asked.found, {}, [](const Holding& h) { return std::pair(h.process, h.descriptor); });
  return asked.found;
}

TEST(ProcHoldings, TellEveryDescriptorOfASocketInThisProcess) {
  const Fd socket(::socket(AF_INET, SOCK_STREAM, 0));
  const std::uint32_t inode = inode_of(socket);
  EXPECT_EQ(holdings_of(inode), (std::vector<Holding>{{.inode = inode, .process = own(), .descriptor = socket.get()}}));
  const Fd copy(dup(socket.get()));
  const auto both = holdings_of(inode);
  ASSERT_EQ(both.size(), 2U);
  EXPECT_EQ(both[1].descriptor, std::max(socket.get(), copy.get()));
}

TEST(ProcHoldings, TellTheChildThatInheritedASocketAlsoWhenTheParentHasClosedIt) {
  Fd socket(::socket(AF_INET6, SOCK_STREAM, 0));
  const std::uint32_t inode = inode_of(socket);
  const Child heir;
  auto found = holdings_of(inode);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_TRUE(tells(found, own()));
  EXPECT_TRUE(tells(found, heir.process()));
  const int descriptor = socket.get();
  socket.close();
  EXPECT_EQ(holdings_of(inode),
            (std::vector<Holding>{{.inode = inode, .process = heir.process(), .descriptor = descriptor}}));
}

TEST(ProcHoldings, TellNothingOfASocketThatIsInFlight) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
  const Fd one(ends[0]);
  const Fd other(ends[1]);
  Fd socket(::socket(AF_INET, SOCK_STREAM, 0));
  const std::uint32_t inode = inode_of(socket);
  char octet = 'x';
  iovec data{.iov_base = &octet, .iov_len = 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int descriptor = socket.get();
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  ASSERT_EQ(sendmsg(one.get(), &message, 0), 1);
  EXPECT_EQ(holdings_of(inode).size(), 1U);
  socket.close();
  EXPECT_TRUE(holdings_of(inode).empty());
}

TEST(ProcHoldings, TakeAFileForNoSocketWhateverItsInode) {
  const Fd file(open("/proc/self/stat", O_RDONLY));
  EXPECT_TRUE(holdings_of(inode_of(file)).empty());
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Fd reads(ends[0]);
  const Fd writes(ends[1]);
  EXPECT_TRUE(holdings_of(inode_of(reads)).empty());
}

TEST(ProcHoldings, CountTheProcessesThatMayNotBeLookedInto) {
  if (getuid() != 0) GTEST_SKIP() << "SKIPPED, NOT TESTED: only root can become somebody else";
  const Fd socket(::socket(AF_INET, SOCK_STREAM, 0));
  const std::uint32_t inode = inode_of(socket);
  // As another user: of root's processes nothing may be seen, of its own everything.
  const Child stranger([inode] {
    if (setgid(65534) != 0 || setuid(65534) != 0) return std::string("cannot");
    prctl(PR_SET_DUMPABLE, 1);  // as any program that such a user starts
    const auto found = holdings_of(inode);
    std::vector<std::uint32_t> processes;
    const std::uint32_t closed = walk_proc([](void*, const Holding&) {}, nullptr, processes);
    if (closed == 0 || closed >= processes.size()) return std::string("closed: ") + std::to_string(closed);
    return found.size() == 1 && found[0].process == own() ? std::string("itself alone") : std::string("others");
  });
  EXPECT_EQ(stranger.says(), "itself alone");
}

TEST(ProcHoldings, OfWhoeverHasTooMuchOpenItselfAreNotComplete) {
  const auto closed_with = [](unsigned descriptors_left) {
    const Child full([descriptors_left] {
      const Fd next(open("/proc/self/stat", O_RDONLY));
      const rlim_t limit = static_cast<rlim_t>(next.get()) + 1 + descriptors_left;
      const rlimit few{.rlim_cur = limit, .rlim_max = limit};
      if (setrlimit(RLIMIT_NOFILE, &few) != 0) return std::string("cannot");
      std::vector<std::uint32_t> processes;
      const std::uint32_t closed = walk_proc([](void*, const Holding&) {}, nullptr, processes);
      return std::to_string(closed) + " of " + std::to_string(processes.size());
    });
    return full.says();
  };
  EXPECT_EQ(closed_with(0), "1 of 1");
  EXPECT_FALSE(closed_with(32).ends_with(" of 1"));
}

TEST(ProcHoldings, ListTheProcessesThatLiveAndNoOthers) {
  Child child;
  const std::uint32_t number = child.process();
  EXPECT_TRUE(is_among(all_processes(), number));
  child.end();
  EXPECT_FALSE(is_among(all_processes(), number));
}

}  // namespace
}  // namespace adieu::kernel
