// Asking the peers of the kernel's connections for a sign, by the kernel's own keepalive, once each.
//
// What lives here: Prober, which arms it through a duplicate and puts everything back. What does not: whether to ask
// (control), the answer, which is a segment heard (facts.h).
//
// It goes out at once where nothing was heard for a second: SEQ = SND.NXT-1, no length, from the kernel's own state.
// Three steps, so that none of them can end the connection, should this process be killed after it:
//   1. interval and count to their maxima (32767 s, 127): what is switched on could end it after 48 days at the soonest
//   2. SO_KEEPALIVE on: the first question would be due after TCP_KEEPIDLE, two hours if nobody has set it
//   3. TCP_KEEPIDLE to 1 s: the question goes out
// Then SO_KEEPALIVE is switched off, and the three values get what they were. Before step 1 they stand in a file, which
// the next process finds: it puts them back. All of that takes a few milliseconds, until the kernel's next tick, for
// which the duplicate is open. Many questions share that wait, and the file.
// A TCP_KEEPIDLE, TCP_KEEPINTVL or TCP_KEEPCNT that followed the sysctl is afterwards set to what the sysctl said.
//
// Not asked: whoever has SO_KEEPALIVE on (its own questions would come sooner, and count ours) or TCP_USER_TIMEOUT (it
// would end the connection by an unanswered question); with something unacknowledged, which is its own question; with
// a value that could not be put back, as a sysctl may be beyond what a socket may be told. The kernel counts our
// unanswered questions among its own, of which 9 (tcp_keepalive_probes) or 15 (tcp_retries2) end a connection should
// they ever be needed: kMostUnanswered leaves it most of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/limits.h"
#include "kernel/holders.h"
#include "kernel/socket.h"
#include "plane/command.h"

namespace adieu::kernel {

inline constexpr std::uint8_t kMostUnanswered = limits::kKernelQuestions;

// As the kernel says it is: it can be asked, if its application has no user timeout of its own.
bool is_askable(const Socket& socket);

// Within a second: peers answer such a question once in 500 ms (RFC 5961) or less often.
bool was_just_heard(const Socket& socket);

struct Question {
  const Socket& found;
  Held who;
  plane::Outcome outcome = plane::Outcome::Unable;  // the answer
};

class Prober {
 public:
  // Their duplicates are open at the same time.
  static constexpr std::size_t kMostQuestions = 256;
  // Called after each step of each question, and once when the file is written (0) and when all is put back (5); tests
  // kill the process there.
  using AfterStep = void (*)(int step);

  // Asks nobody.
  Prober() = default;
  // `note`: the file.
  explicit Prober(std::string note, AfterStep after_step = nullptr);

  bool is_possible() const { return !note_.empty(); }
  // At most kMostQuestions, to as many sockets. Done: it went out, or the peer was heard meanwhile.
  void ask(std::span<Question> questions);
  // What an earlier process armed and did not put back, by what a look has found.
  void put_back(const Holders& holders);
  bool owes() const { return !owed_.empty(); }
  // Of this socket.
  bool owes(std::uint64_t cookie) const;

 private:
  // What a socket had before.
  struct Owed {
    std::uint64_t cookie = 0;
    std::uint32_t inode = 0;
    int idle = 0;
    int interval = 0;
    int count = 0;
  };
  struct Asked;

  static std::optional<Asked> prepare(Question& question);
  bool arm(int file) const;
  static void wait(std::span<Asked> all);
  static void release(Asked& asked, plane::Outcome outcome);
  static bool put_back(int file, const Owed& owed);
  static bool put_back(const Holders& holders, const Owed& owed);
  bool write_down();
  void step(int number) const;

  std::string note_;
  AfterStep after_step_ = nullptr;
  std::vector<Owed> owed_;  // as the file says
};

}  // namespace adieu::kernel
