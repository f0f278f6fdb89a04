// Questions to the kernel and the loop that takes its answers. What does not live here: their meaning (reply.cc).
#include "kernel/sock_diag.h"

#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/bpf.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace adieu::kernel {
namespace {

// The kernel fills at most 32 KiB at a time for a dump (netlink_recvmsg).
constexpr std::size_t kBufferBytes = 32768;

// The kernel adds its own NEW_SYN_RECV, a connection request, where SYN_RECV is asked for.
constexpr std::uint32_t kStatesAsked = 1U << BPF_TCP_ESTABLISHED | 1U << BPF_TCP_SYN_SENT | 1U << BPF_TCP_SYN_RECV |
                                       1U << BPF_TCP_FIN_WAIT1 | 1U << BPF_TCP_FIN_WAIT2 | 1U << BPF_TCP_TIME_WAIT |
                                       1U << BPF_TCP_CLOSE_WAIT | 1U << BPF_TCP_LAST_ACK | 1U << BPF_TCP_CLOSING;
constexpr std::uint32_t kListening = 1U << BPF_TCP_LISTEN;
constexpr std::uint8_t kExtensionsAsked = 1U << (INET_DIAG_INFO - 1) | 1U << (INET_DIAG_SHUTDOWN - 1);

std::unexpected<Error> failure(int code) {
  switch (code) {
    case EPERM:
    case EACCES: return std::unexpected(Error{ErrorKind::NotPermitted, code});
    // ENOENT: sock_diag has no handler for TCP, and none could be loaded.
    case ENOENT:
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT:
    case EOPNOTSUPP: return std::unexpected(Error{ErrorKind::NotSupported, code});
    case ENOSPC:  // how libmnl says that an answer did not fit
    case EPROTO: return std::unexpected(Error{ErrorKind::NotUnderstood, code});
    default: return std::unexpected(Error{ErrorKind::System, code});
  }
}

Instant clock_now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return {std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec};
}

void put_endpoint(const Endpoint& endpoint, Family family, __be32 (&words)[4], __be16& port) {
  if (family == Family::V4) {
    std::memcpy(words, endpoint.address.octets.data() + 12, 4);
  } else {
    std::memcpy(words, endpoint.address.octets.data(), 16);
  }
  port = htobe16(endpoint.port);
}

}  // namespace

void Diag::Close::operator()(mnl_socket* socket) const { mnl_socket_close(socket); }

std::expected<Diag, Error> Diag::open() {
  Diag diag;
  diag.buffer_ = std::make_unique<std::uint32_t[]>(kBufferBytes / sizeof(std::uint32_t));
  if (auto connected = diag.connect(); !connected) return std::unexpected(connected.error());
  return diag;
}

std::expected<void, Error> Diag::connect() {
  if (socket_) return {};
  socket_.reset(mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC));
  if (!socket_) return failure(errno);
  if (mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
    const int code = errno;
    socket_.reset();
    return failure(code);
  }
  return {};
}

// A dump of the family, or one socket of it by name.
std::expected<void, Error> Diag::ask(What what, Family family, std::uint32_t states, const SocketKey* key,
                                     Asked& asked) {
  if (auto connected = connect(); !connected) return connected;
  asked = {.number = ++number_, .port = mnl_socket_get_portid(socket_.get()), .listeners = states == kListening};
  nlmsghdr* message = mnl_nlmsg_put_header(buffer_.get());
  message->nlmsg_type = what == What::Destroy ? SOCK_DESTROY : SOCK_DIAG_BY_FAMILY;
  message->nlmsg_flags = NLM_F_REQUEST;
  if (what == What::Destroy) message->nlmsg_flags |= NLM_F_ACK;
  if (key == nullptr) message->nlmsg_flags |= NLM_F_DUMP;
  message->nlmsg_seq = asked.number;

  inet_diag_req_v2 request{};
  request.sdiag_family = family == Family::V4 ? AF_INET : AF_INET6;
  request.sdiag_protocol = IPPROTO_TCP;
  request.idiag_ext = kExtensionsAsked;
  request.idiag_states = states;
  if (key != nullptr) {
    put_endpoint(key->local, family, request.id.idiag_src, request.id.idiag_sport);
    put_endpoint(key->remote, family, request.id.idiag_dst, request.id.idiag_dport);
    request.id.idiag_if = key->interface;
    request.id.idiag_cookie[0] = static_cast<std::uint32_t>(key->cookie);
    request.id.idiag_cookie[1] = static_cast<std::uint32_t>(key->cookie >> 32);
  }
  std::memcpy(mnl_nlmsg_put_extra_header(message, sizeof request), &request, sizeof request);
  // The kernel writes the first part of its answer before this returns.
  if (mnl_socket_sendto(socket_.get(), message, message->nlmsg_len) < 0) return failure(errno);
  answered_at_ = clock_now();
  return {};
}

