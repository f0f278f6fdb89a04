// The control block as hostile input: any octets in it at any time, commands that are nearly right, receipts that are
// never taken. The engine may refuse or obey; it may not break, end a connection by a command that does not name it, or
// lose a receipt.
#include <cstring>
#include <memory>
#include <vector>

#include "base/assert.h"
#include "base/limits.h"
#include "plane/control_block.h"
#include "plane/table.h"
#include "stack/engine.h"

namespace adieu::stack {
namespace {

constexpr std::uint32_t kRing = 8;
constexpr std::uint32_t kReceipts = 16;
constexpr std::uint16_t kPort = 7000;

// Octets of the input, zero behind its end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  bool is_over() const { return at_ == end_; }
  std::uint8_t octet() { return at_ == end_ ? std::uint8_t{0} : *at_++; }
  std::uint64_t word() {
    std::uint64_t word = 0;
    for (int i = 0; i < 8; ++i) word = word << 8 | octet();
    return word;
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

struct alignas(64) Line {
  std::uint8_t octets[64] = {};
};
MutableBytes bytes_of(std::vector<Line>& lines) { return {lines.front().octets, lines.size() * sizeof(Line)}; }

struct Host {
  explicit Host(std::uint8_t number, Instant now)
      : memory(plane::table_bytes(capacity()) / sizeof(Line) + 1),
        engine(settings(number), bytes_of(memory), setup(number), now) {}
  static plane::Capacity capacity() { return {16, kReceipts, 16}; }
  static Address address(std::uint8_t number) { return Address::v4(10, 0, 0, number); }
  static Settings settings(std::uint8_t number) {
    Settings s;
    s.addresses = {address(number)};
    s.isn_key[0] = s.demux_key[0] = number;
    return s;
  }
  static plane::TableSetup setup(std::uint8_t number) {
    plane::TableSetup setup;
    setup.incarnation = number;
    setup.capacity = capacity();
    return setup;
  }
  std::vector<Line> memory;
  Engine engine;
};

class World {
 public:
  World() : a_(1, now_), b_(2, now_), block_(plane::control_block_bytes(kRing) / sizeof(Line) + 1) {
    control_ = std::make_unique<plane::ControlWriter>(bytes_of(block_), 1, kRing);
    const auto listener = b_.engine.listen({Host::address(2), kPort}, {});
    for (int i = 0; i < 4; ++i) {
      sockets_.push_back(a_.engine.connect({Host::address(2), kPort}, {}, now_).value());
      run();
      const auto accepted = b_.engine.accept(*listener, now_);
      ADIEU_ASSERT(accepted);
      if (i == 2) ADIEU_ASSERT(b_.engine.shutdown(*accepted, Shut::Send, now_));
    }
    ADIEU_ASSERT(a_.engine.shutdown(sockets_[1], Shut::Send, now_));
    run();
  }

  void act(Input& input) {
    switch (input.octet() % 6) {
      case 0: return overwrite(input);
      case 1:
      case 2: return command(input);
      case 3: return take();
      case 4: now_ = now_ + milliseconds(input.octet() * 16); return run();
      case 5: return control_->set_receipts_taken(input.octet() % 4 == 0 ? input.word() : written());
    }
  }

 private:
  void overwrite(Input& input) {
    const MutableBytes block = bytes_of(block_);
    const std::size_t words = plane::control_block_bytes(kRing) / 8;
    const std::uint64_t value = input.word();
    std::memcpy(block.data() + input.octet() % words * 8, &value, sizeof value);
    hostile_ = true;
  }
  // Nearly right: one that names a connection of ours, with some of it changed.
  void command(Input& input) {
    const std::uint32_t slot = input.octet() % 6;
    const plane::Record record = slot < 4 ? a_.engine.table().last(slot) : plane::Record{};
    const std::uint8_t changes = input.octet();
    plane::Command c;
    c.kind = static_cast<plane::CommandKind>(1 + input.octet() % (plane::kCommandKinds - 1));
    c.id = {1, slot, record.generation + (changes & 1U)};
    c.expected_state = (changes & 2U) != 0 ? State::LastAck : record.state;
    c.form = static_cast<ProbeForm>(input.octet() % kProbeForms);
    c.silent = (changes & 4U) != 0;
    c.regardless = (changes & 8U) != 0;
    c.heard = record.heard + ((changes & 16U) != 0 ? 1 : 0);
    c.expires = (changes & 32U) != 0 ? now_ : now_ + seconds(1);
    c.verdict = 1 + input.octet();
    if (c.kind == plane::CommandKind::Keepalive)
      c.keepalive = {
          .idle = input.octet(), .interval = input.octet(), .count = static_cast<std::uint8_t>(changes & 127U)};
    control_->write(c, a_.engine.table().commands_taken());
  }
  std::uint64_t written() const { return reader().receipts_written(); }
  plane::TableReader reader() const {
    return plane::TableReader::over({a_.memory.front().octets, a_.memory.size() * sizeof(Line)}).value();
  }

  void take() {
    std::vector<plane::Record> before;
    for (std::uint32_t slot = 0; slot < 4; ++slot) before.push_back(a_.engine.table().last(slot));
    const std::uint64_t receipts = written();
    const plane::ControlView view(bytes_of(block_));
    const unsigned taken = a_.engine.take_commands(view, now_);
    ADIEU_ASSERT(taken <= kRing && written() == receipts + taken);
    std::vector<bool> commanded(4, false);
    for (std::uint64_t number = receipts + 1; number <= written(); ++number) {
      const auto receipt = reader().receipt(number);
      ADIEU_ASSERT(receipt);
      const bool ends = receipt->kind != plane::CommandKind::Probe && receipt->kind != plane::CommandKind::Finish;
      if (receipt->outcome != plane::Outcome::Done || !ends) continue;
      ADIEU_ASSERT(receipt->id.incarnation == 1 && receipt->id.slot < 4);
      ADIEU_ASSERT(receipt->id.generation == before[receipt->id.slot].generation);
      commanded[receipt->id.slot] = true;
    }
    for (std::uint32_t slot = 0; slot < 4; ++slot) {
      const plane::Record after = a_.engine.table().last(slot);
      const bool ended_now = after.has_ended() && !before[slot].has_ended();
      ADIEU_ASSERT(!ended_now || after.reason != EndReason::Commanded || commanded[slot]);
    }
    // Whatever stood there, an honest control plane that takes the block over works again.
    if (hostile_ && taken == 0) {
      control_ = std::make_unique<plane::ControlWriter>(bytes_of(block_), 1, kRing);
      hostile_ = false;
    }
    run();
  }

  void run() {
    for (int rounds = 0; rounds < 64; ++rounds) {
      bool moved = false;
      for (auto [from, to] : {std::pair(&a_, &b_), std::pair(&b_, &a_)}) {
        from->engine.advance(now_);
        while (const auto out = from->engine.poll_packet(buffer_, now_)) {
          Offload offload = out->offload;
          offload.checksum_valid = offload.checksum_partial;
          to->engine.receive_packet(Bytes(buffer_).first(out->length), offload, now_);
          moved = true;
        }
        while (from->engine.poll_wake()) {
        }
      }
      if (!moved) break;
    }
    a_.engine.check_invariants();
    b_.engine.check_invariants();
  }

  Instant now_{seconds(1000).ns};
  Host a_;
  Host b_;
  std::vector<Line> block_;
  std::unique_ptr<plane::ControlWriter> control_;
  std::vector<Socket> sockets_;
  bool hostile_ = false;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(limits::kPacketBytes);
};

}  // namespace
}  // namespace adieu::stack

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  adieu::stack::Input input(data, size);
  adieu::stack::World world;
  while (!input.is_over()) world.act(input);
  return 0;
}
