// When the kernel gives a connection up by itself, if nobody answers, and which of its settings says so.
//
// What lives here: Settings of a network, Options of one socket, limit_of(), which is pure. What does not: the timer
// that is armed (socket.h), what a person is told (host/own_limits_seen.h).
//
// Most limits are times, not counts. Linux turns the number of retransmissions into the time that so many would take
// with a first timeout of 200 ms, doubled each time, and gives up when the timer fires for the first time after that
// (tcp_timer.c: retransmits_timed_out, tcp_model_timeout). The clock starts with the first retransmission.
//
// The estimate is the kernel's own course, computed ahead. What it cannot know: timers fire late, by an eighth of their
// length at the most (measured: 1 to 4 % of the whole); where the limit falls just before or after a retransmission it
// may be wrong by that one interval; an orphan's TCP_USER_TIMEOUT, which nobody can read; the first retransmission,
// once the timeout has reached its maximum (it is computed from the round trips known now); more orphans than
// tcp_max_orphans, or too little memory, end orphans earlier.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>

#include "base/time.h"
#include "kernel/socket.h"

namespace adieu::kernel {

// net.ipv4.tcp_*, as the kernel has them where nobody has set anything.
struct Settings {
  unsigned retries2 = 15;
  unsigned orphan_retries = 0;
  unsigned syn_retries = 6;
  unsigned syn_linear_timeouts = 0;  // before Linux 6.5 there were none
  unsigned synack_retries = 5;
  Duration rto_max = seconds(120);
  Duration keepalive_time = seconds(7200);
  Duration keepalive_interval = seconds(75);
  unsigned keepalive_probes = 9;
  Duration fin_timeout = seconds(60);
  bool operator==(const Settings&) const = default;
};
// Of the network in which this thread is; what this kernel does not have keeps its default. nullopt: they may not be
// read.
std::optional<Settings> read_settings();

// What holds for one socket, whether its program has set it or not.
struct Options {
  bool keepalive = false;
  Duration keepalive_time = seconds(7200);
  Duration keepalive_interval = seconds(75);
  unsigned keepalive_probes = 9;
  Duration user_timeout;                // 0: none
  Duration fin_wait = seconds(60);      // in FIN-WAIT-2 once it is closed (TCP_LINGER2)
  bool resets_instead_of_wait = false;  // TCP_LINGER2 is negative: no FIN-WAIT-2 after close()
  unsigned syn_retries = 6;
  std::optional<Duration> rto_max;  // Linux 6.15 tells
  bool operator==(const Options&) const = default;
};
// Through a descriptor of it.
std::expected<Options, Error> read_options(int file);

// What says when it is enough.
enum class LimitedBy : std::uint8_t {
  Retries2,       // tcp_retries2
  OrphanRetries,  // tcp_orphan_retries: nobody holds it
  SynRetries,     // tcp_syn_retries, TCP_SYNCNT
  SynAckRetries,  // tcp_synack_retries
  KeepaliveProbes,
  UserTimeout,  // TCP_USER_TIMEOUT
  RtoMax,       // its peer has shrunk its window to nothing, and is silent for twice tcp_rto_max_ms
};
inline constexpr unsigned kLimitedBy = 7;
// "tcp_retries2", "TCP_USER_TIMEOUT".
std::string_view name(LimitedBy by);

struct Limit {
  LimitedBy by = LimitedBy::Retries2;
  std::uint32_t made = 0;                // retransmissions or questions so far, without an answer
  std::uint32_t left = 0;                // still to come, if nobody answers
  Duration span{};                       // the time that it has, since its first retransmission; 0: it is a count
  Instant next{};                        // when the timer fires
  Instant gives_up{};                    // about; if nobody answers
  Instant at_latest = Instant::never();  // about; whoever answers, while there is no progress; never(): it does not
};

// nullopt: no timer is armed that could give it up (none at all, TIME-WAIT, an orphan's FIN-WAIT-2: they need no
// answer). `options`: nullptr where they are not known; then it has set none.
std::optional<Limit> limit_of(const Socket& socket, bool is_orphan, const Settings& settings, const Options* options);

// The time that so many retransmissions are given.
Duration time_of(unsigned retransmissions, Duration first, Duration rto_max);

}  // namespace adieu::kernel
