// epoll(7), timerfd_create(2), signalfd(2), eventfd(2).
#include "host/poller.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "base/assert.h"
#include "host/clock.h"

namespace adieu::host {

Poller::Poller() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) { ADIEU_ASSERT(epoll_); }

void Poller::add(int descriptor, std::uint64_t token, bool writable_too) {
  epoll_event event{};
  event.events = EPOLLIN | (writable_too ? EPOLLOUT : 0U);
  event.data.u64 = token;
  ADIEU_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0);
}

void Poller::change(int descriptor, std::uint64_t token, bool writable_too) {
  epoll_event event{};
  event.events = EPOLLIN | (writable_too ? EPOLLOUT : 0U);
  event.data.u64 = token;
  ADIEU_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, descriptor, &event) == 0);
}

void Poller::remove(int descriptor) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr); }

std::span<const std::uint64_t> Poller::wait(Instant until) {
  int milliseconds = -1;
  if (until != Instant::never()) {
    // Rounded up, so that what was waited for is due afterwards. A minute at the most: an int holds it.
    const std::int64_t left = (until - now()).ns;
    milliseconds = static_cast<int>(std::clamp<std::int64_t>((left + 999'999) / 1'000'000, 0, 60'000));
  }
  std::array<epoll_event, 64> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), milliseconds);
  ready_.clear();
  for (int i = 0; i < count; ++i) {
    const std::uint64_t token = events[static_cast<std::size_t>(i)].data.u64;  // copied: epoll_event is packed
    ready_.push_back(token);
  }
  return ready_;
}

Timer::Timer() : timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) { ADIEU_ASSERT(timer_); }

void Timer::arm(Instant deadline) {
  if (deadline >= armed_) return;
  itimerspec setting{};
  // A deadline in the past rings at once; all zero would disarm.
  const std::int64_t ns = std::max<std::int64_t>(deadline.ns, 1);
  setting.it_value.tv_sec = ns / 1'000'000'000;
  setting.it_value.tv_nsec = ns % 1'000'000'000;
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &setting, nullptr);
  armed_ = deadline;
}

void Timer::rang() {
  std::uint64_t count = 0;
  if (::read(timer_.get(), &count, sizeof count) == sizeof count) armed_ = Instant::never();
}

Descriptor signals(std::initializer_list<int> wanted) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : wanted) sigaddset(&set, signal);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return Descriptor(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

int next_signal(int descriptor) {
  signalfd_siginfo information{};
  if (::read(descriptor, &information, sizeof information) != sizeof information) return 0;
  return static_cast<int>(information.ssi_signo);
}

Descriptor make_bell() {
  Descriptor bell(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  ADIEU_ASSERT(bell);
  return bell;
}

void ring(int bell) {
  const std::uint64_t one = 1;
  // EAGAIN: it has rung 2^64-2 times unheard; whoever waits is awake.
  [[maybe_unused]] const ssize_t written = ::write(bell, &one, sizeof one);
}

bool quiet(int bell) {
  std::uint64_t count = 0;
  return ::read(bell, &count, sizeof count) == sizeof count;
}

bool is_bell(int descriptor) {
  std::array<char, 64> target{};
  const ssize_t length =
      ::readlink(fmt::format("/proc/self/fd/{}", descriptor).c_str(), target.data(), target.size() - 1);
  const int flags = ::fcntl(descriptor, F_GETFL);
  return length > 0 && std::string_view(target.data(), static_cast<std::size_t>(length)) == "anon_inode:[eventfd]" &&
         flags >= 0 && (flags & O_NONBLOCK) != 0;
}

}  // namespace adieu::host
