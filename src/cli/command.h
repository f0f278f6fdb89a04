// What every subcommand shares: how it is added, how it fails.
//
// What lives here: the declarations, one a file. What does not: their flags and their work. A subcommand's callback
// throws Exit to end with a status other than 0; main.cc turns Trouble into one line and status 2.
#pragma once

#include <stdexcept>
#include <string>

namespace CLI {
class App;
}

namespace adieu::cli {

inline constexpr const char* kVersion = "0.1.0";

struct Exit {
  int status = 0;
};

// One clear line for the person at the terminal; status 2.
class Trouble : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void add_up(CLI::App& app);
void add_ls(CLI::App& app);
void add_why(CLI::App& app);
// Hidden: what `adieu up` starts.
void add_engine_process(CLI::App& app);
void add_kernel_process(CLI::App& app);
void add_control_process(CLI::App& app);

}  // namespace adieu::cli
