// When the kernel gives up: the reckoning against a table, in virtual time; and against this kernel, in a network of
// the test's own with small settings.
#include "kernel/own_limits.h"

#include <gtest/gtest.h>
#include <linux/filter.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernel/sock_diag.h"
#include "tests/kernel/namespace.h"

namespace adieu::kernel {
namespace {

using namespace test;

constexpr Instant kNow{seconds(1000).ns};

Socket in_state(State state, Timer timer, Duration expires) {
  Socket s;
  s.state = state;
  s.timer = timer;
  s.expires = expires;
  s.is_whole = true;
  s.rto = milliseconds(210);
  s.round_trip = milliseconds(10);
  s.peer_window_known = true;
  s.peer_window = 65535;
  s.read_at = kNow;
  return s;
}
Socket retransmitting(std::uint8_t made, Duration rto, Duration expires) {
  Socket s = in_state(State::FinWait1, Timer::Retransmit, expires);
  s.retransmits = s.backoff = made;
  s.rto = rto;
  return s;
}
Duration given_up_in(const Socket& socket, bool is_orphan, const Settings& settings = {},
                     const Options* options = nullptr) {
  const auto limit = limit_of(socket, is_orphan, settings, options);
  EXPECT_TRUE(limit);
  return limit ? limit->gives_up - kNow : Duration{};
}

TEST(OwnLimits, ARetransmissionLimitIsTheTimeThatSoManyWouldTakeFromTwoHundredMilliseconds) {
  const auto time = [](unsigned n) { return time_of(n, milliseconds(200), seconds(120)); };
  EXPECT_EQ(time(0), milliseconds(200));
  EXPECT_EQ(time(1), milliseconds(600));
  EXPECT_EQ(time(4), milliseconds(6200));
  EXPECT_EQ(time(8), milliseconds(102'200));
  EXPECT_EQ(time(9), milliseconds(204'600));
  EXPECT_EQ(time(10), milliseconds(324'600));
  EXPECT_EQ(time(15), milliseconds(924'600)) << "the 924.6 seconds of ip-sysctl";
  EXPECT_EQ(time_of(15, milliseconds(200), seconds(1)), milliseconds(14'400));
  EXPECT_EQ(time_of(6, seconds(1), seconds(120)), seconds(127));
  EXPECT_EQ(time_of(255, milliseconds(200), milliseconds(200)), milliseconds(200 * 256));
}

// Since the first retransmission, by whoever asks when half of a timeout has run.
TEST(OwnLimits, TheSameEndIsForeseenFromWhereverOnTheWay) {
  Duration at{}, rto = milliseconds(210);
  for (std::uint8_t made = 1; made <= 8; ++made) {
    rto = rto * 2;
    const Socket s = retransmitting(made, rto, rto / 2);
    EXPECT_EQ(at + rto / 2 + given_up_in(s, true), milliseconds(210 * 510)) << unsigned{made};
    // 107.1 s, 214.62 s, then every 120 s: the first after 924.6 s.
    EXPECT_EQ(at + rto / 2 + given_up_in(s, false), milliseconds(214'620) + seconds(120) * 6) << unsigned{made};
    at = at + rto;
  }
}

TEST(OwnLimits, WhatIsMadeAndLeftIsTold) {
  const auto limit = limit_of(retransmitting(3, milliseconds(1680), milliseconds(680)), true, {}, nullptr);
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->by, LimitedBy::OrphanRetries);
  EXPECT_EQ(limit->made, 3U);
  EXPECT_EQ(limit->left, 5U);
  EXPECT_EQ(limit->span, milliseconds(102'200));
  EXPECT_EQ(limit->next, kNow + milliseconds(680));
  EXPECT_EQ(limit->at_latest, Instant::never());
}

TEST(OwnLimits, AtTheLongestTimeoutTheFirstRetransmissionIsFoundByTheRoundTrips) {
  // 210 ms doubled 12 times: 0.42 to 107.52 s, then 120 s three times.
  Socket s = retransmitting(12, seconds(120), seconds(30));
  // It ran 214.62 + 3 * 120 s when this one has fired (and 120 s of it are 30 now): 934.62 s are reached with 3 more.
  const auto limit = limit_of(s, false, {}, nullptr);
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->gives_up, kNow + seconds(30) + seconds(120) * 3);
  EXPECT_EQ(limit->left, 3U);
}

TEST(OwnLimits, AnOrphanWhoseTimeoutsAreAtTheirMaximumHasNoRetriesLeftUnlessSomeAreSet) {
  Settings settings;
  settings.rto_max = seconds(1);
  const Socket s = retransmitting(3, seconds(1), milliseconds(300));
  EXPECT_EQ(given_up_in(s, true, settings), milliseconds(300));
  EXPECT_GT(given_up_in(s, false, settings), seconds(10));
  settings.orphan_retries = 8;
  EXPECT_GT(given_up_in(s, true, settings), seconds(3));
}

TEST(OwnLimits, AUserTimeoutReplacesTheCountOfEither) {
  Options options;
  options.user_timeout = seconds(3);
  for (const bool is_orphan : {false, true}) {
    // 1.26 s after the first: 0.42, 0.84.
    const Socket s = retransmitting(2, milliseconds(840), milliseconds(0));
    const auto limit = limit_of(s, is_orphan, {}, &options);
    ASSERT_TRUE(limit);
    EXPECT_EQ(limit->by, LimitedBy::UserTimeout);
    EXPECT_EQ(limit->gives_up, kNow + milliseconds(3000 - 1260));
  }
}

TEST(OwnLimits, ASynHasItsLinearTimeoutsBeforeItsRetries) {
  Socket s = in_state(State::SynSent, Timer::Retransmit, seconds(1));
  s.rto = seconds(1);
  s.round_trip = {};
  EXPECT_EQ(given_up_in(s, false), seconds(127)) << "1 + 2 + 4 + ... + 64";
  Settings settings;
  settings.syn_linear_timeouts = 4;
  EXPECT_EQ(given_up_in(s, false, settings), seconds(131)) << "1, 1, 1, 1, 1, 2 ... 64";
  s.retransmits = 6;
  s.backoff = 2;
  s.rto = seconds(4);
  s.expires = seconds(4);
  EXPECT_EQ(given_up_in(s, false, settings), seconds(131 - 7));
  Options options;
  options.syn_retries = 2;
  EXPECT_EQ(given_up_in(s, false, settings, &options), seconds(4)) << "six were made, four and two are all";
}

TEST(OwnLimits, AConnectionRequestHasItsListenersCount) {
  Socket s;
  s.state = State::SynReceived;
  s.timer = Timer::Retransmit;
  s.expires = seconds(1);
  s.read_at = kNow;
  EXPECT_EQ(given_up_in(s, false), seconds(63));
  s.timer_retries = 5;
  s.expires = seconds(20);
  EXPECT_EQ(given_up_in(s, false), seconds(20));
}

TEST(OwnLimits, ZeroWindowProbesOfOneThatIsHeldGoOnWhileTheyAreAnswered) {
  Socket s = in_state(State::FinWait1, Timer::Persist, milliseconds(210));
  s.peer_window = 0;
  auto limit = limit_of(s, false, {}, nullptr);
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->at_latest, Instant::never());
  EXPECT_EQ(limit->left, 15U);
  // 0.21 doubled to 107.52 s, then 120 s: six of the sixteen.
  EXPECT_EQ(limit->gives_up, kNow + milliseconds(214'830) + seconds(120) * 6);
  Options options;
  options.user_timeout = seconds(5);
  limit = limit_of(s, false, {}, &options);
  EXPECT_EQ(limit->by, LimitedBy::UserTimeout);
  EXPECT_EQ(limit->at_latest, kNow + milliseconds(5210)) << "from the first probe on, whoever answers";
}

TEST(OwnLimits, ZeroWindowProbesOfAnOrphanEndOnceTheyAreAtTheirLongest) {
  Socket s = in_state(State::FinWait1, Timer::Persist, milliseconds(210));
  s.peer_window = 0;
  auto limit = limit_of(s, true, {}, nullptr);
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->left, 8U);
  EXPECT_EQ(limit->at_latest, kNow + milliseconds(214'830) + seconds(120)) << "answered or not";
  // They are never nearer than 200 ms, however short the round trip.
  s.rto = milliseconds(1);
  EXPECT_EQ(limit_of(s, true, {}, nullptr)->at_latest, kNow + milliseconds(210 + 204'600 - 200) + seconds(120));
  // With so few retries2 the probes never get so far apart.
  Settings settings;
  settings.retries2 = 3;
  limit = limit_of(s, true, settings, nullptr);
  EXPECT_EQ(limit->at_latest, Instant::never());
  EXPECT_TRUE(limit->gives_up.is_known());
}

TEST(OwnLimits, AKeepaliveCountsFromWhatWasHeardLast) {
  Socket s = in_state(State::Established, Timer::Keepalive, seconds(100));
  s.since_data = seconds(5000);
  s.since_ack = seconds(200);
  EXPECT_EQ(given_up_in(s, false), seconds(7000 + 9 * 75)) << "the timer fires before, and is set anew then";
  s.since_data = seconds(7000);
  s.since_ack = seconds(7350);
  s.probes = 2;
  s.expires = seconds(60);
  const auto limit = limit_of(s, false, {}, nullptr);
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->next, kNow + seconds(200)) << "heard 7000 s ago, whatever was asked before";
  s.since_data = seconds(7350);
  EXPECT_EQ(given_up_in(s, false), seconds(60 + 7 * 75));
  Options options;
  options.keepalive_time = seconds(10);
  options.keepalive_interval = seconds(5);
  options.keepalive_probes = 3;
  EXPECT_EQ(given_up_in(s, false, {}, &options), seconds(60 + 5));
  options.user_timeout = seconds(7420);
  EXPECT_EQ(limit_of(s, false, {}, &options)->by, LimitedBy::UserTimeout);
}

TEST(OwnLimits, WhereNoTimerIsArmedOrItNeedsNoAnswerThereIsNone) {
  EXPECT_FALSE(limit_of(in_state(State::FinWait2, Timer::None, {}), false, {}, nullptr));
  EXPECT_FALSE(limit_of(in_state(State::FinWait2, Timer::Keepalive, seconds(9)), true, {}, nullptr));
  Socket minisock = in_state(State::TimeWait, Timer::TimeWait, seconds(9));
  minisock.is_whole = false;
  EXPECT_FALSE(limit_of(minisock, false, {}, nullptr));
}

void put(const Fd& socket, int level, int option, int value) {
  EXPECT_EQ(setsockopt(socket.get(), level, option, &value, sizeof value), 0) << std::strerror(errno);
}

class OwnLimitsOfThisKernel : public Namespace {
 protected:
  static void set(const char* setting, std::string_view value) {
    set_sysctl((std::string("/proc/sys/net/ipv4/tcp_") + setting).c_str(), value);
  }
  // Hears nothing from now on, and so answers nothing: every segment is dropped before its TCP sees it.
  static void deafen(const Fd& socket) {
    sock_filter drop[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const sock_fprog program{.len = 1, .filter = drop};
    ASSERT_EQ(setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
  }
  std::optional<Socket> look(const Endpoint& local, const Endpoint& remote) {
    if (!diag) diag.emplace(std::move(*Diag::open()));
    const auto found = diag->find({.cookie = UINT64_MAX, .local = local, .remote = remote});
    EXPECT_TRUE(found);
    return found ? *found : std::nullopt;
  }

  // One whose end is foreseen once it has made so many retransmissions or questions, and then waited for.
  struct Watched {
    const char* what;
    Endpoint local, remote;
    bool is_orphan = false;
    std::optional<Options> options = {};
    unsigned foreseen_at = 1;
    std::optional<Limit> limit = {};
    Instant at = {};  // when it was foreseen
    bool is_over = false;
  };
  void step(Watched& one, const Settings& settings) {
    const auto socket = look(one.local, one.remote);
    if (!socket) {
      one.is_over = true;
      ASSERT_TRUE(one.limit) << one.what << " ended before it was asked about";
      const double real = (monotonic_now() - one.at).seconds(), foreseen = (one.limit->gives_up - one.at).seconds();
      std::printf("  %-24s foreseen %.2f s, real %.2f s, %u more\n", one.what, foreseen, real, one.limit->left);
      // Timers fire late by an eighth at the most.
      EXPECT_GE(real, foreseen - 0.1) << one.what;
      EXPECT_LE(real, foreseen * 1.125 + 0.25) << one.what;
    } else if (!one.limit || one.limit->made < one.foreseen_at) {
      one.limit = limit_of(*socket, one.is_orphan, settings, one.options ? &*one.options : nullptr);
      one.at = socket->read_at;
    }
  }
  void watch(std::vector<Watched> all) {
    const auto settings = read_settings();
    ASSERT_TRUE(settings);
    EXPECT_TRUE(eventually([&] {
      for (Watched& one : all)
        if (!one.is_over) step(one, *settings);
      return std::ranges::all_of(all, &Watched::is_over);
    })) << "one goes on";
  }

  std::optional<Diag> diag;
};

TEST_F(OwnLimitsOfThisKernel, ItsSettingsAreThoseOfTheNetworkInWhichTheyAreRead) {
  set("retries2", "4");
  set("orphan_retries", "2");
  set("keepalive_intvl", "7");
  set("fin_timeout", "3");
  const auto settings = read_settings();
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->retries2, 4U);
  EXPECT_EQ(settings->orphan_retries, 2U);
  EXPECT_EQ(settings->keepalive_interval, seconds(7));
  EXPECT_EQ(settings->fin_timeout, seconds(3));
  EXPECT_EQ(settings->keepalive_probes, Settings{}.keepalive_probes);
}

TEST_F(OwnLimitsOfThisKernel, OptionsAreWhatHoldsWhetherSomebodySetThemOrNot) {
  set("fin_timeout", "3");
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  auto options = read_options(pair.client.get());
  ASSERT_TRUE(options);
  EXPECT_FALSE(options->keepalive);
  EXPECT_EQ(options->fin_wait, seconds(3)) << "the network's";
  EXPECT_EQ(options->user_timeout, Duration{});
  put(pair.client, SOL_SOCKET, SO_KEEPALIVE, 1);
  put(pair.client, IPPROTO_TCP, TCP_KEEPIDLE, 11);
  put(pair.client, IPPROTO_TCP, TCP_KEEPINTVL, 12);
  put(pair.client, IPPROTO_TCP, TCP_KEEPCNT, 13);
  put(pair.client, IPPROTO_TCP, TCP_USER_TIMEOUT, 1400);
  put(pair.client, IPPROTO_TCP, TCP_LINGER2, 2);
  options = read_options(pair.client.get());
  ASSERT_TRUE(options);
  EXPECT_TRUE(options->keepalive);
  EXPECT_EQ(options->keepalive_time, seconds(11));
  EXPECT_EQ(options->keepalive_interval, seconds(12));
  EXPECT_EQ(options->keepalive_probes, 13U);
  EXPECT_EQ(options->user_timeout, milliseconds(1400));
  EXPECT_EQ(options->fin_wait, seconds(2));
  EXPECT_FALSE(options->resets_instead_of_wait);
  put(pair.client, IPPROTO_TCP, TCP_LINGER2, -1);
  options = read_options(pair.client.get());
  ASSERT_TRUE(options);
  EXPECT_TRUE(options->resets_instead_of_wait);
}

TEST_F(OwnLimitsOfThisKernel, GivesUpWhenItWasForeseen) {
  set("retries2", "2");
  set("orphan_retries", "1");
  set("syn_retries", "1");
  if (access("/proc/sys/net/ipv4/tcp_syn_linear_timeouts", W_OK) == 0) set("syn_linear_timeouts", "1");
  const Fd listener = listens(kAny6);
  Pair held = connected(listener, kLoopback4), orphan = connected(listener, kLoopback6);
  const Pair timed = connected(listener, kLoopback4), asking = connected(listener, kLoopback6);
  for (const Pair& pair : {std::cref(held), std::cref(orphan), std::cref(timed), std::cref(asking)})
    deafen(pair.server);

  shutdown(held.client.get(), SHUT_WR);
  orphan.client.close();
  put(timed.client, IPPROTO_TCP, TCP_USER_TIMEOUT, 2000);
  sends(timed.client, "hello");
  put(asking.client, IPPROTO_TCP, TCP_KEEPIDLE, 1);
  put(asking.client, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  put(asking.client, IPPROTO_TCP, TCP_KEEPCNT, 2);
  put(asking.client, SOL_SOCKET, SO_KEEPALIVE, 1);
  deafen(listener);
  const Fd client(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  SocketName to = to_name({.address = kLoopback4, .port = local_of(listener).port});
  EXPECT_NE(connect(client.get(), to.raw(), to.length), 0);

  watch({{.what = "FIN, held", .local = held.client_name, .remote = held.server_name},
         {.what = "FIN, orphan", .local = orphan.client_name, .remote = orphan.server_name, .is_orphan = true},
         {.what = "user timeout",
          .local = timed.client_name,
          .remote = timed.server_name,
          .options = read_options(timed.client.get()).value()},
         {.what = "keepalive",
          .local = asking.client_name,
          .remote = asking.server_name,
          .options = read_options(asking.client.get()).value(),
          .foreseen_at = 0},
         {.what = "SYN", .local = local_of(client), .remote = from_name(to), .foreseen_at = 0}});
}

TEST_F(OwnLimitsOfThisKernel, GivesUpOrphansWhoseTimersAreAtTheirLongestWhetherTheyAreAnsweredOrNot) {
  if (access("/proc/sys/net/ipv4/tcp_rto_max_ms", W_OK) != 0)
    GTEST_SKIP() << "SKIPPED, NOT TESTED: no tcp_rto_max_ms before Linux 6.15";
  set("rto_max_ms", "1000");
  const Fd listener = listens(kLoopback4);
  Pair silent = connected(listener, kLoopback4), full = connected(listener, kLoopback4);
  const std::string much(1 << 16, 'x');
  std::optional<Socket> socket;
  ASSERT_TRUE(eventually([&] {
    while (send(full.client.get(), much.data(), much.size(), MSG_DONTWAIT) > 0) continue;
    socket = look(full.client_name, full.server_name);
    return socket && socket->timer == Timer::Persist && socket->backoff >= 1;
  }));
  deafen(silent.server);
  silent.client.close();
  const Settings settings = read_settings().value();
  const auto held = limit_of(*socket, false, settings, nullptr);
  ASSERT_TRUE(held);
  EXPECT_EQ(held->at_latest, Instant::never());
  full.client.close();
  socket = look(full.client_name, full.server_name);
  ASSERT_TRUE(socket);
  auto answered = limit_of(*socket, true, settings, nullptr);
  ASSERT_TRUE(answered && answered->at_latest.is_known());
  answered->gives_up = answered->at_latest;
  watch({{.what = "FIN, rto_max 1 s", .local = silent.client_name, .remote = silent.server_name, .is_orphan = true},
         {.what = "zero window, answered",
          .local = full.client_name,
          .remote = full.server_name,
          .is_orphan = true,
          .foreseen_at = 0,
          .limit = answered,
          .at = socket->read_at}});
}

}  // namespace
}  // namespace adieu::kernel
