// Sockets that never block, of two kinds.
#include "lab/subject.h"

#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "lab/trouble.h"

namespace adieu::lab {
namespace {

constexpr std::array<std::uint8_t, 65536> kOctets{};

// include/net/tcp_states.h; sock_diag(7) tells these numbers.
std::optional<State> rfc_state(unsigned of_linux) {
  switch (of_linux) {
    case 1: return State::Established;
    case 2: return State::SynSent;
    case 3:
    case 12: return State::SynReceived;
    case 4: return State::FinWait1;
    case 5: return State::FinWait2;
    case 6: return State::TimeWait;
    case 8: return State::CloseWait;
    case 9: return State::LastAck;
    case 10: return State::Listen;
    case 11: return State::Closing;
  }
  return std::nullopt;
}

// The kernel prints the four octets, in network order, as one number of this host.
Endpoint endpoint_of(std::uint32_t octets, unsigned port) {
  Endpoint endpoint{Address::v4(0, 0, 0, 0), static_cast<std::uint16_t>(port)};
  std::memcpy(endpoint.address.octets.data() + 12, &octets, 4);
  return endpoint;
}

Endpoint local_of(int socket) {
  sockaddr_in own{};
  socklen_t size = sizeof own;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&own), &size) != 0)
    throw Trouble(fmt::format("a socket has no name: {}", std::strerror(errno)));
  return endpoint_of(own.sin_addr.s_addr, ntohs(own.sin_port));
}

}  // namespace

// --- the kernel's table

std::string timer_text(const std::optional<KernelRow>& row) {
  static constexpr const char* kNames[] = {"none", "retransmission", "keepalive", "TIME-WAIT", "zero window"};
  if (!row || row->timer == 0 || row->timer >= std::size(kNames)) return "no timer";
  return fmt::format("timer: {}, {:.1f} s", kNames[row->timer], row->expires.seconds());
}

KernelTable::KernelTable(const Net& net) {
  const Inside inside(net);
  socket_ = host::Descriptor(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!socket_) throw Trouble(fmt::format("cannot ask for sockets: {}", std::strerror(errno)));
}

std::optional<KernelRow> KernelTable::row(const Endpoint& local, const Endpoint& remote) {
  struct {
    nlmsghdr head{};
    inet_diag_req_v2 request{};
  } question;
  question.head = {.nlmsg_len = sizeof question,
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST,
                   .nlmsg_seq = 0,
                   .nlmsg_pid = 0};
  question.request.sdiag_family = AF_INET;
  question.request.sdiag_protocol = IPPROTO_TCP;
  question.request.idiag_states = ~0U;
  inet_diag_sockid& id = question.request.id;
  id.idiag_sport = htons(local.port);
  id.idiag_dport = htons(remote.port);
  std::memcpy(id.idiag_src, local.address.octets.data() + 12, 4);
  std::memcpy(id.idiag_dst, remote.address.octets.data() + 12, 4);
  id.idiag_cookie[0] = id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  alignas(nlmsghdr) std::array<char, 8192> answer;
  if (::send(socket_.get(), &question, sizeof question, 0) < 0) throw Trouble("the kernel takes no question");
  const ssize_t length = ::recv(socket_.get(), answer.data(), answer.size(), 0);
  nlmsghdr head{};
  inet_diag_msg found{};
  if (length < static_cast<ssize_t>(NLMSG_HDRLEN)) throw Trouble("the kernel does not answer");
  std::memcpy(&head, answer.data(), sizeof head);
  if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY || length < static_cast<ssize_t>(NLMSG_HDRLEN + sizeof found))
    return std::nullopt;
  std::memcpy(&found, answer.data() + NLMSG_HDRLEN, sizeof found);
  const auto state = rfc_state(found.idiag_state);
  // Where there is no such connection, a listener of that port answers.
  if (!state || *state == State::Listen) return std::nullopt;
  return KernelRow{*state, found.idiag_rqueue, found.idiag_timer, milliseconds(found.idiag_expires)};
}

// --- a socket of the kernel

KernelSubject::KernelSubject(host::Descriptor socket, KernelTable& table, const Endpoint& remote)
    : socket_(std::move(socket)), table_(table), local_(local_of(socket_.get())), remote_(remote) {}

