// Two engines talk: handshake, data both ways, half-close either way, loss, silence.
#include <gtest/gtest.h>

#include "pair.h"

namespace adieu::stack {
namespace {

TEST(Conversation, OpensOverThreeSegmentsAndCarriesOctetsBothWays) {
  Pair pair;
  const auto [client, server] = pair.connected();
  EXPECT_EQ(pair.a.state(client), State::Established);
  EXPECT_EQ(pair.b.state(server), State::Established);
  ASSERT_GE(pair.log.size(), 3U);
  EXPECT_TRUE(pair.log[0].segment.syn && !pair.log[0].segment.ack_flag);
  EXPECT_TRUE(pair.log[1].segment.syn && pair.log[1].segment.ack_flag);
  EXPECT_EQ(pair.a.engine.send(client, bytes_of("hello"), pair.now), 5U);
  EXPECT_EQ(pair.b.engine.send(server, bytes_of("world!"), pair.now), 6U);
  pair.run(100_ms);
  EXPECT_EQ(pair.b.read(server, pair.now), "hello");
  EXPECT_EQ(pair.a.read(client, pair.now), "world!");
}

TEST(Conversation, GoesOnInOneDirectionAfterAHalfCloseOfTheOther) {
  Pair pair;
  const auto [client, server] = pair.connected();
  ASSERT_TRUE(pair.a.engine.shutdown(client, Shut::Send, pair.now));
  pair.run(100_ms);
  EXPECT_EQ(pair.a.state(client), State::FinWait2);
  EXPECT_EQ(pair.b.state(server), State::CloseWait);
  for (int i = 0; i < 5; ++i) {
    pair.run(1_h);
    ASSERT_TRUE(pair.b.engine.send(server, bytes_of("xxxxx"), pair.now));
    pair.run(100_ms);
    EXPECT_EQ(pair.a.read(client, pair.now), "xxxxx");
  }
  ASSERT_TRUE(pair.b.engine.close(server, pair.now));
  pair.run(100_ms);
  EXPECT_EQ(pair.a.state(client), State::TimeWait);
  EXPECT_EQ(pair.b.record(server).reason, EndReason::BothClosed);
  pair.run(60_s);
  EXPECT_EQ(pair.a.record(client).reason, EndReason::BothClosed);
}

TEST(Conversation, CarriesAMegabyteThroughLossBothWays) {
  for (const bool offload : {false, true}) {
    Pair pair(Family::V4, offload);
    const auto [client, server] = pair.connected();
    Rng rng(7);
    pair.passes = [&](const Seen&) { return !rng.chance(0.05); };
    std::string sent(1 << 20, '\0');
    for (auto& c : sent) c = static_cast<char>(rng.next());
    std::string received;
    std::size_t given = 0;
    for (int i = 0; i < 20000 && received.size() < sent.size(); ++i) {
      if (given < sent.size()) given += pair.a.engine.send(client, bytes_of(sent).subspan(given), pair.now).value_or(0);
      pair.run(20_ms);
      received += pair.b.read(server, pair.now);
    }
    EXPECT_EQ(received.size(), sent.size());
    EXPECT_TRUE(received == sent);
  }
}

TEST(Conversation, SurvivesAClosedWindowForAsLongAsItIsClosed) {
  Pair pair;
  const auto [client, server] = pair.connected();
  std::string sent(3 << 20, 'z');
  std::size_t given = 0;
  for (int i = 0; i < 100; ++i) {
    if (given < sent.size()) given += pair.a.engine.send(client, bytes_of(sent).subspan(given), pair.now).value_or(0);
    pair.run(20_ms);
  }
  EXPECT_TRUE(pair.a.record(client).peer_window_closed);
  pair.run(24_h);
  EXPECT_EQ(pair.a.state(client), State::Established);
  std::size_t received = 0;
  for (int i = 0; i < 2000 && received < sent.size(); ++i) {
    if (given < sent.size()) given += pair.a.engine.send(client, bytes_of(sent).subspan(given), pair.now).value_or(0);
    received += pair.b.read(server, pair.now).size();
    pair.run(20_ms);
  }
  EXPECT_EQ(received, sent.size());
}

// Found by the simulation (seed 2913): the octet that probed b's closed window moved a's SND.NXT out of it, and b never
// accepted another acknowledgment of a.
TEST(Conversation, IsHeardByAPeerWhoseWindowItIsProbing) {
  Pair pair;
  const auto [client, server] = pair.connected();
  const std::string much(4 << 20, 'z');
  for (int i = 0; i < 100; ++i) {
    (void)pair.a.engine.send(client, bytes_of(much), pair.now);
    pair.run(50_ms);
  }
  ASSERT_TRUE(pair.a.record(client).peer_window_closed);
  ASSERT_TRUE(pair.b.engine.send(server, bytes_of("answer me"), pair.now));
  const auto heard = pair.b.record(server).heard;
  pair.run(1_s);
  EXPECT_EQ(pair.b.record(server).unsent, 0U);
  EXPECT_GT(pair.b.record(server).heard, heard);
}

TEST(Engine, TellsEveryPeerWhenItIsAboutToEnd) {
  Pair pair;
  const auto [client, server] = pair.connected();
  ASSERT_TRUE(pair.a.engine.shutdown(client, Shut::Send, pair.now));
  pair.run(100_ms);
  ASSERT_TRUE(pair.a.engine.close(client, pair.now));  // an orphan in FIN-WAIT-2: nobody else could tell its peer
  pair.a.engine.abort_all(pair.now);
  EXPECT_EQ(pair.a.engine.live_connections(), 0U);
  pair.run(100_ms);
  EXPECT_EQ(pair.b.record(server).reason, EndReason::PeerReset);
}

}  // namespace
}  // namespace adieu::stack
