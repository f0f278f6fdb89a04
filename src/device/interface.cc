// Addresses by netlink, because an ioctl cannot say when an IPv6 address is in use; the rest by ioctl (netdevice(7)).
#include "device/interface.h"

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace adieu::device {

namespace {

std::unexpected<Error> failed(int code, const char* what) {
  switch (code) {
    case EPERM:
    case EACCES: return std::unexpected(Error{code, what, "needs CAP_NET_ADMIN in this network namespace"});
    case ENODEV: return std::unexpected(Error{code, what, "there is no such interface"});
    case ENAMETOOLONG: return std::unexpected(Error{code, what, "an interface name has at most 15 characters"});
    case EINVAL:
    case ERANGE: return std::unexpected(Error{code, what, "the value is out of range"});
    default: return std::unexpected(Error{code, what, ""});
  }
}

// A datagram socket, which is what the interface ioctls are asked through, and a request that names the interface.
class Request {
 public:
  Request(int family, std::string_view interface) : socket_(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    if (socket_ < 0) {
      error_ = errno;
    } else if (interface.size() >= sizeof(request.ifr_name)) {
      error_ = ENAMETOOLONG;
    } else {
      std::memcpy(request.ifr_name, interface.data(), interface.size());
    }
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  ~Request() {
    if (socket_ >= 0) ::close(socket_);
  }

  // Asks unless something failed before; 0 or the first error.
  int ask(unsigned long what, void* argument) {
    if (error_ == 0 && ::ioctl(socket_, what, argument) < 0) error_ = errno;
    return error_;
  }
  int ask(unsigned long what) { return ask(what, &request); }

  ifreq request{};

 private:
  int socket_;
  int error_ = 0;
};

constexpr const char* kSettingAddress = "setting the address";

// A netlink request with attributes, each of which is a multiple of four octets long: nothing has to be padded.
class Message {
 public:
  template <typename Body>
  Message(unsigned short type, unsigned short flags, const Body& body) {
    nlmsghdr head{};
    head.nlmsg_type = type;
    head.nlmsg_flags = static_cast<unsigned short>(NLM_F_REQUEST | flags);
    append(&head, sizeof(head));
    append(&body, sizeof(body));
  }
  void attribute(unsigned short type, const void* value, std::size_t length) {
    const rtattr head{static_cast<unsigned short>(sizeof(rtattr) + length), type};
    append(&head, sizeof(head));
    append(value, length);
  }
  void attribute(unsigned short type, const Address& address) {
    const std::size_t skip = address.family() == Family::V4 ? 12 : 0;
    attribute(type, address.octets.data() + skip, 16 - skip);
  }
  const void* data() const { return octets_.data(); }
  std::size_t size() const { return length_; }

 private:
  void append(const void* from, std::size_t length) {
    std::memcpy(octets_.data() + length_, from, length);
    length_ += length;
    const auto total = static_cast<std::uint32_t>(length_);
    std::memcpy(octets_.data(), &total, sizeof(total));  // nlmsg_len
  }

  std::array<std::uint8_t, 128> octets_{};
  std::size_t length_ = 0;
};

struct Answer {
  nlmsghdr head{};
  union {
    nlmsgerr error;  // NLMSG_ERROR, which is also how success is said
    rtmsg route;     // RTM_NEWROUTE
    std::array<std::uint8_t, 1024> octets;
  };
};

// 0, or why there is no answer. rtnetlink answers before send() returns.
int ask_netlink(const Message& message, Answer& answer) {
  const int socket = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (socket < 0) return errno;
  answer = Answer{};
  const bool is_answered = ::send(socket, message.data(), message.size(), 0) >= 0 &&
                           ::recv(socket, &answer, sizeof(answer), 0) >= static_cast<ssize_t>(sizeof(nlmsghdr));
  const int code = is_answered ? 0 : errno;
  ::close(socket);
  if (code != 0) return code;
  return answer.head.nlmsg_type == NLMSG_ERROR ? -answer.error.error : 0;
}

int add_address(const Address& address, unsigned prefix_length, unsigned index) {
  const bool is_v6 = address.family() == Family::V6;
  ifaddrmsg body{};
  body.ifa_family = is_v6 ? AF_INET6 : AF_INET;
  body.ifa_prefixlen = static_cast<unsigned char>(prefix_length);
  body.ifa_index = index;
  Message message(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body);
  message.attribute(IFA_LOCAL, address);
  message.attribute(IFA_ADDRESS, address);
  const std::uint32_t flags = IFA_F_NODAD;  // nobody else is on the link to ask about a duplicate
  if (is_v6) message.attribute(IFA_FLAGS, &flags, sizeof(flags));
  Answer answer;
  const int code = ask_netlink(message, answer);
  return code == EEXIST ? 0 : code;
}

// Whether the kernel takes packets to `address` for its own.
bool is_local(const Address& address) {
  rtmsg body{};
  body.rtm_family = AF_INET6;
  body.rtm_dst_len = 128;
  Message message(RTM_GETROUTE, 0, body);
  message.attribute(RTA_DST, address);
  Answer answer;
  return ask_netlink(message, answer) == 0 && answer.head.nlmsg_type == RTM_NEWROUTE &&
         answer.route.rtm_type == RTN_LOCAL;
}

// The kernel adds the local route of an IPv6 address from a work queue, some milliseconds later; a packet that comes
// before is dropped (Ip6InAddrErrors), and a connect would lose a second to its retransmission.
int wait_until_local(const Address& address) {
  for (int milliseconds = 0; milliseconds < 2000; ++milliseconds) {
    if (is_local(address)) return 0;
    ::poll(nullptr, 0, 1);
  }
  return ETIMEDOUT;
}

}  // namespace

Configured set_address(std::string_view interface, const Address& address, unsigned prefix_length) {
  if (prefix_length > (address.family() == Family::V4 ? 32U : 128U)) return failed(EINVAL, kSettingAddress);
  Request request(AF_INET, interface);
  if (const int code = request.ask(SIOCGIFINDEX)) return failed(code, kSettingAddress);
  const auto index = static_cast<unsigned>(request.request.ifr_ifindex);
  const bool is_v6 = address.family() == Family::V6;
  int code = add_address(address, prefix_length, index);
  if (code == 0 && is_v6 && request.ask(SIOCGIFFLAGS) == 0 && (request.request.ifr_flags & IFF_UP) != 0)
    code = wait_until_local(address);
  if (is_v6 && code == EACCES)
    return std::unexpected(
        Error{code, kSettingAddress, "IPv6 is switched off here (sysctl net.ipv6.conf.*.disable_ipv6)"});
  if (is_v6 && (code == EOPNOTSUPP || code == EAFNOSUPPORT))
    return std::unexpected(Error{code, kSettingAddress, "this kernel has no IPv6"});
  if (code != 0) return failed(code, kSettingAddress);
  return {};
}

Configured set_mtu(std::string_view interface, unsigned octets) {
  Request request(AF_INET, interface);
  request.request.ifr_mtu = static_cast<int>(octets);
  if (const int code = request.ask(SIOCSIFMTU)) return failed(code, "setting the MTU");
  return {};
}

Configured set_queue_length(std::string_view interface, unsigned packets) {
  Request request(AF_INET, interface);
  if (const int code = request.ask(SIOCGIFINDEX)) return failed(code, "setting the queue length");
  // By netlink: SIOCSIFTXQLEN wants CAP_NET_ADMIN of the initial user namespace, which an ordinary user never has.
  ifinfomsg body{};
  body.ifi_index = request.request.ifr_ifindex;
  Message message(RTM_SETLINK, NLM_F_ACK, body);
  const std::uint32_t length = packets;
  message.attribute(IFLA_TXQLEN, &length, sizeof(length));
  Answer answer;
  if (const int code = ask_netlink(message, answer)) return failed(code, "setting the queue length");
  return {};
}

Configured bring_up(std::string_view interface) {
  Request request(AF_INET, interface);
  if (request.ask(SIOCGIFFLAGS) == 0) request.request.ifr_flags |= IFF_UP;
  if (const int code = request.ask(SIOCSIFFLAGS)) return failed(code, "bringing the interface up");
  return {};
}

}  // namespace adieu::device
