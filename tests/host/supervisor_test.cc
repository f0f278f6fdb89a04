// Registration: planes that come, go and come back, and clients that mean no good. The supervisor is a real process.
#include "host/supervisor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>

#include "host/clock.h"
#include "host/plane_link.h"
#include "world.h"

namespace adieu::host {
namespace {

// A supervisor without children of its own.
Process supervisor_at(const RunDir& run_dir) {
  Process process = Process::fork([&] {
    auto supervisor = Supervisor::open(run_dir, {});
    if (!supervisor) return 2;
    (*supervisor)->run();
    return 0;
  });
  EXPECT_TRUE(eventually([&] { return take_census(run_dir).has_value(); }));
  return process;
}

// A plane of this process, with one connection in its table.
struct OwnPlane {
  explicit OwnPlane(const RunDir& run_dir, std::uint64_t number = 0xabcd)
      : seam(SeamMemory::make({.slots = 16}).value()),
        table(seam.table(),
              {.kind = plane::PlaneKind::Engine, .incarnation = number, .capacity = {.slots = 16}, .name = "mine"}),
        link(run_dir, seam, {number, plane::PlaneKind::Engine, "mine", false}, poller, 1) {
    plane::Record record;
    record.state = State::Established;
    table.open(record, seam.control());
  }
  bool registers() {
    return eventually([&] {
      link.advance(now());
      link.input(now());
      return link.registered();
    });
  }

