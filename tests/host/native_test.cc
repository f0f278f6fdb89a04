// The native API on a real TUN device, against the kernel's own TCP.
#include "host/native.h"

#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "host/clock.h"
#include "host/supervisor.h"
#include "host/view.h"
#include "kernel_peer.h"
#include "world.h"

namespace adieu::host {
namespace {

const Address kOurs = Address::v4(10, 88, 0, 2), kTheirs = Address::v4(10, 88, 0, 1);

NativeOptions options(const std::string& run_dir = {}) {
  NativeOptions options;
  options.engine.tun = "adieutest";
  options.engine.addresses = {{kOurs, 24}};
  options.run_dir = run_dir;
  options.name = "native";
  return options;
}

std::string received(NativeSocket& socket, std::size_t octets) {
  std::string all(octets, '\0');
  std::size_t got = 0;
  while (got < octets) {
    const auto some =
        socket.receive({reinterpret_cast<std::uint8_t*>(all.data()) + got, octets - got}, now() + seconds(5));
    if (!some || *some == 0) break;
    got += *some;
  }
  all.resize(got);
  return all;
}

TEST(Native, AClientShutsItsSendingSideAndGoesOnListening) {
  ADIEU_NEEDS_A_NETWORK();
  auto engine = NativeEngine::start(options());
  ASSERT_TRUE(engine) << engine.error().text;
  const auto listener = KernelPeer::listen({kTheirs, 5000});
  auto socket = engine->connect({kTheirs, 5000});
  ASSERT_TRUE(socket) << socket.error().text;
  const auto peer = listener.accept();
  ASSERT_TRUE(socket->send_all("the last word"));
  ASSERT_TRUE(socket->shutdown(Shut::Send));
  EXPECT_EQ(peer.receive(100), "the last word");
  EXPECT_TRUE(peer.at_end());
  EXPECT_TRUE(eventually([&] { return socket->state() == State::FinWait2; })) << "its FIN is acknowledged within 40 ms";
  const auto refused = socket->send_all("more");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, stack::Error::SendingClosed);
  ASSERT_TRUE(peer.send("still here"));
  EXPECT_EQ(received(*socket, 10), "still here");
}

TEST(Native, AServerHearsManyOctetsAndSaysThemAgain) {
  ADIEU_NEEDS_A_NETWORK();
  auto engine = NativeEngine::start(options());
  ASSERT_TRUE(engine) << engine.error().text;
  auto listener = engine->listen({kOurs, 6000});
  ASSERT_TRUE(listener) << listener.error().text;
  std::jthread server([&] {
    auto socket = listener->accept(now() + seconds(5));
    std::vector<std::uint8_t> buffer(100'000);
    while (socket) {
      const auto got = socket->receive(buffer);
      if (!got || *got == 0 || !socket->send_all(Bytes(buffer).first(*got))) return;
    }
  });
  const auto peer = KernelPeer::connect({kOurs, 6000});
  ASSERT_TRUE(peer);
  std::string text(8'000'000, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 2654435761U >> 24);
  std::string back;
  {
    std::jthread reader([&] { back = peer.receive(text.size()); });
    EXPECT_TRUE(peer.send(text));
  }
  EXPECT_TRUE(back == text) << back.size() << " octets came back";
  peer.shut_sending();
  EXPECT_TRUE(peer.at_end());
}

TEST(Native, ErrorsSayWhatWentWrong) {
  ADIEU_NEEDS_A_NETWORK();
  auto engine = NativeEngine::start(options());
  ASSERT_TRUE(engine) << engine.error().text;
  const auto refused = engine->connect({kTheirs, 1});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, stack::Error::Refused);
  EXPECT_EQ(refused.error().text, "connect to 10.88.0.1:1: connection refused");
  const auto first = engine->listen({kOurs, 6000});
  const auto second = engine->listen({kOurs, 6000});
  ASSERT_TRUE(first);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, stack::Error::AddressInUse);
  const auto foreign = engine->listen({kTheirs, 6001});
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().kind, stack::Error::AddressNotAvailable);
  stack::ConnectOptions impatient;
  impatient.limit = milliseconds(200);
  const auto late = engine->connect({Address::v4(10, 88, 0, 77), 80}, impatient);
  ASSERT_FALSE(late);
  EXPECT_TRUE(late.error().kind == stack::Error::TimedOut || late.error().kind == stack::Error::Refused)
      << late.error().text;
}

