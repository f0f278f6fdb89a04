// One question, one answer (ctnetlink). What does not live here: the errors' words (sock_diag.cc).
#include "kernel/conntrack.h"

#include <endian.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>

namespace adieu::kernel {
namespace {

constexpr std::uint32_t kQuestion = 1;  // the only one that its socket carries
constexpr std::size_t kBufferBytes = 8192;

// A setting of the network in which this thread is; nullopt: this kernel has no such setting.
std::optional<std::int64_t> setting(const char* name) {
  std::array<char, 128> path{};
  std::snprintf(path.data(), path.size(), "/proc/sys/net/netfilter/nf_conntrack_%s", name);
  const int file = ::open(path.data(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  std::array<char, 32> text{};
  const ssize_t length = ::read(file, text.data(), text.size());
  ::close(file);
  std::int64_t value = 0;
  if (length <= 0 || std::from_chars(text.data(), text.data() + length, value).ec != std::errc{}) return std::nullopt;
  return value;
}

std::unexpected<Error> failure(int code) {
  switch (code) {
    case EPERM:
    case EACCES: return std::unexpected(Error{ErrorKind::NotPermitted, code});
    // EINVAL: nfnetlink knows nobody who answers for conntrack, and none could be loaded.
    case EINVAL:
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT:
    case EOPNOTSUPP: return std::unexpected(Error{ErrorKind::NotSupported, code});
    case EPROTO: return std::unexpected(Error{ErrorKind::NotUnderstood, code});
    default: return std::unexpected(Error{ErrorKind::System, code});
  }
}

// --- asking

void put_address(nlmsghdr* message, const Address& address, std::uint16_t v4, std::uint16_t v6) {
  if (address.family() == Family::V4)
    mnl_attr_put(message, v4, 4, address.octets.data() + 12);
  else
    mnl_attr_put(message, v6, 16, address.octets.data());
}

nlmsghdr* question(const Tuple& tuple, void* buffer) {
  nlmsghdr* message = mnl_nlmsg_put_header(buffer);
  message->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
  message->nlmsg_flags = NLM_F_REQUEST;
  message->nlmsg_seq = kQuestion;
  nfgenmsg header{};
  header.nfgen_family = tuple.source.address.family() == Family::V4 ? AF_INET : AF_INET6;
  header.version = NFNETLINK_V0;
  std::memcpy(mnl_nlmsg_put_extra_header(message, sizeof header), &header, sizeof header);
  // The kernel keeps an entry under both of its tuples, and finds it by either.
  nlattr* named = mnl_attr_nest_start(message, CTA_TUPLE_ORIG);
  nlattr* addresses = mnl_attr_nest_start(message, CTA_TUPLE_IP);
  put_address(message, tuple.source.address, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
  put_address(message, tuple.destination.address, CTA_IP_V4_DST, CTA_IP_V6_DST);
  mnl_attr_nest_end(message, addresses);
  nlattr* ports = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
  mnl_attr_put_u8(message, CTA_PROTO_NUM, IPPROTO_TCP);
  mnl_attr_put_u16(message, CTA_PROTO_SRC_PORT, htobe16(tuple.source.port));
  mnl_attr_put_u16(message, CTA_PROTO_DST_PORT, htobe16(tuple.destination.port));
  mnl_attr_nest_end(message, ports);
  mnl_attr_nest_end(message, named);
  return message;
}

// --- reading

// Its attributes by number, and those within one of them; a number that is not there has length 0.
class Attributes {
 public:
  static Attributes of(const nlmsghdr* message) {
    Attributes all;
    mnl_attr_parse(message, sizeof(nfgenmsg), keep, &all);
    return all;
  }
  Attributes within(std::uint16_t type) const {
    Attributes all;
    if (type < all_.size() && all_[type] != nullptr) mnl_attr_parse_nested(all_[type], keep, &all);
    return all;
  }
  bool has(std::uint16_t type) const { return type < all_.size() && all_[type] != nullptr; }
  // As it stands there, in the kernel's order of octets; 0: it is not there.
  template <typename Number>
  Number number(std::uint16_t type) const {
    Number value = 0;
    if (has(type) && mnl_attr_get_payload_len(all_[type]) >= sizeof value)
      std::memcpy(&value, mnl_attr_get_payload(all_[type]), sizeof value);
    return value;
  }
  Address address(std::uint16_t v4, std::uint16_t v6) const {
    Address address = has(v4) ? Address::v4(0, 0, 0, 0) : Address{};
    const std::uint16_t type = has(v4) ? v4 : v6;
    const std::size_t length = has(v4) ? 4 : 16;
    if (has(type) && mnl_attr_get_payload_len(all_[type]) >= length)
      std::memcpy(address.octets.data() + 16 - length, mnl_attr_get_payload(all_[type]), length);
    return address;
  }

 private:
  static int keep(const nlattr* attribute, void* context) {
    auto& all = static_cast<Attributes*>(context)->all_;
    const std::uint16_t type = mnl_attr_get_type(attribute);
    if (type < all.size()) all[type] = attribute;
    return MNL_CB_OK;
  }
  std::array<const nlattr*, 32> all_{};  // of younger kernels' there may be more
};

Tuple tuple_of(const Attributes& attributes) {
  const Attributes ip = attributes.within(CTA_TUPLE_IP), tcp = attributes.within(CTA_TUPLE_PROTO);
  return {.source = {.address = ip.address(CTA_IP_V4_SRC, CTA_IP_V6_SRC),
                     .port = be16toh(tcp.number<std::uint16_t>(CTA_PROTO_SRC_PORT))},
          .destination = {.address = ip.address(CTA_IP_V4_DST, CTA_IP_V6_DST),
                          .port = be16toh(tcp.number<std::uint16_t>(CTA_PROTO_DST_PORT))}};
}

std::optional<Traffic> traffic_of(const Attributes& counters) {
  if (!counters.has(CTA_COUNTERS_PACKETS)) return std::nullopt;
  return Traffic{.packets = be64toh(counters.number<std::uint64_t>(CTA_COUNTERS_PACKETS)),
                 .octets = be64toh(counters.number<std::uint64_t>(CTA_COUNTERS_BYTES))};
}

const char* timer_of(TrackedState state) {
  switch (state) {
    case TrackedState::SynSent:
    case TrackedState::SynSent2: return "tcp_timeout_syn_sent";
    case TrackedState::SynRecv: return "tcp_timeout_syn_recv";
    case TrackedState::Established: return "tcp_timeout_established";
    case TrackedState::FinWait: return "tcp_timeout_fin_wait";
    case TrackedState::CloseWait: return "tcp_timeout_close_wait";
    case TrackedState::LastAck: return "tcp_timeout_last_ack";
    case TrackedState::TimeWait: return "tcp_timeout_time_wait";
    case TrackedState::Close: return "tcp_timeout_close";
    case TrackedState::None: break;
  }
  return nullptr;
}

// The last two hold in any state, where something is unacknowledged or was sent again too often: the answer does not
// tell whether one of them runs.
Duration renewed_to(TrackedState state) {
  if (timer_of(state) == nullptr) return {};
  Duration shortest = Duration::max();
  for (const char* name : {timer_of(state), "tcp_timeout_unacknowledged", "tcp_timeout_max_retrans"})
    shortest = earlier(shortest, seconds(setting(name).value_or(0)));
  return shortest;
}

Tracked read(const nlmsghdr* message) {
  const Attributes said = Attributes::of(message);
  const std::uint32_t status = be32toh(said.number<std::uint32_t>(CTA_STATUS));
  const auto state = said.within(CTA_PROTOINFO).within(CTA_PROTOINFO_TCP).number<std::uint8_t>(CTA_PROTOINFO_TCP_STATE);
  Tracked entry;
  entry.original = tuple_of(said.within(CTA_TUPLE_ORIG));
  entry.reply = tuple_of(said.within(CTA_TUPLE_REPLY));
  entry.state = state <= static_cast<std::uint8_t>(TrackedState::SynSent2) ? static_cast<TrackedState>(state)
                                                                           : TrackedState::None;
  entry.expires = seconds(be32toh(said.number<std::uint32_t>(CTA_TIMEOUT)));
  entry.renewed_to = renewed_to(entry.state);
  entry.picks_up = setting("tcp_loose").value_or(0) != 0;
  entry.seen_reply = (status & IPS_SEEN_REPLY) != 0;
  entry.assured = (status & IPS_ASSURED) != 0;
  entry.fixed = (status & IPS_FIXED_TIMEOUT) != 0;
  entry.offloaded = (status & IPS_OFFLOAD) != 0;
  entry.mark = be32toh(said.number<std::uint32_t>(CTA_MARK));
  entry.sent = traffic_of(said.within(CTA_COUNTERS_ORIG));
  entry.answered = traffic_of(said.within(CTA_COUNTERS_REPLY));
  return entry;
}

struct Close {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};

}  // namespace

std::string_view name(TrackedState state) {
  switch (state) {
    case TrackedState::None: return "NONE";
    case TrackedState::SynSent: return "SYN_SENT";
    case TrackedState::SynRecv: return "SYN_RECV";
    case TrackedState::Established: return "ESTABLISHED";
    case TrackedState::FinWait: return "FIN_WAIT";
    case TrackedState::CloseWait: return "CLOSE_WAIT";
    case TrackedState::LastAck: return "LAST_ACK";
    case TrackedState::TimeWait: return "TIME_WAIT";
    case TrackedState::Close: return "CLOSE";
    case TrackedState::SynSent2: return "SYN_SENT2";
  }
  return "?";
}

std::expected<std::optional<Tracked>, Error> find_tracked(const Tuple& tuple) {
  // Everybody may read how many entries there are.
  const auto entries = setting("count");
  if (!entries) return failure(EOPNOTSUPP);
  if (*entries == 0) return std::nullopt;
  const std::unique_ptr<mnl_socket, Close> socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC));
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return failure(errno);
  alignas(nlmsghdr) std::array<std::uint8_t, kBufferBytes> buffer{};
  const nlmsghdr* asked = question(tuple, buffer.data());
  if (mnl_socket_sendto(socket.get(), asked, asked->nlmsg_len) < 0) return failure(errno);
  ssize_t length = 0;
  do {
    length = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
  } while (length < 0 && errno == EINTR);
  if (length < 0) return failure(errno);

  const void* at = buffer.data();
  const nlmsghdr* answer = static_cast<const nlmsghdr*>(at);
  if (!mnl_nlmsg_ok(answer, static_cast<int>(length)) || answer->nlmsg_seq != kQuestion) return failure(EPROTO);
  if (answer->nlmsg_type == NLMSG_ERROR) {
    int code = 0;  // the body of an error begins with a negative errno
    if (mnl_nlmsg_get_payload_len(answer) >= sizeof code)
      std::memcpy(&code, mnl_nlmsg_get_payload(answer), sizeof code);
    if (code == -ENOENT) return std::nullopt;
    return failure(code < 0 ? -code : EPROTO);
  }
  if (answer->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW)) return failure(EPROTO);
  return read(answer);
}

}  // namespace adieu::kernel
