// What a BPF object does on kernels that this one is not: refused, or without a tracepoint. Needs BPF, but the first.
#include "kernel/bpf_object.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "kernel/bpf/objects.h"
#include "kernel/bpf_destroy.h"
#include "kernel/bpf_events.h"
#include "kernel/bpf_holdings.h"
#include "tests/kernel/bpf.h"

namespace adieu::kernel {
namespace {

// The same programs, as they are to a kernel that does not have this tracepoint.
std::vector<std::uint8_t> events_without(std::string_view tracepoint) {
  std::vector<std::uint8_t> object(objects::kEvents.begin(), objects::kEvents.end());
  const auto is_it = [](std::uint8_t octet, char c) { return octet == static_cast<std::uint8_t>(c); };
  auto at = object.begin();
  unsigned names = 0;
  while ((at = std::search(at, object.end(), tracepoint.begin(), tracepoint.end(), is_it)) != object.end()) {
    at[0] = '_';
    ++names;
  }
  EXPECT_GT(names, 0U);
  return object;
}

TEST(BpfObject, IsNotPermittedToAnOrdinaryUserAndPrintsNothing) {
  if (getuid() != 0) GTEST_SKIP() << "SKIPPED, NOT TESTED: only root can become an ordinary user";
  testing::internal::CaptureStderr();
  const pid_t child = fork();
  if (child == 0) {
    if (setuid(65534) != 0) _exit(2);
    const auto is_not_permitted = [](const auto& opened) {
      return !opened && opened.error().kind == ErrorKind::NotPermitted && !bpf_words().empty();
    };
    _exit(is_not_permitted(BpfHoldings::open()) && is_not_permitted(BpfEvents::open(4096)) &&
                  is_not_permitted(BpfDestroy::open())
              ? 0
              : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(BpfObject, LoadsWithoutTheProgramWhoseTracepointIsMissing) {
  const std::vector<std::uint8_t> patched = events_without("sock_recv_length");
  auto object = BpfObject::open(patched, "adieu_test");
  ASSERT_TRUE(object) << bpf_words();
  object->leave_out_missing_tracepoints();
  const auto loaded = object->load();
  SKIP_WITHOUT_BPF(loaded);
  EXPECT_TRUE(object->attach("tell_state")) << bpf_words();
  const auto attached = object->attach("tell_end_of_stream");
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().kind, ErrorKind::NotSupported);
}

TEST(BpfObject, SaysWhatIsMissingWhereNothingIsLeftOut) {
  const auto permitted = BpfHoldings::open();
  SKIP_WITHOUT_BPF(permitted);
  const std::vector<std::uint8_t> patched = events_without("sock_recv_length");
  auto object = BpfObject::open(patched, "adieu_test");
  ASSERT_TRUE(object) << bpf_words();
  const auto loaded = object->load();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().kind, ErrorKind::NotSupported);
  EXPECT_NE(bpf_words().find("_ock_recv_length"), std::string_view::npos) << bpf_words();
}

TEST(BpfObject, IsNoneOfWhatIsNoObject) {
  const std::uint8_t nothing[16]{};
  EXPECT_FALSE(BpfObject::open(nothing, "adieu_test"));
}

}  // namespace
}  // namespace adieu::kernel
