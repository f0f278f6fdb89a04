// Socket calls as Linux answers them: blocking and not, poll and epoll, pieces, pipes, shutdown, options, errors.
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "script.h"

namespace adieu::packetdrill {
namespace {

class Calls : public Adapter {
 protected:
  int accepted() { return peer.opens(script.listener()); }
  int connecting() {
    const int fd = script.socket(SOCK_NONBLOCK);
    EXPECT_EQ(script.connect(fd), -1);
    EXPECT_EQ(errno, EINPROGRESS);
    hears_syn();
    return fd;
  }
  void hears_syn() {
    const Packet syn = script.expect();
    EXPECT_TRUE(syn.segment.syn && !syn.segment.ack_flag);
    peer.local = syn.segment.source_port;
    peer.remote = kPort;
    peer.ack = syn.segment.seq + 1;
  }
  void refuses() {
    wire::Segment reset = peer.segment();
    reset.rst = true;
    reset.seq = {};
    script.inject(reset);
  }
  int epoll_of(int fd, std::uint32_t events) {
    const int epoll = script.i.epoll_create(script.i.userdata, 1);
    EXPECT_EQ(control(epoll, EPOLL_CTL_ADD, fd, events), 0);
    return epoll;
  }
  int control(int epoll, int operation, int fd, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    return script.i.epoll_ctl(script.i.userdata, epoll, operation, fd, &event);
  }
  // The events of the one descriptor that has any; 0: none has.
  std::uint32_t epoll_wait(int epoll, int timeout_ms = 0) {
    epoll_event event{};
    const int count = script.i.epoll_wait(script.i.userdata, epoll, &event, 1, timeout_ms);
    EXPECT_GE(count, 0);
    return count > 0 ? event.events : 0;
  }

