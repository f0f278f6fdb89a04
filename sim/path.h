// When one host could not have heard the other, as the plan says: the truth against which verdicts are held.
//
// What lives here: Cuts. What does not: the links themselves (device/impairment.h).
#pragma once

#include <vector>

#include "sim/plan.h"

namespace adieu::sim {

class Cuts {
 public:
  explicit Cuts(const Plan& plan);

  // Is `host` away (off, frozen, rebooting)?
  bool is_away(unsigned host, Instant at) const;
  // The longest span within [from, to) in which no question of `host` could have been answered: a direction is black,
  // or the other host is away.
  Duration longest(unsigned host, Instant from, Instant to) const;
  // When `host` was last back from having been away, at the latest at `until`; unknown(): it was never away before.
  Instant last_return(unsigned host, Instant until) const;

 private:
  struct Span {
    Instant from;
    Instant until;
  };
  std::vector<Span> away_[kHosts];
  std::vector<Span> cut_[kHosts];  // by the host that asks; sorted, joined
};

}  // namespace adieu::sim
