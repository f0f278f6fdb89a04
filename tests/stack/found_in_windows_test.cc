// Bugs that were found in the stream and its windows by an expert's review, one story each: it failed on the bug.
//
// What lives here: octets, FINs, window edges, how much is sent. What does not: bugs in who is heard, believed and told
// (found_in_signs_test.cc); those of the simulation and of the matrix (with the stories of their topic).
#include "peer.h"

namespace adieu::stack {
namespace {

std::size_t octets_in(const std::vector<Heard>& heard) {
  std::size_t octets = 0;
  for (const Heard& h : heard) octets += h.text.size();
  return octets;
}

// What is sent again starts at the same octet of the send ring, and the ring's end may cut it short of the FIN.
TEST(EndOfStream, IsNotSentBehindASegmentThatTheRingsEndCutShort) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.send(socket, std::string(1400, 'a'));
  scene.acknowledges();
  wire::Segment duplicate = scene.plain();
  scene.send(socket, std::string(1300, 'b'));  // from octet 1400 of a ring of 2048 on
  scene.shut(socket, Shut::Send);
  const Seq fin = scene.rcv_nxt - 1;
  EXPECT_EQ(fin, duplicate.ack + 1300);
  scene.look();
  for (int i = 0; i < 3; ++i) scene.say(duplicate);
  scene.run(1_s);  // the retransmission timer as well
  bool ended = false;
  for (const Heard& h : scene.look()) {
    if (!h.segment.fin) continue;
    EXPECT_EQ(h.segment.seq + static_cast<std::uint32_t>(h.text.size()), fin) << "the stream would end early";
    ended = true;
  }
  EXPECT_TRUE(ended);
}

// A window too small for the sender's silly window avoidance is used when the persist timer says so.
TEST(WindowProbe, OfMoreThanOneOctetEndsAtTheRingsEndAndTheRestFollows) {
  Scene scene;
  ListenOptions options;
  options.tcp.no_delay = true;
  const Socket socket = scene.accepted(options);
  scene.send(socket, std::string(2000, 'a'));
  scene.window = 100;
  scene.acknowledges();
  scene.look();
  scene.send(socket, std::string(1300, 'b'));  // from octet 2000 of a ring of 2048 on
  EXPECT_TRUE(scene.heard.empty()) << "a sliver";
  scene.run(1_min);
  ASSERT_FALSE(scene.heard.empty());
  EXPECT_EQ(scene.heard[0].text, std::string(48, 'b'));
  scene.window = 65535;
  scene.rcv_nxt = scene.heard[0].segment.seq + 48;
  scene.look();
  scene.acknowledges();
  EXPECT_EQ(octets_in(scene.look()), 1252U);
}

// A promise that the scale cannot express was rounded up each time, and small segments moved the edge for ever.
TEST(Window, ClosesForSegmentsSmallerThanTheUnitOfItsScaleToo) {
  Scene scene({.window_scale = 7});
  const Socket socket = scene.accepted();
  constexpr std::uint32_t kBuffer = 1U << 20;
  EXPECT_EQ(scene.host.engine.details(socket)->receive_scale, 5U);
  while (scene.record(socket).unread < kBuffer - 8192) scene.sends(std::string(1024, 'x'));
  for (int i = 0; i < 1000; ++i) {
    scene.sends(std::string(31, 'x'));
    scene.run(40_ms);
    if (scene.heard.back().segment.window == 0) break;
  }
  EXPECT_EQ(scene.heard.back().segment.window, 0U);
  EXPECT_LE(scene.record(socket).unread, kBuffer);
}

// "so that the window never closes on the peer" (ShutReceive): also when octets that came before it fill the buffer.
TEST(ShutReceive, OpensAWindowThatUnreadOctetsHadClosed) {
  Scene scene;
  ListenOptions options;
  options.tcp.receive_buffer = 2048;
  const Socket socket = scene.accepted(options);
  scene.sends(std::string(1024, 'x'));
  scene.sends(std::string(1024, 'x'));
  scene.run(1_s);
  EXPECT_EQ(scene.heard.back().segment.window, 0U);
  scene.shut(socket, Shut::Receive);
  EXPECT_EQ(scene.heard.back().segment.window, 2048U) << "and the peer is told";
  scene.sends(std::string(1024, 'x'));
  scene.sends_fin();
  EXPECT_EQ(scene.state(socket), State::CloseWait);
}

// Two probes cross while both applications begin to read: both octets are taken, each end is one behind, and each
// refused the other's acknowledgments for that, for ever.
TEST(ClosedWindows, OfBothEndsThatProbeEachOtherAtOnceOpenAgain) {
  Pair pair(Family::V4, false);
  pair.delay = 500_ms;
  ListenOptions listening;
  ConnectOptions connecting;
  listening.tcp.receive_buffer = connecting.tcp.receive_buffer = 4096;
  const auto listener = *pair.b.engine.listen({Address::v4(0, 0, 0, 0), 7000}, listening);
  const Socket a = *pair.a.engine.connect(pair.endpoint_b(7000), connecting, pair.now);
  pair.run(3_s);
  const Socket b = *pair.b.engine.accept(listener, pair.now);
  Instant probed_a = Instant::unknown();
  Instant probed_b = Instant::unknown();
  pair.passes = [&](const Seen& seen) {
    if (seen.segment.payload.size() == 1) (seen.from_a ? probed_a : probed_b) = pair.now;
    return true;
  };
  const std::string much(40'000, 'z');
  (void)pair.a.engine.send(a, bytes_of(much), pair.now);
  (void)pair.b.engine.send(b, bytes_of(much), pair.now);
  const auto on_the_way = [&](Instant probed) { return probed.is_known() && pair.now - probed < 450_ms; };
  for (int i = 0; i < 30'000 && !(on_the_way(probed_a) && on_the_way(probed_b)); ++i) pair.run(10_ms);
  ASSERT_TRUE(on_the_way(probed_a) && on_the_way(probed_b));
  std::size_t read_by_a = 0;
  std::size_t read_by_b = 0;
  for (int i = 0; i < 4000 && read_by_a + read_by_b < 2 * much.size(); ++i) {
    read_by_a += pair.a.read(a, pair.now).size();
    read_by_b += pair.b.read(b, pair.now).size();
    pair.run(100_ms);
  }
  EXPECT_EQ(read_by_a, much.size());
  EXPECT_EQ(read_by_b, much.size());
}

// Each opening sent the whole flight again: 8 kB of acknowledgments fetched 100 MB.
TEST(ClosedWindow, ThatOpensAndShutsMakesNobodySendTheFlightAgain) {
  Scene scene;
  const Socket socket = scene.accepted();
  scene.send(socket, std::string(100'000, 'z'));
  const std::size_t flight = octets_in(scene.look());
  EXPECT_GE(flight, 2U * 1460);
  wire::Segment same = scene.plain();
  same.ack = same.ack - static_cast<std::uint32_t>(flight);
  for (int i = 0; i < 100; ++i) {
    same.window = 0;
    scene.say(same);
    same.window = 65535;
    scene.say(same);
  }
  EXPECT_EQ(octets_in(scene.look()), 0U);
  scene.run(1_s);
  EXPECT_GT(octets_in(scene.look()), 0U) << "that is for the retransmission timer";
}

// A segment ahead of its turn had raised SND.WL1; the one in order, with a new acknowledgment and a smaller window, was
// then taken for old: SND.UNA moved under the old window, and what was sent went beyond the edge. (Found by the
// simulation, seeds 101, 224, 248.)
TEST(Window, OfANewAcknowledgmentIsBelievedAlsoBehindASegmentThatCameTooEarly) {
  for (const std::uint16_t told : {std::uint16_t{0}, std::uint16_t{60'000}}) {
    Scene scene;
    const Socket socket = scene.accepted();
    scene.window = 4380;
    scene.acknowledges();
    const Seq start = scene.rcv_nxt;
    scene.send(socket, std::string(100'000, 'z'));
    ASSERT_EQ(scene.rcv_nxt, start + 4380);
    wire::Segment in_order = scene.plain();
    wire::Segment early = in_order;
    early.seq += 1000;
    early.ack = start;
    scene.say(early, "too early");
    in_order.window = told;
    scene.say(in_order, std::string(1000, 'x'));
    EXPECT_EQ(scene.host.engine.details(socket)->send_window, told);
    EXPECT_EQ(scene.rcv_nxt == start + 4380, told == 0) << "sends more only into a window that is open";
  }
}

// A buffer below one unit of the agreed scale could never be told, whatever is read.
TEST(Buffers, CannotBeMadeTooSmallForTheAgreedScale) {
  Scene scene({.window_scale = 14});
  ListenOptions options;
  options.tcp.receive_buffer = 1U << 30;
  const Socket socket = scene.accepted(options);
  EXPECT_TRUE(scene.host.engine.set_buffers(socket, 65536, 8192));
  std::size_t read = 0;
  for (int i = 0; i < 100; ++i) {
    scene.sends(std::string(1460, 'x'));
    read += scene.read(socket).size();
  }
  EXPECT_EQ(read, 146'000U);
  scene.run(1_s);
  EXPECT_GT(scene.heard.back().segment.window, 0U);
}

// A SYN,ACK that has to be sent twice tells nothing of how much the path carries.
TEST(Congestion, IsNotConcludedFromALostSynAck) {
  Scene scene;
  const Listener listener = scene.listens();
  scene.say(scene.syn());
  scene.snd_nxt += 1;
  scene.run(1500_ms);
  EXPECT_EQ(scene.heard.size(), 2U);
  scene.acknowledges();
  const auto socket = scene.host.engine.accept(listener, scene.now);
  ASSERT_TRUE(socket);
  EXPECT_EQ(scene.host.engine.details(*socket)->ssthresh, UINT32_MAX);
}

}  // namespace
}  // namespace adieu::stack
