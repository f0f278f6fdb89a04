// getsockopt and setsockopt.
//
// Three kinds of options: those that do something here; those that can do no harm, which are remembered and told again
// (hints, and what belongs to a network that is not there); and those that would promise what the engine does not do,
// which are refused with ENOPROTOOPT: TCP_USER_TIMEOUT and TCP_LINGER2 above all, for no timer ends a connection here.
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "packetdrill/socket.h"

namespace adieu::packetdrill {

namespace {

struct Harmless {
  int level;
  int name;
  int initially;
};
constexpr Harmless kHarmless[] = {
    {SOL_SOCKET, SO_REUSEPORT, 0},
    {SOL_SOCKET, SO_PRIORITY, 0},
    {SOL_SOCKET, SO_MARK, 0},
    {SOL_SOCKET, SO_BROADCAST, 0},
    {SOL_SOCKET, SO_DONTROUTE, 0},
    {SOL_SOCKET, SO_OOBINLINE, 0},
    {SOL_SOCKET, SO_BUSY_POLL, 0},
    {SOL_SOCKET, SO_INCOMING_CPU, -1},
    // The engine has no keepalive of its own: asking the peer is the control plane's decision.
    {SOL_SOCKET, SO_KEEPALIVE, 0},
    {IPPROTO_TCP, TCP_KEEPIDLE, 7200},
    {IPPROTO_TCP, TCP_KEEPINTVL, 75},
    {IPPROTO_TCP, TCP_KEEPCNT, 9},
    {IPPROTO_TCP, TCP_QUICKACK, 1},
    {IPPROTO_TCP, TCP_SAVE_SYN, 0},
    {IPPROTO_IP, IP_TOS, 0},
    {IPPROTO_IP, IP_TTL, 64},
    {IPPROTO_IP, IP_MTU_DISCOVER, 1},
    {IPPROTO_IP, IP_RECVERR, 0},
    {IPPROTO_IP, IP_FREEBIND, 0},
    {IPPROTO_IP, IP_TRANSPARENT, 0},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0},
    {IPPROTO_IP, IP_RECVTOS, 0},
    {IPPROTO_IPV6, IPV6_TCLASS, 0},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, 64},
    {IPPROTO_IPV6, IPV6_RECVERR, 0},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, 1},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, 0},
};

const Harmless* harmless(int level, int name) {
  const auto is_it = [&](const Harmless& option) { return option.level == level && option.name == name; };
  const auto* found = std::ranges::find_if(kHarmless, is_it);
  return found == std::end(kHarmless) ? nullptr : found;
}

// As sk_sndbuf and sk_rcvbuf: twice what was asked for, half of which is for the kernel's own bookkeeping.
constexpr int kShortestBuffer = 1024;
std::uint32_t buffer_from(int asked) {
  return static_cast<std::uint32_t>(std::clamp(asked, kShortestBuffer, INT32_MAX / 4));
}
int buffer_told(std::uint32_t octets) { return static_cast<int>(octets * 2); }

template <typename Value>
long read_out(const Value& from, void* value, socklen_t* length) {
  const auto count = std::min<socklen_t>(*length, sizeof from);
  std::memcpy(value, &from, count);
  *length = count;
  return 0;
}
template <typename Value>
bool read_in(Value& to, Bytes value) {
  if (value.size() < sizeof to) return false;
  std::memcpy(&to, value.data(), sizeof to);
  return true;
}

Duration duration_of(const timeval& time) { return seconds(time.tv_sec) + microseconds(time.tv_usec); }
timeval timeval_of(Duration time) {
  return {static_cast<time_t>(time.ns / 1'000'000'000), static_cast<suseconds_t>(time.ns / 1'000 % 1'000'000)};
}

}  // namespace

// --- set

long Socket::set_option(Call& call, int level, int name, const void* value, socklen_t length) {
  if (value == nullptr) return -EFAULT;
  const Bytes octets(static_cast<const std::uint8_t*>(value), length);
  int number = 0;
  if (!read_in(number, octets)) {
    if (octets.empty() || level == SOL_SOCKET || level == IPPROTO_TCP) {
      if (level != IPPROTO_TCP || name != TCP_CONGESTION) return -EINVAL;
    } else {
      number = octets[0];  // IP options take a char as well
    }
  }
  if (harmless(level, name) != nullptr) {
    kept_[{level, name}] = number;
    return 0;
  }
  if (level == SOL_SOCKET) return set_socket_option(call, name, number, octets);
  if (level == IPPROTO_TCP) {
    if (name != TCP_CONGESTION) return set_tcp_option(call, name, number);
    const std::string_view asked(static_cast<const char*>(value), strnlen(static_cast<const char*>(value), length));
    return asked == "reno" ? 0 : -ENOENT;
  }
  if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && domain_ == AF_INET6) {
    if (bound_ || connection_) return -EINVAL;
    v6_only_ = number != 0;
    return 0;
  }
  return -ENOPROTOOPT;
}

