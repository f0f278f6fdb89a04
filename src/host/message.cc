// unix(7), SOCK_SEQPACKET, SCM_RIGHTS.
#include "host/message.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "host/clock.h"

namespace adieu::host {
namespace {

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return failed(fmt::format("the path {} is longer than a unix socket allows ({} octets): choose a shorter --run-dir",
                              path, sizeof address.sun_path - 1));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

constexpr std::size_t kAncillaryBytes = CMSG_SPACE(kMostDescriptors * sizeof(int));

// The descriptors that came along; cut ancillary data means there were more than anybody may send.
std::vector<Descriptor> take_descriptors(msghdr& header) {
  std::vector<Descriptor> taken;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(part) + i * sizeof(int), sizeof number);
      taken.emplace_back(number);
    }
  }
  return taken;
}

}  // namespace

std::string text_of(std::span<const char> field) {
  const auto end = std::find(field.begin(), field.end(), '\0');
  std::string text(field.begin(), end);
  // It is shown to people: nothing that moves a terminal's cursor.
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

void set_text(std::span<char> field, std::string_view text) {
  std::fill(field.begin(), field.end(), '\0');
  std::copy_n(text.begin(), std::min(text.size(), field.size() - 1), field.begin());
}

Result<Peer> peer_of(int socket) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
    return failed_by_system("asking who is at the other end", errno);
  return Peer{credentials.pid, credentials.uid};
}

Result<Descriptor> listen_at(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return failed_by_system("making a unix socket", errno);
  ::unlink(path.c_str());
  const mode_t before = ::umask(0077);
  const int bound = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address);
  const int error = errno;
  ::umask(before);
  if (bound < 0) return failed_by_system("binding " + path, error);
  if (::listen(socket.get(), 64) < 0) return failed_by_system("listening at " + path, errno);
  return socket;
}

Result<Descriptor> connect_to(const std::string& path, int* number) {
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return failed_by_system("making a unix socket", errno);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) < 0) {
    if (number != nullptr) *number = errno;
    return failed_by_system("connecting to " + path, errno);
  }
  return socket;
}

Result<bool> send_message(int socket, const Message& message, std::span<const int> descriptors) {
  Message copy = message;
  iovec vector{&copy, sizeof copy};
  alignas(cmsghdr) std::array<unsigned char, kAncillaryBytes> ancillary{};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = ancillary.data();
    header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* const part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size_bytes());
  }
  while (::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ETOOMANYREFS) return false;
    return failed_by_system("sending", errno);
  }
  return true;
}

std::expected<Received, NotReceived> receive_message(int socket) {
  const auto trouble = [](ReceiveTrouble kind, std::string text = {}) {
    return std::unexpected(NotReceived{kind, std::move(text)});
  };
  Received received;
  iovec vector{&received.message, sizeof received.message};
  alignas(cmsghdr) std::array<unsigned char, kAncillaryBytes> ancillary{};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = ancillary.data();
  header.msg_controllen = ancillary.size();
  ssize_t length = -1;
  // ECONNRESET is said once, before what the other end sent last (unix(7)): its reason for closing still lies there.
  bool reset = false;
  do length = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (length < 0 && (errno == EINTR || (errno == ECONNRESET && !std::exchange(reset, true))));
  if (length < 0) return trouble(errno == EAGAIN ? ReceiveTrouble::Nothing : ReceiveTrouble::Closed);
  received.descriptors = take_descriptors(header);
  if (length == 0) return trouble(ReceiveTrouble::Closed);
  const Message& message = received.message;
  if (static_cast<std::size_t>(length) < 8 || message.magic != kProtocolMagic)
    return trouble(ReceiveTrouble::Malformed, "this is no message of adieu's");
  if (message.version != kProtocolVersion)
    return trouble(ReceiveTrouble::Malformed,
                   fmt::format("protocol version {} was spoken, {} is understood: both ends must be of one release",
                               message.version, kProtocolVersion));
  if (length != sizeof(Message) || (header.msg_flags & MSG_TRUNC) != 0)
    return trouble(ReceiveTrouble::Malformed, fmt::format("a message has {} octets", sizeof(Message)));
  if ((header.msg_flags & MSG_CTRUNC) != 0)
    return trouble(ReceiveTrouble::Malformed, fmt::format("at most {} descriptors are taken", kMostDescriptors));
  return received;
}

Result<Received> await_message(int socket, Duration limit) {
  const Instant until = now() + limit;
  for (;;) {
    auto received = receive_message(socket);
    if (received) {
      if (received->message.kind == MessageKind::Refused) return failed(text_of(received->message.text));
      return std::move(*received);
    }
    if (received.error().trouble == ReceiveTrouble::Malformed) return failed(received.error().text);
    if (received.error().trouble == ReceiveTrouble::Closed) return failed("the other end closed the connection");
    const std::int64_t left = (until - now()).milliseconds();
    if (left <= 0) return failed(fmt::format("no answer for {:.0f} s", limit.seconds()));
    pollfd waiting{socket, POLLIN, 0};
    ::poll(&waiting, 1, static_cast<int>(left) + 1);
  }
}

}  // namespace adieu::host
