// A process of the test's own, forked: it has what the test has open, does one thing, and waits until its scope ends.
#pragma once

#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

namespace adieu::kernel::test {

class Child {
 public:
  // What `does` gives back (an octet string of at most PIPE_BUF) is what says() reads.
  explicit Child(const std::function<std::string()>& does = [] { return std::string(); }) { start(does, fork); }
  // With a number of its own, if the kernel grants that one (CAP_CHECKPOINT_RESTORE); else is_alive() is false and
  // errno says why.
  static Child numbered(pid_t number) {
    Child child{Unborn{}};
    child.start([] { return std::string(); },
                [number] {
                  clone_args arguments{};
                  arguments.exit_signal = SIGCHLD;
                  arguments.set_tid = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&number));
                  arguments.set_tid_size = 1;
                  return static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof arguments));
                });
    return child;
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), words_(std::exchange(other.words_, {})) {}
  Child& operator=(Child&&) = delete;
  ~Child() { end(); }

  void end() {
    if (!is_alive()) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  bool is_alive() const { return pid_ > 0; }
  std::uint32_t process() const { return static_cast<std::uint32_t>(pid_); }
  const std::string& says() const { return words_; }

 private:
  struct Unborn {};
  explicit Child(Unborn) {}

  void start(const std::function<std::string()>& does, const std::function<pid_t()>& make) {
    int ends[2];
    if (pipe(ends) != 0) return;
    pid_ = make();
    const int why = errno;
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      close(ends[0]);
      const std::string words = does() + '\n';
      if (write(ends[1], words.data(), words.size()) < 0) _exit(1);
      for (;;) pause();
    }
    close(ends[1]);
    char octet = 0;
    while (is_alive() && read(ends[0], &octet, 1) == 1 && octet != '\n') words_ += octet;
    close(ends[0]);
    errno = why;
  }

  pid_t pid_ = -1;
  std::string words_;
};

}  // namespace adieu::kernel::test
