// One small file at a time.
#include "host/processes.h"

#include <fmt/format.h>

#include <fstream>

namespace adieu::host {

std::string comm_of(std::uint32_t process) {
  std::ifstream file(fmt::format("/proc/{}/comm", process));
  std::string name;
  std::getline(file, name);
  return name.substr(0, 15);
}

}  // namespace adieu::host
