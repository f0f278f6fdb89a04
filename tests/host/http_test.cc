// The doors of the API, by real sockets: who is let in, how much is read, how long anybody is waited for.
#include "host/http.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>

#include "host/clock.h"
#include "host/descriptor.h"
#include "host/text.h"
#include "world.h"

namespace adieu::host {
namespace {

constexpr std::size_t kPart = std::size_t{64} << 10;

// 64 KiB whenever more is wanted, for ever.
class Endless final : public HttpStream {
 public:
  Endless(std::atomic<std::uint64_t>& parts, std::atomic<int>& live) : parts_(parts), live_(live) { ++live_; }
  ~Endless() override { --live_; }
  bool next(std::string& out) override {
    ++parts_;
    out.assign(kPart, 'x');
    return true;
  }

 private:
  std::atomic<std::uint64_t>& parts_;
  std::atomic<int>& live_;
};

// Answers with what it was asked.
class Echo final : public HttpHandler {
 public:
  HttpResponse answer(const HttpRequest& request) override {
    if (request.path == "/throw") throw std::runtime_error("a fault");
    if (request.path == "/endless") return {200, "text/event-stream", {}, std::make_unique<Endless>(parts, live)};
    std::string said = request.method + " " + request.path + " " + std::to_string(request.body.size());
    for (const auto& [name, value] : request.query) said += " " + name + "=" + value;
    return {200, "text/plain", said, nullptr};
  }
  HttpResponse trouble(int status, std::string_view sentence) override {
    return {status, "text/plain", std::string(sentence), nullptr};
  }
  std::atomic<std::uint64_t> parts = 0;
  std::atomic<int> live = 0;
};

class Http : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(eventually([&] { return ::access(path.c_str(), F_OK) == 0; }));
  }
  Descriptor connect() const {
    Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return socket;
  }
  static bool say(const Descriptor& socket, std::string_view text) {
    return ::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  // Everything until the other end closes, or ten seconds have passed.
  static std::string all(const Descriptor& socket) {
    std::string text;
    char part[4096];
    for (;;) {
      pollfd waiting{socket.get(), POLLIN, 0};
      if (::poll(&waiting, 1, 10'000) != 1) return text + "[still open]";
      const ssize_t got = ::recv(socket.get(), part, sizeof part, 0);
      if (got <= 0) return text;
      text.append(part, static_cast<std::size_t>(got));
    }
  }
  std::string get(const std::string& target) const { return http_get(path, target, seconds(5))->body; }

  TemporaryDirectory directory;
  std::string path = directory.path() + "/api.sock";
  Echo echo;
  std::optional<HttpServer> server{std::in_place, HttpDoors{path, std::nullopt, {}}, echo};
};

TEST_F(Http, ATargetIsDecodedOnce) {
  EXPECT_EQ(get("/a/b%2Fc?filter=" + url_encoded("sport = :80 & more+%25")),
            "GET /a/b/c 0 filter=sport = :80 & more+%25");
}

TEST_F(Http, TheSocketIsForItsOwnerAlone) {
  struct stat facts{};
  ASSERT_EQ(::stat(path.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0600U);
}

TEST_F(Http, ABodyOf64KiBIsTakenAndOneOctetMoreIsNot) {
  const auto whole = http_post(path, "/x", std::string(kMostRequestOctets, 'x'), seconds(5));
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->body, "POST /x 65536");
  const auto more = http_post(path, "/x", std::string(kMostRequestOctets + 1, 'x'), seconds(5));
  ASSERT_TRUE(more);
  EXPECT_EQ(more->status, 413);
}

TEST_F(Http, WhatIsNoHttpIsAnsweredOrDroppedAndHarmsNobody) {
  for (const char* const text :
       {"\r\n\r\n", "moon\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\n:\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "GET / HTTP/1.1\r\nRange: bytes=9-1\r\n\r\n"}) {
    const Descriptor socket = connect();
    ASSERT_TRUE(say(socket, text));
    ::shutdown(socket.get(), SHUT_WR);
    EXPECT_EQ(all(socket).find("[still open]"), std::string::npos) << text;
  }
  const Descriptor endless = connect();
  std::string header = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 20'000; ++i) header += "X-Header: 0123456789\r\n";
  say(endless, header);
  EXPECT_EQ(all(endless).find("200"), std::string::npos);
  EXPECT_EQ(get("/well"), "GET /well 0");
}

TEST_F(Http, ALengthThatIsNoneOrNotTheOnlyOneIsRefusedAtOnce) {
  const auto said = [&](std::string_view headers, std::string_view body) {
    const Descriptor socket = connect();
    // Our side stays open: nobody waits for a body that will not come.
    EXPECT_TRUE(say(socket, "POST / HTTP/1.1\r\n" + std::string(headers) + "\r\n" + std::string(body)));
    return all(socket);
  };
  for (const char* const bad :
       {"Content-Length: -1\r\n", "Content-Length: +1\r\n", "Content-Length: moon\r\n", "Content-Length: 0x1\r\n",
        "Content-Length: 1, 1\r\n", "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1\r\ncontent-length: 1\r\n"}) {
    const Instant begun = now();
    EXPECT_NE(said(bad, "").find("HTTP/1.1 400 "), std::string::npos) << bad;
    EXPECT_LT(now() - begun, seconds(2)) << bad;
  }
  EXPECT_NE(said("Content-Length: 1\r\n", "x").find("POST / 1"), std::string::npos);
  // Without a length there is no body, and nobody waits for one.
  for (const char* const none : {"", "Content-Length:\r\n"}) {
    const Instant begun = now();
    EXPECT_NE(said(none, "").find("POST / 0"), std::string::npos) << none;
    EXPECT_LT(now() - begun, seconds(2)) << none;
  }
}

TEST_F(Http, AParameterIsOddIfItIsUnknownOrGivenTwice) {
  HttpRequest request;
  request.query = {{"a", "1"}, {"b", "1"}};
  EXPECT_EQ(request.odd_parameter({"b", "a"}), nullptr);
  EXPECT_EQ(*request.odd_parameter({"a"}), "b");
  EXPECT_EQ(*request.odd_parameter({}), "a");
  request.query.emplace_back("a", "1");
  EXPECT_EQ(*request.odd_parameter({"a", "b"}), "a");
}

TEST_F(Http, AFaultInAnAnswerIsToldAndTheNextIsAnswered) {
  EXPECT_EQ(http_get(path, "/throw", seconds(5))->status, 500);
  EXPECT_EQ(get("/well"), "GET /well 0");
}

TEST_F(Http, ThirtyTwoAreServedAtATimeAndNoMore) {
  std::vector<Descriptor> idle;
  for (unsigned i = 0; i < kMostHttpConnections; ++i) idle.push_back(connect());
  const Descriptor one_more = connect();
  EXPECT_NE(all(one_more).find(" 503 "), std::string::npos);
  idle.pop_back();
  EXPECT_TRUE(eventually([&] { return get("/well") == "GET /well 0"; }));
}

TEST_F(Http, WhoDoesNotSayWhatIsWantedIsLetGo) {
  const Instant begun = now();
  const Descriptor socket = connect();
  ASSERT_TRUE(say(socket, "GET / HT"));
  EXPECT_EQ(all(socket).find("[still open]"), std::string::npos);
  EXPECT_GE(now() - begun, seconds(4));
}

TEST_F(Http, AStreamIsAskedForNoMoreThanItsReaderTakes) {
  const Descriptor socket = connect();
  ASSERT_TRUE(say(socket, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"));
  ASSERT_TRUE(eventually([&] { return echo.parts > 0; }));
  // It takes nothing, is waited for, and is let go; what was made for it fits the socket's buffers.
  ASSERT_TRUE(eventually([&] { return echo.live == 0; }));
  EXPECT_LT(echo.parts * kPart, std::uint64_t{4} << 20);
}

TEST_F(Http, AStreamEndsWithItsReader) {
  {
    const Descriptor socket = connect();
    ASSERT_TRUE(say(socket, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"));
    ASSERT_TRUE(eventually([&] { return echo.live == 1; }));
  }
  EXPECT_TRUE(eventually([&] { return echo.live == 0; }));
}

TEST_F(Http, AServerEndsWhoeverReadsOrWaits) {
  const Descriptor reader = connect();
  ASSERT_TRUE(say(reader, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"));
  const Descriptor idle = connect();
  ASSERT_TRUE(eventually([&] { return echo.live == 1; }));
  const Instant begun = now();
  server.reset();
  EXPECT_LT(now() - begun, seconds(2));
  EXPECT_EQ(echo.live, 0);
  const auto after = http_get(path, "/", seconds(5));
  ASSERT_TRUE(after);
  EXPECT_EQ(after->status, kNobodyListens);
}

// ---- what opens the other door

class Token : public testing::Test {
 protected:
  Result<std::string> of(const std::string& text, mode_t mode = 0600) {
    const std::string file = directory.path() + "/token";
    ::unlink(file.c_str());
    std::ofstream(file) << text;
    ::chmod(file.c_str(), mode);
    return read_token(file);
  }
  TemporaryDirectory directory;
};

TEST_F(Token, SixteenOctetsAreEnoughAndFifteenAreNot) {
  EXPECT_EQ(*of("0123456789abcdef\n"), "0123456789abcdef");
  EXPECT_FALSE(of("0123456789abcde\n"));
  EXPECT_FALSE(of(""));
  EXPECT_FALSE(of(std::string(513, 'x')));
  EXPECT_TRUE(of(std::string(512, 'x')));
}

TEST_F(Token, MayBeReadByItsOwnerAlone) {
  for (const mode_t mode : {0600U, 0400U}) EXPECT_TRUE(of("0123456789abcdef", mode)) << mode;
  for (const mode_t mode : {0640U, 0604U, 0620U, 0602U, 0644U, 0666U, 04600U})
    EXPECT_FALSE(of("0123456789abcdef", mode)) << mode;
  EXPECT_FALSE(read_token(directory.path()));
  EXPECT_FALSE(read_token(directory.path() + "/none"));
}

TEST(Loopback, IsTheOnlyPlaceAndNeedsNoPrivilege) {
  for (const char* const good : {"127.0.0.1:8080", "127.255.0.9:1024", "[::1]:65535"})
    EXPECT_TRUE(check_loopback(*parse_endpoint(good))) << good;
  for (const char* const bad : {"126.0.0.1:8080", "128.0.0.1:8080", "0.0.0.0:8080", "[::]:8080", "[::2]:8080",
                                "[fe80::1]:8080", "10.77.0.2:8080", "127.0.0.1:0", "127.0.0.1:1023"})
    EXPECT_FALSE(check_loopback(*parse_endpoint(bad))) << bad;
}

}  // namespace
}  // namespace adieu::host
