// adieu-sim: worlds from seeds, for people.
//
// usage: adieu-sim [--seed N] [--seeds COUNT] [--trace] [--events N]
//   --seed N      the first seed (default 1)
//   --seeds N     how many worlds (default 1)
//   --trace       one line an event, on standard output
//   --events N    entries of the event rings, a power of two
// Exit status: 0 all held, 1 a checker found something, 2 wrong arguments.
#include <bit>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "sim/world.h"

namespace {

using namespace adieu;

struct Arguments {
  std::uint64_t seed = 1;
  std::uint64_t seeds = 1;
  std::uint64_t events = 0;
  bool trace = false;
};

bool parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    std::uint64_t* number = name == "--seed"     ? &arguments.seed
                            : name == "--seeds"  ? &arguments.seeds
                            : name == "--events" ? &arguments.events
                                                 : nullptr;
    if (name == "--trace") {
      arguments.trace = true;
    } else if (number != nullptr && i + 1 < argc) {
      const char* const end = argv[i + 1] + std::strlen(argv[i + 1]);
      const auto parsed = std::from_chars(argv[++i], end, *number);
      if (parsed.ec != std::errc{} || parsed.ptr != end) return false;
    } else {
      return false;
    }
  }
  return arguments.events == 0 || (std::has_single_bit(arguments.events) && arguments.events <= 1U << 20);
}

void print(std::uint64_t seed, const sim::Outcome& o) {
  std::printf("seed %" PRIu64 " hash %016" PRIx64 ": %u connections, %" PRIu64 " packets, %" PRIu64
              " events, %.1f s; by command %u (%u dead, %u by rule)%s\n",
              seed, o.hash, o.connections, o.packets, o.events, (o.over - sim::kGenesis).seconds(),
              o.ended[static_cast<unsigned>(EndReason::Commanded)], o.dead, o.dead_by_rule,
              o.violations.empty() ? "" : "  FAILED");
  for (const auto& violation : o.violations) std::printf("  %s\n", sim::describe(violation).c_str());
  if (!o.violations.empty()) std::printf("  replay: %s\n", sim::how_to_replay(seed).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fprintf(stderr, "usage: adieu-sim [--seed N] [--seeds COUNT] [--trace] [--events N]\n");
    return 2;
  }
  bool all_held = true;
  for (std::uint64_t seed = arguments.seed; seed < arguments.seed + arguments.seeds; ++seed) {
    sim::Plan plan = sim::draw(seed);
    if (arguments.events != 0)
      for (sim::HostPlan& host : plan.hosts) host.events = static_cast<std::uint32_t>(arguments.events);
    sim::World world(plan, arguments.trace ? stdout : nullptr);
    const sim::Outcome outcome = world.run();
    print(seed, outcome);
    all_held = all_held && outcome.violations.empty();
  }
  return all_held ? 0 : 1;
}
