// Options of a socket that are one number, through a descriptor of it.
//
// What lives here: reading and setting one. What does not: whose descriptor it is (duplicate.h), what it means.
#pragma once

#include <sys/socket.h>

namespace adieu::kernel {

inline bool set_option(int file, int level, int name, int value) {
  return ::setsockopt(file, level, name, &value, sizeof value) == 0;
}
// -1: it cannot be had; of those that are read here none is negative.
inline int option(int file, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  return ::getsockopt(file, level, name, &value, &length) == 0 ? value : -1;
}

}  // namespace adieu::kernel
