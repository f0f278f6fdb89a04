// An engine on a TUN device: packets, commands and deadlines, turn by turn.
//
// What lives here: EngineLoop, which `adieu up`'s engine process and the native API share. What does not: applications
// (services.h, native.h), the protocol (stack, tcp).
//
// A turn is wait(), take_in(), then whatever applications want, then send_out(). Only wait() may run beside calls of
// another thread on the same engine; whoever has several threads locks around the rest (native.cc).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/pcap.h"
#include "device/tun.h"
#include "host/log.h"
#include "host/options.h"
#include "host/plane_link.h"
#include "host/poller.h"
#include "host/run_dir.h"
#include "stack/engine.h"

namespace adieu::host {

struct EngineSetup {
  EngineOptions options;
  std::string name = "engine";
  bool child = false;             // started by `adieu up`
  std::optional<RunDir> run_dir;  // nullopt: no registration, and a key of its own for initial sequence numbers
  int stop = -1;                  // readable: the loop should end
};

class EngineLoop {
 public:
  // Makes the TUN device and the engine, needs CAP_NET_ADMIN for it and nothing afterwards. Waits out the quiet time.
  static Result<std::unique_ptr<EngineLoop>> open(const EngineSetup& setup);
  EngineLoop(const EngineLoop&) = delete;
  EngineLoop& operator=(const EngineLoop&) = delete;
  ~EngineLoop() = default;

  // Until something is to be done, a second at the most: a plane's heart beats at least that often.
  void wait();
  // What is ready now, without waiting.
  void poll();
  // Takes a batch in; false: the loop should end. `now` of this turn is in now().
  bool take_in();
  // A bounded share of what there is to send; with more, the next wait() returns at once.
  void send_out();
  // The engine ends: every connection does, and its peer is told.
  void abort_all();
  // For a call outside a turn: its own instant.
  Instant start_call();

  stack::Engine& engine() { return *engine_; }
  Instant now() const { return now_; }
  plane::TableReader table();
  PlaneLink* link() { return link_ ? &*link_ : nullptr; }
  std::string_view tun_name() const { return tun_.name(); }
  const Network& network() const { return network_; }
  std::uint64_t packets_refused() const { return refused_; }
  // Why the loop ended by itself, if it did.
  const std::optional<Failure>& failure() const { return failure_; }

 private:
  EngineLoop(device::Tun tun, SeamMemory seam, Network network);
  Result<void> set_up(const EngineSetup& setup);
  void read_packets();
  bool send_batch();  // whether there may be more
  void capture(Bytes packet);
  void tell_control();

  device::Tun tun_;
  SeamMemory seam_;
  Network network_;
  plane::ControlView control_;
  Poller poller_;
  Timer timer_;
  std::unique_ptr<stack::Engine> engine_;
  std::optional<PlaneLink> link_;
  std::optional<device::PcapWriter> pcap_;
  OnceLog once_;
  std::vector<std::uint8_t> buffer_;
  std::vector<std::uint64_t> ready_;
  Instant now_;
  Instant flush_capture_at_ = Instant::never();
  std::uint64_t events_told_ = 0;
  std::uint64_t refused_ = 0;
  bool is_more_to_send_ = false;
  std::optional<Failure> failure_;
};

}  // namespace adieu::host
