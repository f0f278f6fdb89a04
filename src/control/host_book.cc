// Counting, host by host.
#include "control/host_book.h"

#include <utility>

#include "base/assert.h"

namespace adieu::control {
namespace {

// Fewer known fates say nothing about loss; more are halved, so that old ones fade.
constexpr std::uint32_t kFewestFates = 50;
constexpr std::uint32_t kMostFates = 2000;
// How far a host's budget may be spent at once.
constexpr Duration kBurst = milliseconds(200);

Duration share_of_second(std::uint32_t per_second) { return seconds(1) / (per_second == 0 ? 1 : per_second); }

}  // namespace

HostBook::Handle HostBook::attend(const Address& address) {
  auto found = places_.find(address);
  if (found == places_.end()) {
    if (places_.size() >= kMost && !make_room()) return kNone;
    found = places_.emplace(address, hosts_.emplace()).first;
    hosts_[found->second].address = address;
  }
  ++hosts_[found->second].attended;
  return found->second;
}

void HostBook::release(Handle handle) {
  if (handle == kNone) return;
  Host& host = hosts_[handle];
  ADIEU_ASSERT(host.attended > host.doubted);
  if (--host.attended > 0 || has_learned(host)) return;
  places_.erase(host.address);
  hosts_.erase(handle);
}

bool HostBook::make_room() {
  for (auto at = places_.begin(); at != places_.end(); ++at) {
    if (hosts_[at->second].attended > 0) continue;
    hosts_.erase(at->second);
    places_.erase(at);
    return true;
  }
  return false;
}

unsigned HostBook::shadow_of(const Address& address) {
  std::uint64_t halves[2];
  std::memcpy(halves, address.octets.data(), sizeof halves);
  const std::uint64_t mixed = (halves[0] ^ (halves[1] >> 32) ^ (halves[1] << 17)) * 0x9e3779b97f4a7c15U;
  return static_cast<unsigned>(mixed >> 52);
}

std::uint32_t HostBook::doubt(Handle handle) {
  ++doubted_;
  if (handle == kNone) return 0;
  Host& host = hosts_[handle];
  if (host.doubted++ == 0) {
    host.heard_at = Instant::unknown();
    ++shadows_[shadow_of(host.address)];
  }
  return host.doubted;
}

void HostBook::trust(Handle handle) {
  --doubted_;
  if (handle == kNone) return;
  Host& host = hosts_[handle];
  if (--host.doubted == 0) --shadows_[shadow_of(host.address)];
}

bool HostBook::tell_silent(Handle handle) { return handle != kNone && !std::exchange(hosts_[handle].told, true); }

bool HostBook::tell_back(Handle handle) { return handle != kNone && std::exchange(hosts_[handle].told, false); }

void HostBook::heard(const Address& address, Instant at) {
  if (doubted_ == 0 || shadows_[shadow_of(address)] == 0) return;
  const auto found = places_.find(address);
  if (found != places_.end()) hosts_[found->second].heard_at = later(hosts_[found->second].heard_at, at);
}

void HostBook::answered(Handle handle, std::uint32_t unanswered) {
  if (handle == kNone) return;
  Host& host = hosts_[handle];
  host.lost += unanswered;
  host.asked += unanswered + 1;
  if (host.asked <= kMostFates) return;
  host.lost /= 2;
  host.asked /= 2;
}

void HostBook::forgot(Handle handle, Duration timer) {
  if (handle == kNone) return;
  hosts_[handle].path_timer = earlier(hosts_[handle].path_timer, timer);
  shortest_path_timer_ = earlier(shortest_path_timer_, timer);
}

HostFacts HostBook::facts(Handle handle) const {
  if (handle == kNone) return {};
  const Host& host = hosts_[handle];
  HostFacts facts;
  facts.doubted = host.doubted;
  facts.heard_at = host.heard_at;
  facts.lost = host.asked < kFewestFates ? 0 : static_cast<double>(host.lost) / static_cast<double>(host.asked);
  facts.path_timer = host.path_timer;
  return facts;
}

HostFacts HostBook::facts(const Address& address) const {
  const auto found = places_.find(address);
  return found == places_.end() ? HostFacts{} : facts(found->second);
}

Instant HostBook::next_probe(Handle handle, Instant now) const {
  if (handle == kNone) return now;
  return later(now, hosts_[handle].next_probe - kBurst);
}

void HostBook::spend_probe(Handle handle, std::uint32_t per_second, Instant now) {
  if (handle == kNone) return;
  Host& host = hosts_[handle];
  host.next_probe = later(host.next_probe, now) + share_of_second(per_second);
}

std::size_t HostBook::bytes() const {
  return hosts_.bytes() + places_.size() * (sizeof(Address) + sizeof(Handle) + 4 * sizeof(void*));
}

}  // namespace adieu::control
