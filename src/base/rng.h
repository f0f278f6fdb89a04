// Random numbers from a seed: the same seed gives the same world, on every machine.
//
// What lives here: Rng (xoshiro256**, seeded by splitmix64; Blackman and Vigna, public domain algorithm).
// What does not: secrets. Keys come from `host`, which asks the kernel; nothing here is unpredictable.
#pragma once

#include <array>
#include <cstdint>

namespace adieu {

class Rng {
 public:
  explicit Rng(std::uint64_t seed);

  std::uint64_t next();
  // Uniform in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound);
  // True with probability p in [0, 1].
  bool chance(double p);
  // A generator of its own for a part of the world, so that one part's draws do not shift another's.
  Rng fork();

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace adieu