  Poller poller;
  SeamMemory seam;
  plane::TableWriter table;
  PlaneLink link;
};

Message registration(std::uint64_t incarnation) {
  Message message;
  message.kind = MessageKind::RegisterPlane;
  message.incarnation = incarnation;
  set_text(message.name, "mine");
  return message;
}

// Sends as somebody unknown, and returns why it was refused; "" if it was not.
std::string refusal(const RunDir& run_dir, const Message& message, std::span<const int> descriptors) {
  const auto socket = connect_to(run_dir.socket());
  if (!socket || !send_message(socket->get(), message, descriptors)) return "not sent";
  const auto answer = await_message(socket->get(), seconds(5));
  return answer ? "" : answer.error().text;
}

std::string refusal_of_octets(const RunDir& run_dir, const void* octets, std::size_t length) {
  const auto socket = connect_to(run_dir.socket());
  if (!socket || ::send(socket->get(), octets, length, MSG_NOSIGNAL) < 0) return "not sent";
  const auto answer = await_message(socket->get(), seconds(5));
  return answer ? "" : answer.error().text;
}

TEST(Supervisor, ListsAPlaneThatRegistered) {
  const TemporaryDirectory dir;
  auto supervisor = supervisor_at(dir.run_dir());
  OwnPlane plane(dir.run_dir());
  ASSERT_TRUE(plane.registers());
  const Census seen = census(dir.run_dir());
  ASSERT_EQ(seen.planes.size(), 1U);
  EXPECT_EQ(seen.planes[0].name, "mine");
  EXPECT_EQ(seen.planes[0].incarnation, 0xabcdU);
  EXPECT_EQ(seen.planes[0].process, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(seen.control, ControlState::Absent);
  plane::Record record;
  EXPECT_EQ(seen.planes[0].table.read(0, record), plane::SlotReading::Whole);
  EXPECT_EQ(record.state, State::Established);
}

TEST(Supervisor, IsToldOfTheSamePlaneAgainAfterItWasKilled) {
  const TemporaryDirectory dir;
  OwnPlane plane(dir.run_dir());
  {
    auto first = supervisor_at(dir.run_dir());
    ASSERT_TRUE(plane.registers());
    first.signal(SIGKILL);
    EXPECT_EQ(first.wait(), 128 + SIGKILL);
  }
  EXPECT_FALSE(take_census(dir.run_dir()));
  ASSERT_TRUE(eventually([&] {
    plane.link.input(now());
    return !plane.link.registered();
  }));
  auto second = supervisor_at(dir.run_dir());
  ASSERT_TRUE(plane.registers());
  const Census seen = census(dir.run_dir());
  ASSERT_EQ(seen.planes.size(), 1U);
  EXPECT_EQ(seen.planes[0].incarnation, 0xabcdU);
}

TEST(Supervisor, ForgetsAPlaneThatSaidGoodbyeAndReportsOneThatDidNotAsFailed) {
  const TemporaryDirectory dir;
  auto supervisor = supervisor_at(dir.run_dir());
  {
    OwnPlane polite(dir.run_dir(), 1);
    ASSERT_TRUE(polite.registers());
    polite.link.goodbye();
  }
  ASSERT_TRUE(eventually([&] { return census(dir.run_dir()).planes.empty(); }));
  {
    OwnPlane dying(dir.run_dir(), 0x1234000000000001);
    ASSERT_TRUE(dying.registers());
  }
  ASSERT_TRUE(eventually([&] {
    const Census seen = census(dir.run_dir());
    return seen.planes.size() == 1 && seen.planes[0].failed;
  }));
  EXPECT_EQ(census(dir.run_dir()).planes[0].name, "mine@1234");
}

TEST(Supervisor, KeepsTheTablesOfFourFailedPlanesAndNoMore) {
  const TemporaryDirectory dir;
  auto supervisor = supervisor_at(dir.run_dir());
  for (std::uint64_t number = 1; number <= 6; ++number) {
    OwnPlane dying(dir.run_dir(), number);
    ASSERT_TRUE(dying.registers());
  }
  ASSERT_TRUE(eventually([&] {
    const Census seen = census(dir.run_dir());
    return seen.planes.size() == 4 && seen.planes[0].incarnation == 3 && seen.planes[3].failed;
  }));
}

TEST(Supervisor, GivesTwoPlanesOfOneNameTwoNames) {
  const TemporaryDirectory dir;
  auto supervisor = supervisor_at(dir.run_dir());
  OwnPlane one(dir.run_dir(), 1), two(dir.run_dir(), 2);
  ASSERT_TRUE(one.registers() && two.registers());
  const Census seen = census(dir.run_dir());
  ASSERT_EQ(seen.planes.size(), 2U);
  EXPECT_EQ(seen.planes[0].name, "mine");
  EXPECT_EQ(seen.planes[1].name, "mine-2");
}

TEST(Supervisor, IsAloneInItsRunDirectory) {
  const TemporaryDirectory dir;
  auto supervisor = supervisor_at(dir.run_dir());
  const auto second = Supervisor::open(dir.run_dir(), {});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().text.find("runs there already"), std::string::npos);
  EXPECT_TRUE(take_census(dir.run_dir())) << "the first one is none the worse";
}

TEST(Supervisor, AnswersNonsenseWithAReasonAndGoesOn) {
  const TemporaryDirectory dir;
  auto supervisor = supervisor_at(dir.run_dir());
  const RunDir run_dir = dir.run_dir();
  const Message good = registration(1);
  EXPECT_NE(refusal_of_octets(run_dir, "GET / HTTP/1.1\r\n\r\n", 18), "");
  EXPECT_NE(refusal_of_octets(run_dir, "x", 1), "");
  EXPECT_NE(refusal_of_octets(run_dir, &good, sizeof good - 1), "");
  std::array<char, 8192> long_one{};
  std::memcpy(long_one.data(), &good, sizeof good);
  EXPECT_NE(refusal_of_octets(run_dir, long_one.data(), long_one.size()), "");
  Message other = good;
  other.version = kProtocolVersion + 1;
  EXPECT_NE(refusal(run_dir, other, {}).find("version"), std::string::npos);
  for (const unsigned kind : {0U, 4U, 5U, 16U, 18U, 255U, 65535U}) {
    other = good;
    other.kind = static_cast<MessageKind>(kind);
    EXPECT_NE(refusal(run_dir, other, {}), "") << kind;
  }
  EXPECT_TRUE(take_census(run_dir));
}

TEST(Supervisor, RefusesAPlaneWhoseDescriptorsAreNotWhatTheyShouldBe) {
  const TemporaryDirectory dir;
  auto supervisor = supervisor_at(dir.run_dir());
  const RunDir run_dir = dir.run_dir();
  OwnPlane plane(run_dir, 1);
  const auto good = plane.seam.descriptors();
  const auto with = [&](std::size_t at, int descriptor) {
    auto changed = good;
    changed[at] = descriptor;
    return refusal(run_dir, registration(1), changed);
  };
  const Descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const Descriptor zeroes = std::move(*make_shared("zeroes", 1 << 20));
  const Descriptor tiny = std::move(*make_shared("tiny", 4096));
  const Descriptor read_only = std::move(*reopen_read_only(good[1]));
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK), 0);
  const Descriptor pipe_read(pipe_ends[0]), pipe_write(pipe_ends[1]);

