// Packing of records and what stands beside them; slot_words.h says what stands where.
#include "plane/slot_words.h"

#include <cstring>

#include "plane/words.h"

namespace adieu::plane {
namespace {

// Word 5, from bit 0: two ports of 16, state 4, reason 4, holder 2, end of stream read 2, seven flags.
constexpr unsigned kRemotePort = 16;
constexpr unsigned kState = 32;
constexpr unsigned kReason = 36;
constexpr unsigned kHolder = 40;
constexpr unsigned kRead = 42;
constexpr unsigned kFlags = 44;
constexpr unsigned kWindowClosed = 2;  // of the flags
constexpr unsigned kUsedBits = kFlags + 7;
static_assert(kStates <= 16 && kEndReasons <= 16, "state and reason have four bits each");

constexpr std::uint64_t field(std::uint64_t word, unsigned from, unsigned bits) {
  return (word >> from) & ((std::uint64_t{1} << bits) - 1);
}

std::uint64_t pack_flags(const Record& r) {
  const bool flags[] = {r.receive_shut, r.send_shut, r.peer_window_closed, r.can_echo,
                        r.can_probe,    r.passed_r1, r.soft_error};
  std::uint64_t word = 0;
  for (unsigned i = 0; i < 7; ++i) word |= std::uint64_t{flags[i]} << i;
  return word;
}

void unpack_flags(std::uint64_t word, Record& r) {
  bool* const flags[] = {&r.receive_shut, &r.send_shut, &r.peer_window_closed, &r.can_echo,
                         &r.can_probe,    &r.passed_r1, &r.soft_error};
  for (unsigned i = 0; i < 7; ++i) *flags[i] = field(word, i, 1) != 0;
}

std::uint64_t pack_word5(const Record& r) {
  return std::uint64_t{r.local.port} | std::uint64_t{r.remote.port} << kRemotePort |
         static_cast<std::uint64_t>(r.state) << kState | static_cast<std::uint64_t>(r.reason) << kReason |
         static_cast<std::uint64_t>(r.holder) << kHolder | static_cast<std::uint64_t>(r.end_of_stream_read) << kRead |
         pack_flags(r) << kFlags;
}

Endpoint unpack_endpoint(std::uint64_t first, std::uint64_t second, std::uint64_t port) {
  Endpoint endpoint;
  const std::uint64_t halves[] = {first, second};
  std::memcpy(endpoint.address.octets.data(), halves, 16);
  endpoint.port = static_cast<std::uint16_t>(port);
  return endpoint;
}

}  // namespace

Endpoint unpack_local(std::uint64_t word1, std::uint64_t word2, std::uint64_t word5) {
  return unpack_endpoint(word1, word2, field(word5, 0, 16));
}
Endpoint unpack_remote(std::uint64_t word3, std::uint64_t word4, std::uint64_t word5) {
  return unpack_endpoint(word3, word4, field(word5, kRemotePort, 16));
}

SlotWords pack_record(const Record& r) {
  SlotWords w;
  std::memcpy(&w[0], r.local.address.octets.data(), 16);
  std::memcpy(&w[2], r.remote.address.octets.data(), 16);
  w[4] = pack_word5(r);
  w[5] = from_signed(r.state_entered.ns);
  w[6] = from_signed(r.last_heard.ns);
  w[7] = from_signed(r.progress_in.ns);
  w[8] = from_signed(r.progress_out.ns);
  w[9] = from_signed(r.oldest_unacked.ns);
  w[10] = pack(r.heard, r.attempts);
  w[11] = std::uint64_t{r.probes[0]} | std::uint64_t{r.probes[1]} << 16 | std::uint64_t{r.probes[2]} << 32;
  w[12] = from_signed(r.probe_first.ns);
  w[13] = from_signed(r.probe_last.ns);
  w[14] = r.has_ended() ? r.ended_by : pack(r.unread, r.unsent);
  return w;
}

bool unpack_record(const SlotWords& w, std::uint32_t generation, Record& r) {
  const std::uint64_t state = field(w[4], kState, 4);
  const std::uint64_t reason = field(w[4], kReason, 4);
  const std::uint64_t read = field(w[4], kRead, 2);
  if (state >= kStates || reason >= kEndReasons || read > static_cast<std::uint64_t>(Known::Yes)) return false;
  if (w[4] >> kUsedBits != 0 || w[11] >> 48 != 0) return false;
  r.generation = generation;
  r.local = unpack_local(w[0], w[1], w[4]);
  r.remote = unpack_remote(w[2], w[3], w[4]);
  r.state = static_cast<State>(state);
  r.reason = static_cast<EndReason>(reason);
  r.holder = static_cast<Holder>(field(w[4], kHolder, 2));
  r.end_of_stream_read = static_cast<Known>(read);
  unpack_flags(w[4] >> kFlags, r);
  r.state_entered.ns = to_signed(w[5]);
  r.last_heard.ns = to_signed(w[6]);
  r.progress_in.ns = to_signed(w[7]);
  r.progress_out.ns = to_signed(w[8]);
  r.oldest_unacked.ns = to_signed(w[9]);
  r.heard = low(w[10]);
  r.attempts = high(w[10]);
  for (unsigned form = 0; form < kProbeForms; ++form)
    r.probes[form] = static_cast<std::uint16_t>(field(w[11], 16 * form, 16));
  r.probe_first.ns = to_signed(w[12]);
  r.probe_last.ns = to_signed(w[13]);
  r.unread = r.has_ended() ? kUnknownCount : low(w[14]);
  r.unsent = r.has_ended() ? kUnknownCount : high(w[14]);
  r.ended_by = r.has_ended() ? w[14] : 0;
  return true;
}

bool unpack_glance(const GlanceWords& w, Glance& g) {
  const std::uint64_t state = field(w[2], kState, 4);
  const std::uint64_t reason = field(w[2], kReason, 4);
  if (state >= kStates || reason >= kEndReasons) return false;
  std::memcpy(g.remote.octets.data(), w.data(), 16);
  g.state = static_cast<State>(state);
  g.reason = static_cast<EndReason>(reason);
  g.holder = static_cast<Holder>(field(w[2], kHolder, 2));
  g.last_heard.ns = to_signed(w[3]);
  const bool window_closed = field(w[2], kFlags + kWindowClosed, 1) != 0;
  g.is_owed = Instant{to_signed(w[4])}.is_known() || window_closed;
  g.was_asked = high(w[5]) != 0 || w[6] != 0;
  return true;
}

bool has_ended(std::uint64_t word5) { return field(word5, kReason, 4) != 0; }

// Word 3: network of 32, timer 8, retries 8, five flags.
constexpr unsigned kTimer = 32;
constexpr unsigned kRetries = 40;
constexpr unsigned kBesideFlags = 48;
constexpr unsigned kUsedBesideBits = kBesideFlags + 5;

BesideWords pack_beside(const Beside& b) {
  BesideWords w{};
  w[0] = pack(b.process, static_cast<std::uint32_t>(b.descriptor));
  w[1] = std::uint64_t{b.processes} | std::uint64_t{b.descriptors} << 16 | std::uint64_t{b.references} << 32;
  w[2] = std::uint64_t{b.network} | static_cast<std::uint64_t>(b.timer) << kTimer |
         std::uint64_t{b.retries} << kRetries | std::uint64_t{b.looked} << kBesideFlags |
         std::uint64_t{b.looked_everywhere} << (kBesideFlags + 1) | std::uint64_t{b.inherited} << (kBesideFlags + 2) |
         std::uint64_t{b.keepalive} << (kBesideFlags + 3) | std::uint64_t{b.keepalive_refused} << (kBesideFlags + 4);
  w[3] = from_signed(b.fires.ns);
  w[4] = from_signed(b.in_state_by.ns);
  std::memcpy(&w[5], b.comm.data(), b.comm.size());
  return w;
}

bool unpack_beside(const BesideWords& w, Beside& b) {
  const std::uint64_t timer = field(w[2], kTimer, 8);
  if (timer >= kOwnTimers || w[2] >> kUsedBesideBits != 0) return false;
  b.process = low(w[0]);
  b.descriptor = static_cast<std::int32_t>(high(w[0]));
  b.processes = static_cast<std::uint16_t>(field(w[1], 0, 16));
  b.descriptors = static_cast<std::uint16_t>(field(w[1], 16, 16));
  b.references = high(w[1]);
  b.network = low(w[2]);
  b.timer = static_cast<OwnTimer>(timer);
  b.retries = static_cast<std::uint8_t>(field(w[2], kRetries, 8));
  b.looked = field(w[2], kBesideFlags, 1) != 0;
  b.looked_everywhere = field(w[2], kBesideFlags + 1, 1) != 0;
  b.inherited = field(w[2], kBesideFlags + 2, 1) != 0;
  b.keepalive = field(w[2], kBesideFlags + 3, 1) != 0;
  b.keepalive_refused = field(w[2], kBesideFlags + 4, 1) != 0;
  b.fires.ns = to_signed(w[3]);
  b.in_state_by.ns = to_signed(w[4]);
  std::memcpy(b.comm.data(), &w[5], b.comm.size());
  return true;
}

std::string_view name(OwnTimer timer) {
  switch (timer) {
    case OwnTimer::Unknown: return "unknown";
    case OwnTimer::None: return "none";
    case OwnTimer::Retransmit: return "on";
    case OwnTimer::Keepalive: return "keepalive";
    case OwnTimer::Quarantine: return "timewait";
    case OwnTimer::Persist: return "persist";
  }
  return "?";
}

}  // namespace adieu::plane
