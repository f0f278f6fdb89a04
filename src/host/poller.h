// Waiting for several descriptors at once, for timers and for signals.
//
// What lives here: thin shells over epoll, timerfd, signalfd and eventfd. What does not: what happens then.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "base/time.h"
#include "host/descriptor.h"

namespace adieu::host {

class Poller {
 public:
  Poller();
  // Level-triggered. `token` comes back from wait(). A descriptor that is closed is forgotten by itself.
  void add(int descriptor, std::uint64_t token, bool writable_too = false);
  void change(int descriptor, std::uint64_t token, bool writable_too);
  void remove(int descriptor);
  // Tokens that are ready; empty when `limit` passed. Instant::never() waits for ever.
  std::span<const std::uint64_t> wait(Instant until);
  int descriptor() const { return epoll_.get(); }

 private:
  Descriptor epoll_;
  std::vector<std::uint64_t> ready_;
};

// A deadline as a descriptor, so that another thread may move it while this one waits.
class Timer {
 public:
  Timer();
  int descriptor() const { return timer_.get(); }
  // Rings at `deadline`, or a little earlier if one that is armed already is earlier: that costs no system call.
  void arm(Instant deadline);
  // After it rang.
  void rang();

 private:
  Descriptor timer_;
  Instant armed_ = Instant::never();
};

// These signals come through the descriptor from now on, in this and in every later thread.
Descriptor signals(std::initializer_list<int> wanted);
// The number of a signal that came; 0: none.
int next_signal(int descriptor);

// A wake-up between processes: ring() never blocks, quiet() takes what has rung.
Descriptor make_bell();
void ring(int bell);
bool quiet(int bell);
// It is an eventfd that cannot block whoever rings it: what somebody else handed to us may be anything.
bool is_bell(int descriptor);

}  // namespace adieu::host
