// AF_PACKET with SOCK_DGRAM: the same bytes, from the IP header on, for veth, TUN and loopback.
#include "lab/watch.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <ctime>

#include "host/clock.h"
#include "lab/trouble.h"
#include "wire/ip.h"

namespace adieu::lab {
namespace {

constexpr int kReceiveBuffer = 32 << 20;
constexpr std::size_t kLargestPacket = 1 << 17;

host::Descriptor open_socket(const Net& net) {
  const Inside inside(net);
  host::Descriptor socket(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL)));
  if (!socket) throw Trouble(fmt::format("cannot watch {}: {}", net.name(), std::strerror(errno)));
  const int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  // In a user namespace only the ordinary limit can be had.
  if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof kReceiveBuffer) != 0)
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
  return socket;
}

// How far CLOCK_MONOTONIC lies behind the clock of the kernel's packet timestamps.
std::int64_t clock_offset() {
  timespec real{};
  clock_gettime(CLOCK_REALTIME, &real);
  return std::int64_t{real.tv_sec} * 1'000'000'000 + real.tv_nsec - host::now().ns;
}

Instant time_of(msghdr& message, std::int64_t offset) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec stamp{};
    std::memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
    return {std::int64_t{stamp.tv_sec} * 1'000'000'000 + stamp.tv_nsec - offset};
  }
  return host::now();
}

}  // namespace

Watch::Watch(const Net& net, std::string interface)
    : net_(net),
      interface_(std::move(interface)),
      socket_(open_socket(net)),
      thread_([this](const std::stop_token& stop) { watch(stop); }) {}

Watch::~Watch() {
  thread_.request_stop();
  thread_.join();
}

void Watch::watch(std::stop_token stop) {
  const Inside inside(net_);  // for if_indextoname
  const std::int64_t offset = clock_offset();
  std::vector<std::uint8_t> buffer(kLargestPacket);
  std::array<char, 256> control{};
  while (!stop.stop_requested()) {
    pollfd ready{socket_.get(), POLLIN, 0};
    if (poll(&ready, 1, 20) <= 0) continue;
    sockaddr_ll from{};
    iovec part{buffer.data(), buffer.size()};
    msghdr message{&from, sizeof from, &part, 1, control.data(), control.size(), 0};
    const ssize_t length = recvmsg(socket_.get(), &message, MSG_DONTWAIT);
    if (length <= 0 || (message.msg_flags & MSG_TRUNC) != 0) continue;
    if (!is_ours(from.sll_ifindex)) continue;
    // The loopback shows each packet twice, leaving and arriving.
    if (from.sll_hatype == ARPHRD_LOOPBACK && from.sll_pkttype == PACKET_OUTGOING) continue;
    take(Bytes(buffer.data(), static_cast<std::size_t>(length)), time_of(message, offset));
  }
}

// The interface may come later than the watch, so its index is known to nobody before its first packet.
bool Watch::is_ours(int index) {
  if (index == index_) return true;
  char name[IF_NAMESIZE] = {};
  if (if_indextoname(static_cast<unsigned>(index), name) == nullptr || interface_ != name) return false;
  index_ = index;
  return true;
}

void Watch::take(Bytes packet, Instant at) {
  const auto ip = wire::parse_ip(packet);
  if (!ip || ip->protocol != wire::kProtocolTcp) return;
  // Checksums of packets that never leave this host are not completed.
  const auto segment = wire::parse_tcp(*ip, Offload{.checksum_valid = true});
  if (!segment) return;
  Seen seen{at,
            {ip->source, segment->source_port},
            {ip->destination, segment->destination_port},
            *segment,
            static_cast<std::uint32_t>(segment->payload.size())};
  seen.segment.payload = {};
  const std::lock_guard lock(mutex_);
  seen_.push_back(std::move(seen));
}

std::vector<Seen> Watch::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

std::vector<Seen> Watch::between(const Endpoint& a, const Endpoint& b) const {
  const std::lock_guard lock(mutex_);
  std::vector<Seen> result;
  for (const Seen& s : seen_)
    if ((s.source == a && s.destination == b) || (s.source == b && s.destination == a)) result.push_back(s);
  return result;
}

std::uint64_t Watch::lost() const {
  tpacket_stats statistics{};
  socklen_t length = sizeof statistics;
  getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &length);
  const std::lock_guard lock(mutex_);
  return lost_ += statistics.tp_drops;  // reading resets the kernel's count
}

}  // namespace adieu::lab
