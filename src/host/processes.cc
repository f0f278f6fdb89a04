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

control::PlaneFacts facts_of(std::string_view plane, std::uint32_t process, const plane::TableReader& table) {
  control::PlaneFacts facts;
  facts.abilities = table.abilities();
  facts.kind = table.kind();
  plane.copy(facts.name.data(), facts.name.size() - 1);
  facts.process = process;
  comm_of(process).copy(facts.comm.data(), facts.comm.size() - 1);
  facts.time_wait = table.time_wait();
  return facts;
}

}  // namespace adieu::host
