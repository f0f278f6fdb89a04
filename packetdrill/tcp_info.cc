// TCP_INFO in Linux's layout, from what the engine and its record in the table know.
//
// What lives here: the one place that includes <linux/tcp.h>, which does not go with <netinet/tcp.h>. A member that the
// engine does not count is 0, as in a kernel that is too old for it. The state is the engine's own: a socket that is
// held in TIME-WAIT says so, where Linux would say CLOSE.
#include <linux/tcp.h>

#include <algorithm>
#include <cstring>

#include "packetdrill/socket.h"
#include "tcp/congestion.h"

namespace adieu::packetdrill {

namespace {

// enum in the kernel's include/net/tcp_states.h, which is not among the headers it exports.
std::uint8_t linux_state(State state) {
  switch (state) {
    case State::Established: return 1;
    case State::SynSent: return 2;
    case State::SynReceived: return 3;
    case State::FinWait1: return 4;
    case State::FinWait2: return 5;
    case State::TimeWait: return 6;
    case State::Closed: return 7;
    case State::CloseWait: return 8;
    case State::LastAck: return 9;
    case State::Listen: return 10;
    case State::Closing: return 11;
  }
  return 7;
}

std::uint32_t microseconds_of(Duration time) { return static_cast<std::uint32_t>(time.ns / 1'000); }
std::uint32_t milliseconds_since(Instant then, Instant now) {
  return then.is_known() ? static_cast<std::uint32_t>((now - then).milliseconds()) : 0;
}
std::uint32_t segments(std::uint32_t octets, std::uint32_t mss) { return (octets + mss - 1) / mss; }

void fill(tcp_info& info, const stack::Details& d) {
  constexpr std::uint32_t kNoThreshold = 0x7fffffff;  // TCP_INFINITE_SSTHRESH
  const std::uint32_t mss = d.mss;
  info.tcpi_state = linux_state(d.state);
  info.tcpi_retransmits = static_cast<std::uint8_t>(std::min(d.attempts > 0 ? d.attempts - 1 : 0, 255U));
  if (d.timestamps) info.tcpi_options |= TCPI_OPT_TIMESTAMPS;
  if (d.sack) info.tcpi_options |= TCPI_OPT_SACK;
  if (d.send_scale != 0 || d.receive_scale != 0) info.tcpi_options |= TCPI_OPT_WSCALE;
  info.tcpi_snd_wscale = d.send_scale & 0xf;
  info.tcpi_rcv_wscale = d.receive_scale & 0xf;
  info.tcpi_rto = microseconds_of(d.rto);
  info.tcpi_snd_mss = info.tcpi_rcv_mss = mss;
  info.tcpi_unacked = segments(d.in_flight, mss);
  info.tcpi_rtt = microseconds_of(d.srtt);
  info.tcpi_rttvar = microseconds_of(d.rttvar);
  info.tcpi_snd_ssthresh = d.ssthresh == UINT32_MAX ? kNoThreshold : segments(d.ssthresh, mss);
  // No bytes move: what they would begin with.
  info.tcpi_snd_cwnd = (d.cwnd != 0 ? d.cwnd : tcp::NewReno(mss).cwnd()) / mss;
  info.tcpi_notsent_bytes = d.unsent - std::min(d.unsent, d.in_flight);
}

}  // namespace

std::vector<std::uint8_t> Socket::tcp_info(Call& call) {
  struct tcp_info info{};
  info.tcpi_state = linux_state(is_listening() ? State::Listen : State::Closed);
  if (is_listening()) info.tcpi_sacked = backlog_;  // what Linux tells of a listener there
  if (connection_) {
    const stack::Details details = call.engine().details(*connection_).value_or(stack::Details{});
    fill(info, details);
    info.tcpi_ato = microseconds_of(call.machine.settings().tcp.delayed_ack);
    info.tcpi_pmtu = call.machine.settings().mtu;
    info.tcpi_advmss = call.machine.settings().mtu - (domain_ == AF_INET ? 40U : 60U);
    info.tcpi_rcv_space = tcp_.receive_buffer;
    const plane::Record record = call.engine().table().last(connection_->slot);
    if (record.generation == connection_->generation && !record.has_ended()) {
      info.tcpi_last_data_recv = milliseconds_since(record.progress_in, call.now());
      info.tcpi_last_ack_recv = milliseconds_since(record.last_heard, call.now());
      if (record.peer_window_closed) {
        info.tcpi_probes = static_cast<std::uint8_t>(std::min(details.attempts, 255U));
        info.tcpi_retransmits = 0;
      }
    }
  }
  std::vector<std::uint8_t> octets(sizeof info);
  std::memcpy(octets.data(), &info, sizeof info);
  return octets;
}

}  // namespace adieu::packetdrill
