// Sockets that never block, of two kinds.
#include "lab/subject.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "host/clock.h"
#include "lab/trouble.h"

namespace adieu::lab {
namespace {

constexpr Duration kReadAgain = milliseconds(5);
constexpr std::array<std::uint8_t, 65536> kOctets{};

// include/net/tcp_states.h; /proc/net/tcp shows these numbers.
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

std::vector<KernelRow> parse_kernel_table(const std::string& text) {
  std::vector<KernelRow> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    unsigned local = 0, local_port = 0, remote = 0, remote_port = 0, state = 0, sent = 0, unread = 0, timer = 0;
    unsigned long when = 0;
    if (std::sscanf(line.c_str(), " %*u: %x:%x %x:%x %x %x:%x %x:%lx", &local, &local_port, &remote, &remote_port,
                    &state, &sent, &unread, &timer, &when) != 9)
      continue;
    const auto rfc = rfc_state(state);
    if (!rfc) continue;
    // Hundredths of a second, whatever the kernel's own tick is.
    rows.push_back({endpoint_of(local, local_port), endpoint_of(remote, remote_port), *rfc, unread, timer,
                    milliseconds(static_cast<std::int64_t>(when) * 10)});
  }
  return rows;
}

std::string timer_text(const std::optional<KernelRow>& row) {
  static constexpr const char* kNames[] = {"none", "retransmission", "keepalive", "TIME-WAIT", "zero window"};
  if (!row || row->timer == 0 || row->timer >= std::size(kNames)) return "no timer";
  return fmt::format("timer: {}, {:.1f} s", kNames[row->timer], row->expires.seconds());
}

KernelTable::KernelTable(const Net& net) {
  const Inside inside(net);
  file_ = host::Descriptor(open("/proc/thread-self/net/tcp", O_RDONLY | O_CLOEXEC));
  if (!file_) throw Trouble(fmt::format("cannot read /proc/net/tcp: {}", std::strerror(errno)));
}

std::optional<KernelRow> KernelTable::row(const Endpoint& local, const Endpoint& remote) {
  if (!read_at_.is_known() || host::now() - read_at_ > kReadAgain) {
    std::string text;
    std::array<char, 16384> part;
    lseek(file_.get(), 0, SEEK_SET);
    for (ssize_t n = 0; (n = read(file_.get(), part.data(), part.size())) > 0;)
      text.append(part.data(), static_cast<std::size_t>(n));
    rows_ = parse_kernel_table(text);
    read_at_ = host::now();
  }
  for (const KernelRow& row : rows_)
    if (row.local == local && row.remote == remote) return row;
  return std::nullopt;
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
