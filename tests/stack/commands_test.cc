// What the control plane may ask, and what it is refused: probes on the wire, every command, every outcome, receipts.
#include "peer.h"
#include "plane/control_block.h"

namespace adieu::stack {
namespace {

using plane::CommandKind;
using plane::Outcome;

// A scene with a control plane's hand: its block, and the receipts as its reader sees them.
struct Controlled : Scene {
  explicit Controlled(PeerOptions options = {}) : Scene(options) {}

  plane::Command command(Socket socket, CommandKind kind) const {
    plane::Command c;
    c.kind = kind;
    c.id = host.engine.id(socket);
    c.expected_state = state(socket);
    c.heard = record(socket).heard;
    c.epoch = writer.epoch();
    c.expires = now + 10_s;
    c.verdict = 42;
    return c;
  }
  // Written, taken, answered: the receipt.
  plane::Receipt orders(const plane::Command& c) {
    EXPECT_TRUE(writer.write(c, host.engine.table().commands_taken()));
    EXPECT_EQ(host.engine.take_commands(view, now), 1U);
    pump();
    const auto reader = plane::TableReader::over(host.table_bytes());
    EXPECT_TRUE(reader);
    const auto receipt = reader->receipt(reader->receipts_written());
    EXPECT_TRUE(receipt);
    writer.set_receipts_taken(reader->receipts_written());
    return receipt.value_or(plane::Receipt{});
  }
  Outcome probes(Socket socket, ProbeForm form) {
    plane::Command c = command(socket, CommandKind::Probe);
    c.form = form;
    return orders(c).outcome;
  }

