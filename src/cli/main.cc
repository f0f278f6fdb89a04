// The `adieu` command: how its trouble is told. What does not live here: its flags (flags.cc), any work.
#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>

#include "cli/command.h"

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
    std::fprintf(stderr, "adieu: %s\n", error.what());
    return 2;
  }
}
