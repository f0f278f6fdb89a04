// The kernel's numbers become our terms here, and nowhere else. What does not live here: input and output.
#include "kernel/reply.h"

#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/bpf.h>  // the one user-space header that names the kernel's TCP states
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace adieu::kernel {
namespace {

Timer timer_of(std::uint8_t kernel_timer) {
  return kernel_timer <= static_cast<std::uint8_t>(Timer::Persist) ? static_cast<Timer>(kernel_timer) : Timer::Other;
}

// A dual-stack socket that speaks IPv4 says AF_INET6 and ::ffff:a.b.c.d, which is what Address holds for IPv4.
Endpoint endpoint_of(std::uint8_t family, const __be32 (&words)[4], __be16 port) {
  Endpoint endpoint{.address = {}, .port = be16toh(port)};
  if (family == AF_INET) {
    endpoint.address = Address::v4(0, 0, 0, 0);
    std::memcpy(endpoint.address.octets.data() + 12, words, 4);
  } else {
    std::memcpy(endpoint.address.octets.data(), words, 16);
  }
  return endpoint;
}

void read_info(const nlattr* attribute, Socket& socket) {
  // Kernels append to tcp_info: an older one sends less than we know, a younger one more.
  tcp_info info{};
  const std::size_t length = std::min<std::size_t>(mnl_attr_get_payload_len(attribute), sizeof info);
  std::memcpy(&info, mnl_attr_get_payload(attribute), length);
  socket.is_whole = true;
  socket.retransmits = info.tcpi_retransmits;
  socket.probes = info.tcpi_probes;
  socket.unacked = info.tcpi_unacked;
  socket.since_data = milliseconds(info.tcpi_last_data_recv);
  socket.since_ack = milliseconds(info.tcpi_last_ack_recv);
  socket.octets_in = info.tcpi_bytes_received;
  socket.segments_in = info.tcpi_segs_in;
  socket.peer_window_known = length >= offsetof(tcp_info, tcpi_snd_wnd) + sizeof info.tcpi_snd_wnd;
  socket.peer_window = info.tcpi_snd_wnd;
  socket.rto = microseconds(info.tcpi_rto);
  socket.backoff = info.tcpi_backoff;
  socket.round_trip = microseconds(info.tcpi_rtt);
  socket.round_trip_deviation = microseconds(info.tcpi_rttvar);
}

int read_attribute(const nlattr* attribute, void* context) {
  Socket& socket = *static_cast<Socket*>(context);
  const std::uint16_t type = mnl_attr_get_type(attribute);
  if (type == INET_DIAG_INFO) {
    read_info(attribute, socket);
  } else if (type == INET_DIAG_SHUTDOWN && mnl_attr_get_payload_len(attribute) >= 1) {
    const std::uint8_t mask = mnl_attr_get_u8(attribute);
    socket.receive_shut = (mask & 1U) != 0;  // RCV_SHUTDOWN
    socket.send_shut = (mask & 2U) != 0;     // SEND_SHUTDOWN
  }
  return MNL_CB_OK;
}

// False: not a TCP socket of a kind that anybody asked about.
bool read_socket(const nlmsghdr* message, bool listeners, Socket& socket) {
  inet_diag_msg said;
  std::memcpy(&said, mnl_nlmsg_get_payload(message), sizeof said);
  if (said.idiag_family != AF_INET && said.idiag_family != AF_INET6) return false;
  socket.state = state_of(said.idiag_state);
  if (socket.state == State::Closed || (socket.state == State::Listen) != listeners) return false;
  socket.key.cookie = std::uint64_t{said.id.idiag_cookie[1]} << 32 | said.id.idiag_cookie[0];
  socket.key.local = endpoint_of(said.idiag_family, said.id.idiag_src, said.id.idiag_sport);
  socket.key.remote = endpoint_of(said.idiag_family, said.id.idiag_dst, said.id.idiag_dport);
  socket.key.interface = said.id.idiag_if;
  socket.timer = timer_of(said.idiag_timer);
  socket.timer_retries = said.idiag_retrans;
  socket.expires = milliseconds(said.idiag_expires);
  socket.inode = said.idiag_inode;
  socket.user = said.idiag_uid;
  socket.receive_queue = said.idiag_rqueue;
  socket.send_queue = said.idiag_wqueue;
  mnl_attr_parse(message, sizeof said, read_attribute, &socket);
  return true;
}

// An answer of the kernel that ends the dump: 0 where it ended well.
int error_of(const nlmsghdr* message) {
  // nlmsgerr and the body of NLMSG_DONE both begin with a negative errno; an old kernel's DONE may have no body.
  int error = 0;
  if (mnl_nlmsg_get_payload_len(message) >= sizeof error)
    std::memcpy(&error, mnl_nlmsg_get_payload(message), sizeof error);
  return error < 0 ? -error : 0;
}

}  // namespace

State state_of(std::uint8_t kernel_state) {
  switch (kernel_state) {
    case BPF_TCP_ESTABLISHED: return State::Established;
    case BPF_TCP_SYN_SENT: return State::SynSent;
    case BPF_TCP_SYN_RECV:
    case BPF_TCP_NEW_SYN_RECV: return State::SynReceived;
    case BPF_TCP_FIN_WAIT1: return State::FinWait1;
    case BPF_TCP_FIN_WAIT2: return State::FinWait2;
    case BPF_TCP_TIME_WAIT: return State::TimeWait;
    case BPF_TCP_CLOSE_WAIT: return State::CloseWait;
    case BPF_TCP_LAST_ACK: return State::LastAck;
    case BPF_TCP_LISTEN: return State::Listen;
    case BPF_TCP_CLOSING: return State::Closing;
    default: return State::Closed;
  }
}

Replies read_replies(Bytes batch, const Asked& asked, Instant read_at, Visit visit, void* context) {
  Replies replies;
  int left = static_cast<int>(batch.size());
  const void* at = batch.data();
  const nlmsghdr* message = static_cast<const nlmsghdr*>(at);
  for (; !replies.done && mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
    if (message->nlmsg_seq != asked.number || message->nlmsg_pid != asked.port) continue;
    if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) replies.interrupted = true;
    if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
      replies.done = true;
      replies.error = error_of(message);
    } else if (message->nlmsg_type == SOCK_DIAG_BY_FAMILY) {
      if (mnl_nlmsg_get_payload_len(message) < sizeof(inet_diag_msg)) {
        replies.malformed = true;
        break;
      }
      Socket socket;
      socket.read_at = read_at;
      if (read_socket(message, asked.listeners, socket)) {
        ++replies.sockets;
        visit(context, socket);
      } else {
        ++replies.strangers;
      }
    }
  }
  if (!replies.done && left > 0) replies.malformed = true;
  return replies;
}

}  // namespace adieu::kernel