  EXPECT_NE(refusal(run_dir, registration(1), {}), "");
  EXPECT_NE(refusal(run_dir, registration(1), std::span(good).first(3)), "");
  EXPECT_NE(with(0, null.get()), "");
  EXPECT_NE(with(0, zeroes.get()), "") << "no table stands there";
  EXPECT_NE(with(0, tiny.get()), "");
  EXPECT_NE(with(1, tiny.get()), "") << "too small for a control block";
  EXPECT_NE(with(1, read_only.get()), "") << "control could not write it";
  EXPECT_NE(with(2, pipe_write.get()), "") << "whoever rings a full pipe would wait";
  EXPECT_NE(with(3, null.get()), "");
  EXPECT_NE(refusal(run_dir, registration(2), good), "") << "the table says incarnation 1";
  EXPECT_EQ(refusal(run_dir, registration(1), good), "") << "and as it should be, it is taken";
}

TEST(Supervisor, RefusesAPlaneThatIsRegisteredAlready) {
  const TemporaryDirectory dir;
  auto supervisor = supervisor_at(dir.run_dir());
  OwnPlane plane(dir.run_dir(), 1);
  ASSERT_TRUE(plane.registers());
  EXPECT_NE(refusal(dir.run_dir(), registration(1), plane.seam.descriptors()).find("already"), std::string::npos);
}

TEST(Supervisor, TakesNobodyButItsUserAndRoot) {
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: only root can become somebody else";
  const TemporaryDirectory dir;
  auto supervisor = supervisor_at(dir.run_dir());
  // The directory's mode would keep a stranger out; here the check itself is asked.
  ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(dir.run_dir().socket().c_str(), 0777), 0);
  auto stranger = Process::fork([&] {
    if (::setresuid(65534, 65534, 65534) < 0) return 3;
    Message hello;
    hello.kind = MessageKind::Read;
    return refusal(dir.run_dir(), hello, {}).find("belongs to user") != std::string::npos ? 0 : 1;
  });
  EXPECT_EQ(stranger.wait(), 0);
}

// What a process that `work` runs in a fork says on stderr, as far as it has got.
class Said {
 public:
  explicit Said(const std::string& file) : file_(file) {}
  void here() const {
    const int file = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(file, STDERR_FILENO);
  }
  std::size_t count(const std::string& words) const {
    std::ifstream file(file_);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    std::size_t found = 0;
    for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++found;
    return found;
  }

 private:
  std::string file_;
};

TEST(Supervisor, TellsOnceThatItsRunDirectoryIsGoneAndOnceThatItIsBackAndServesOn) {
  const TemporaryDirectory dir;
  const std::string home = dir.path() + "/run", away = dir.path() + "/away";
  const Said said(dir.path() + "/said");
  Process supervisor = Process::fork([&] {
    said.here();
    auto made = Supervisor::open(RunDir(home), {});
    if (!made) return 2;
    (*made)->run();
    return 0;
  });
  ASSERT_TRUE(eventually([&] { return take_census(RunDir(home)).has_value(); }));
  OwnPlane plane((RunDir(home)));
  ASSERT_TRUE(plane.registers());
  for (std::size_t times = 1; times <= 2; ++times) {
    ASSERT_EQ(::rename(home.c_str(), away.c_str()), 0);
    // Another directory in its place is not it.
    if (times == 2) {
      ASSERT_EQ(::mkdir(home.c_str(), 0700), 0);
    }
    EXPECT_TRUE(eventually([&] { return said.count("was moved, removed or replaced") == times; }));
    EXPECT_TRUE(plane.link.registered());
    EXPECT_EQ(census(RunDir(away)).planes.size(), 1U);
    ::rmdir(home.c_str());
    ASSERT_EQ(::rename(away.c_str(), home.c_str()), 0);
    EXPECT_TRUE(eventually([&] { return said.count("is back") == times; }));
    EXPECT_EQ(said.count("was moved, removed or replaced"), times);
  }
  supervisor.signal(SIGTERM);
  EXPECT_EQ(supervisor.wait(), 0);
}

TEST(Supervisor, IsNotHeldUpByClientsThatSayNothing) {
  const TemporaryDirectory dir;
  auto supervisor = supervisor_at(dir.run_dir());
  std::vector<Descriptor> silent;
  for (int i = 0; i < 200; ++i)
    if (auto socket = connect_to(dir.run_dir().socket())) silent.push_back(std::move(*socket));
  EXPECT_GT(silent.size(), 60U);
  EXPECT_TRUE(eventually([&] { return take_census(dir.run_dir()).has_value(); }));
}

}  // namespace
}  // namespace adieu::host
