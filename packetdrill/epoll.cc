// The ready list, and the watchers' side of every descriptor.
#include "packetdrill/epoll.h"

#include <cerrno>

#include "packetdrill/machine.h"

namespace adieu::packetdrill {

namespace {
constexpr std::uint32_t kAlways = EPOLLERR | EPOLLHUP;
// Of epoll_event::events, what are no events.
constexpr std::uint32_t kModes = EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE;

std::uint32_t wanted(const epoll_event& event) {
  const std::uint32_t events = event.events & ~kModes;
  return events == 0 ? 0 : events | kAlways;  // nothing at all: a one-shot that has fired
}
}  // namespace

void File::spread(std::uint32_t events) {
  for (Epoll* watcher : watchers_) watcher->happened(this, events);
}

void File::leave_watchers() {
  for (Epoll* watcher : watchers_) watcher->forget(this);
  watchers_.clear();
}

std::uint32_t Epoll::events(Machine& machine) { return any(machine) ? EPOLLIN | EPOLLRDNORM : 0; }
long Epoll::receive(Call&, MutableBytes, int) { return -EINVAL; }
long Epoll::send(Call&, Bytes, int) { return -EINVAL; }
long Epoll::ioctl(Call&, unsigned long, int*) { return -ENOTTY; }

void Epoll::close(Call&) {
  for (auto& [fd, item] : items_) item.file->remove_watcher(this);
  items_.clear();
}

void Epoll::list(int fd, Item& item) {
  if (item.listed) return;
  item.listed = true;
  ready_.push_back(fd);
}

void Epoll::happened(File* file, std::uint32_t events) {
  for (auto& [fd, item] : items_)
    if (item.file == file && (events & wanted(item.event)) != 0) list(fd, item);
}

void Epoll::forget(File* file) {
  std::erase_if(items_, [&](const auto& entry) {
    if (entry.second.file != file) return false;
    std::erase(ready_, entry.first);
    return true;
  });
}

long Epoll::control(Call& call, int operation, int fd, const epoll_event* event) {
  const auto file = call.machine.find(fd);
  if (!file) return -EBADF;
  if (file->kind() == Kind::Epoll) return -EINVAL;  // epolls of epolls: no script has them
  if (operation != EPOLL_CTL_DEL && event == nullptr) return -EFAULT;
  const auto found = items_.find(fd);
  switch (operation) {
    case EPOLL_CTL_ADD:
      if (found != items_.end()) return -EEXIST;
      items_.emplace(fd, Item{file.get(), *event});
      file->add_watcher(this);
      break;
    case EPOLL_CTL_MOD:
      if (found == items_.end()) return -ENOENT;
      found->second.event = *event;
      break;
    case EPOLL_CTL_DEL:
      if (found == items_.end()) return -ENOENT;
      forget(file.get());
      file->remove_watcher(this);
      return 0;
    default: return -EINVAL;
  }
  Item& item = items_.at(fd);
  if ((file->events(call.machine) & wanted(item.event)) != 0) list(fd, item);
  return 0;
}

bool Epoll::any(Machine& machine) {
  for (const int fd : ready_) {
    const Item& item = items_.at(fd);
    if ((item.file->events(machine) & wanted(item.event)) != 0) return true;
  }
  return false;
}

long Epoll::wait(Call& call, epoll_event* events, int most, int timeout_ms) {
  if (most <= 0) return -EINVAL;
  const Instant until = timeout_ms < 0 ? Instant::never() : call.now() + milliseconds(timeout_ms);
  if (!any(call.machine) && timeout_ms != 0) call.wait(until, [&] { return any(call.machine); });
  int count = 0;
  for (std::size_t looks = ready_.size(); looks > 0 && count < most; --looks) {
    const int fd = ready_.front();
    ready_.pop_front();
    Item& item = items_.at(fd);
    item.listed = false;
    const std::uint32_t now = item.file->events(call.machine) & wanted(item.event);
    if (now == 0) continue;
    events[count].events = now;
    events[count].data = item.event.data;
    ++count;
    if ((item.event.events & EPOLLONESHOT) != 0) {
      item.event.events &= kModes;
    } else if ((item.event.events & EPOLLET) == 0) {
      list(fd, item);
    }
  }
  return count;
}

}  // namespace adieu::packetdrill
