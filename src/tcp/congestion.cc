// NewReno, RFC 6582 section 3.2, step by step.
#include "tcp/congestion.h"

#include <algorithm>

namespace adieu::tcp {

namespace {
std::uint32_t initial_window(std::uint32_t smss) { return std::min(10 * smss, std::max(2 * smss, 14600U)); }
// No window can be larger (RFC 7323 section 2.3), and sums stay far from overflow.
constexpr std::uint32_t kMaxWindow = 1U << 30;
}  // namespace

NewReno::NewReno(std::uint32_t smss) : smss_(smss), cwnd_(initial_window(smss)) {}

void NewReno::set_smss(std::uint32_t smss) { smss_ = smss; }

bool NewReno::acknowledged(std::uint32_t acked, Seq snd_una, std::uint32_t flight, bool cwnd_limited) {
  duplicates_ = 0;
  if (in_recovery_) {
    if (snd_una >= recover_) {
      // RFC 6582 step 3, full acknowledgment: "Set cwnd to either (1) min (ssthresh, max(FlightSize, SMSS) + SMSS)".
      cwnd_ = std::min(ssthresh_, std::max(flight, smss_) + smss_);
      in_recovery_ = false;
      return false;
    }
    // Partial acknowledgment: "deflate the congestion window by the amount of new data acknowledged ... If the partial
    // ACK acknowledges at least one SMSS of new data, then add back SMSS bytes".
    cwnd_ -= std::min(cwnd_, acked);
    if (acked >= smss_) cwnd_ += smss_;
    cwnd_ = std::max(cwnd_, smss_);
    return true;
  }
  if (snd_una > recover_) has_recover_ = false;
  // RFC 7661 section 4: a window that was not used proves nothing about the path, and does not grow.
  if (!cwnd_limited) return false;
  if (cwnd_ < ssthresh_) {
    cwnd_ += acked;
  } else {
    // RFC 5681 equation (3), by octets: one SMSS per window.
    cwnd_ +=
        std::max<std::uint32_t>(1, static_cast<std::uint32_t>(std::uint64_t{smss_} * std::min(acked, cwnd_) / cwnd_));
  }
  cwnd_ = std::min(cwnd_, kMaxWindow);
  return false;
}

bool NewReno::duplicate_ack(std::uint32_t flight, Seq snd_nxt) {
  ++duplicates_;
  if (in_recovery_) {
    cwnd_ = std::min(cwnd_ + smss_, kMaxWindow);  // RFC 6582 step 4: the duplicate says that a segment left the path
    return false;
  }
  if (duplicates_ != 3) return false;
  // RFC 6582 section 3.2 step 2: only a hole that was opened after the last recovery or timeout starts a new one.
  if (has_recover_ && snd_nxt <= recover_) return false;
  ssthresh_ = std::max(flight / 2, 2 * smss_);  // RFC 5681 equation (4)
  cwnd_ = ssthresh_ + 3 * smss_;
  recover_ = snd_nxt;
  has_recover_ = true;
  in_recovery_ = true;
  return true;
}

void NewReno::retransmission_timeout(std::uint32_t flight, Seq snd_nxt) {
  ssthresh_ = std::max(flight / 2, 2 * smss_);
  cwnd_ = smss_;  // RFC 5681 section 3.1: the loss window
  recover_ = snd_nxt;
  has_recover_ = true;
  in_recovery_ = false;
  duplicates_ = 0;
}

}  // namespace adieu::tcp
