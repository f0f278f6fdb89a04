// The stories that packetdrill's scripts tell most: how connections open, half-close, fall silent, close and are reset.
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "script.h"

namespace adieu::packetdrill {
namespace {

class Conversation : public Adapter {
 protected:
  // A connection that the peer opened, and everything said so far read.
  explicit Conversation(const char* flags = "") : script(flags), peer(script, kPort, kPeerPort) {}
  int opened_by_peer() {
    const int listener = script.listener();
    const int fd = peer.opens(listener);
    script.close(listener);
    return fd;
  }
  // One that we opened.
  int opened_by_us() {
    const int fd = script.socket(SOCK_NONBLOCK);
    EXPECT_EQ(script.connect(fd), -1);
    EXPECT_EQ(errno, EINPROGRESS);
    const Packet syn = script.expect();
    EXPECT_TRUE(syn.segment.syn && !syn.segment.ack_flag);
    EXPECT_EQ(syn.segment.destination_port, kPort);
    peer.local = syn.segment.source_port;
    peer.remote = kPort;
    peer.ack = syn.segment.seq + 1;
    peer.sends_syn(true);
    peer.hears_ack();
    return fd;
  }
  int state(int fd) {
    std::uint8_t first = 0;
    socklen_t length = 1;
    EXPECT_EQ(script.i.getsockopt(script.i.userdata, fd, IPPROTO_TCP, TCP_INFO, &first, &length), 0);
    return first;
  }

