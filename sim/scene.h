// What all parts of one world share.
//
// What lives here: Scene. What does not: behaviour.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/checkers.h"
#include "sim/ends.h"
#include "sim/trace.h"

namespace adieu::sim {

// A verdict as two worlds may compare it: by whom, about which connection, what.
struct Finding {
  Instant at;
  unsigned host = 0;
  std::uint32_t pair = 0;
  unsigned side = 0;
  control::Standing standing = control::Standing::Unknown;
  EndReason reason = EndReason::None;  // of the end that followed from it
};

struct Scene {
  const Plan& plan;
  Book book;
  Trace trace;
  std::vector<std::unique_ptr<Checker>> checkers;
  std::vector<Violation> faults;  // of the world's own making or seeing
  std::vector<Finding> findings;
  std::uint64_t probes = 0;  // that the engines sent for their keepers

  Scene(const Plan& p, std::FILE* out) : plan(p), book(p), trace(out) {}
  template <typename... Args, typename... Given>
  void tell(void (Checker::*what)(Args...), const Given&... given) {
    for (const auto& checker : checkers) (checker.get()->*what)(given...);
  }
  void fail(const char* checker, Instant at, std::string text) {
    if (faults.size() < 5) faults.push_back({checker, at, std::move(text)});
  }
};

}  // namespace adieu::sim
