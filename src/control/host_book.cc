// Counting, host by host.
#include "control/host_book.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace adieu::control {
namespace {

// Fewer known fates say nothing about loss; more are halved, so that old ones fade.
constexpr std::uint32_t kFewestFates = 50;
constexpr std::uint32_t kMostFates = 2000;
// A smaller change of the share that is lost is not worth a write.
constexpr double kWorthKeeping = 0.01;
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
  if (host.asked > kMostFates) {
    host.lost /= 2;
    host.asked /= 2;
  }
  const double moved = share_lost(host.asked, host.lost) - share_lost(host.asked_kept, host.lost_kept);
  const bool is_firmer = host.lost > 0 && host.asked >= kFewestFates && host.asked / 2 >= host.asked_kept;
  if (is_firmer || std::abs(moved) >= kWorthKeeping) news_.insert(host.address);
}

double HostBook::share_lost(std::uint32_t asked, std::uint32_t lost) {
  return asked < kFewestFates ? 0 : static_cast<double>(lost) / static_cast<double>(asked);
}

void HostBook::forgot(Handle handle, Duration timer) {
  if (handle == kNone) return;
  Host& host = hosts_[handle];
  if (timer < host.path_timer) news_.insert(host.address);
  learn_timer(host, timer);
}

void HostBook::learn_timer(Host& host, Duration timer) {
  host.path_timer = earlier(host.path_timer, timer);
  shortest_path_timer_ = earlier(shortest_path_timer_, timer);
}

void HostBook::know(const HostLearned& known) {
  auto found = places_.find(known.host);
  if (found == places_.end()) {
    if (places_.size() >= kMost) return;
    found = places_.emplace(known.host, hosts_.emplace()).first;
    hosts_[found->second].address = known.host;
  }
  Host& host = hosts_[found->second];
  learn_timer(host, known.path_timer);
  if (host.asked > 0 || known.lost > known.asked) return;
  host.asked = host.asked_kept = known.asked;
  host.lost = host.lost_kept = known.lost;
}

std::vector<HostLearned> HostBook::learned() const {
  std::vector<HostLearned> all;
  for (const Address& address : news_) {
    const auto found = places_.find(address);
    if (found == places_.end()) continue;  // it had to make room
    const Host& host = hosts_[found->second];
    all.push_back({address, host.asked, host.lost, host.path_timer});
  }
  return all;
}

void HostBook::kept() {
  for (const HostLearned& one : learned()) {
    Host& host = hosts_[places_.find(one.host)->second];
    host.asked_kept = one.asked;
    host.lost_kept = one.lost;
  }
  news_.clear();
}

HostFacts HostBook::facts(Handle handle) const {
  if (handle == kNone) return {};
  const Host& host = hosts_[handle];
  HostFacts facts;
  facts.doubted = host.doubted;
  facts.heard_at = host.heard_at;
  facts.lost = share_lost(host.asked, host.lost);
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
  return hosts_.bytes() + (places_.size() + news_.size()) * (sizeof(Address) + sizeof(Handle) + 4 * sizeof(void*));
}

}  // namespace adieu::control
