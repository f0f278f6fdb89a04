// What a descriptor stands for.
//
// What lives here: File, the operations that all descriptors have, and who watches it. What does not: the kinds.
// Results of calls are as the kernel's own: not negative, or -errno.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace adieu::packetdrill {

class Call;
class Epoll;
class Machine;

enum class Kind : std::uint8_t { Socket, Pipe, Epoll };

class File {
 public:
  explicit File(Kind kind) : kind_(kind) {}
  virtual ~File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  Kind kind() const { return kind_; }
  // POLLIN and the like, as poll(2) would say now.
  virtual std::uint32_t events(Machine& machine) = 0;
  // `flags`: MSG_…
  virtual long receive(Call& call, MutableBytes out, int flags) = 0;
  virtual long send(Call& call, Bytes bytes, int flags) = 0;
  virtual long ioctl(Call& call, unsigned long request, int* value) = 0;
  // The descriptor is gone.
  virtual void close(Call& call) = 0;

  bool nonblocking = false;

  // --- for Epoll
  void add_watcher(Epoll* watcher) { watchers_.push_back(watcher); }
  void remove_watcher(Epoll* watcher) { std::erase(watchers_, watcher); }
  // These events have come about, perhaps again.
  void spread(std::uint32_t events);
  void leave_watchers();

 private:
  Kind kind_;
  std::vector<Epoll*> watchers_;
};

}  // namespace adieu::packetdrill
