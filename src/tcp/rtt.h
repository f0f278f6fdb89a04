// The round-trip time and the retransmission timeout that follows from it: RFC 6298.
//
// What lives here: RttEstimate, 8 octets that outlive a transfer. What does not: the timer and its backoff.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "tcp/settings.h"

namespace adieu::tcp {

class RttEstimate {
 public:
  void sample(Duration rtt) {
    const auto r = static_cast<std::int64_t>(later<std::int64_t>(1, earlier(rtt, seconds(600)).ns / 1000));
    if (srtt_us_ == 0) {  // (2.2) the first measurement
      srtt_us_ = static_cast<std::uint32_t>(r);
      rttvar_us_ = static_cast<std::uint32_t>(r / 2);
      return;
    }
    // (2.3) RTTVAR first, with the old SRTT: alpha = 1/8, beta = 1/4.
    const std::int64_t deviation = r > srtt_us_ ? r - srtt_us_ : srtt_us_ - r;
    rttvar_us_ = static_cast<std::uint32_t>((3 * std::int64_t{rttvar_us_} + deviation) / 4);
    srtt_us_ = static_cast<std::uint32_t>((7 * std::int64_t{srtt_us_} + r) / 8);
  }
  bool has_sample() const { return srtt_us_ != 0; }
  Duration srtt() const { return microseconds(srtt_us_); }
  Duration rttvar() const { return microseconds(rttvar_us_); }

  // (2.1), (2.3) RTO = SRTT + max(G, 4*RTTVAR), within the settings' bounds. G is the wheel's millisecond.
  Duration rto(const Settings& settings) const {
    if (!has_sample()) return settings.rto_initial;
    const Duration rto = srtt() + later(milliseconds(1), rttvar() * 4);
    return earlier(later(rto, settings.rto_min), settings.rto_max);
  }

 private:
  std::uint32_t srtt_us_ = 0;  // 0: no sample yet
  std::uint32_t rttvar_us_ = 0;
};

}  // namespace adieu::tcp
