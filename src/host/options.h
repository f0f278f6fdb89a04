// What `adieu up` and its processes may be told; each is a flag of the command line.
//
// What lives here: the values with their defaults. What does not: parsing flags (cli), policies
// (policy.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/time.h"
#include "control/rule.h"
#include "host/ledger.h"
#include "host/text.h"

namespace adieu::host {

struct EngineOptions {
  std::string tun = "adieu0";
  // The engine's own, and the kernel's end of the TUN. Both empty: the defaults below, IPv6 only where the kernel has
  // it. Gateway addresses empty: the first of each network that is not the engine's own.
  std::vector<Prefix> addresses;
  std::vector<Prefix> gateways;
  std::uint16_t mtu = 1500;
  bool offload = true;
  Duration time_wait = seconds(60);
  std::string pcap;      // empty: none
  bool services = true;  // echo, discard, chargen
  std::uint32_t event_ring = limits::kEventRing;
  std::uint32_t slots = 1U << 20;
};

inline constexpr const char* kDefaultAddresses[] = {"10.77.0.2/24", "fd77::2/64"};

struct ControlOptions {
  std::string policy_file;  // read now and at each reload; empty: none
  std::string policy_text;  // holds without a file; empty: the built-in policy
  Duration sweep = seconds(1);
  std::string ledger_file;  // empty: in the run directory
  LedgerBounds ledger;
  std::optional<Endpoint> http;  // loopback; none: the API is on its unix socket alone
  std::string http_token_file;
};

// For what the kernel plane loads no programs into the kernel: words of --no-bpf. The first means all of them.
inline constexpr std::string_view kNoBpf[] = {"all", "holders", "events", "end-of-stream", "probe", "guard"};

struct UpOptions {
  std::string run_dir;
  bool engine_plane = true;
  bool kernel_plane = true;
  EngineOptions engine;
  ControlOptions control;
  std::vector<std::string> no_bpf;  // of kNoBpf
  control::Rule rule;               // what flags made of the built-in one; a policy's file says all itself
};

// N follows from the loss that is assumed; 0 <= loss < 1.
void assume_loss(control::Rule& rule, double loss);
// Of everything but the policy, which has its own way of saying what is wrong (policy.h).
Result<void> check(const ControlOptions& options);

// Addresses and gateways as they will be used, or what is wrong with them.
struct Network {
  std::vector<Prefix> addresses;
  std::vector<Prefix> gateways;
  bool by_default = false;
};
Result<Network> network_of(const EngineOptions& options);

}  // namespace adieu::host