  static constexpr std::uint32_t kCommands = 64;
  std::vector<std::uint64_t> block = std::vector<std::uint64_t>(plane::control_block_bytes(kCommands) / 8 + 9);
  MutableBytes block_bytes() {
    const auto start = (reinterpret_cast<std::uintptr_t>(block.data()) + 63) & ~std::uintptr_t{63};
    return {reinterpret_cast<std::uint8_t*>(start), plane::control_block_bytes(kCommands)};
  }
  plane::ControlWriter writer{block_bytes(), 1, kCommands};
  plane::ControlView view{block_bytes()};
};

// --- probes

TEST(Probe, ByDataEchoRepeatsTheLastAcknowledgedOctetOneBelowSndNxt) {
  Controlled scene;
  const Socket socket = scene.accepted();
  EXPECT_FALSE(scene.record(socket).can_echo);
  EXPECT_EQ(scene.probes(socket, ProbeForm::DataEcho), Outcome::Unable) << "no octet was ever sent";
  scene.send(socket, "hello!");
  EXPECT_EQ(scene.probes(socket, ProbeForm::DataEcho), Outcome::Unable) << "something is outstanding";
  scene.acknowledges();
  scene.look();
  EXPECT_TRUE(scene.record(socket).can_echo);
  EXPECT_EQ(scene.probes(socket, ProbeForm::DataEcho), Outcome::Done);
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_EQ(scene.heard[0].text, "!");
  EXPECT_EQ(scene.heard[0].segment.seq, scene.rcv_nxt - 1);
  EXPECT_FALSE(scene.heard[0].segment.fin || scene.heard[0].segment.syn || scene.heard[0].segment.rst);
}

TEST(Probe, ByDataEchoStandsTwoBelowSndNxtOnceOurFinIsAcknowledged) {
  Controlled scene;
  const Socket socket = scene.accepted();
  scene.send(socket, "bye");
  scene.shut(socket, Shut::Send);
  scene.acknowledges();
  EXPECT_EQ(scene.state(socket), State::FinWait2);
  scene.look();
  EXPECT_EQ(scene.probes(socket, ProbeForm::DataEcho), Outcome::Done);
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_EQ(scene.heard[0].text, "e");
  EXPECT_EQ(scene.heard[0].segment.seq, scene.rcv_nxt - 2);
  scene.look();
  EXPECT_EQ(scene.probes(socket, ProbeForm::Bare), Outcome::TooSoon) << "a second after the last probe";
  scene.run(1_s);
  EXPECT_EQ(scene.probes(socket, ProbeForm::Bare), Outcome::Done);
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_TRUE(is_bare_ack(scene.heard[0]));
  EXPECT_EQ(scene.heard[0].segment.seq, scene.rcv_nxt - 1);
}

TEST(Probe, BareIsRefusedCloserThanASecondToTheLast) {
  Controlled scene;
  const Socket socket = scene.accepted();
  EXPECT_EQ(scene.probes(socket, ProbeForm::Bare), Outcome::Done);
  scene.run(999_ms);
  EXPECT_EQ(scene.probes(socket, ProbeForm::Bare), Outcome::TooSoon);
  scene.run(1_ms);
  EXPECT_EQ(scene.probes(socket, ProbeForm::Bare), Outcome::Done);
  EXPECT_EQ(scene.record(socket).probes[static_cast<std::size_t>(ProbeForm::Bare)], 2);
  EXPECT_EQ(scene.record(socket).probe_last - scene.record(socket).probe_first, 1_s);
}

TEST(Probe, ByWhatIsPendingSendsItAgainNow) {
  Controlled scene;
  const Socket socket = scene.accepted();
  EXPECT_EQ(scene.probes(socket, ProbeForm::Pending), Outcome::Unable);
  scene.shut(socket, Shut::Send);
  scene.look();
  EXPECT_EQ(scene.probes(socket, ProbeForm::Bare), Outcome::Unable) << "MUST-26";
  EXPECT_EQ(scene.probes(socket, ProbeForm::Pending), Outcome::Done);
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_TRUE(scene.heard[0].segment.fin);
}

TEST(Probe, IsAnsweredByAnEngineAndForgottenWhenThePeerIsHeard) {
  for (const ProbeForm form : {ProbeForm::DataEcho, ProbeForm::Bare}) {
    Controlled scene;
    const Socket socket = scene.accepted();
    scene.send(socket, "x");
    scene.acknowledges();
    scene.run(10_s);
    const auto before = scene.host.engine.details(socket);
    const std::uint32_t heard = scene.record(socket).heard;
    EXPECT_EQ(scene.probes(socket, form), Outcome::Done);
    EXPECT_TRUE(scene.record(socket).probe_first.is_known());
    scene.run(30_ms);
    scene.acknowledges();  // the answer, whose round trip is nobody's sample
    EXPECT_EQ(scene.record(socket).heard, heard + 1);
    EXPECT_FALSE(scene.record(socket).probe_first.is_known());
    EXPECT_EQ(scene.record(socket).probes[static_cast<std::size_t>(form)], 0);
    const auto after = scene.host.engine.details(socket);
    EXPECT_EQ(after->srtt, before->srtt);
    EXPECT_EQ(after->cwnd, before->cwnd);
    EXPECT_EQ(after->in_flight, 0U);
  }
}

TEST(Probe, OfTwoEnginesIsAnsweredInEveryStateThatMayBeProbed) {
  for (const bool half_closed : {false, true}) {
    for (const ProbeForm form : {ProbeForm::DataEcho, ProbeForm::Bare}) {
      Pair pair;
      const auto [client, server] = pair.connected();
      ASSERT_TRUE(pair.a.engine.send(client, bytes_of("x"), pair.now));
      pair.run(1_s);
      EXPECT_EQ(pair.b.read(server, pair.now), "x");
      if (half_closed) {
        ASSERT_TRUE(pair.a.engine.shutdown(client, Shut::Send, pair.now));
      }
      pair.run(10_s);
      std::vector<std::uint64_t> block(plane::control_block_bytes(64) / 8 + 9);
      const auto start = (reinterpret_cast<std::uintptr_t>(block.data()) + 63) & ~std::uintptr_t{63};
      const MutableBytes bytes{reinterpret_cast<std::uint8_t*>(start), plane::control_block_bytes(64)};
      plane::ControlWriter writer(bytes, 1, 64);
      plane::Command c;
      c.id = pair.a.engine.id(client);
      c.expected_state = pair.a.state(client);
      c.form = form;
      c.epoch = writer.epoch();
      c.expires = pair.now + 1_s;
      c.verdict = 1;
      ASSERT_TRUE(writer.write(c, 0));
      const std::uint32_t heard = pair.a.record(client).heard;
      ASSERT_EQ(pair.a.engine.take_commands(plane::ControlView(bytes), pair.now), 1U);
      pair.run(1_s);
      EXPECT_EQ(pair.a.record(client).heard, heard + 1);
      EXPECT_EQ(pair.b.read(server, pair.now), "") << "the echo is no new octet";
      EXPECT_EQ(pair.a.state(client), half_closed ? State::FinWait2 : State::Established);
    }
  }
}

TEST(Probe, IsRefusedWhereThereIsNothingToAskOrNobodyToAnswer) {
  {
    Controlled scene;
    const Socket socket = scene.connecting();
    for (const ProbeForm form : {ProbeForm::DataEcho, ProbeForm::Bare, ProbeForm::Pending}) {
      EXPECT_EQ(scene.probes(socket, form), Outcome::Unable);
    }
    scene.say(scene.syn());
    EXPECT_EQ(scene.state(socket), State::SynReceived);
    EXPECT_EQ(scene.probes(socket, ProbeForm::Bare), Outcome::Unable);
  }
  Controlled scene;
  const Socket socket = scene.accepted();
  scene.shut(socket, Shut::Send);
  scene.acknowledges();
  scene.sends_fin();
  ASSERT_EQ(scene.state(socket), State::TimeWait);
  scene.look();
  for (const ProbeForm form : {ProbeForm::DataEcho, ProbeForm::Bare, ProbeForm::Pending}) {
    EXPECT_EQ(scene.probes(socket, form), Outcome::Unable);
  }
  EXPECT_TRUE(scene.heard.empty());
}

// --- the other commands

TEST(Command, FinishSendsOurFinAsTheApplicationWould) {
  Controlled scene;
  const Socket socket = scene.accepted();
  EXPECT_EQ(scene.orders(scene.command(socket, CommandKind::Finish)).outcome, Outcome::Done);
  EXPECT_EQ(scene.state(socket), State::FinWait1);
  ASSERT_EQ(scene.heard.size(), 1U);
  EXPECT_TRUE(scene.heard[0].segment.fin);
  std::uint8_t octet = 0;
  EXPECT_EQ(scene.host.engine.send(socket, {&octet, 1}, scene.now).error(), Error::SendingClosed);
  // Twice is harmless.
  EXPECT_EQ(scene.orders(scene.command(socket, CommandKind::Finish)).outcome, Outcome::Done);
  EXPECT_EQ(scene.heard.size(), 1U);
}

TEST(Command, AbortTellsThePeerUnlessItIsSilentAndTheRecordNamesTheVerdict) {
  for (const bool silent : {false, true}) {
    Controlled scene;
    const Socket socket = scene.accepted();
    plane::Command c = scene.command(socket, CommandKind::Abort);
    c.silent = silent;
    const plane::Receipt receipt = scene.orders(c);
    EXPECT_EQ(receipt.outcome, Outcome::Done);
    EXPECT_EQ(receipt.state, State::Closed);
    EXPECT_EQ(receipt.verdict, 42U);
    EXPECT_EQ(scene.reason(socket), EndReason::Commanded);
    EXPECT_EQ(scene.record(socket).ended_by, 42U);
    EXPECT_EQ(scene.heard.size(), silent ? 0U : 1U);
    EXPECT_EQ(scene.host.engine.error(socket), Error::Aborted);
    EXPECT_EQ(scene.orders(c).outcome, Outcome::AlreadyEnded);
  }
}

TEST(Command, AbortNeverOvertakesASignOfLife) {
  Controlled scene;
  const Socket socket = scene.accepted();
  const plane::Command c = scene.command(socket, CommandKind::Abort);
  scene.acknowledges();  // one segment, heard after the verdict
  const plane::Receipt receipt = scene.orders(c);
  EXPECT_EQ(receipt.outcome, Outcome::HeardSince);
  EXPECT_EQ(receipt.heard, c.heard + 1);
  EXPECT_EQ(scene.state(socket), State::Established);
  EXPECT_EQ(scene.orders(scene.command(socket, CommandKind::Abort)).outcome, Outcome::Done);
}

TEST(Command, ForgetEndsTimeWaitAndNothingElse) {
  Controlled scene;
  const Socket socket = scene.accepted();
  EXPECT_EQ(scene.orders(scene.command(socket, CommandKind::Forget)).outcome, Outcome::Unable);
  scene.shut(socket, Shut::Send);
  scene.acknowledges();
  scene.sends_fin();
  scene.look();
  EXPECT_EQ(scene.orders(scene.command(socket, CommandKind::Forget)).outcome, Outcome::Done);
  EXPECT_EQ(scene.reason(socket), EndReason::Commanded);
  EXPECT_TRUE(scene.heard.empty());
}

TEST(Command, KeepaliveIsNotToBeHadWhereTheControlPlaneAsks) {
  Controlled scene;
  const Socket socket = scene.accepted();
  const plane::Receipt receipt = scene.orders(scene.command(socket, CommandKind::Keepalive));
  EXPECT_EQ(receipt.outcome, Outcome::Unable);
  EXPECT_EQ(receipt.state, State::Established);
}

// --- refusals

TEST(Command, IsRefusedFromItsExpiryOn) {
  for (const bool expired : {false, true}) {
    Controlled scene;
    const Socket socket = scene.accepted();
    plane::Command c = scene.command(socket, CommandKind::Finish);
    c.expires = scene.now + (expired ? Duration{} : nanoseconds(1));
    EXPECT_EQ(scene.orders(c).outcome, expired ? Outcome::Expired : Outcome::Done);
  }
}

TEST(Command, IsVoidOnceAnotherControlPlaneHasTakenOver) {
  Controlled scene;
  const Socket socket = scene.accepted();
  const plane::Command c = scene.command(socket, CommandKind::Abort);
  ASSERT_TRUE(scene.writer.write(c, 0));
  plane::ControlWriter next(scene.block_bytes(), 2, Controlled::kCommands);
  EXPECT_EQ(scene.host.engine.take_commands(scene.view, scene.now), 1U);
  const auto reader = plane::TableReader::over(scene.host.table_bytes());
  EXPECT_EQ(reader->receipt(1)->outcome, Outcome::Void);
  EXPECT_EQ(scene.state(socket), State::Established);
}

TEST(Command, IsRefusedForAnotherStateGenerationSlotOrIncarnation) {
  Controlled scene;
  const Socket socket = scene.accepted();
  const plane::Command good = scene.command(socket, CommandKind::Abort);
  plane::Command c = good;
  c.expected_state = State::FinWait2;
  EXPECT_EQ(scene.orders(c).outcome, Outcome::WrongState);
  c = good;
  c.id.generation += 1;
  EXPECT_EQ(scene.orders(c).outcome, Outcome::WrongIdentity);
  c = good;
  c.id.slot = 4'000'000;
  EXPECT_EQ(scene.orders(c).outcome, Outcome::WrongIdentity);
  c = good;
  c.id.incarnation += 1;
  EXPECT_EQ(scene.orders(c).outcome, Outcome::WrongIdentity);
  EXPECT_EQ(scene.state(socket), State::Established);
}

TEST(Command, IsRefusedWithoutTheAbility) {
  using plane::Ability;
  const auto without = [](Ability ability, CommandKind kind, ProbeForm form, bool silent) {
    Controlled scene;
    const Socket socket = scene.accepted();
    scene.send(socket, "x");
    if (form != ProbeForm::Pending) scene.acknowledges();
    plane::TableWriter& table = scene.host.engine.table();
    table.set_abilities(table.abilities() & ~static_cast<plane::Abilities>(ability));
    plane::Command c = scene.command(socket, kind);
    c.form = form;
    c.silent = silent;
    const Outcome outcome = scene.orders(c).outcome;
    EXPECT_EQ(scene.state(socket), State::Established);
    return outcome;
  };
  EXPECT_EQ(without(Ability::ProbeEcho, CommandKind::Probe, ProbeForm::DataEcho, false), Outcome::Unable);
  EXPECT_EQ(without(Ability::ProbeBare, CommandKind::Probe, ProbeForm::Bare, false), Outcome::Unable);
  EXPECT_EQ(without(Ability::ProbePending, CommandKind::Probe, ProbeForm::Pending, false), Outcome::Unable);
  EXPECT_EQ(without(Ability::Finish, CommandKind::Finish, ProbeForm::Bare, false), Outcome::Unable);
  EXPECT_EQ(without(Ability::AbortReset, CommandKind::Abort, ProbeForm::Bare, false), Outcome::Unable);
  EXPECT_EQ(without(Ability::AbortSilent, CommandKind::Abort, ProbeForm::Bare, true), Outcome::Unable);
}

TEST(Command, IsNotTakenWithoutRoomForItsReceiptAndNoReceiptIsEverLost) {
  Controlled scene;  // its table has room for 64 receipts
  const Socket socket = scene.accepted();
  const auto writes = [&](int count) {
    for (int i = 0; i < count; ++i) {
      plane::Command c = scene.command(socket, CommandKind::Probe);
      c.form = ProbeForm::Pending;
      ASSERT_TRUE(scene.writer.write(c, scene.host.engine.table().commands_taken()));
    }
  };
  writes(64);
  EXPECT_EQ(scene.host.engine.take_commands(scene.view, scene.now), 64U);
  writes(10);
  EXPECT_EQ(scene.host.engine.take_commands(scene.view, scene.now), 0U);
  const auto reader = plane::TableReader::over(scene.host.table_bytes());
  for (std::uint64_t number = 1; number <= 64; ++number) EXPECT_EQ(reader->receipt(number)->command, number);
  scene.writer.set_receipts_taken(4);
  EXPECT_EQ(scene.host.engine.take_commands(scene.view, scene.now), 4U);
  scene.writer.set_receipts_taken(68);
  EXPECT_EQ(scene.host.engine.take_commands(scene.view, scene.now), 6U);
  EXPECT_EQ(reader->receipt(74)->command, 74U);
}

// --- over a long life

TEST(Memory, OfAnEngineDoesNotGrowWithConnectionsThatHaveComeAndGone) {
  Controlled scene;
  scene.host.engine.set_control(scene.view);
  const Listener listener = scene.listens();
  const auto reader = plane::TableReader::over(scene.host.table_bytes());
  std::size_t after_a_thousand = 0;
  for (int i = 0; i < 20'000; ++i) {
    scene.there.port = static_cast<std::uint16_t>(1 + i % 60'000);
    scene.snd_nxt = Seq{100'000};
    scene.say(scene.syn());
    scene.snd_nxt += 1;
    scene.acknowledges();
    const auto socket = scene.host.engine.accept(listener, scene.now);
    ASSERT_TRUE(socket) << i;
    ASSERT_TRUE(scene.host.engine.abort(*socket, scene.now));
    scene.pump();
    scene.look();
    scene.run(1_s);
    scene.writer.set_ended_seen(reader->ended_total());
    if (i == 1000) after_a_thousand = scene.host.engine.private_bytes();
  }
  // Bookkeeping of handshakes is swept when it is twice as long as handshakes may be many (1024).
  EXPECT_LE(scene.host.engine.private_bytes(), after_a_thousand + 16 * 1024);
}

}  // namespace
}  // namespace adieu::stack
