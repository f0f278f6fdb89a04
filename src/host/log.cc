// Lines on stderr by spdlog.
#include "host/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace adieu::host {
namespace {

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> one = [] {
    auto made = std::make_shared<spdlog::logger>("adieu", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern("%H:%M:%S.%e %n: %^%v%$");
    made->set_level(spdlog::level::warn);
    return made;
  }();
  return *one;
}

}  // namespace

void name_log(std::string_view process) { logger().set_pattern("%H:%M:%S.%e " + std::string(process) + ": %^%v%$"); }
void log_everything() { logger().set_level(spdlog::level::info); }
void log_info(std::string_view line) { logger().info(line); }
void log_warning(std::string_view line) { logger().warn(line); }
void log_error(std::string_view line) { logger().error(line); }

bool OnceLog::warn(std::string_view about, std::string_view line) {
  if (!standing_.insert(std::string(about)).second) return false;
  log_warning(line);
  return true;
}

void OnceLog::over(std::string_view about, std::string_view line) {
  if (standing_.erase(std::string(about)) != 0) log_info(line);
}

}  // namespace adieu::host
