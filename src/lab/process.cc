// fork and exec, with the child bound to the life of its parent.
#include "lab/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "host/clock.h"
#include "lab/trouble.h"

namespace adieu::lab {
namespace {

constexpr Duration kStep = milliseconds(5);

void sleep_for(Duration time) {
  const timespec step{time.ns / 1'000'000'000, time.ns % 1'000'000'000};
  nanosleep(&step, nullptr);
}

[[noreturn]] void become(const std::vector<std::string>& arguments, int input, int output,
                         const std::function<void()>& in_child) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_DFL);
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  in_child();
  std::vector<char*> raw;
  for (const auto& argument : arguments) raw.push_back(const_cast<char*>(argument.c_str()));
  raw.push_back(nullptr);
  execvp(raw[0], raw.data());
  dprintf(STDERR_FILENO, "cannot run %s: %s\n", raw[0], std::strerror(errno));
  _exit(127);
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, std::string output, const std::function<void()>& in_child)
    : name_(arguments.at(0)), output_(std::move(output)) {
  const host::Descriptor file(open(output_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  int pipe_ends[2];
  if (!file || pipe2(pipe_ends, O_CLOEXEC) != 0)
    throw Trouble(fmt::format("cannot keep the output of {}: {}", name_, std::strerror(errno)));
  const host::Descriptor input(pipe_ends[0]);
  input_ = host::Descriptor(pipe_ends[1]);
  pid_ = fork();
  if (pid_ < 0) throw Trouble(fmt::format("cannot start {}: {}", name_, std::strerror(errno)));
  if (pid_ == 0) become(arguments, input.get(), file.get(), in_child);
}

Process::Process(Process&& other) noexcept
    : name_(std::move(other.name_)),
      output_(std::move(other.output_)),
      input_(std::move(other.input_)),
      pid_(std::exchange(other.pid_, -1)),
      status_(std::exchange(other.status_, 0)) {}

Process::~Process() {
  if (!runs()) return;
  signal(SIGKILL);
  wait(seconds(2));
}

std::string Process::output() const {
  std::ostringstream text;
  text << std::ifstream(output_).rdbuf();
  return text.str();
}

bool Process::runs() { return !wait({}).has_value(); }

std::optional<int> Process::wait(Duration limit) {
  const Instant end = host::now() + limit;
  while (!status_) {
    int raw = 0;
    const pid_t done = waitpid(pid_, &raw, WNOHANG);
    if (done == pid_)
      status_ = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
    else if (done < 0 && errno != EINTR)
      status_ = 127;
    else if (host::now() >= end)
      break;
    else
      sleep_for(kStep);
  }
  return status_;
}

void Process::signal(int number) {
  if (!status_) kill(pid_, number);
}

void Process::tell(std::string_view text) {
  if (write(input_.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw Trouble(fmt::format("{} does not listen: {}", name_, std::strerror(errno)));
}

void Process::end(Duration limit) {
  signal(SIGTERM);
  if (wait(limit)) return;
  signal(SIGKILL);
  wait(limit);
}

}  // namespace adieu::lab
