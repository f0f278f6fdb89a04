// The ledger of one host, in memory; it outlives control planes, engines and boots, as a disk would.
//
// What lives here: MemoryLedger. What does not: what is written into it (control).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "control/ledger.h"
#include "sim/scene.h"

namespace adieu::sim {

class MemoryLedger final : public control::Ledger {
 public:
  MemoryLedger(Scene& scene, unsigned host) : scene_(scene), host_(host) {}

  std::optional<std::uint64_t> verdict(const control::Decision& decision, Instant now) override;
  bool noted(const control::Note&, Instant) override { return !is_full_; }
  bool receipt(std::uint32_t plane, const plane::Receipt& receipt) override;
  bool ended(std::uint32_t plane, const plane::ConnectionId& id, const plane::Record& record) override;
  // A control plane that starts again in a simulation learns anew.
  bool learned(const control::HostLearned&) override { return !is_full_; }
  bool commit() override { return !is_full_; }
  // A full disk keeps nothing, and says so.
  void set_full(bool is_full) { is_full_ = is_full; }

 private:
  Scene& scene_;
  unsigned host_;
  std::uint64_t verdicts_ = 0;
  bool is_full_ = false;
};

}  // namespace adieu::sim
