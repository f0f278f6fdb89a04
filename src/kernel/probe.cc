// The steps, and the file. What does not live here: the duplicate (duplicate.h).
#include "kernel/probe.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <memory>
#include <utility>

#include "base/time.h"
#include "kernel/duplicate.h"

namespace adieu::kernel {
namespace {

using plane::Outcome;

constexpr int kLongestInterval = 32767;  // MAX_TCP_KEEPINTVL
constexpr int kHighestCount = 127;       // MAX_TCP_KEEPCNT
constexpr Duration kPatience = milliseconds(100);

bool set(int file, int level, int name, int value) {
  return ::setsockopt(file, level, name, &value, sizeof value) == 0;
}
std::optional<int> get(int file, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  return ::getsockopt(file, level, name, &value, &length) == 0 ? std::optional(value) : std::nullopt;
}
std::uint32_t segments_out(int file) {
  tcp_info info{};
  socklen_t length = sizeof info;
  return ::getsockopt(file, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_segs_out : 0;
}

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

}  // namespace

bool is_askable(const Socket& socket) {
  const bool idles =
      socket.state == State::Established || socket.state == State::FinWait2 || socket.state == State::CloseWait;
  return idles && socket.is_whole && socket.inode != 0 && socket.unacked == 0 && socket.send_queue == 0 &&
         socket.timer != Timer::Keepalive && socket.probes < kMostUnanswered;
}

Prober::Prober(std::string note, AfterStep after_step) : note_(std::move(note)), after_step_(after_step) {
  const File file(std::fopen(note_.c_str(), "re"));
  if (!file) return;
  Owed owed;
  // What cannot be read was never finished, and nothing was armed then.
  if (std::fscanf(file.get(), "%" SCNu64 " %" SCNu32 " %d %d %d end", &owed.cookie, &owed.inode, &owed.idle,
                  &owed.interval, &owed.count) == 5)
    owed_ = owed;
}

Outcome Prober::ask(const Socket& found, const Held& who) {
  if (!is_possible() || owed_ || who.descriptors == 0 || !is_askable(found)) return Outcome::Unable;
  if (earlier(found.since_data, found.since_ack) < seconds(1)) return Outcome::TooSoon;
  const auto duplicate = Duplicate::take(who.process, who.descriptor, found.key.cookie);
  if (!duplicate) return Outcome::Unable;
  const int file = duplicate->get();
  const auto idle = get(file, IPPROTO_TCP, TCP_KEEPIDLE);
  const auto interval = get(file, IPPROTO_TCP, TCP_KEEPINTVL);
  const auto count = get(file, IPPROTO_TCP, TCP_KEEPCNT);
  if (!idle || !interval || !count) return Outcome::Unable;
  if (get(file, SOL_SOCKET, SO_KEEPALIVE) != 0 || get(file, IPPROTO_TCP, TCP_USER_TIMEOUT) != 0) return Outcome::Unable;
  const Owed owed{found.key.cookie, found.inode, *idle, *interval, *count};
  if (!write_down(owed)) return Outcome::Unable;
  const bool asked = arm(file);
  if (put_back(file, owed)) forget();
  step(5);
  return asked ? Outcome::Done : Outcome::Unable;
}

// True: a segment went out.
bool Prober::arm(int file) const {
  step(0);
  if (!set(file, IPPROTO_TCP, TCP_KEEPINTVL, kLongestInterval)) return false;
  step(1);
  if (!set(file, IPPROTO_TCP, TCP_KEEPCNT, kHighestCount)) return false;
  step(2);
  const std::uint32_t before = segments_out(file);
  if (!set(file, SOL_SOCKET, SO_KEEPALIVE, 1)) return false;
  step(3);
  if (!set(file, IPPROTO_TCP, TCP_KEEPIDLE, 1)) return false;
  step(4);
  for (Duration waited; waited < kPatience; waited = waited + milliseconds(1)) {
    if (segments_out(file) != before) return true;
    const timespec moment{.tv_sec = 0, .tv_nsec = 1'000'000};
    ::nanosleep(&moment, nullptr);
  }
  return false;
}

// Off first: what stands afterwards cannot matter any more.
bool Prober::put_back(int file, const Owed& owed) {
  return set(file, SOL_SOCKET, SO_KEEPALIVE, 0) && set(file, IPPROTO_TCP, TCP_KEEPIDLE, owed.idle) &&
         set(file, IPPROTO_TCP, TCP_KEEPINTVL, owed.interval) && set(file, IPPROTO_TCP, TCP_KEEPCNT, owed.count);
}

void Prober::put_back(const Holders& holders) {
  if (!owed_) return;
  for (const Holding& holding : holders.all_of(owed_->inode)) {
    const auto duplicate = Duplicate::take(holding.process, holding.descriptor, owed_->cookie);
    if (duplicate && put_back(duplicate->get(), *owed_)) return forget();
  }
  // In no process any more: it is closed.
  if (holders.everywhere()) forget();
}

// Whole or not at all, however this process ends.
bool Prober::write_down(const Owed& owed) {
  const std::string fresh = note_ + ".new";
  File file(std::fopen(fresh.c_str(), "we"));
  if (!file) return false;
  const bool written = std::fprintf(file.get(), "%" PRIu64 " %" PRIu32 " %d %d %d end\n", owed.cookie, owed.inode,
                                    owed.idle, owed.interval, owed.count) > 0;
  if (std::fclose(file.release()) != 0 || !written || std::rename(fresh.c_str(), note_.c_str()) != 0) return false;
  owed_ = owed;
  return true;
}

void Prober::forget() {
  owed_.reset();
  ::unlink(note_.c_str());
}

void Prober::step(int number) const {
  if (after_step_ != nullptr) after_step_(number);
}

}  // namespace adieu::kernel