std::optional<State> KernelSubject::state() {
  const auto found = row();
  return found ? std::optional(found->state) : std::nullopt;
}

void KernelSubject::send(std::uint32_t octets) {
  if (::send(socket_.get(), kOctets.data(), octets, MSG_NOSIGNAL) < 0)
    throw Trouble(fmt::format("send: {}", std::strerror(errno)));
}
void KernelSubject::shut_send() { ::shutdown(socket_.get(), SHUT_WR); }
void KernelSubject::shut_receive() { ::shutdown(socket_.get(), SHUT_RD); }
void KernelSubject::close() { socket_.reset(); }

std::optional<std::size_t> KernelSubject::receive() {
  std::array<std::uint8_t, 65536> buffer;
  const ssize_t n = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  return n < 0 ? std::nullopt : std::optional(static_cast<std::size_t>(n));
}

std::uint32_t KernelSubject::unread() {
  const auto found = row();
  return found ? found->unread : 0;
}

void KernelSubject::set_option(int level, int name, int value) {
  if (setsockopt(socket_.get(), level, name, &value, sizeof value) != 0)
    throw Trouble(fmt::format("setsockopt {}/{} to {}: {}", level, name, value, std::strerror(errno)));
}

Duration KernelSubject::rto() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  getsockopt(socket_.get(), IPPROTO_TCP, TCP_INFO, &info, &size);
  return microseconds(info.tcpi_rto);
}

std::string KernelSubject::error() const {
  int number = 0;
  socklen_t size = sizeof number;
  getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &number, &size);
  const char* const name = number == 0 ? nullptr : strerrorname_np(number);
  return number == 0 ? "no error" : name == nullptr ? std::to_string(number) : name;
}

// --- a socket of an engine

EngineSubject::EngineSubject(host::EngineLoop& loop, stack::Socket socket) : loop_(loop), socket_(socket) {}

// The slot is read by number, so that an orphan is found too.
std::optional<plane::Record> EngineSubject::record() {
  plane::Record record;
  if (loop_.table().read(socket_.slot, record) != plane::SlotReading::Whole) return std::nullopt;
  if (record.generation != socket_.generation || record.has_ended()) return std::nullopt;
  return record;
}

std::optional<State> EngineSubject::state() {
  const auto found = record();
  return found ? std::optional(found->state) : std::nullopt;
}

void EngineSubject::send(std::uint32_t octets) {
  const auto sent = loop_.engine().send(socket_, Bytes(kOctets).first(octets), loop_.start_call());
  if (!sent) throw Trouble(fmt::format("the engine's send: {}", name(sent.error())));
  loop_.send_out();
}
void EngineSubject::shut_send() {
  [[maybe_unused]] const auto done = loop_.engine().shutdown(socket_, stack::Shut::Send, loop_.start_call());
  loop_.send_out();
}
void EngineSubject::shut_receive() {
  [[maybe_unused]] const auto done = loop_.engine().shutdown(socket_, stack::Shut::Receive, loop_.start_call());
  loop_.send_out();
}
void EngineSubject::close() {
  [[maybe_unused]] const auto done = loop_.engine().close(socket_, loop_.start_call());
  loop_.send_out();
}

std::optional<std::size_t> EngineSubject::receive() {
  std::array<std::uint8_t, 65536> buffer;
  const auto got = loop_.engine().receive(socket_, buffer, false, loop_.start_call());
  loop_.send_out();
  return got ? std::optional(*got) : std::nullopt;
}

std::uint32_t EngineSubject::unread() {
  const auto found = record();
  return found && found->unread != plane::kUnknownCount ? found->unread : 0;
}

std::unique_ptr<host::EngineLoop> start_engine(const Net& net, Duration time_wait, const std::string& run_dir) {
  const Inside inside(net);
  host::EngineSetup setup;
  setup.options.tun = "adieu0";
  setup.options.addresses = {{Address::v4(10, 77, 0, 2), 24}};
  setup.options.services = false;
  setup.options.slots = 1024;
  setup.options.time_wait = time_wait;
  setup.name = "lab";
  if (!run_dir.empty()) setup.run_dir = host::RunDir(run_dir);
  auto opened = host::EngineLoop::open(setup);
  if (!opened) throw Trouble(opened.error().text);
  return std::move(*opened);
}

}  // namespace adieu::lab