std::expected<Replies, Error> Diag::receive(const Asked& asked, Visit visit, void* context) {
  ssize_t length = 0;
  do {
    length = mnl_socket_recvfrom(socket_.get(), buffer_.get(), kBufferBytes);
  } while (length < 0 && errno == EINTR);
  if (length < 0) {
    const int code = errno;
    socket_.reset();  // a dump may still be running in it
    return failure(code);
  }
  const Instant read_at = answered_at_;
  answered_at_ = clock_now();  // taking one part made the kernel write the next
  const void* answer = buffer_.get();
  const Bytes batch{static_cast<const std::uint8_t*>(answer), static_cast<std::size_t>(length)};
  const Replies replies = read_replies(batch, asked, read_at, visit, context);
  if (replies.malformed) {
    socket_.reset();
    return failure(EPROTO);
  }
  return replies;
}

// True: whole. False: interrupted, something may be missing.
std::expected<bool, Error> Diag::dump_once(Family family, std::uint32_t states, Visit visit, void* context) {
  Asked asked;
  if (auto sent = ask(What::Tell, family, states, nullptr, asked); !sent) return std::unexpected(sent.error());
  bool whole = true;
  while (true) {
    const auto replies = receive(asked, visit, context);
    if (!replies) return std::unexpected(replies.error());
    if (replies->interrupted) whole = false;  // what was said is true all the same, and the rest must be drained
    if (!replies->done) continue;
    if (replies->error != 0) return failure(replies->error);
    return whole;
  }
}

std::expected<void, Error> Diag::dump_family(Family family, std::uint32_t states, Visit visit, void* context) {
  for (unsigned attempt = 0; attempt < kDumpAttempts; ++attempt) {
    const auto whole = dump_once(family, states, visit, context);
    if (!whole) return std::unexpected(whole.error());
    if (*whole) return {};
  }
  return std::unexpected(Error{ErrorKind::Interrupted, EINTR});
}

std::expected<void, Error> Diag::dump(Visit visit, void* context) { return dump_states(kStatesAsked, visit, context); }

std::expected<void, Error> Diag::dump_listeners(Visit visit, void* context) {
  return dump_states(kListening, visit, context);
}

std::expected<void, Error> Diag::dump_states(std::uint32_t states, Visit visit, void* context) {
  // IPv4 first: a connection request to a dual-stack listener is of family IPv4, and its socket, later, of IPv6. The
  // other way round, one that grew up between the two dumps would be in neither.
  if (auto v4 = dump_family(Family::V4, states, visit, context); !v4) return v4;
  return dump_family(Family::V6, states, visit, context);
}

std::expected<std::vector<Socket>, Error> Diag::all() {
  std::vector<Socket> sockets;
  const Visit keep = [](void* context, const Socket& socket) {
    static_cast<std::vector<Socket>*>(context)->push_back(socket);
  };
  if (auto dumped = dump(keep, &sockets); !dumped) return std::unexpected(dumped.error());
  // Of a socket that was visited twice, what was said last.
  std::ranges::reverse(sockets);
  const auto cookie = [](const Socket& socket) { return socket.key.cookie; };
  std::ranges::stable_sort(sockets, {}, cookie);
  const auto repeated = std::ranges::unique(sockets, {}, cookie);
  sockets.erase(repeated.begin(), repeated.end());
  return sockets;
}

std::expected<std::optional<Socket>, Error> Diag::find(const SocketKey& key) {
  Asked asked;
  // The kernel finds an IPv4 connection of a dual-stack socket by its IPv4 addresses.
  if (auto sent = ask(What::Tell, key.local.address.family(), kStatesAsked, &key, asked); !sent)
    return std::unexpected(sent.error());
  std::optional<Socket> found;
  const Visit keep = [](void* context, const Socket& socket) {
    *static_cast<std::optional<Socket>*>(context) = socket;
  };
  const auto replies = receive(asked, keep, &found);
  if (!replies) return std::unexpected(replies.error());
  // ENOENT: nothing has these addresses. ESTALE: something has, with another cookie.
  if (replies->error != 0 && replies->error != ENOENT && replies->error != ESTALE) return failure(replies->error);
  return found;
}

std::expected<bool, Error> Diag::destroy(const SocketKey& key) {
  Asked asked;
  if (auto sent = ask(What::Destroy, key.local.address.family(), kStatesAsked, &key, asked); !sent)
    return std::unexpected(sent.error());
  const Visit ignore = [](void*, const Socket&) {};
  while (true) {
    const auto replies = receive(asked, ignore, nullptr);
    if (!replies) return std::unexpected(replies.error());
    if (!replies->done) continue;
    if (replies->error != 0 && replies->error != ENOENT && replies->error != ESTALE) return failure(replies->error);
    return replies->error == 0;
  }
}

std::string_view name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::NotPermitted: return "not permitted";
    case ErrorKind::NotSupported: return "not supported by this kernel";
    case ErrorKind::Interrupted: return "every dump was interrupted";
    case ErrorKind::NotUnderstood: return "the kernel's answer was not understood";
    case ErrorKind::System: return "system error";
    case ErrorKind::Rejected: return "the BPF program was rejected";
  }
  return "unknown";
}

std::string_view name(Timer timer) {
  switch (timer) {
    case Timer::None: return "none";
    case Timer::Retransmit: return "on";
    case Timer::Keepalive: return "keepalive";
    case Timer::TimeWait: return "timewait";
    case Timer::Persist: return "persist";
    case Timer::Other: return "other";
  }
  return "unknown";
}

}  // namespace adieu::kernel
