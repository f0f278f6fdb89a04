// How much may be in flight: NewReno (RFC 5681, RFC 6582).
//
// What lives here: cwnd, ssthresh, the count of duplicate ACKs and the recovery point. What does not: the peer's
// window, retransmission timers (transfer.h), which octets are sent (output.cc). cwnd grows by the octets acknowledged
// (RFC 3465 with no limit on L): a peer that coalesces segments acknowledges 64 KiB at once. See docs/departures.md.
#pragma once

#include <cstdint>

#include "base/seq.h"

namespace adieu::tcp {

class NewReno {
 public:
  // RFC 6928: ten segments, at most 14600 octets or two segments.
  explicit NewReno(std::uint32_t smss);

  std::uint32_t cwnd() const { return cwnd_; }
  std::uint32_t ssthresh() const { return ssthresh_; }
  bool in_recovery() const { return in_recovery_; }

  // SND.UNA moved by `acked` octets to `snd_una`. True: a partial ACK, retransmit the segment at SND.UNA.
  [[nodiscard]] bool acknowledged(std::uint32_t acked, Seq snd_una, std::uint32_t flight, bool cwnd_limited);
  // A duplicate ACK (RFC 5681 section 2). True: the third, retransmit the segment at SND.UNA.
  [[nodiscard]] bool duplicate_ack(std::uint32_t flight, Seq snd_nxt);
  void retransmission_timeout(std::uint32_t flight, Seq snd_nxt);
  void set_smss(std::uint32_t smss);

 private:
  std::uint32_t smss_;
  std::uint32_t cwnd_;
  std::uint32_t ssthresh_ = UINT32_MAX;
  std::uint32_t duplicates_ = 0;
  Seq recover_;
  bool in_recovery_ = false;
  bool has_recover_ = false;
};

}  // namespace adieu::tcp
