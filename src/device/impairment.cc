// Every packet costs the same number of draws whatever the settings are, so that a change of one probability leaves the
// fate of the others as it was.
#include "device/impairment.h"

#include <algorithm>

#include "base/assert.h"

namespace adieu::device {

namespace {

Duration part_of(Duration whole, Rng& rng) {
  const std::uint64_t draw = rng.next();
  if (whole.ns <= 0) return {};
  return {static_cast<std::int64_t>(draw % (static_cast<std::uint64_t>(whole.ns) + 1))};
}

// What a network card does with a partial checksum: the field holds the pseudo-header's sum, the rest is added.
void complete_checksum(std::vector<std::uint8_t>& packet, const Offload& offload) {
  const std::size_t field = std::size_t{offload.checksum_start} + offload.checksum_offset;
  ADIEU_ASSERT(field + 2 <= packet.size());
  std::uint64_t sum = 0;
  for (std::size_t i = offload.checksum_start; i < packet.size(); ++i)
    sum += (i - offload.checksum_start) % 2 == 0 ? std::uint64_t{packet[i]} << 8 : packet[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  packet[field] = static_cast<std::uint8_t>(~sum >> 8);
  packet[field + 1] = static_cast<std::uint8_t>(~sum);
}

}  // namespace

void Impairment::black_hole(Instant from, Instant until) { black_holes_.push_back({from, until}); }

bool Impairment::is_swallowed(Instant now) {
  std::erase_if(black_holes_, [now](const Span& span) { return span.until <= now; });
  return std::ranges::any_of(black_holes_, [now](const Span& span) { return span.from <= now; });
}

void Impairment::input(Bytes packet, const Offload& offload, Instant now) {
  ++counts_.offered;
  const bool is_lost = rng_.chance(settings_.loss);
  const bool is_doubled = rng_.chance(settings_.duplicate);
  Rng first = rng_.fork();
  Rng second = rng_.fork();
  if (is_swallowed(now)) {
    ++counts_.swallowed;
  } else if (is_lost) {
    ++counts_.lost;
  } else {
    send(packet, offload, now, first);
    if (is_doubled) {
      ++counts_.duplicated;
      send(packet, offload, now, second);
    }
  }
}

void Impairment::send(Bytes packet, const Offload& offload, Instant now, Rng& rng) {
  const bool is_reordered = rng.chance(settings_.reorder);
  const bool is_corrupted = rng.chance(settings_.corrupt) && !packet.empty();
  const Duration jitter = part_of(settings_.jitter, rng);
  const Duration lateness = part_of(settings_.reorder_delay, rng);
  if (in_flight_.size() >= settings_.capacity) {
    ++counts_.overflowed;
    return;
  }
  Packet copy;
  copy.serial = next_serial_++;
  copy.octets.assign(packet.begin(), packet.end());
  copy.offload = as_received(offload);
  copy.at = later(now + settings_.delay + jitter, last_in_order_);
  if (is_reordered) {
    ++counts_.reordered;
    copy.at = copy.at + lateness;
  } else {
    last_in_order_ = copy.at;
  }
  if (is_corrupted) {
    ++counts_.corrupted;
    if (offload.checksum_partial) complete_checksum(copy.octets, offload);
    const std::uint64_t bit = rng.below(copy.octets.size() * 8);
    copy.octets[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    copy.offload.checksum_valid = false;
  }
  in_flight_.push(std::move(copy));
}

std::optional<Received> Impairment::poll(Instant now, MutableBytes buffer) {
  if (next_deadline() > now) return std::nullopt;
  const Packet& packet = in_flight_.top();
  ADIEU_ASSERT(buffer.size() >= packet.octets.size());
  Received received;
  received.length = packet.octets.size();
  received.offload = packet.offload;
  std::ranges::copy(packet.octets, buffer.begin());
  in_flight_.pop();
  ++counts_.delivered;
  return received;
}

}  // namespace adieu::device
