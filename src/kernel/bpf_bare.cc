// Naming sockets and taking the answers. What does not live here: reading them (bpf/bare.bpf.c).
#include "kernel/bpf_bare.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "kernel/bpf/objects.h"
#include "kernel/bpf/rows.h"
#include "kernel/reply.h"

namespace adieu::kernel {
namespace {

constexpr unsigned kEcnBits = 3;  // RFC 3168 section 5

BareSegment segment_of(const BareRow& row) {
  BareSegment segment;
  segment.state = row.state == 0 ? State::Closed : state_of(row.state);
  segment.is_idle = row.is_idle != 0;
  segment.is_plain = row.is_plain != 0;
  segment.next = row.next;
  segment.ack = row.ack;
  segment.window = static_cast<std::uint16_t>(std::min(row.window >> row.window_scale, 65535U));
  if (row.has_timestamps != 0) segment.timestamps = BareTimestamps{.value = row.timestamp, .echo = row.echo};
  segment.mark = row.mark;
  segment.device = row.device;
  segment.v4 = {.hops = row.ttl, .service = static_cast<int>(row.service & ~kEcnBits)};
  segment.v6 = {.hops = row.hop_limit, .service = static_cast<int>(row.traffic_class & ~kEcnBits)};
  return segment;
}

}  // namespace

std::expected<BpfBare, Error> BpfBare::open() {
  auto object = BpfObject::open(objects::kBare, "adieu_bare");
  if (!object) return std::unexpected(object.error());
  if (auto loaded = object->load(); !loaded) return std::unexpected(loaded.error());
  if (auto attached = object->attach("tell_bare_segment"); !attached) return std::unexpected(attached.error());
  return BpfBare(std::move(*object));
}

std::expected<void, Error> BpfBare::read(std::span<const std::uint64_t> cookies,
                                         std::span<std::optional<BareSegment>> answers) {
  ADIEU_ASSERT(cookies.size() == answers.size() && cookies.size() <= kMostAtOnce);
  std::ranges::fill(answers, std::nullopt);
  std::expected<void, Error> done;
  for (const std::uint64_t cookie : cookies) {
    const std::uint8_t one = 1;
    if (done) done = object_.update("wanted", &cookie, &one);
  }
  // A walk over the kernel's table can miss a socket that is there; twice in a row hardly.
  for (int attempt = 0; done && attempt < 2; ++attempt) done = walk(cookies, answers);
  for (const std::uint64_t cookie : cookies) object_.erase("wanted", &cookie);
  return done;
}

std::expected<void, Error> BpfBare::walk(std::span<const std::uint64_t> cookies,
                                         std::span<std::optional<BareSegment>> answers) {
  std::size_t outstanding =
      static_cast<std::size_t>(std::ranges::count_if(answers, [](const auto& answer) { return !answer; }));
  if (outstanding == 0) return {};
  const auto walk = object_.walk();
  if (!walk) return std::unexpected(walk.error());
  std::array<BareRow, kMostAtOnce> rows;
  while (outstanding != 0) {
    // The kernel stops walking when it has what was asked for.
    const auto count = read_rows(*walk, rows.data(), outstanding, sizeof(BareRow));
    if (!count) return std::unexpected(count.error());
    if (*count == 0) return {};
    for (const BareRow& row : std::span(rows).first(*count)) {
      const auto cookie = std::ranges::find(cookies, row.cookie);
      if (cookie != cookies.end()) answers[static_cast<std::size_t>(cookie - cookies.begin())] = segment_of(row);
    }
    outstanding -= *count;
  }
  return {};
}

}  // namespace adieu::kernel