TEST(Native, AReceiveWithALimitEndsWithIt) {
  ADIEU_NEEDS_A_NETWORK();
  auto engine = NativeEngine::start(options());
  const auto listener = KernelPeer::listen({kTheirs, 5000});
  auto socket = engine->connect({kTheirs, 5000});
  ASSERT_TRUE(socket);
  std::array<std::uint8_t, 10> buffer;
  const Instant begun = now();
  const auto got = socket->receive(buffer, begun + milliseconds(50));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, stack::Error::WouldBlock);
  EXPECT_GE(now() - begun, milliseconds(50));
}

TEST(Native, WhatWasSentOnAClosedSocketArrivesBeforeTheEngineEnds) {
  ADIEU_NEEDS_A_NETWORK();
  const std::string text(3'000'000, 'z');
  std::string arrived;
  std::jthread reader;
  KernelPeer listener;
  {
    auto engine = NativeEngine::start(options());
    ASSERT_TRUE(engine) << engine.error().text;
    listener = KernelPeer::listen({kTheirs, 5000});
    auto socket = engine->connect({kTheirs, 5000});
    ASSERT_TRUE(socket);
    reader = std::jthread([&] { arrived = listener.accept().receive(text.size() + 1); });
    ASSERT_TRUE(socket->send_all(text));
  }
  reader.join();
  EXPECT_EQ(arrived.size(), text.size());
}

TEST(Native, TheEnginesEndResetsSocketsThatAreStillOpen) {
  ADIEU_NEEDS_A_NETWORK();
  KernelPeer peer;
  std::optional<NativeSocket> socket;
  {
    auto engine = NativeEngine::start(options());
    const auto listener = KernelPeer::listen({kTheirs, 5000});
    auto connected = engine->connect({kTheirs, 5000});
    ASSERT_TRUE(connected);
    socket.emplace(std::move(*connected));
    peer = listener.accept();
  }
  EXPECT_FALSE(peer.at_end()) << "a reset, not an end of stream";
  const auto sent = socket->send_all("anybody?");
  ASSERT_FALSE(sent);
  EXPECT_NE(sent.error().text.find("the engine has ended"), std::string::npos);
}

TEST(Native, AnEngineRegistersWheneverThereIsASupervisor) {
  ADIEU_NEEDS_A_NETWORK();
  const TemporaryDirectory dir;
  auto engine = NativeEngine::start(options(dir.path()));
  ASSERT_TRUE(engine) << engine.error().text;
  EXPECT_FALSE(engine->registered());
  const auto listener = KernelPeer::listen({kTheirs, 5000});
  auto socket = engine->connect({kTheirs, 5000});
  ASSERT_TRUE(socket);
  auto supervisor = Process::start({"up", dir.path(), "-", "-"});
  ASSERT_TRUE(eventually([&] { return engine->registered(); }));
  std::optional<ConnectionView> view;
  const Census seen = census(dir.run_dir());
  for_each_connection(seen, [&](const ConnectionView& one) { view = one; });
  ASSERT_TRUE(view);
  EXPECT_EQ(text(view->id), socket->id());
  EXPECT_EQ(view->id.plane, "native");
  EXPECT_EQ(view->record.state, State::Established);
}

TEST(Native, AnAddressOrAnInterfaceInUseIsSaid) {
  ADIEU_NEEDS_A_NETWORK();
  auto engine = NativeEngine::start(options());
  ASSERT_TRUE(engine);
  const auto same_interface = NativeEngine::start(options());
  ASSERT_FALSE(same_interface);
  EXPECT_NE(same_interface.error().text.find("choose another name"), std::string::npos) << same_interface.error().text;
  NativeOptions other = options();
  other.engine.tun = "adieutest2";
  const auto same_address = NativeEngine::start(other);
  ASSERT_FALSE(same_address);
  EXPECT_NE(same_address.error().text.find("address in use"), std::string::npos) << same_address.error().text;
}

}  // namespace
}  // namespace adieu::host
