// The steps, and the file. What does not live here: the duplicate (duplicate.h).
#include "kernel/probe.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "base/time.h"
#include "kernel/act.h"
#include "kernel/duplicate.h"
#include "kernel/option.h"
#include "kernel/reply.h"

namespace adieu::kernel {
namespace {

using plane::Outcome;

constexpr int kLongest = 32767;     // MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL
constexpr int kHighestCount = 127;  // MAX_TCP_KEEPCNT
constexpr Duration kPatience = milliseconds(100);
constexpr unsigned kSecond = 1000;  // in the milliseconds of tcp_info

tcp_info info_of(int file) {
  tcp_info info{};
  socklen_t length = sizeof info;
  ::getsockopt(file, IPPROTO_TCP, TCP_INFO, &info, &length);
  return info;
}
bool is_settable(int value, int highest) { return value >= 1 && value <= highest; }

// nullopt: its question has not gone out yet. Segments sent would not tell: one may answer the peer, who may be asked
// at the same time.
std::optional<Outcome> outcome_of(const tcp_info& info, unsigned unanswered_before) {
  if (info.tcpi_probes > unanswered_before) return Outcome::Done;
  if (info.tcpi_last_ack_recv < kSecond || info.tcpi_last_data_recv < kSecond) return Outcome::Done;
  if (state_of(info.tcpi_state) == State::Closed) return Outcome::AlreadyEnded;
  return std::nullopt;
}

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

}  // namespace

struct Prober::Asked {
  Question* question;
  Owed owed;
  std::optional<Duplicate> duplicate;  // until everything is put back, or cannot be
  unsigned unanswered = 0;             // before
  bool owes = true;
};

bool is_askable(const Socket& socket) {
  return can_have_keepalive(socket) && socket.unacked == 0 && socket.send_queue == 0 &&
         socket.timer != Timer::Keepalive && socket.probes < kMostUnanswered;
}

bool was_just_heard(const Socket& socket) { return earlier(socket.since_data, socket.since_ack) < seconds(1); }

Prober::Prober(std::string note, AfterStep after_step) : note_(std::move(note)), after_step_(after_step) {
  const File file(std::fopen(note_.c_str(), "re"));
  if (!file) return;
  Owed owed;
  while (std::fscanf(file.get(), "%" SCNu64 " %" SCNu32 " %d %d %d", &owed.cookie, &owed.inode, &owed.idle,
                     &owed.interval, &owed.count) == 5)
    owed_.push_back(owed);
  char last[4] = {};
  // What has no end was never finished, and nothing was armed then.
  if (std::fscanf(file.get(), " %3s", last) != 1 || std::string_view(last) != "end") owed_.clear();
}

void Prober::ask(std::span<Question> questions) {
  ADIEU_ASSERT(questions.size() <= kMostQuestions);
  if (!is_possible() || owes()) return;
  std::vector<Asked> all;
  for (Question& question : questions)
    if (auto asked = prepare(question)) all.push_back(std::move(*asked));
  if (all.empty()) return;
  for (const Asked& asked : all) owed_.push_back(asked.owed);
  if (!write_down()) return owed_.clear();  // nothing is armed
  step(0);
  for (Asked& asked : all)
    if (!arm(asked.duplicate->get())) release(asked, Outcome::Unable);
  wait(all);
  owed_.clear();
  for (const Asked& asked : all)
    if (asked.owes) owed_.push_back(asked.owed);
  write_down();
  step(5);
}

// nullopt: it is answered already.
std::optional<Prober::Asked> Prober::prepare(Question& question) {
  const Socket& found = question.found;
  if (question.who.descriptors == 0 || !is_askable(found)) return std::nullopt;
  if (was_just_heard(found)) {
    question.outcome = Outcome::TooSoon;
    return std::nullopt;
  }
  auto duplicate = Duplicate::take(question.who.process, question.who.descriptor, found.key.cookie);
  if (!duplicate) return std::nullopt;
  const int file = duplicate->get();
  const Owed owed{.cookie = found.key.cookie,
                  .inode = found.inode,
                  .idle = option(file, IPPROTO_TCP, TCP_KEEPIDLE),
                  .interval = option(file, IPPROTO_TCP, TCP_KEEPINTVL),
                  .count = option(file, IPPROTO_TCP, TCP_KEEPCNT)};
  if (!is_settable(owed.idle, kLongest) || !is_settable(owed.interval, kLongest)) return std::nullopt;
  if (!is_settable(owed.count, kHighestCount)) return std::nullopt;
  if (option(file, SOL_SOCKET, SO_KEEPALIVE) != 0 || option(file, IPPROTO_TCP, TCP_USER_TIMEOUT) != 0)
    return std::nullopt;
  return Asked{&question, owed, std::move(*duplicate), info_of(file).tcpi_probes};
}

bool Prober::arm(int file) const {
  if (!set_option(file, IPPROTO_TCP, TCP_KEEPINTVL, kLongest)) return false;
  step(1);
  if (!set_option(file, IPPROTO_TCP, TCP_KEEPCNT, kHighestCount)) return false;
  step(2);
  if (!set_option(file, SOL_SOCKET, SO_KEEPALIVE, 1)) return false;
  step(3);
  if (!set_option(file, IPPROTO_TCP, TCP_KEEPIDLE, 1)) return false;
  step(4);
  return true;
}

// Until each is out; none keeps its duplicate for the others' sake.
void Prober::wait(std::span<Asked> all) {
  for (Duration waited; waited < kPatience; waited = waited + milliseconds(1)) {
    bool some_left = false;
    for (Asked& asked : all) {
      if (!asked.duplicate) continue;
      if (const auto outcome = outcome_of(info_of(asked.duplicate->get()), asked.unanswered))
        release(asked, *outcome);
      else
        some_left = true;
    }
    if (!some_left) return;
    const timespec moment{.tv_sec = 0, .tv_nsec = 1'000'000};
    ::nanosleep(&moment, nullptr);
  }
  for (Asked& asked : all)
    if (asked.duplicate) release(asked, Outcome::Unable);
}

void Prober::release(Asked& asked, Outcome outcome) {
  asked.question->outcome = outcome;
  asked.owes = !put_back(asked.duplicate->get(), asked.owed);
  asked.duplicate.reset();
}

// Off first: what stands afterwards cannot matter any more.
bool Prober::put_back(int file, const Owed& owed) {
  return set_option(file, SOL_SOCKET, SO_KEEPALIVE, 0) && set_option(file, IPPROTO_TCP, TCP_KEEPIDLE, owed.idle) &&
         set_option(file, IPPROTO_TCP, TCP_KEEPINTVL, owed.interval) &&
         set_option(file, IPPROTO_TCP, TCP_KEEPCNT, owed.count);
}

bool Prober::owes(std::uint64_t cookie) const {
  return std::ranges::any_of(owed_, [&](const Owed& owed) { return owed.cookie == cookie; });
}

void Prober::put_back(const Holders& holders) {
  if (!owes()) return;
  // In no process any more: it is closed.
  std::erase_if(owed_, [&](const Owed& owed) { return put_back(holders, owed) || holders.everywhere(); });
  write_down();
}

bool Prober::put_back(const Holders& holders, const Owed& owed) {
  for (const Holding& holding : holders.all_of(owed.inode)) {
    const auto duplicate = Duplicate::take(holding.process, holding.descriptor, owed.cookie);
    if (!duplicate) continue;
    const int file = duplicate->get();
    // Neither is ours: it was not armed yet, or is put back already, and may be the application's again.
    const bool is_ours =
        option(file, IPPROTO_TCP, TCP_KEEPINTVL) == kLongest || option(file, IPPROTO_TCP, TCP_KEEPCNT) == kHighestCount;
    if (!is_ours || put_back(file, owed)) return true;
  }
  return false;
}

// Whole or not at all, however this process ends.
bool Prober::write_down() {
  if (owed_.empty()) return ::unlink(note_.c_str()) == 0;
  const std::string fresh = note_ + ".new";
  File file(std::fopen(fresh.c_str(), "we"));
  if (!file) return false;
  bool written = true;
  for (const Owed& owed : owed_)
    written = std::fprintf(file.get(), "%" PRIu64 " %" PRIu32 " %d %d %d\n", owed.cookie, owed.inode, owed.idle,
                           owed.interval, owed.count) > 0 &&
              written;
  written = std::fputs("end\n", file.get()) >= 0 && written;
  return std::fclose(file.release()) == 0 && written && std::rename(fresh.c_str(), note_.c_str()) == 0;
}

void Prober::step(int number) const {
  if (after_step_ != nullptr) after_step_(number);
}

}  // namespace adieu::kernel
