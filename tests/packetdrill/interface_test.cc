// The interface itself: how it is loaded, what its flags may be, and the two traps of packetdrill's clock.
#include "script.h"

namespace adieu::packetdrill {
namespace {

class Interface : public Adapter {};

TEST_F(Interface, FillsEveryMember) {
  Script script;
  const void* members[sizeof(packetdrill_interface) / sizeof(void*)];
  static_assert(sizeof members == 33 * sizeof(void*));
  std::memcpy(members, &script.i, sizeof members);
  for (const void* member : members) EXPECT_NE(member, nullptr);
}

TEST_F(Interface, TimeMovesALittleWithEachLookAtTheClock) {
  Script script;
  const Instant first = script.now();
  EXPECT_EQ(script.now() - first, 5_us);
  // So that packetdrill's spinning comes to an end.
  const Instant until = script.now() + 1_ms;
  unsigned looks = 0;
  while (script.now() < until) ++looks;
  EXPECT_LT(looks, 200U);
}

TEST_F(Interface, WhatIsDueRunsWhileTheClockIsWatched) {
  Script script("rto-initial=50ms");
  const int fd = script.socket(SOCK_NONBLOCK);
  EXPECT_EQ(script.connect(fd), -1);
  const Instant until = script.now() + 60_ms;
  while (script.now() < until) {
  }
  EXPECT_TRUE(script.expect().segment.syn);
  const Packet again = script.expect();
  EXPECT_TRUE(again.segment.syn);
  EXPECT_LT(again.at, until) << "the retransmission left on time";
}

TEST_F(Interface, TimeMovesToTheNextPacket) {
  Script script;
  const int fd = script.socket(SOCK_NONBLOCK);
  EXPECT_EQ(script.connect(fd), -1);
  const Packet first = script.expect();
  const Packet second = script.expect();
  const Packet third = script.expect();
  EXPECT_EQ((second.at - first.at).milliseconds(), 1000);
  EXPECT_EQ((third.at - second.at).milliseconds(), 2000);
  EXPECT_GE(script.now(), third.at);
}

TEST_F(Interface, AnEmptyPacketSaysThatNothingWillEverLeave) {
  Script script;
  const Instant before = script.now();
  EXPECT_FALSE(script.next());
  EXPECT_LT(script.now() - before, 1_ms);
}

TEST_F(Interface, NobodyWaitsForAPacketLongerThanTheFlagsAllow) {
  Script script("patience=500ms");
  const int fd = script.socket(SOCK_NONBLOCK);
  EXPECT_EQ(script.connect(fd), -1);
  EXPECT_TRUE(script.next());
  EXPECT_FALSE(script.next()) << "the retransmission is a second away";
}

TEST_F(Interface, AnIsnComesFromTheFlagsAndFromNothingElse) {
  const auto first_number = [](const char* flags) {
    Script script(flags);
    EXPECT_EQ(script.connect(script.socket(SOCK_NONBLOCK)), -1);
    return script.expect().segment.seq;
  };
  EXPECT_EQ(first_number("isn=7"), first_number("isn=7"));
  EXPECT_NE(first_number("isn=7"), first_number("isn=8"));
}

TEST_F(Interface, TheMtuBoundsWhatIsOfferedAndSent) {
  Script script("mtu=1280, isn=1");
  Peer peer(script, kPort, kPeerPort);
  const int listener = script.listener();
  peer.sends_syn(false);
  EXPECT_EQ(peer.hears().segment.mss, 1240);
  peer.acknowledges();
  const int fd = script.accept(listener);
  EXPECT_EQ(script.write(fd, std::string(5000, 'x')), 5000);
  EXPECT_LE(peer.hears().octets, 1280U);
}

TEST_F(Interface, PiecesOfGarbageAreSurvived) {
  Script script;
  const int fd = script.listener(SOCK_NONBLOCK);
  for (std::size_t length = 0; length < 200; ++length) {
    std::vector<std::uint8_t> octets(length, static_cast<std::uint8_t>(0x45 + length % 33));
    EXPECT_EQ(script.i.netdev_send(script.i.userdata, octets.data(), length), 0);
  }
  EXPECT_EQ(script.accept(fd), -1);
  EXPECT_FALSE(script.next());
}

using InterfaceDeathTest = Interface;

TEST_F(InterfaceDeathTest, FlagsThatCannotBeAreNamed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  packetdrill_interface i{};
  EXPECT_EXIT(load_init()("mtu=12", &i), testing::ExitedWithCode(1), "mtu=12: is no MTU");
  EXPECT_EXIT(load_init()("isn=1 tiem-wait=1s", &i), testing::ExitedWithCode(1), "tiem-wait=1s: is not known");
}

}  // namespace
}  // namespace adieu::packetdrill