  Script script;
  Peer peer;
};

TEST_F(Conversation, OpensFromThePeersSideAndCarriesOctetsBothWays) {
  const int fd = opened_by_peer();
  EXPECT_EQ(state(fd), TCP_ESTABLISHED);
  EXPECT_EQ(script.write(fd, "hello"), 5);
  EXPECT_EQ(peer.hears_data("hello").source, script.addresses.local);
  peer.sends("world!");
  EXPECT_EQ(script.recv(fd), "world!");
  peer.acknowledges();
  peer.hears_ack();
  EXPECT_EQ(script.queued(fd, SIOCOUTQ), 0);
}

TEST_F(Conversation, OpensFromOurSide) {
  const int fd = opened_by_us();
  EXPECT_EQ(state(fd), TCP_ESTABLISHED);
  EXPECT_EQ(script.error(fd), 0);
  EXPECT_EQ(script.connect(fd), 0) << "the first call after it is told that it succeeded";
  EXPECT_EQ(script.connect(fd), -1);
  EXPECT_EQ(errno, EISCONN);
  peer.sends("banner");
  EXPECT_EQ(script.recv(fd), "banner");
}

TEST_F(Conversation, OpensFromBothSidesAtOnce) {
  const int fd = script.socket(SOCK_NONBLOCK);
  EXPECT_EQ(script.connect(fd), -1);
  const Packet syn = script.expect();
  peer.local = syn.segment.source_port;
  peer.remote = kPort;
  peer.ack = syn.segment.seq + 1;
  peer.sends_syn(false);
  EXPECT_EQ(state(fd), TCP_SYN_RECV);
  const Packet answer = script.expect();
  EXPECT_TRUE(answer.segment.syn && answer.segment.ack_flag);
  EXPECT_EQ(answer.segment.seq, syn.segment.seq);
  EXPECT_EQ(answer.segment.ack, peer.seq);
  peer.acknowledges();
  EXPECT_EQ(state(fd), TCP_ESTABLISHED);
  EXPECT_EQ(script.write(fd, "x"), 1);
  peer.hears_data("x");
}

TEST_F(Conversation, GoesOnAfterWeHaveClosedOurHalf) {
  const int fd = opened_by_peer();
  ASSERT_EQ(script.shutdown(fd, SHUT_WR), 0);
  peer.hears_fin();
  EXPECT_EQ(state(fd), TCP_FIN_WAIT1);
  EXPECT_EQ(script.queued(fd, SIOCOUTQ), 1) << "a FIN that is not acknowledged counts as one";
  peer.acknowledges();
  EXPECT_EQ(state(fd), TCP_FIN_WAIT2);
  EXPECT_EQ(script.write(fd, "x"), -1);
  EXPECT_EQ(errno, EPIPE);
  for (const auto* text : {"one", "two", "three"}) {
    peer.sends(text);
    EXPECT_EQ(script.recv(fd), text);
    peer.hears_ack();
  }
  peer.sends_fin();
  peer.hears_ack();
  EXPECT_EQ(script.recv(fd), "");
  EXPECT_EQ(state(fd), TCP_TIME_WAIT);
}

TEST_F(Conversation, GoesOnAfterThePeerHasClosedItsHalf) {
  const int fd = opened_by_peer();
  peer.sends_fin();
  peer.hears_ack();
  EXPECT_EQ(state(fd), TCP_CLOSE_WAIT);
  EXPECT_EQ(script.recv(fd), "");
  for (const auto* text : {"one", "two", "three"}) {
    script.sleep(1_h);
    EXPECT_EQ(script.write(fd, text), static_cast<ssize_t>(strlen(text)));
    peer.hears_data(text);
    peer.acknowledges();
  }
  EXPECT_EQ(script.close(fd), 0);
  peer.hears_fin();
  peer.acknowledges();
  script.sleep(1_h);
  peer.sends("late");
  peer.hears_reset();  // LAST-ACK is over, and nothing is left
}

TEST_F(Conversation, ClosesFromBothSidesAtOnce) {
  const int fd = opened_by_peer();
  ASSERT_EQ(script.shutdown(fd, SHUT_WR), 0);
  const Seq ours = peer.ack;
  peer.hears_fin();
  peer.ack = ours;  // the FINs cross: it has not seen ours yet
  peer.sends_fin();
  EXPECT_EQ(state(fd), TCP_CLOSING);
  EXPECT_EQ(peer.hears().segment.ack, peer.seq);
  peer.ack = ours + 1;
  peer.acknowledges();
  EXPECT_EQ(state(fd), TCP_TIME_WAIT);
  script.close(fd);
  peer.hears_nothing();
}

TEST_F(Conversation, StaysHalfClosedForAnHourOfSilenceAndThenTakesData) {
  const int fd = opened_by_peer();
  ASSERT_EQ(script.shutdown(fd, SHUT_WR), 0);
  peer.hears_fin();
  peer.acknowledges();
  const Instant before = script.now();
  script.sleep(1_h);
  EXPECT_GE(script.now() - before, 1_h);
  EXPECT_EQ(state(fd), TCP_FIN_WAIT2);
  EXPECT_EQ(script.poll(fd, POLLIN), 0);
  peer.sends("still here");
  EXPECT_EQ(script.recv(fd), "still here");
  EXPECT_EQ(peer.hears_ack().segment.seq, peer.ack);
}

TEST_F(Conversation, StaysHalfClosedForThirtyDaysWithoutAHolder) {
  const int fd = opened_by_peer();
  ASSERT_EQ(script.close(fd), 0);
  peer.hears_fin();
  peer.acknowledges();
  script.sleep(hours(24 * 30));
  peer.sends_fin();
  peer.hears_ack();  // not a reset: the orphan was there
}

TEST_F(Conversation, RetransmitsAFinForAsLongAsItIsNotAcknowledged) {
  const int fd = opened_by_peer();
  ASSERT_EQ(script.close(fd), 0);
  const Packet first = peer.hears_fin();
  Instant last = first.at;
  for (int i = 0; i < 20; ++i) {
    const Packet again = script.expect();
    EXPECT_TRUE(again.segment.fin);
    EXPECT_EQ(again.segment.seq, first.segment.seq);
    EXPECT_GT(again.at, last);
    EXPECT_LE(again.at - last, 61_s);
    last = again.at;
  }
  EXPECT_GT(last - first.at, 10_min);
  peer.acknowledges();
  peer.sends_fin();
  peer.hears_ack();
}

// --- resets

TEST_F(Conversation, EndsByAResetAtExactlyTheNextNumber) {
  const int fd = opened_by_peer();
  peer.resets(0);
  EXPECT_EQ(script.poll(fd, POLLIN | POLLOUT | POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP | POLLERR | POLLHUP);
  EXPECT_EQ(script.recv(fd), "!ECONNRESET");
  EXPECT_EQ(script.recv(fd), "") << "told once";
  EXPECT_EQ(script.write(fd, "x"), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_EQ(state(fd), TCP_CLOSE);
  peer.hears_nothing();
}

TEST_F(Conversation, ChallengesAResetElsewhereInTheWindow) {
  const int fd = opened_by_peer();
  peer.resets(1);
  EXPECT_EQ(peer.hears_ack().segment.ack, peer.seq);
  EXPECT_EQ(state(fd), TCP_ESTABLISHED);
  EXPECT_EQ(script.error(fd), 0);
}

TEST_F(Conversation, IgnoresAResetOutsideTheWindow) {
  const int fd = opened_by_peer();
  for (const std::int32_t beyond : {-1, 1 << 24}) {
    peer.resets(beyond);
    EXPECT_EQ(state(fd), TCP_ESTABLISHED);
  }
  peer.hears_nothing();
}

TEST_F(Conversation, SaysBrokenPipeForAResetAfterThePeersFin) {
  const int fd = opened_by_peer();
  peer.sends_fin();
  peer.hears_ack();
  peer.resets();
  EXPECT_EQ(script.error(fd), EPIPE);
  EXPECT_EQ(script.error(fd), 0);
}

TEST_F(Conversation, ReadsWhatArrivedBeforeTheReset) {
  const int fd = opened_by_peer();
  peer.sends("last words");
  peer.resets();
  EXPECT_EQ(script.recv(fd), "last words");
  EXPECT_EQ(script.recv(fd), "!ECONNRESET");
}

TEST_F(Conversation, ResetsInsteadOfClosingWithALingerOfZero) {
  const int fd = opened_by_peer();
  ASSERT_EQ(script.set_option(fd, SOL_SOCKET, SO_LINGER, linger{1, 0}), 0);
  EXPECT_EQ(script.close(fd), 0);
  EXPECT_EQ(peer.hears_reset().segment.seq, peer.ack);
  peer.hears_nothing();
}

TEST_F(Conversation, ResetsWhenClosedWithOctetsUnread) {
  const int fd = opened_by_peer();
  peer.sends("nobody reads this");
  EXPECT_EQ(script.close(fd), 0);
  peer.hears_reset();
}

TEST_F(Conversation, AnswersASegmentToNobodyWithAReset) {
  peer.sends("hello?");
  EXPECT_EQ(peer.hears_reset().segment.seq, peer.ack);
}

// --- windows and time

TEST_F(Conversation, ProbesAClosedWindowUntilItOpens) {
  const int fd = opened_by_peer();
  peer.window = 0;
  peer.acknowledges();
  EXPECT_EQ(script.write(fd, "waiting"), 7);
  const Instant before = script.now();
  Packet probe = script.expect();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(probe.data.size(), 1U) << "an octet that the window refuses";
    EXPECT_EQ(probe.segment.seq, peer.ack);
    peer.acknowledges();
    probe = script.expect();
  }
  EXPECT_GT(probe.at - before, 1_min);
  EXPECT_EQ(state(fd), TCP_ESTABLISHED);
  peer.window = 10000;
  peer.acknowledges();
  peer.hears_data("waiting");
}

TEST_F(Conversation, ClosesItsOwnWindowWhenNobodyReadsAndOpensItAgain) {
  const int listener = script.socket();
  ASSERT_EQ(script.set_option(listener, SOL_SOCKET, SO_RCVBUF, 4000), 0);
  ASSERT_EQ(script.bind(listener, kPort), 0);
  ASSERT_EQ(script.i.listen(script.i.userdata, listener, 1), 0);
  const int fd = peer.opens(listener);
  for (int i = 0; i < 4; ++i) peer.sends(std::string(1000, 'x'));
  Packet ack = peer.hears();
  while (ack.segment.ack != peer.seq) ack = peer.hears();
  EXPECT_EQ(ack.segment.window, 0);
  EXPECT_EQ(script.queued(fd, SIOCINQ), 4000);
  EXPECT_EQ(script.recv(fd).size(), 4000U);
  EXPECT_EQ(peer.hears_ack().segment.window, 4000);
}

TEST_F(Conversation, SendsSegmentsOfThePeersSizeAndRetransmitsThemInTime) {
  const int fd = opened_by_peer();
  ASSERT_EQ(script.set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1), 0);
  EXPECT_EQ(script.write(fd, std::string(2500, 'd')), 2500);
  const Packet first = peer.hears();
  EXPECT_EQ(first.data.size(), 1000U);
  EXPECT_EQ(peer.hears().data.size(), 1000U);
  EXPECT_EQ(peer.hears().data.size(), 500U);
  const Packet again = script.expect();
  EXPECT_EQ(again.segment.seq, first.segment.seq);
  EXPECT_GE(again.at - first.at, 200_ms);
  peer.acknowledges();
  peer.hears_nothing();
}

TEST_F(Conversation, HoldsASmallSegmentBackWhileAnotherIsOutUnlessToldOtherwise) {
  const int fd = opened_by_peer();
  script.write(fd, "first");
  script.write(fd, "second");
  peer.hears_data("first");
  script.sleep(100_ms);
  peer.acknowledges();
  peer.hears_data("second");
  ASSERT_EQ(script.set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1), 0);
  script.write(fd, "third");
  peer.hears_data("third");
}

class ShortTimeWait : public Conversation {
 protected:
  ShortTimeWait() : Conversation("time-wait=3s") {}
};

TEST_F(ShortTimeWait, ForgetsAClosedConnectionWhenTimeWaitIsOverAndNotBefore) {
  const int fd = opened_by_peer();
  ASSERT_EQ(script.close(fd), 0);
  peer.hears_fin();
  peer.acknowledges();
  peer.sends_fin();
  peer.hears_ack();
  wire::Segment old = peer.segment();
  old.seq = peer.seq - 1;  // a keepalive's
  script.sleep(2_s);
  script.inject(old);
  peer.hears_ack();  // TIME-WAIT answers
  script.sleep(2_s);
  script.inject(old);
  peer.hears_reset();  // nobody is there any more
}

TEST(ConversationElsewhere, SpeaksIPv6) {
  Addresses v6;
  inet_pton(AF_INET6, "fd3d:fa7b:d17d::1", v6.local.octets.data());
  inet_pton(AF_INET6, "2001:db8::1", v6.remote.octets.data());
  Script script("", v6);
  Peer peer(script, kPort, kPeerPort);
  const int fd = peer.opens(script.listener());
  EXPECT_EQ(script.write(fd, "six"), 3);
  EXPECT_EQ(peer.hears_data("six").source, v6.local);
}

TEST(ConversationElsewhere, LearnsWhateverAddressTheScriptUses) {
  Script script("", {Address::v4(10, 1, 2, 3), Address::v4(10, 9, 9, 9)});
  Peer peer(script, kPort, kPeerPort);
  const int fd = peer.opens(script.listener());
  EXPECT_EQ(script.write(fd, "x"), 1);
  EXPECT_EQ(peer.hears_data("x").source, Address::v4(10, 1, 2, 3));
}

TEST(ConversationElsewhere, LetsBothFamiliesInThroughOneIPv6Listener) {
  Script script("", {Address::v4(10, 1, 2, 3), Address::v4(10, 9, 9, 9)});
  const auto& i = script.i;
  const int listener = i.socket(i.userdata, AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(kPort);
  ASSERT_EQ(i.bind(i.userdata, listener, reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
  ASSERT_EQ(i.listen(i.userdata, listener, 5), 0);

  Addresses v6;
  inet_pton(AF_INET6, "fd3d:fa7b:d17d::1", v6.local.octets.data());
  inet_pton(AF_INET6, "2001:db8::1", v6.remote.octets.data());
  for (const Addresses& where : {script.addresses, v6}) {
    script.addresses = where;
    Peer peer(script, kPort, kPeerPort);
    peer.sends_syn(false);
    peer.hears();
    peer.acknowledges();
  }
  // Both wait, each at a door of its own; neither makes the other forgotten.
  for (const Addresses& where : {v6, script.addresses = {Address::v4(10, 1, 2, 3), Address::v4(10, 9, 9, 9)}}) {
    EXPECT_EQ(script.poll(listener, POLLIN), POLLIN);
    sockaddr_in6 from{};
    socklen_t length = sizeof from;
    EXPECT_GE(i.accept(i.userdata, listener, reinterpret_cast<sockaddr*>(&from), &length), 0);
    EXPECT_EQ(from.sin6_family, AF_INET6);
    EXPECT_EQ(std::memcmp(&from.sin6_addr, where.remote.octets.data(), 16), 0);
  }
  EXPECT_EQ(script.poll(listener, POLLIN), 0);
}

TEST(ConversationElsewhere, ConnectsFromTheAddressThatTheFlagsName) {
  Script script("local=10.1.2.3", {Address::v4(10, 1, 2, 3), Address::v4(10, 9, 9, 9)});
  const int fd = script.socket(SOCK_NONBLOCK);
  EXPECT_EQ(script.connect(fd), -1);
  EXPECT_EQ(script.expect().source, Address::v4(10, 1, 2, 3));
}

}  // namespace
}  // namespace adieu::packetdrill
