// One datagram to the socket that $NOTIFY_SOCKET names: a few lines are no reason for a library.
#include "host/service_manager.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "host/descriptor.h"
#include "host/log.h"

namespace adieu::host {

void tell_service_manager(std::string_view lines) {
  const char* const named = std::getenv("NOTIFY_SOCKET");
  if (named == nullptr) return;
  const std::string_view path = named;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@')) {
    log_warning(fmt::format("NOTIFY_SOCKET={} is no socket's name: the service manager is not told", path));
    return;
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  const Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  // Whoever is busy has a full queue for a moment.
  const timeval limit{.tv_sec = 1, .tv_usec = 0};
  if (socket) ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  ssize_t sent = -1;
  do {
    if (socket)
      sent = ::sendto(socket.get(), lines.data(), lines.size(), MSG_NOSIGNAL,
                      reinterpret_cast<const sockaddr*>(&address), bytes);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) log_warning(fmt::format("the service manager at {} cannot be told: {}", path, std::strerror(errno)));
}

}  // namespace adieu::host
