// A capture file that Wireshark and tcpdump read: classic pcap, nanoseconds, raw IP packets.
//
// What lives here: PcapWriter. What does not: a clock; the caller gives each packet's instant and, once, what to add to
// an instant to get wall-clock time.
#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "device/device.h"

namespace adieu::device {

// A capture is never worth a connection: when the file cannot be written, one call returns the error, the file is cut
// back to its last whole packet, and from then on packets are taken and thrown away without another word.
class PcapWriter {
 public:
  // `wall_clock_offset`: CLOCK_REALTIME minus CLOCK_MONOTONIC, as the caller measured it.
  static std::expected<PcapWriter, Error> create(const char* path, Duration wall_clock_offset);
  // Writes to a descriptor, which is ours from then on; for a process that may not open files.
  PcapWriter(int descriptor, Duration wall_clock_offset);

  PcapWriter(PcapWriter&& other) noexcept;
  PcapWriter& operator=(PcapWriter&& other) noexcept;
  PcapWriter(const PcapWriter&) = delete;
  PcapWriter& operator=(const PcapWriter&) = delete;
  ~PcapWriter();  // flushes; an error at this last moment finds nobody to be told

  // Buffered; an error may be about packets of earlier calls.
  std::expected<void, Error> write(Bytes packet, Instant when);
  std::expected<void, Error> flush();
  bool is_capturing() const { return descriptor_ >= 0; }

 private:
  std::expected<void, Error> stop(int code, std::size_t written);

  int descriptor_ = -1;
  Duration wall_clock_offset_;
  std::uint64_t file_bytes_ = 0;      // written, always whole packets
  std::vector<std::uint8_t> buffer_;  // what follows, always whole packets
};

}  // namespace adieu::device
