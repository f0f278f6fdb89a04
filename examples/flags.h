// The command lines of the examples. What does not live here: what they do with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "host/native.h"

struct ClientFlags {
  adieu::host::NativeOptions engine;
  std::string peer;
  double seconds = 1e9;
  std::size_t octets = SIZE_MAX;
  int close_after_ms = -1;  // not: it waits for the end of the stream
};

struct ServerFlags {
  adieu::host::NativeOptions engine;
  std::vector<std::string> where;
  double seconds = 1e9;
  int pace_ms = 200;
  bool shut_receive = false;
};

// Exit with a clear line when the command line is wrong, and after --help.
ClientFlags client_flags(int argc, char** argv);
ServerFlags server_flags(int argc, char** argv, const char* what = "Sends \"xxxxx\" without end to whoever connects.");