long Socket::set_socket_option(Call& call, int name, int number, Bytes value) {
  timeval time{};
  switch (name) {
    case SO_REUSEADDR: reuse_address_ = number != 0; return 0;
    case SO_LINGER: return read_in(linger_, value) ? 0 : -EINVAL;
    case SO_SNDBUF:
    case SO_SNDBUFFORCE: tcp_.send_buffer = buffer_from(number); break;
    case SO_RCVBUF:
    case SO_RCVBUFFORCE: tcp_.receive_buffer = buffer_from(number); break;
    case SO_RCVTIMEO:
    case SO_SNDTIMEO:
      if (!read_in(time, value)) return -EINVAL;
      if (time.tv_usec < 0 || time.tv_usec >= 1'000'000) return -EDOM;
      (name == SO_RCVTIMEO ? receive_limit_ : send_limit_) = duration_of(time);
      return 0;
    default: return -ENOPROTOOPT;
  }
  if (!connection_) return 0;
  const auto set = call.engine().set_buffers(*connection_, tcp_.send_buffer, tcp_.receive_buffer);
  return set ? 0 : -EINVAL;
}

long Socket::set_tcp_option(Call& call, int name, int number) {
  constexpr int kHeaders = 40;
  switch (name) {
    case TCP_NODELAY:
      tcp_.no_delay = number != 0;
      if (connection_) (void)call.engine().set_no_delay(*connection_, tcp_.no_delay, call.now());
      return 0;
    case TCP_MAXSEG:
      if (number < 88 || number > 32767) return -EINVAL;
      // The engine's MSS is what the MTU allows; a smaller one cannot be had for one connection.
      return number + kHeaders >= call.machine.settings().mtu ? 0 : -ENOPROTOOPT;
    default: return -ENOPROTOOPT;
  }
}

// --- get

long Socket::get_number(Call& call, int level, int name, int& number) {
  if (const Harmless* option = harmless(level, name)) {
    const auto kept = kept_.find({level, name});
    number = kept == kept_.end() ? option->initially : kept->second;
    return 0;
  }
  if (level == SOL_SOCKET) {
    switch (name) {
      case SO_ERROR: number = take_error(call.machine); return 0;
      case SO_TYPE: number = SOCK_STREAM; return 0;
      case SO_PROTOCOL: number = IPPROTO_TCP; return 0;
      case SO_DOMAIN: number = domain_; return 0;
      case SO_ACCEPTCONN: number = is_listening() ? 1 : 0; return 0;
      case SO_REUSEADDR: number = reuse_address_ ? 1 : 0; return 0;
      case SO_SNDBUF: number = buffer_told(tcp_.send_buffer); return 0;
      case SO_RCVBUF: number = buffer_told(tcp_.receive_buffer); return 0;
      default: return -ENOPROTOOPT;
    }
  }
  if (level == IPPROTO_TCP && name == TCP_NODELAY) {
    number = tcp_.no_delay ? 1 : 0;
    return 0;
  }
  if (level == IPPROTO_TCP && name == TCP_MAXSEG) {
    constexpr int kUnconnected = 536;
    stack::Details details;
    if (connection_) details = call.engine().details(*connection_).value_or(details);
    number = details.mss != 0 ? details.mss : kUnconnected;
    return 0;
  }
  if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) {
    number = v6_only_ ? 1 : 0;
    return 0;
  }
  return -ENOPROTOOPT;
}

long Socket::get_option(Call& call, int level, int name, void* value, socklen_t* length) {
  if (value == nullptr || length == nullptr) return -EFAULT;
  if (level == SOL_SOCKET && name == SO_LINGER) return read_out(linger_, value, length);
  if (level == SOL_SOCKET && name == SO_RCVTIMEO) return read_out(timeval_of(receive_limit_), value, length);
  if (level == SOL_SOCKET && name == SO_SNDTIMEO) return read_out(timeval_of(send_limit_), value, length);
  if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
    constexpr char kName[16] = "reno";
    return read_out(kName, value, length);
  }
  if (level == IPPROTO_TCP && name == TCP_INFO) {
    const std::vector<std::uint8_t> info = tcp_info(call);
    const auto count = std::min<std::size_t>(*length, info.size());
    std::memcpy(value, info.data(), count);
    *length = static_cast<socklen_t>(count);
    return 0;
  }
  int number = 0;
  const long result = get_number(call, level, name, number);
  return result < 0 ? result : read_out(number, value, length);
}

}  // namespace adieu::packetdrill
