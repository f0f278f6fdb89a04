// Asking the kernel about its TCP sockets, through netlink (sock_diag).
//
// What lives here: Diag, the socket to the kernel. What does not: what the answers mean (reply.h, facts.h).
// It reads and, but for destroy(), changes nothing; reading needs no capability. It sees the network namespace in which
// it was opened.
//
// A dump is no snapshot: the kernel walks its hash table bucket by bucket. A socket that was there throughout may be
// visited twice, or (when a bucket changes while the walk stands in it) be missed. Whoever concludes anything from an
// absence asks again by name: find().
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <vector>

#include "base/address.h"
#include "kernel/reply.h"
#include "kernel/socket.h"

struct mnl_socket;

namespace adieu::kernel {

// A dump that the kernel calls inconsistent is asked for again, so often at the most.
inline constexpr unsigned kDumpAttempts = 4;

class Diag {
 public:
  static std::expected<Diag, Error> open();

  // Each TCP socket in any state but LISTEN and CLOSED, in no order; after an interruption the visits begin again.
  [[nodiscard]] std::expected<void, Error> dump(Visit visit, void* context);
  // Each socket that listens, likewise.
  [[nodiscard]] std::expected<void, Error> dump_listeners(Visit visit, void* context);
  // Connections as a list, each once, by cookie.
  [[nodiscard]] std::expected<std::vector<Socket>, Error> all();
  // One socket by name; nullopt: there is none of that cookie (any more).
  [[nodiscard]] std::expected<std::optional<Socket>, Error> find(const SocketKey& key);
  // Ends one socket by name, minisockets included (SOCK_DESTROY): an RST goes out where one is due, whoever has it open
  // gets ECONNABORTED. It checks nothing but the name. Needs CAP_NET_ADMIN over the namespace. False: it was not there.
  [[nodiscard]] std::expected<bool, Error> destroy(const SocketKey& key);

 private:
  struct Close {
    void operator()(mnl_socket* socket) const;
  };
  Diag() = default;
  std::expected<void, Error> connect();
  enum class What : std::uint8_t { Tell, Destroy };
  std::expected<void, Error> ask(What what, Family family, std::uint32_t states, const SocketKey* key, Asked& asked);
  std::expected<Replies, Error> receive(const Asked& asked, Visit visit, void* context);
  std::expected<void, Error> dump_states(std::uint32_t states, Visit visit, void* context);
  std::expected<void, Error> dump_family(Family family, std::uint32_t states, Visit visit, void* context);
  std::expected<bool, Error> dump_once(Family family, std::uint32_t states, Visit visit, void* context);

  std::unique_ptr<mnl_socket, Close> socket_;  // null after a failure that left it in an unknown condition
  std::unique_ptr<std::uint32_t[]> buffer_;
  std::uint32_t number_ = 0;  // of the latest question
  Instant answered_at_;       // when the kernel wrote the answer that we receive next
};

}  // namespace adieu::kernel
