// packetdrill's interface for stacks under test (`--so_filename`, as of google/packetdrill 2c4001c), declared by us.
//
// What lives here: the order and the types of its members, which are the whole contract. What does not: behaviour.
// Each function takes the interface's userdata and then what the POSIX call of its name takes; errno is as that has it.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

extern "C" {

struct packetdrill_interface {
  void* userdata;
  void (*free)(void* userdata);
  int (*socket)(void* userdata, int domain, int type, int protocol);
  int (*bind)(void* userdata, int fd, const struct sockaddr* address, socklen_t length);
  int (*listen)(void* userdata, int fd, int backlog);
  int (*accept)(void* userdata, int fd, struct sockaddr* address, socklen_t* length);
  int (*connect)(void* userdata, int fd, const struct sockaddr* address, socklen_t length);
  ssize_t (*read)(void* userdata, int fd, void* buffer, size_t count);
  ssize_t (*readv)(void* userdata, int fd, const struct iovec* pieces, int count);
  ssize_t (*recv)(void* userdata, int fd, void* buffer, size_t count, int flags);
  ssize_t (*recvfrom)(void* userdata, int fd, void* buffer, size_t count, int flags, struct sockaddr* address,
                      socklen_t* length);
  ssize_t (*recvmsg)(void* userdata, int fd, struct msghdr* message, int flags);
  ssize_t (*write)(void* userdata, int fd, const void* buffer, size_t count);
  ssize_t (*writev)(void* userdata, int fd, const struct iovec* pieces, int count);
  ssize_t (*send)(void* userdata, int fd, const void* buffer, size_t count, int flags);
  ssize_t (*sendto)(void* userdata, int fd, const void* buffer, size_t count, int flags, const struct sockaddr* address,
                    socklen_t length);
  ssize_t (*sendmsg)(void* userdata, int fd, const struct msghdr* message, int flags);
  int (*fcntl)(void* userdata, int fd, int command, ...);
  int (*ioctl)(void* userdata, int fd, unsigned long request, ...);
  int (*close)(void* userdata, int fd);
  int (*shutdown)(void* userdata, int fd, int how);
  int (*getsockopt)(void* userdata, int fd, int level, int name, void* value, socklen_t* length);
  int (*setsockopt)(void* userdata, int fd, int level, int name, const void* value, socklen_t length);
  int (*poll)(void* userdata, struct pollfd* fds, nfds_t count, int timeout_ms);
  // A raw IP packet into the stack.
  int (*netdev_send)(void* userdata, const void* buffer, size_t count);
  // The next one out of it. *count: the buffer's size, then the packet's; *time_us: when it left.
  int (*netdev_receive)(void* userdata, void* buffer, size_t* count, long long* time_us);
  int (*usleep)(void* userdata, useconds_t us);
  int (*gettimeofday)(void* userdata, struct timeval* time, struct timezone* zone);
  int (*epoll_create)(void* userdata, int size);
  int (*epoll_ctl)(void* userdata, int epoll, int operation, int fd, struct epoll_event* event);
  int (*epoll_wait)(void* userdata, int epoll, struct epoll_event* events, int most, int timeout_ms);
  int (*pipe)(void* userdata, int fds[2]);
  ssize_t (*splice)(void* userdata, int in, off64_t* in_offset, int out, off64_t* out_offset, size_t count,
                    unsigned int flags);
};

// The one symbol that the library shows (exports.map).
void packetdrill_interface_init(const char* flags, struct packetdrill_interface* interface);

}  // extern "C"
