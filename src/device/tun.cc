// The TUN device by its ioctls (Documentation/networking/tuntap.rst). The virtio header is in this host's byte order,
// which is TUN's default.
#include "device/tun.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace adieu::device {

namespace {

// VIRTIO 1.1 section 5.1.6. (<linux/virtio_net.h> is C: it has a member called `class`.)
struct VirtioHeader {
  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  std::uint16_t hdr_len = 0;
  std::uint16_t gso_size = 0;
  std::uint16_t csum_start = 0;
  std::uint16_t csum_offset = 0;
  std::uint16_t num_buffers = 0;  // unused
};
static_assert(sizeof(VirtioHeader) == 12);
constexpr std::uint8_t kNeedsChecksum = 1;  // flags
constexpr std::uint8_t kDataValid = 2;
constexpr std::uint8_t kGsoTcpV4 = 1;  // gso_type
constexpr std::uint8_t kGsoTcpV6 = 4;
constexpr std::uint8_t kGsoEcn = 0x80;

static_assert(IFNAMSIZ == 16);
constexpr std::size_t kTcpDataOffset = 12;  // the octet of the TCP header whose upper half is its length in words

std::unexpected<Error> failed(int code, const char* what, const char* advice) {
  return std::unexpected(Error{code, what, advice});
}

std::unexpected<Error> cannot_open(int code) {
  constexpr const char* kWhat = "opening /dev/net/tun";
  switch (code) {
    case ENOENT:
      return failed(code, kWhat, "load the module (modprobe tun), or give the container --device /dev/net/tun");
    case ENODEV:
    case ENXIO: return failed(code, kWhat, "the kernel has no TUN driver: modprobe tun");
    case EACCES:
    case EPERM:
      return failed(code, kWhat, "run as root, or open the device's permissions, or allow it in the container");
    default: return failed(code, kWhat, "");
  }
}

std::unexpected<Error> cannot_attach(int code) {
  constexpr const char* kWhat = "creating the TUN interface";
  switch (code) {
    case EPERM:
      return failed(code, kWhat, "needs CAP_NET_ADMIN in this network namespace, or an interface of this user's own");
    case EBUSY:
      return failed(code, kWhat, "another process has an interface of this name: choose another name, or end it");
    case EINVAL:
      return failed(code, kWhat,
                    "an interface of this name exists with other options, or is no TUN device: choose another name");
    default: return failed(code, kWhat, "");
  }
}

Offload from_virtio(const VirtioHeader& header, Bytes packet) {
  Offload offload;
  const bool unfinished = (header.flags & kNeedsChecksum) != 0;
  offload.checksum_valid = unfinished || (header.flags & kDataValid) != 0;
  const unsigned gso = header.gso_type & ~unsigned{kGsoEcn};
  if (gso != kGsoTcpV4 && gso != kGsoTcpV6) return offload;
  // hdr_len is a hint only, of what lay together in the kernel's memory; the TCP header itself says where it ends.
  const std::size_t data_offset = std::size_t{header.csum_start} + kTcpDataOffset;
  if (!unfinished || data_offset >= packet.size()) return offload;
  offload.segment_size = header.gso_size;
  offload.header_bytes = static_cast<std::uint16_t>(header.csum_start + (packet[data_offset] >> 4) * 4);
  return offload;
}

VirtioHeader to_virtio(const Offload& offload, Bytes packet) {
  VirtioHeader header;
  if (offload.checksum_partial) {
    header.flags = kNeedsChecksum;
    header.csum_start = offload.checksum_start;
    header.csum_offset = offload.checksum_offset;
  }
  if (offload.segment_size > 0 && packet.size() > std::size_t{offload.header_bytes} + offload.segment_size) {
    ADIEU_ASSERT(offload.checksum_partial);  // each segment needs a checksum of its own
    header.gso_type = packet[0] >> 4 == 4 ? kGsoTcpV4 : kGsoTcpV6;
    header.gso_size = offload.segment_size;
    header.hdr_len = offload.header_bytes;
  }
  return header;
}

}  // namespace

std::expected<Tun, Error> Tun::open(std::string_view name, TunOptions options) {
  ifreq request{};
  if (name.size() >= sizeof(request.ifr_name))
    return failed(ENAMETOOLONG, "creating the TUN interface", "an interface name has at most 15 characters");
  std::memcpy(request.ifr_name, name.data(), name.size());
  const int descriptor = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return cannot_open(errno);
  Tun tun(descriptor);
  const int flags =
      IFF_TUN | IFF_NO_PI | (options.vnet_header ? IFF_VNET_HDR : 0) | (options.multi_queue ? IFF_MULTI_QUEUE : 0);
  request.ifr_flags = static_cast<short>(flags);
  if (::ioctl(descriptor, TUNSETIFF, &request) < 0) return cannot_attach(errno);
  if (auto done = tun.set_up_queue(); !done) return std::unexpected(done.error());
  return tun;
}

