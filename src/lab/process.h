// A program that runs in a world, with its output kept.
//
// What lives here: start, output, signal, wait with a limit; it is killed, by its process id, when its Process goes.
// What does not: in which network namespace it runs (World enters that before the program starts).
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "host/descriptor.h"

namespace adieu::lab {

class Process {
 public:
  // Output and errors go to the file `output`, so that a program never blocks on a reader that is busy elsewhere.
  // `in_child` runs between fork and exec.
  Process(const std::vector<std::string>& arguments, std::string output, const std::function<void()>& in_child);
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;
  ~Process();

  pid_t pid() const { return pid_; }
  std::string output() const;
  bool runs();
  // Its exit status, 128 + the signal that ended it, or nothing if it still runs at the limit.
  std::optional<int> wait(Duration limit);
  void signal(int number);
  // SIGTERM, and SIGKILL at the limit.
  void end(Duration limit);
  // To its standard input.
  void tell(std::string_view text);
  void close_input() { input_.reset(); }

 private:
  std::string name_;
  std::string output_;
  host::Descriptor input_;  // the writing end of its standard input
  pid_t pid_ = -1;
  std::optional<int> status_;
};

}  // namespace adieu::lab
