// The `adieu` command: how its trouble is told. What does not live here: its flags (flags.cc), any work.
#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

#include "cli/command.h"
#include "host/text.h"

// What others wrote (names, paths, files) must not move the cursor; our own sentences may have several lines.
static void tell(std::string_view trouble) {
  std::string lines;
  for (std::size_t end = trouble.find('\n'); end != std::string_view::npos; end = trouble.find('\n')) {
    lines += adieu::host::printable(trouble.substr(0, end)) + "\n";
    trouble.remove_prefix(end + 1);
  }
  std::fprintf(stderr, "adieu: %s%s\n", lines.c_str(), adieu::host::printable(trouble).c_str());
}

static int status_of(int argc, char** argv) {
  try {
    return adieu::cli::run_command_line(argc, argv);
  } catch (const adieu::cli::Exit& exit) {
    return exit.status;
  }
}

int main(int argc, char** argv) {
  // Whoever reads our stderr may stop reading: no reason for an engine to die with a signal.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    const int status = status_of(argc, argv);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      throw std::runtime_error("the output could not be written");
    }
    return status;
  } catch (const std::exception& error) {
    tell(error.what());
    return 2;
  }
}
