// Two lines of /proc/meminfo.
#include "host/memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdint>

#include "host/descriptor.h"

namespace adieu::host {
namespace {

std::optional<std::uint64_t> field(std::string_view meminfo, std::string_view name) {
  const std::size_t at = meminfo.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  meminfo.remove_prefix(at + name.size());
  while (meminfo.starts_with(' ')) meminfo.remove_prefix(1);
  std::uint64_t value = 0;
  if (std::from_chars(meminfo.data(), meminfo.data() + meminfo.size(), value).ec != std::errc{}) return std::nullopt;
  return value;
}

}  // namespace

std::optional<double> available_memory(std::string_view meminfo) {
  const auto total = field(meminfo, "MemTotal:");
  const auto available = field(meminfo, "MemAvailable:");
  if (!total || !available || *total == 0) return std::nullopt;
  return static_cast<double>(*available) / static_cast<double>(*total);
}

std::optional<double> available_memory() {
  const Descriptor file(::open("/proc/meminfo", O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> text{};
  const ssize_t got = file ? ::read(file.get(), text.data(), text.size()) : -1;
  return got <= 0 ? std::nullopt : available_memory({text.data(), static_cast<std::size_t>(got)});
}

}  // namespace adieu::host
