// What a service manager receives, by any name that its socket may have. What the unit asks for:
// tests/cli/service_test.py.
#include "host/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "host/clock.h"
#include "host/descriptor.h"
#include "world.h"

namespace adieu::host {
namespace {

// A manager that reads when it is told to.
class ServiceManager : public testing::Test {
 protected:
  void listen(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), bytes), 0) << std::strerror(errno);
    sender = Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(sender.get(), reinterpret_cast<const sockaddr*>(&address), bytes), 0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  void TearDown() override { ::unsetenv("NOTIFY_SOCKET"); }
  // As many as its queue takes.
  unsigned is_busy() {
    unsigned count = 0;
    while (::send(sender.get(), "x", 1, 0) == 1) ++count;
    return count;
  }
  std::string reads() {
    char text[64];
    const ssize_t got = ::recv(socket.get(), text, sizeof text, MSG_DONTWAIT);
    return got < 0 ? std::string("nothing") : std::string(text, static_cast<std::size_t>(got));
  }

  TemporaryDirectory directory;
  Descriptor socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  Descriptor sender;
};

TEST_F(ServiceManager, IsToldAtAPathAndByAnAbstractName) {
  listen(directory.path() + "/notify");
  tell_service_manager("READY=1");
  EXPECT_EQ(reads(), "READY=1");
  socket = Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  listen("@adieu-" + std::to_string(::getpid()));
  tell_service_manager("READY=1");
  EXPECT_EQ(reads(), "READY=1");
}

TEST_F(ServiceManager, ThatIsBusyIsWaitedForAndOneThatHangsIsNot) {
  listen(directory.path() + "/notify");
  const unsigned before = is_busy();
  ASSERT_GT(before, 0U);
  std::thread manager([&] {
    ::usleep(50'000);
    for (unsigned i = 0; i < before; ++i) EXPECT_EQ(reads(), "x");
  });
  tell_service_manager("READY=1");
  manager.join();
  EXPECT_EQ(reads(), "READY=1");
  is_busy();
  const Instant begun = now();
  tell_service_manager("STATUS=more");
  EXPECT_LT(now() - begun, seconds(3));
}

}  // namespace
}  // namespace adieu::host
