// All sockets of the caller's network, asked for by a thread of its own while the caller does something else.
//
// What lives here: Dump, and the way from one thread to the other. What does not: the question itself (sock_diag.h).
// The caller's is the network namespace of the thread that makes the Dump, then.
#pragma once

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <expected>
#include <mutex>
#include <optional>
#include <vector>

#include "kernel/sock_diag.h"

namespace adieu::kernel {

class Dump {
 public:
  // Where no thread can be had, the question is over when this returns.
  Dump();
  Dump(const Dump&) = delete;
  Dump& operator=(const Dump&) = delete;
  ~Dump();

  // Waits. The listeners come in the first part, whole, then connections; nullopt: that was all, see taken().
  std::optional<std::vector<Socket>> poll_part();
  // After the last part: whether it was whole.
  const std::expected<void, Error>& taken() const { return taken_; }

 private:
  static constexpr std::size_t kPart = 512;
  void run();
  std::expected<void, Error> take();
  void pass_on();

  std::vector<Socket> part_;  // being filled, by the thread
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::vector<Socket>> parts_;
  bool is_over_ = false;
  std::expected<void, Error> taken_;
  pthread_t thread_{};
  bool has_thread_ = false;
};

}  // namespace adieu::kernel
