// What happened in a world, in order: as a hash always, as lines for a reader if asked.
//
// What lives here: Trace. What does not: what is worth a line (world.cc, host.cc).
// Two runs of one seed have the same hash; a difference anywhere (a packet's octet, an instant, an order) changes it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string>

#include "base/bytes.h"
#include "base/time.h"
#include "sim/pattern.h"

namespace adieu::sim {

// Virtual time begins here; what a clock shows that has run for a while.
inline constexpr Instant kGenesis{1'000'000'000'000};

class Trace {
 public:
  explicit Trace(std::FILE* out = nullptr) : out_(out) {}

  // `say` makes the line's text, and is called only when somebody reads it.
  template <typename Say>
  void event(Instant now, char who, std::initializer_list<std::uint64_t> words, Say&& say) {
    add(static_cast<std::uint64_t>(now.ns));
    add(static_cast<std::uint64_t>(who));
    for (const std::uint64_t word : words) add(word);
    ++events_;
    if (out_ != nullptr) print(now, who, say());
  }
  std::uint64_t hash() const { return hash_; }
  std::uint64_t events() const { return events_; }

 private:
  void add(std::uint64_t word) { hash_ = mix(hash_ * 0x9e3779b97f4a7c15U + word); }
  void print(Instant now, char who, const std::string& text);

  std::FILE* out_;
  std::uint64_t hash_ = 0x61646965'75000000U;
  std::uint64_t events_ = 0;
};

std::uint64_t hash_of(Bytes bytes);

}  // namespace adieu::sim
