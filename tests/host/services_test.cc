// Echo, discard and chargen, spoken to by another engine under virtual time.
#include "host/services.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/limits.h"
#include "plane/table.h"

namespace adieu::host {
namespace {

struct Host {
  Host(Address address, std::uint64_t number)
      : memory(plane::table_bytes(kCapacity) + 64), engine(settings(address), aligned(), setup(number), Instant{0}) {}
  static plane::TableSetup setup(std::uint64_t number) {
    plane::TableSetup setup;
    setup.incarnation = number;
    setup.capacity = kCapacity;
    return setup;
  }
  static stack::Settings settings(Address address) {
    stack::Settings settings;
    settings.addresses = {address};
    settings.max_connections = kCapacity.slots;
    return settings;
  }
  MutableBytes aligned() {
    void* start = memory.data();
    std::size_t room = memory.size();
    return {static_cast<std::uint8_t*>(std::align(64, plane::table_bytes(kCapacity), start, room)),
            plane::table_bytes(kCapacity)};
  }
  static constexpr plane::Capacity kCapacity{.slots = 64};
  std::vector<std::uint8_t> memory;
  stack::Engine engine;
};

// Two hosts on one wire, without loss or delay; time passes only in pass().
class ServicesTest : public testing::Test {
 protected:
  ServicesTest() { EXPECT_TRUE(services.listen()); }

  void settle() {
    for (bool moved = true; moved;) {
      moved = services.run(now);
      moved = carry(client.engine, server.engine) || moved;
      moved = carry(server.engine, client.engine) || moved;
      // A peer that reads nothing lets chargen fill its window and no more, so this ends.
    }
  }
  bool carry(stack::Engine& from, stack::Engine& to) {
    bool moved = false;
    while (const auto out = from.poll_packet(buffer, now)) {
      to.receive_packet(Bytes(buffer).first(out->length), {}, now);
      moved = true;
    }
    return moved;
  }
  void pass(Duration time) {
    now = now + time;
    client.engine.advance(now);
    server.engine.advance(now);
    settle();
  }
  stack::Socket connect(std::uint16_t port) {
    const auto socket = client.engine.connect({Address::v4(10, 0, 0, 2), port}, {}, now);
    EXPECT_TRUE(socket);
    settle();
    EXPECT_TRUE(client.engine.readiness(*socket).connected);
    return *socket;
  }
  // All that lies there; what the room it leaves lets in comes with the next settle().
  std::string read(stack::Socket socket, bool* end = nullptr) {
    std::string all;
    for (;;) {
      const auto got = client.engine.receive(socket, buffer, false, now);
      if (end != nullptr) *end = got && *got == 0;
      if (!got || *got == 0) return all;
      all.append(reinterpret_cast<const char*>(buffer.data()), *got);
    }
  }
  void send(stack::Socket socket, std::string text) {
    while (!text.empty()) {
      const auto sent =
          client.engine.send(socket, Bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()), now);
      ASSERT_TRUE(sent);
      text.erase(0, *sent);
      settle();
    }
  }
  State state(stack::Socket socket) { return client.engine.details(socket)->state; }

  std::vector<std::uint8_t> buffer = std::vector<std::uint8_t>(limits::kPacketBytes);
  Instant now{0};
  Host client{Address::v4(10, 0, 0, 1), 1};
  Host server{Address::v4(10, 0, 0, 2), 2};
  Services services{server.engine};
};

TEST_F(ServicesTest, EchoSendsBackWhatItReadsAndClosesAfterTheLastOctet) {
  const auto socket = connect(7);
  send(socket, "hello");
  EXPECT_EQ(read(socket), "hello");
  send(socket, " and goodbye");
  ASSERT_TRUE(client.engine.shutdown(socket, stack::Shut::Send, now));
  settle();
  bool end = false;
  EXPECT_EQ(read(socket, &end), " and goodbye");
  EXPECT_TRUE(end);
  settle();
  EXPECT_EQ(state(socket), State::TimeWait);
  EXPECT_EQ(services.connections(), 0U);
}

TEST_F(ServicesTest, EchoOwesNothingToOneWhoDoesNotReadAndAllToOneWhoDoesLater) {
  const auto socket = connect(7);
  std::string sent(400'000, 'e');
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>('a' + i % 26);
  // More than the buffers between us hold: our reading lets the rest through.
  std::string received;
  for (std::size_t at = 0; at < sent.size();) {
    const auto took = client.engine.send(
        socket, Bytes(reinterpret_cast<const std::uint8_t*>(sent.data() + at), sent.size() - at), now);
    if (took) at += *took;
    settle();
    received += read(socket);
    pass(milliseconds(50));
  }
  ASSERT_TRUE(client.engine.shutdown(socket, stack::Shut::Send, now));
  bool end = false;
  for (int i = 0; i < 100 && !end; ++i) {
    pass(milliseconds(50));
    received += read(socket, &end);
  }
  EXPECT_TRUE(end);
  EXPECT_EQ(received, sent);
}

TEST_F(ServicesTest, DiscardSaysNothingAndClosesWhenThePeerDoes) {
  const auto socket = connect(9);
  send(socket, std::string(100'000, 'd'));
  EXPECT_EQ(read(socket), "");
  ASSERT_TRUE(client.engine.shutdown(socket, stack::Shut::Send, now));
  settle();
  bool end = false;
  EXPECT_EQ(read(socket, &end), "");
  EXPECT_TRUE(end);
  EXPECT_EQ(services.connections(), 0U);
}

TEST_F(ServicesTest, ChargenGoesOnAfterThePeersFin) {
  const auto socket = connect(19);
  const std::string before = read(socket);
  EXPECT_GT(before.size(), 74U);
  EXPECT_EQ(before.substr(0, 4), " !\"#");
  EXPECT_EQ(before.substr(72, 4), "\r\n!\"");
  ASSERT_TRUE(client.engine.shutdown(socket, stack::Shut::Send, now));
  pass(seconds(1));
  EXPECT_EQ(state(socket), State::FinWait2);
  std::string after;
  for (int i = 0; i < 10; ++i) {
    after += read(socket);
    pass(seconds(1));
  }
  EXPECT_GT(after.size(), 100'000U);
  EXPECT_EQ(state(socket), State::FinWait2);
  EXPECT_EQ(services.connections(), 1U);
}

TEST_F(ServicesTest, ChargenKeepsItsPatternOverManyTurns) {
  const auto socket = connect(19);
  std::string all;
  for (int i = 0; i < 20; ++i) {
    all += read(socket);
    pass(milliseconds(100));
  }
  ASSERT_GT(all.size(), 200'000U);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::size_t line = i / 74 % 95, column = i % 74;
    const char expected = column == 72 ? '\r' : column == 73 ? '\n' : static_cast<char>(' ' + (line + column) % 95);
    ASSERT_EQ(all[i], expected) << "octet " << i;
  }
}

TEST_F(ServicesTest, ChargenProducesNothingForOneWhoDoesNotReadAndEndsWithAReset) {
  const auto socket = connect(19);
  pass(seconds(10));
  EXPECT_FALSE(services.run(now)) << "with the window closed there is nothing to do";
  ASSERT_TRUE(client.engine.abort(socket, now));
  settle();
  EXPECT_EQ(services.connections(), 0U);
}

}  // namespace
}  // namespace adieu::host
