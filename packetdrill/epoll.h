// epoll(7): a list of descriptors that had an event since it was last looked at.
//
// What lives here: Epoll, with the semantics of Linux's ready list: an event puts a descriptor on it; a look at the
// list asks for the level, and leaves on it what is level-triggered and still ready. What does not: when events come
// about.
#pragma once

#include <sys/epoll.h>

#include <deque>
#include <map>
#include <memory>

#include "packetdrill/file.h"

namespace adieu::packetdrill {

class Epoll : public File {
 public:
  Epoll() : File(Kind::Epoll) {}

  std::uint32_t events(Machine& machine) override;
  long receive(Call& call, MutableBytes out, int flags) override;
  long send(Call& call, Bytes bytes, int flags) override;
  long ioctl(Call& call, unsigned long request, int* value) override;
  void close(Call& call) override;

  long control(Call& call, int operation, int fd, const epoll_event* event);
  long wait(Call& call, epoll_event* events, int most, int timeout_ms);

  void happened(File* file, std::uint32_t events);
  void forget(File* file);

 private:
  struct Item {
    File* file;
    epoll_event event;
    bool listed = false;
  };
  void list(int fd, Item& item);
  bool any(Machine& machine);

  std::map<int, Item> items_;
  std::deque<int> ready_;
};

}  // namespace adieu::packetdrill
