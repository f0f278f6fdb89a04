// Sequence numbers are followed per side; the first segment seen of a side says where it starts.
#include "lab/exchange.h"

#include <algorithm>
#include <array>
#include <optional>

namespace adieu::lab {
namespace {

struct Side {
  std::optional<Seq> initial;
  Seq end;  // the highest that it sent
  std::optional<std::uint8_t> window_scale;
};

Kind kind_of(const Seen& seen, const Side& side, const std::vector<Step>& before, bool from_left) {
  const wire::Segment& s = seen.segment;
  const bool is_new = !side.initial || s.seq + seen.payload + (s.fin ? 1U : 0U) > side.end;
  if (s.rst) return Kind::Reset;
  if (s.syn) return Kind::Syn;
  if (s.fin) return is_new ? Kind::Fin : Kind::Again;
  if (seen.payload > 0) return is_new ? Kind::Data : seen.payload == 1 ? Kind::DataEcho : Kind::Again;
  if (side.initial && s.seq < side.end) return Kind::Bare;
  const bool answers = !before.empty() && before.back().from_left != from_left && is_probe(before.back().kind);
  return answers ? Kind::Answer : Kind::Ack;
}

void follow(Side& side, const Seen& seen) {
  const wire::Segment& s = seen.segment;
  if (!side.initial) {
    // Joined in the middle: count from its first octet as 1, as if a SYN had been there.
    side.initial = s.syn ? s.seq : s.seq - 1U;
    side.end = s.seq;
  }
  side.end = later(side.end, s.seq + seen.payload + (s.fin ? 1U : 0U) + (s.syn ? 1U : 0U));
  if (s.syn) side.window_scale = s.window_scale;
}

}  // namespace

std::vector<Step> read_exchange(const std::vector<Seen>& segments, const Endpoint& left) {
  std::vector<Step> steps;
  std::array<Side, 2> sides;
  for (const Seen& seen : segments) {
    const bool from_left = seen.source == left;
    Side& own = sides[from_left ? 0 : 1];
    Side& other = sides[from_left ? 1 : 0];
    const wire::Segment& s = seen.segment;
    Step step{.seen = seen, .from_left = from_left, .kind = kind_of(seen, own, steps, from_left)};
    if (!s.rst || s.ack_flag || own.initial) follow(own, seen);
    if (s.ack_flag && !other.initial) {
      other.initial = s.ack - 1U;
      other.end = s.ack;
    }
    step.seq = own.initial ? (s.seq - *own.initial) >= 0 ? distance(*own.initial, s.seq) : 0 : 0;
    step.ack = s.ack_flag && other.initial ? distance(*other.initial, s.ack) : 0;
    const bool scaled = !s.syn && own.window_scale && other.window_scale;
    step.window = static_cast<std::uint32_t>(s.window) << (scaled ? std::min<unsigned>(*own.window_scale, 14) : 0U);
    steps.push_back(step);
  }
  return steps;
}

std::uint64_t data_since(const std::vector<Step>& steps, bool from_left, Instant since) {
  std::uint64_t octets = 0;
  for (const Step& s : steps)
    if (s.from_left == from_left && s.kind == Kind::Data && s.seen.at >= since) octets += s.seen.payload;
  return octets;
}

std::size_t count(const std::vector<Step>& steps, bool from_left, Kind kind, Instant since) {
  return static_cast<std::size_t>(std::ranges::count_if(
      steps, [&](const Step& s) { return s.from_left == from_left && s.kind == kind && s.seen.at >= since; }));
}

}  // namespace adieu::lab
