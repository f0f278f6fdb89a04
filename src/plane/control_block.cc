// The control block's layout, its writer and its view.
//
// Every call of the view checks the shape anew: a plane may hold a view before the first control plane has written a
// word, and whatever stands in the memory between two calls, no call reads outside it.
#include "plane/control_block.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "plane/words.h"

namespace adieu::plane {
namespace {

constexpr std::uint64_t kMagic = 0x6c746375'65696461;  // "adieuctl", as this host's little-endian memory spells it
constexpr std::uint32_t kVersion = 2;

// Words of the header.
constexpr std::size_t kMagicAt = 0;
constexpr std::size_t kShapeAt = 1;  // version, commands in the ring
constexpr std::size_t kEpochAt = 2;
constexpr std::size_t kWrittenAt = 3;
constexpr std::size_t kReceiptsTakenAt = 4;
constexpr std::size_t kEndedSeenAt = 5;
constexpr std::size_t kStatusAt = 8;  // a version, then the status
constexpr std::size_t kHeaderWords = 64;

using StatusWords = std::array<std::uint64_t, 3 + 2 * kGaps>;
static_assert(kStatusAt + 1 + std::tuple_size_v<StatusWords> <= kHeaderWords);

// A command: number; kind, state, form, flags (an octet each: 1 silent, 2 regardless); incarnation; slot, generation;
// heard, epoch; expires; verdict; keepalive: idle, interval (16 bits each), count, else zero.
constexpr std::size_t kCommandWords = 8;
using CommandWords = std::array<std::uint64_t, kCommandWords - 1>;

std::uint64_t pack_keepalive(const Keepalive& k) {
  return std::uint64_t{k.idle} | std::uint64_t{k.interval} << 16 | std::uint64_t{k.count} << 32;
}
// nullopt: no connection can be told that, or it is no command to tell it.
std::optional<Keepalive> unpack_keepalive(std::uint64_t word, CommandKind kind) {
  const Keepalive k{.idle = static_cast<std::uint16_t>(word),
                    .interval = static_cast<std::uint16_t>(word >> 16),
                    .count = static_cast<std::uint8_t>(word >> 32)};
  if (pack_keepalive(k) != word || !is_sane(k) || (word != 0 && kind != CommandKind::Keepalive)) return std::nullopt;
  return k;
}

CommandWords pack_command(const Command& c) {
  const std::uint64_t what = static_cast<std::uint64_t>(c.kind) | static_cast<std::uint64_t>(c.expected_state) << 8 |
                             static_cast<std::uint64_t>(c.form) << 16 | std::uint64_t{c.silent} << 24 |
                             std::uint64_t{c.regardless} << 25;
  return {what,
          c.id.incarnation,
          pack(c.id.slot, c.id.generation),
          pack(c.heard, c.epoch),
          from_signed(c.expires.ns),
          c.verdict,
          pack_keepalive(c.keepalive)};
}

std::optional<Command> unpack_command(const CommandWords& w) {
  const std::uint64_t kind = w[0] & 0xff;
  const std::uint64_t state = w[0] >> 8 & 0xff;
  const std::uint64_t form = w[0] >> 16 & 0xff;
  const std::uint64_t flags = w[0] >> 24;
  if (kind == 0 || kind >= kCommandKinds) return std::nullopt;
  if (state >= kStates || form >= kProbeForms || flags > 3 || w[5] == 0) return std::nullopt;
  Command c;
  c.kind = static_cast<CommandKind>(kind);
  const auto keepalive = unpack_keepalive(w[6], c.kind);
  if (!keepalive) return std::nullopt;
  c.keepalive = *keepalive;
  c.id = {.incarnation = w[1], .slot = low(w[2]), .generation = high(w[2])};
  c.expected_state = static_cast<State>(state);
  c.form = static_cast<ProbeForm>(form);
  c.silent = (flags & 1U) != 0;
  c.regardless = (flags & 2U) != 0;
  c.heard = low(w[3]);
  c.epoch = high(w[3]);
  c.expires.ns = to_signed(w[4]);
  c.verdict = w[5];
  return c;
}

bool holds_a_header(Bytes memory) {
  return memory.size() >= kHeaderWords * kWordBytes && is_aligned(memory.data(), kWordBytes) &&
         load(memory, kMagicAt) == kMagic && low(load(memory, kShapeAt)) == kVersion;
}

// Commands in the ring; 0 when this is no control block, or one that does not fit its memory.
std::uint32_t ring_of(Bytes memory) {
  if (!holds_a_header(memory)) return 0;
  const std::uint32_t commands = high(load(memory, kShapeAt));
  return std::has_single_bit(commands) && memory.size() >= control_block_bytes(commands) ? commands : 0;
}

std::uint64_t word_or_zero(Bytes memory, std::size_t index) { return ring_of(memory) == 0 ? 0 : load(memory, index); }

}  // namespace

std::size_t control_block_bytes(std::uint32_t commands) {
  return (kHeaderWords + std::size_t{commands} * kCommandWords) * kWordBytes;
}

ControlWriter::ControlWriter(MutableBytes memory, std::uint64_t process, std::uint32_t commands)
    : memory_(memory), commands_(commands), process_(process) {
  ADIEU_ASSERT(std::has_single_bit(commands));
  ADIEU_ASSERT(memory.size() >= control_block_bytes(commands) && is_aligned(memory.data(), 64));
  // Numbers go on from where the last control plane stopped, so that no number ever names two commands.
  if (!holds_a_header(memory_))
    for (std::size_t i = 0; i < kHeaderWords; ++i) store(memory_, i, 0);
  store(memory_, kShapeAt, pack(kVersion, commands));
  const std::uint32_t next = epoch() + 1U;
  store(memory_, kEpochAt, next == 0 ? 1 : next);  // 0 says that no control plane has ever been here
  store(memory_, kMagicAt, kMagic);
}

std::uint32_t ControlWriter::epoch() const { return low(load(memory_, kEpochAt)); }
std::uint64_t ControlWriter::commands_written() const { return load(memory_, kWrittenAt); }
std::uint64_t ControlWriter::receipts_taken() const { return load(memory_, kReceiptsTakenAt); }
void ControlWriter::set_receipts_taken(std::uint64_t number) { store(memory_, kReceiptsTakenAt, number); }
void ControlWriter::set_ended_seen(std::uint64_t total) { store(memory_, kEndedSeenAt, total); }

std::optional<std::uint64_t> ControlWriter::write(Command command, std::uint64_t taken) {
  ADIEU_ASSERT(command.verdict != 0 && is_sane(command.keepalive));
  const std::uint64_t written = commands_written();
  // A plane that claims to have taken more than was written is not believed: nothing is overwritten on its word.
  if (taken > written || written - taken >= commands_) return std::nullopt;
  command.epoch = epoch();
  const std::uint64_t number = written + 1;
  store_entry(memory_, entry_at(kHeaderWords, commands_, kCommandWords, number), number, pack_command(command));
  store(memory_, kWrittenAt, number);
  return number;
}

void ControlWriter::set_status(const ControlStatus& s) {
  StatusWords w{process_, from_signed(s.swept_at.ns), s.policy};
  for (std::size_t i = 0; i < kGaps; ++i) {
    w[3 + 2 * i] = from_signed(s.gaps[i].from.ns);
    w[4 + 2 * i] = from_signed(s.gaps[i].to.ns);
  }
  store_versioned(memory_, kStatusAt, 1, w);
}

ControlView::ControlView(Bytes memory) : memory_(memory) {}

std::uint32_t ControlView::epoch() const { return low(word_or_zero(memory_, kEpochAt)); }
std::uint64_t ControlView::receipts_taken() const { return word_or_zero(memory_, kReceiptsTakenAt); }
std::uint64_t ControlView::ended_seen() const { return word_or_zero(memory_, kEndedSeenAt); }

std::uint64_t ControlView::waiting(std::uint64_t taken) const {
  const std::uint32_t ring = ring_of(memory_);
  if (ring == 0) return 0;
  const std::uint64_t written = load(memory_, kWrittenAt);
  return written <= taken ? 0 : std::min<std::uint64_t>(written - taken, ring);
}

std::optional<Command> ControlView::command(std::uint64_t number) const {
  const std::uint32_t ring = ring_of(memory_);
  CommandWords words;
  if (ring == 0 || !load_entry(memory_, entry_at(kHeaderWords, ring, kCommandWords, number), number, words))
    return std::nullopt;
  return unpack_command(words);
}

std::optional<ControlStatus> ControlView::status() const {
  StatusWords w;
  std::uint32_t tag = 0;
  if (ring_of(memory_) == 0 || load_versioned(memory_, kStatusAt, tag, w) != VersionedReading::Whole)
    return std::nullopt;
  ControlStatus s;
  s.process = w[0];
  s.swept_at.ns = to_signed(w[1]);
  s.policy = w[2];
  for (std::size_t i = 0; i < kGaps; ++i)
    s.gaps[i] = {.from = {to_signed(w[3 + 2 * i])}, .to = {to_signed(w[4 + 2 * i])}};
  return s;
}

}  // namespace adieu::plane