  Script script;
  Peer peer{script, kPort, kPeerPort};
};

// --- calls that block, from a second thread

TEST_F(Calls, AcceptBlocksUntilAConnectionIsThere) {
  const int listener = script.listener();
  int fd = -1;
  OtherThread other([&] { fd = script.accept(listener); });
  EXPECT_FALSE(other.done());
  script.sleep(10_s);
  EXPECT_FALSE(other.done());
  peer.sends_syn(false);
  peer.hears();
  EXPECT_FALSE(other.done());
  peer.acknowledges();
  other.join();
  EXPECT_GE(fd, 0);
  EXPECT_EQ(script.write(fd, "x"), 1);
}

TEST_F(Calls, ConnectBlocksUntilItIsAnswered) {
  const int fd = script.socket();
  int result = -2;
  OtherThread other([&] { result = script.connect(fd); });
  hears_syn();
  EXPECT_FALSE(other.done());
  peer.sends_syn(true);
  other.join();
  EXPECT_EQ(result, 0);
}

TEST_F(Calls, ConnectBlocksUntilItIsRefused) {
  const int fd = script.socket();
  int result = -2;
  int why = 0;
  OtherThread other([&] {
    result = script.connect(fd);
    why = errno;
  });
  hears_syn();
  refuses();
  other.join();
  EXPECT_EQ(result, -1);
  EXPECT_EQ(why, ECONNREFUSED);
}

TEST_F(Calls, ConnectGivesUpAtItsTimeLimitAndNotBefore) {
  const int fd = script.socket();
  const Instant before = script.now();
  int why = 0;
  Instant ended;
  OtherThread other([&] {
    EXPECT_EQ(script.connect(fd), -1);
    why = errno;
    ended = script.now();
  });
  script.sleep(179_s);
  EXPECT_FALSE(other.done());
  script.sleep(2_s);
  other.join();
  EXPECT_EQ(why, ETIMEDOUT);
  EXPECT_GE(ended - before, 180_s);
  EXPECT_LT(ended - before, 181_s) << "time waited for the call that was over";
}

TEST_F(Calls, ReadBlocksAndTheClockThatItThenReadsIsTheMomentThatItWasWoken) {
  const int fd = accepted();
  std::string text;
  Instant woken;
  OtherThread other([&] {
    text = script.recv(fd);
    woken = script.now();
  });
  script.sleep(5_s);
  const Instant sent = script.now();
  peer.sends("at last");
  script.sleep(1_h);
  other.join();
  EXPECT_EQ(text, "at last");
  EXPECT_LT(woken - sent, 1_ms);
}

TEST_F(Calls, WriteBlocksUntilAllIsTaken) {
  const int fd = accepted();
  ASSERT_EQ(script.set_option(fd, SOL_SOCKET, SO_SNDBUF, 2000), 0);
  ssize_t written = 0;
  OtherThread other([&] { written = script.write(fd, std::string(7000, 'w')); });
  EXPECT_FALSE(other.done());
  std::size_t heard = 0;
  while (heard < 7000) {
    heard += peer.hears().data.size();
    peer.acknowledges();
  }
  other.join();
  EXPECT_EQ(written, 7000);
  EXPECT_EQ(heard, 7000U);
}

TEST_F(Calls, ReadBlocksNoLongerThanItsTimeLimitAllows) {
  const int fd = accepted();
  ASSERT_EQ(script.set_option(fd, SOL_SOCKET, SO_RCVTIMEO, timeval{2, 0}), 0);
  const Instant before = script.now();
  EXPECT_EQ(script.recv(fd), "!EAGAIN");  // nobody else is there: it moves the time itself
  EXPECT_GE(script.now() - before, 2_s);
  EXPECT_LT(script.now() - before, 3_s);
}

TEST_F(Calls, EverybodyWhoWaitsIsSentHomeAtTheEnd) {
  packetdrill_interface i{};
  load_init()("", &i);
  const int fd = i.socket(i.userdata, AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(i.listen(i.userdata, fd, 1), 0);
  OtherThread other([&] { EXPECT_EQ(i.accept(i.userdata, fd, nullptr, nullptr), -1); });
  i.free(i.userdata);
  other.join();
}

// --- calls that do not

TEST_F(Calls, DoNotWaitWhereTheyAreToldNotTo) {
  const int listener = script.listener(SOCK_NONBLOCK);
  EXPECT_EQ(script.accept(listener), -1);
  EXPECT_EQ(errno, EAGAIN);
  const int fd = peer.opens(listener);
  EXPECT_EQ(script.i.fcntl(script.i.userdata, fd, F_GETFL), O_RDWR) << "O_NONBLOCK is not inherited";
  EXPECT_EQ(script.recv(fd, MSG_DONTWAIT), "!EAGAIN");
  ASSERT_EQ(script.i.fcntl(script.i.userdata, fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
  EXPECT_EQ(script.i.fcntl(script.i.userdata, fd, F_GETFL), O_RDWR | O_NONBLOCK);
  EXPECT_EQ(script.recv(fd), "!EAGAIN");
  ASSERT_EQ(script.set_option(fd, SOL_SOCKET, SO_SNDBUF, 3000), 0);
  EXPECT_EQ(script.write(fd, std::string(5000, 'w')), 3000);
  EXPECT_EQ(script.write(fd, "x"), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(Calls, SayWhyTheyCannot) {
  const auto& i = script.i;
  void* const u = i.userdata;
  const auto fails = [](long result, int with) {
    EXPECT_EQ(result, -1);
    EXPECT_EQ(errno, with) << strerrorname_np(errno);
  };
  fails(i.socket(u, AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT);
  fails(i.socket(u, AF_INET, SOCK_DGRAM, 0), ESOCKTNOSUPPORT);
  fails(i.socket(u, AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
  fails(i.close(u, 77), EBADF);
  const int fd = script.socket();
  char octet = 0;
  fails(i.read(u, fd, &octet, 1), ENOTCONN);
  fails(i.write(u, fd, &octet, 1), EPIPE);
  fails(i.shutdown(u, fd, SHUT_WR), ENOTCONN);
  fails(i.shutdown(u, fd, 9), EINVAL);
  fails(script.accept(fd), EINVAL);
  ASSERT_EQ(script.bind(fd, kPort), 0);
  fails(script.bind(fd, kPort), EINVAL);
  fails(script.bind(script.socket(), kPort), EADDRINUSE);
  ASSERT_EQ(i.listen(u, fd, 1), 0);
  fails(script.connect(fd), EISCONN);
  sockaddr_in short_address{};
  short_address.sin_family = AF_INET;
  fails(i.connect(u, script.socket(), reinterpret_cast<const sockaddr*>(&short_address), 4), EINVAL);
  const auto nobody = script.address(Address::v4(224, 0, 0, 1), 1);
  fails(i.connect(u, script.socket(), reinterpret_cast<const sockaddr*>(&nobody), sizeof(sockaddr_in)), ENETUNREACH);
  const int pipe_free = i.epoll_create(u, 1);
  fails(i.recv(u, pipe_free, &octet, 1, 0), ENOTSOCK);
}

TEST_F(Calls, ConnectTellsThroughPollThatItSucceeded) {
  const int fd = connecting();
  EXPECT_EQ(script.poll(fd, POLLIN | POLLOUT), 0);
  EXPECT_EQ(script.connect(fd), -1);
  EXPECT_EQ(errno, EALREADY);
  peer.sends_syn(true);
  EXPECT_EQ(script.poll(fd, POLLIN | POLLOUT), POLLOUT);
  EXPECT_EQ(script.error(fd), 0);
  EXPECT_EQ(script.connect(fd), 0);
}

TEST_F(Calls, ConnectTellsThroughPollThatItWasRefused) {
  const int fd = connecting();
  refuses();
  EXPECT_EQ(script.poll(fd, POLLIN | POLLOUT | POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP | POLLERR | POLLHUP);
  EXPECT_EQ(script.error(fd), ECONNREFUSED);
  EXPECT_EQ(script.error(fd), 0) << "told once";
  EXPECT_EQ(script.connect(fd), -1);
  EXPECT_EQ(errno, ECONNABORTED);
  EXPECT_EQ(script.connect(fd), -1);
  EXPECT_EQ(errno, EINPROGRESS) << "the next one tries again";
  hears_syn();
}

TEST_F(Calls, PollWaitsInVirtualTime) {
  const int fd = accepted();
  const Instant before = script.now();
  short events = 0;
  OtherThread other([&] { events = script.poll(fd, POLLIN, 60'000); });
  script.sleep(61_s);
  other.join();
  EXPECT_EQ(events, 0);
  EXPECT_GE(script.now() - before, 60_s);
  OtherThread another([&] { events = script.poll(fd, POLLIN, -1); });
  peer.sends("x");
  another.join();
  EXPECT_EQ(events, POLLIN);
}

TEST_F(Calls, PollNamesWhatIsNoDescriptor) {
  EXPECT_EQ(script.poll(99, POLLIN), POLLNVAL);
  EXPECT_EQ(script.poll(-1, POLLIN), 0);
  EXPECT_EQ(script.poll(script.socket(), POLLIN | POLLOUT), POLLOUT | POLLHUP);
}

// --- epoll

TEST_F(Calls, EpollTellsALevelAsOftenAsItIsAsked) {
  const int listener = script.listener();
  const int epoll = epoll_of(listener, EPOLLIN);
  EXPECT_EQ(epoll_wait(epoll), 0U);
  peer.sends_syn(false);
  peer.hears();
  peer.acknowledges();
  EXPECT_EQ(epoll_wait(epoll), EPOLLIN);
  EXPECT_EQ(epoll_wait(epoll), EPOLLIN);
  EXPECT_GE(script.accept(listener), 0);
  EXPECT_EQ(epoll_wait(epoll), 0U);
}

TEST_F(Calls, EpollTellsAnEdgeOnce) {
  const int fd = accepted();
  const int epoll = epoll_of(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  EXPECT_EQ(epoll_wait(epoll), EPOLLOUT);
  EXPECT_EQ(epoll_wait(epoll), 0U);
  peer.sends("one");
  EXPECT_EQ(epoll_wait(epoll), EPOLLIN | EPOLLOUT);
  EXPECT_EQ(epoll_wait(epoll), 0U) << "unread, and yet told already";
  peer.sends("two");
  EXPECT_EQ(epoll_wait(epoll), EPOLLIN | EPOLLOUT);
  EXPECT_EQ(script.recv(fd), "onetwo");
  EXPECT_EQ(epoll_wait(epoll), 0U);
  peer.sends_fin();
  EXPECT_EQ(epoll_wait(epoll), EPOLLIN | EPOLLOUT | EPOLLRDHUP);
  peer.resets();
  EXPECT_EQ(epoll_wait(epoll), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLERR | EPOLLHUP);
}

TEST_F(Calls, EpollTellsThatThereIsRoomOnceThereWasNone) {
  const int fd = accepted();
  ASSERT_EQ(script.set_option(fd, SOL_SOCKET, SO_SNDBUF, 2000), 0);
  const int epoll = epoll_of(fd, EPOLLOUT | EPOLLET);
  EXPECT_EQ(epoll_wait(epoll), EPOLLOUT);
  EXPECT_EQ(script.i.send(script.i.userdata, fd, std::string(2000, 'x').data(), 2000, MSG_DONTWAIT), 2000);
  EXPECT_EQ(script.i.send(script.i.userdata, fd, "x", 1, MSG_DONTWAIT), -1);
  EXPECT_EQ(epoll_wait(epoll), 0U);
  peer.hears();
  peer.hears();
  peer.acknowledges();
  EXPECT_EQ(epoll_wait(epoll), EPOLLOUT);
}

TEST_F(Calls, EpollTellsConnectAndForgetsWhatIsClosed) {
  const int fd = connecting();
  const int epoll = epoll_of(fd, EPOLLOUT);
  EXPECT_EQ(epoll_wait(epoll), 0U);
  peer.sends_syn(true);
  EXPECT_EQ(epoll_wait(epoll), EPOLLOUT);
  ASSERT_EQ(control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT), 0);
  EXPECT_EQ(epoll_wait(epoll), 0U);
  peer.sends("x");
  EXPECT_EQ(epoll_wait(epoll), EPOLLIN);
  EXPECT_EQ(epoll_wait(epoll), 0U) << "one shot";
  ASSERT_EQ(control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN), 0);
  EXPECT_EQ(epoll_wait(epoll), EPOLLIN);
  EXPECT_EQ(control(epoll, EPOLL_CTL_ADD, fd, EPOLLIN), -1);
  EXPECT_EQ(errno, EEXIST);
  script.close(fd);
  EXPECT_EQ(epoll_wait(epoll), 0U);
  EXPECT_EQ(control(epoll, EPOLL_CTL_DEL, fd, 0), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST_F(Calls, EpollWaitsInVirtualTime) {
  const int fd = accepted();
  const int epoll = epoll_of(fd, EPOLLIN);
  std::uint32_t events = 0;
  OtherThread other([&] { events = epoll_wait(epoll, -1); });
  script.sleep(1_h);
  EXPECT_FALSE(other.done());
  peer.sends("x");
  other.join();
  EXPECT_EQ(events, EPOLLIN);
}

// --- octets in pieces, peeked at, thrown away, spliced

TEST_F(Calls, ReceiveIntoPiecesAndSendFromThem) {
  const int fd = accepted();
  peer.sends("abcdef");
  char one[2];
  char two[10];
  iovec pieces[] = {{one, sizeof one}, {two, sizeof two}};
  msghdr message{};
  sockaddr_storage from{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = pieces;
  message.msg_iovlen = 2;
  EXPECT_EQ(script.i.recvmsg(script.i.userdata, fd, &message, 0), 6);
  EXPECT_EQ(std::string(one, 2) + "|" + std::string(two, 4), "ab|cdef");
  EXPECT_EQ(message.msg_namelen, 0U) << "TCP names nobody";
  iovec out[] = {{one, 2}, {nullptr, 0}, {two, 4}};
  message.msg_iov = out;
  message.msg_iovlen = 3;
  EXPECT_EQ(script.i.sendmsg(script.i.userdata, fd, &message, MSG_NOSIGNAL), 6);
  peer.hears_data("abcdef");
  peer.acknowledges();
  EXPECT_EQ(script.i.writev(script.i.userdata, fd, out, 1), 2);
  peer.hears_data("ab");
  peer.sends("xyz");
  EXPECT_EQ(script.i.readv(script.i.userdata, fd, pieces, 2), 3);
  EXPECT_EQ(std::string(one, 2) + std::string(two, 1), "xyz");
}

TEST_F(Calls, PeekCountAndThrowAway) {
  const int fd = accepted();
  peer.sends("abcdef");
  EXPECT_EQ(script.recv(fd, MSG_PEEK, 3), "abc");
  EXPECT_EQ(script.queued(fd, FIONREAD), 6);
  EXPECT_EQ(script.i.recv(script.i.userdata, fd, nullptr, 2, MSG_TRUNC), 2);
  EXPECT_EQ(script.queued(fd, SIOCINQ), 4);
  EXPECT_EQ(script.recv(fd, MSG_WAITALL, 4), "cdef");
  EXPECT_EQ(script.recv(fd, MSG_DONTWAIT), "!EAGAIN");
}

TEST_F(Calls, SpliceFromASocketIntoAPipeAndOn) {
  const int fd = accepted();
  const auto& i = script.i;
  int ends[2] = {};
  ASSERT_EQ(i.pipe(i.userdata, ends), 0);
  EXPECT_EQ(i.splice(i.userdata, fd, nullptr, ends[1], nullptr, 100, SPLICE_F_NONBLOCK), -1);
  EXPECT_EQ(errno, EAGAIN);
  peer.sends("through the pipe");
  EXPECT_EQ(i.splice(i.userdata, fd, nullptr, ends[1], nullptr, 100, 0), 16);
  EXPECT_EQ(script.queued(ends[0], FIONREAD), 16);
  EXPECT_EQ(script.poll(ends[0], POLLIN), POLLIN);
  EXPECT_EQ(i.splice(i.userdata, ends[0], nullptr, fd, nullptr, 8, 0), 8);
  peer.hears_data("through ");
  char rest[100];
  EXPECT_EQ(i.read(i.userdata, ends[0], rest, sizeof rest), 8);
  EXPECT_EQ(std::string(rest, 8), "the pipe");
  EXPECT_EQ(i.splice(i.userdata, fd, nullptr, fd, nullptr, 1, 0), -1);
  EXPECT_EQ(errno, EINVAL);
  off64_t offset = 0;
  EXPECT_EQ(i.splice(i.userdata, fd, &offset, ends[1], nullptr, 1, 0), -1);
  EXPECT_EQ(errno, ESPIPE);
  script.close(ends[1]);
  EXPECT_EQ(i.read(i.userdata, ends[0], rest, 1), 0);
}

// --- shutdown

TEST_F(Calls, ShutdownOfReadingIsNothingOnTheWire) {
  const int fd = accepted();
  ASSERT_EQ(script.shutdown(fd, SHUT_RD), 0);
  EXPECT_EQ(script.recv(fd), "");
  EXPECT_EQ(script.poll(fd, POLLIN | POLLRDHUP), POLLIN | POLLRDHUP);
  for (int i = 0; i < 100; ++i) peer.sends(std::string(1000, 'x'));
  Packet ack = peer.hears();
  while (ack.segment.ack != peer.seq) ack = peer.hears();
  EXPECT_GT(ack.segment.window, 10000) << "what nobody reads is acknowledged and discarded";
  EXPECT_EQ(script.write(fd, "and yet"), 7);
  peer.hears_data("and yet");
}

TEST_F(Calls, ShutdownOfBothDirectionsSendsAFin) {
  const int fd = accepted();
  ASSERT_EQ(script.shutdown(fd, SHUT_RDWR), 0);
  peer.hears_fin();
  EXPECT_EQ(script.poll(fd, POLLIN | POLLRDHUP), POLLIN | POLLRDHUP | POLLHUP);
  peer.acknowledges();
  EXPECT_EQ(script.shutdown(fd, SHUT_WR), 0) << "again is no error";
}

TEST_F(Calls, ShutdownOfAListenerEndsIt) {
  const int listener = script.listener();
  ASSERT_EQ(script.shutdown(listener, SHUT_RD), 0);
  EXPECT_EQ(script.accept(listener), -1);
  EXPECT_EQ(errno, EINVAL);
  peer.sends_syn(false);
  peer.hears_reset();
}

TEST_F(Calls, ClosingAListenerResetsWhatNobodyAccepted) {
  const int listener = script.listener();
  peer.sends_syn(false);
  peer.hears();
  peer.acknowledges();
  script.close(listener);
  peer.hears_reset();
}

TEST_F(Calls, AcceptNamesThePeer) {
  const int listener = script.listener();
  peer.sends_syn(false);
  peer.hears();
  peer.acknowledges();
  sockaddr_in from{};
  socklen_t length = sizeof from;
  EXPECT_GE(script.i.accept(script.i.userdata, listener, reinterpret_cast<sockaddr*>(&from), &length), 0);
  EXPECT_EQ(length, sizeof from);
  EXPECT_EQ(from.sin_family, AF_INET);
  EXPECT_EQ(ntohs(from.sin_port), kPeerPort);
  EXPECT_EQ(ntohl(from.sin_addr.s_addr), 0xc0000201U);
}

// --- options

TEST_F(Calls, OptionsReadBackAsLinuxTellsThem) {
  const int fd = script.socket();
  EXPECT_EQ(script.option(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
  EXPECT_EQ(script.option(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
  EXPECT_EQ(script.option(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
  EXPECT_EQ(script.option(fd, IPPROTO_TCP, TCP_MAXSEG), 536);
  EXPECT_EQ(script.option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 7200);
  EXPECT_EQ(script.option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
  for (const int name : {SO_REUSEADDR, SO_KEEPALIVE}) {
    ASSERT_EQ(script.set_option(fd, SOL_SOCKET, name, 1), 0);
    EXPECT_EQ(script.option(fd, SOL_SOCKET, name), 1);
  }
  ASSERT_EQ(script.set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1), 0);
  EXPECT_EQ(script.option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
  ASSERT_EQ(script.set_option(fd, SOL_SOCKET, SO_SNDBUF, 20000), 0);
  EXPECT_EQ(script.option(fd, SOL_SOCKET, SO_SNDBUF), 40000);
  ASSERT_EQ(script.i.listen(script.i.userdata, fd, 1), 0);
  EXPECT_EQ(script.option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
}

TEST_F(Calls, OptionsThatPromiseATimerAreRefused) {
  const int fd = script.socket();
  for (const int name : {TCP_USER_TIMEOUT, TCP_LINGER2, TCP_DEFER_ACCEPT}) {
    EXPECT_EQ(script.set_option(fd, IPPROTO_TCP, name, 1000), -1);
    EXPECT_EQ(errno, ENOPROTOOPT);
  }
}

TEST_F(Calls, TcpInfoIsWhatTheEngineKnows) {
  const auto info_of = [&](int fd) {
    tcp_info info{};
    socklen_t length = sizeof info;
    EXPECT_EQ(script.i.getsockopt(script.i.userdata, fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    EXPECT_EQ(length, sizeof info);
    return info;
  };
  const int listener = script.listener();
  EXPECT_EQ(info_of(listener).tcpi_state, TCP_LISTEN);
  EXPECT_EQ(info_of(script.socket()).tcpi_state, TCP_CLOSE);
  const int fd = peer.opens(listener);
  EXPECT_EQ(info_of(fd).tcpi_state, TCP_ESTABLISHED);
  EXPECT_EQ(info_of(fd).tcpi_snd_mss, 1000U);
  EXPECT_EQ(info_of(fd).tcpi_advmss, 1460U);
  EXPECT_EQ(info_of(fd).tcpi_snd_cwnd, 10U);
  EXPECT_EQ(info_of(fd).tcpi_snd_ssthresh, 0x7fffffffU);
  EXPECT_EQ(info_of(fd).tcpi_options, 0) << "the peer's SYN offered none";
  script.write(fd, std::string(3000, 'x'));
  EXPECT_EQ(info_of(fd).tcpi_unacked, 3U);
  script.sleep(50_ms);
  for (int i = 0; i < 3; ++i) peer.hears();
  peer.acknowledges();
  EXPECT_EQ(info_of(fd).tcpi_unacked, 0U);
  EXPECT_EQ(info_of(fd).tcpi_snd_cwnd, 10U) << "it held nothing back, so it does not grow";
  EXPECT_GT(info_of(fd).tcpi_rtt, 0U);
  EXPECT_GE(info_of(fd).tcpi_rto, 200'000U);
  script.write(fd, "lost");
  for (int i = 0; i < 3; ++i) script.expect();
  EXPECT_EQ(info_of(fd).tcpi_retransmits, 2);
  EXPECT_EQ(info_of(fd).tcpi_snd_cwnd, 1U);
  EXPECT_GT(info_of(fd).tcpi_last_ack_recv, 0U);
}

}  // namespace
}  // namespace adieu::packetdrill