std::expected<Tun, Error> Tun::adopt(int descriptor) {
  Tun tun(descriptor);
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags < 0 || ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0)
    return failed(errno, "adopting a TUN descriptor", "");
  if (auto done = tun.set_up_queue(); !done) return std::unexpected(done.error());
  return tun;
}

// Asks what the descriptor is, and for the offloads: all, else without TSO6, without TSO4, and none at last.
std::expected<void, Error> Tun::set_up_queue() {
  ifreq request{};
  if (::ioctl(descriptor_, TUNGETIFF, &request) < 0)
    return failed(errno, "asking what the descriptor is", "it has to be one of an attached TUN interface");
  const unsigned flags = static_cast<unsigned short>(request.ifr_flags);
  if ((flags & IFF_TUN) == 0 || (flags & IFF_NO_PI) == 0)
    return failed(EINVAL, "adopting a descriptor", "it has to be TUN (not TAP) with IFF_NO_PI");
  std::memcpy(name_.data(), request.ifr_name, name_.size() - 1);
  granted_ = {};
  if ((flags & IFF_VNET_HDR) == 0) return {};
  int size = sizeof(VirtioHeader);
  if (::ioctl(descriptor_, TUNSETVNETHDRSZ, &size) < 0) return failed(errno, "setting the virtio header's size", "");
  granted_.vnet_header = true;
  const unsigned offers[] = {TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, TUN_F_CSUM | TUN_F_TSO4, TUN_F_CSUM, 0};
  for (const unsigned offer : offers) {
    if (::ioctl(descriptor_, TUNSETOFFLOAD, static_cast<unsigned long>(offer)) < 0) continue;
    granted_.checksum = (offer & TUN_F_CSUM) != 0;
    granted_.tso_v4 = (offer & TUN_F_TSO4) != 0;
    granted_.tso_v6 = (offer & TUN_F_TSO6) != 0;
    break;
  }
  return {};
}

Tun::Tun(Tun&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), granted_(other.granted_), name_(other.name_) {}

Tun& Tun::operator=(Tun&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(granted_, other.granted_);
  std::swap(name_, other.name_);
  return *this;
}

Tun::~Tun() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

ReceiveResult Tun::receive(MutableBytes buffer) {
  VirtioHeader header;
  const std::size_t extra = granted_.vnet_header ? sizeof(header) : 0;
  iovec parts[2] = {{&header, extra}, {buffer.data(), buffer.size()}};
  ssize_t length = 0;
  do {
    length = ::readv(descriptor_, parts, 2);
  } while (length < 0 && errno == EINTR);
  if (length < 0) {
    if (errno == EAGAIN) return std::nullopt;
    return failed(errno, "reading from the TUN device", errno == EBADFD ? "somebody deleted the interface" : "");
  }
  if (static_cast<std::size_t>(length) < extra)
    return failed(EIO, "reading from the TUN device", "the virtio header is cut short");
  Received received;
  received.length = static_cast<std::size_t>(length) - extra;
  if (extra > 0) received.offload = from_virtio(header, buffer.first(received.length));
  return received;
}

SendResult Tun::send(Bytes packet, const Offload& offload) {
  ADIEU_ASSERT(!packet.empty());
  ADIEU_ASSERT(granted_.vnet_header || (!offload.checksum_partial && offload.segment_size == 0));
  VirtioHeader header = to_virtio(offload, packet);
  const std::size_t extra = granted_.vnet_header ? sizeof(header) : 0;
  // writev() does not write to its buffers; iovec cannot say so.
  iovec parts[2] = {{&header, extra}, {const_cast<std::uint8_t*>(packet.data()), packet.size()}};
  ssize_t length = 0;
  do {
    length = ::writev(descriptor_, parts, 2);
  } while (length < 0 && errno == EINTR);
  if (length >= 0) return true;
  if (errno == EAGAIN || errno == ENOBUFS) return false;
  const char* advice = errno == EIO      ? "the interface is down: bring it up"
                       : errno == EBADFD ? "somebody deleted the interface"
                                         : "";
  return failed(errno, "writing to the TUN device", advice);
}

}  // namespace adieu::device
