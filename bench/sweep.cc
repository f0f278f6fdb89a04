// One sweep of the control plane over a large table, against a plain read of the same octets.
//
// What lives here: one measurement: a table of N connections in mixed states, most of them quiet; how long one whole
// Attendant::attend() takes by the built-in policy and by one with ten rules, and how long it takes to add up all words
// of the same memory. Both take turns, and medians are told. What does not: what the verdicts are (verdicts.cc).
//
// usage: sweep [--quick] [--json FILE] [--connections N] [--rounds N]
#include <fmt/core.h>
#include <sys/mman.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/assert.h"
#include "control/attendant.h"
#include "plane/table.h"

namespace {

using namespace adieu;

constexpr std::uint32_t kCommands = 4096;
constexpr Instant kStart{hours(24).ns};
// Less than the second of a real control plane, so that all rounds see about the same world.
constexpr Duration kBetween = milliseconds(10);

// Zeroed pages, as a plane's table is in host.
class Memory {
 public:
  explicit Memory(std::size_t bytes) : bytes_(bytes) {
    void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ADIEU_ASSERT(at != MAP_FAILED);
    at_ = static_cast<std::uint8_t*>(at);
  }
  ~Memory() { munmap(at_, bytes_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  MutableBytes bytes() const { return {at_, bytes_}; }

 private:
  std::uint8_t* at_ = nullptr;
  std::size_t bytes_;
};

class Forgetful final : public control::Ledger {
 public:
  std::optional<std::uint64_t> verdict(const control::Decision&, Instant) override { return ++verdicts_; }
  bool noted(const control::Note&, Instant) override { return true; }
  bool receipt(std::uint32_t, const plane::Receipt&) override { return true; }
  bool ended(std::uint32_t, const plane::ConnectionId&, const plane::Record&) override { return true; }
  bool learned(const control::HostLearned&) override { return true; }
  bool commit() override { return true; }
  std::uint64_t verdicts() const { return verdicts_; }

 private:
  std::uint64_t verdicts_ = 0;
};

// Half of them open, a third half-closed, the rest in TIME-WAIT or with something outstanding. The peers of an asking
// control plane are heard every 25 s and a little: one in fifty is past its interval and about to be asked. One in 4096
// has been silent for a minute. Ten thousand hosts.
plane::Record record(std::uint32_t number) {
  static constexpr State kStates[] = {State::Established, State::Established, State::Established, State::Established,
                                      State::Established, State::Established, State::FinWait2,    State::FinWait2,
                                      State::CloseWait,   State::CloseWait,   State::TimeWait,    State::Established};
  const unsigned turn = number % 12;
  plane::Record r;
  r.local = {Address::v4(192, 0, 2, 1), 443};
  const auto host = static_cast<std::uint16_t>(number % 10'000);
  r.remote = {Address::v4(10, 1, static_cast<std::uint8_t>(host >> 8), static_cast<std::uint8_t>(host)),
              static_cast<std::uint16_t>(1024 + number / 10'000)};
  r.state = kStates[turn];
  r.holder = turn == 10 || turn == 7 ? plane::Holder::Orphan : plane::Holder::Held;
  r.end_of_stream_read = turn == 9 ? plane::Known::Yes : plane::Known::No;
  r.can_echo = r.can_probe = true;
  r.send_shut = is_sending_closed(r.state);
  r.state_entered = r.progress_in = r.progress_out = kStart - seconds(3600 + number % 3600);
  r.last_heard = kStart - milliseconds(number * std::int64_t{7919} % 25'500);
  // Whom nobody asks may have been silent for an hour.
  if (turn < 6 && number % 2 == 0) r.last_heard = kStart - minutes(60);
  // A few need attention: their peers have been silent for a minute.
  if (number % 4096 == 6 && turn >= 6) r.last_heard = kStart - minutes(1);
  r.oldest_unacked = turn == 11 ? r.last_heard : Instant::never();
  r.attempts = turn == 11 ? 1 : 0;
  r.heard = 100;
  r.unread = r.unsent = 0;
  return r;
}

struct World {
  explicit World(std::uint32_t connections)
      : capacity{.slots = connections, .receipts = 2 * kCommands, .events = 1024},
        table_memory(plane::table_bytes(capacity)),
        control_memory(plane::control_block_bytes(kCommands)) {
    plane::TableSetup setup;
    setup.incarnation = 77;
    setup.capacity = capacity;
    setup.time_wait = seconds(60);
    using plane::Ability;
    setup.abilities = Ability::ProbeEcho | Ability::ProbeBare | Ability::ProbePending | Ability::AbortReset |
                      Ability::AbortSilent | Ability::GuardedAbort | Ability::ReportsHeard | Ability::ReportsHolder |
                      Ability::ReportsReading | Ability::ProbeUncounted;
    plane::TableWriter writer(table_memory.bytes(), setup);
    const plane::ControlView view(control_memory.bytes());
    for (std::uint32_t i = 0; i < connections; ++i) ADIEU_ASSERT(writer.open(record(i), view));
    writer.beat(kStart);
  }
  plane::Capacity capacity;
  Memory table_memory;
  Memory control_memory;
};

// Nine rules for the few and one for the rest, of the kinds that operators write.
control::Policy ten_rules() {
  static constexpr const char* kFilters[] = {"dst 10.9.0.0/16",
                                             "sport = :22",
                                             "state close-wait and dport = :8443",
                                             "dst 10.8.0.0/16 and sport = :443",
                                             "( sport = :5432 or sport = :6432 ) and held yes",
                                             "family inet6 and state fin-wait-2",
                                             "comm sshd",
                                             "plane kernel and dport > :60000",
                                             "src 192.0.2.7",
                                             ""};
  std::vector<control::Clause> clauses;
  for (const char* text : kFilters) {
    const auto filter = control::Filter::parse(text);
    ADIEU_ASSERT(filter);
    control::Clause clause{.filter = *filter, .rule = {}};
    if (clauses.size() % 3 == 1) clause.rule.interval = seconds(40);
    clauses.push_back(clause);
  }
  const auto policy = control::Policy::make(std::move(clauses));
  ADIEU_ASSERT(policy);
  return *policy;
}

double milliseconds_of(auto&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> times) {
  std::ranges::sort(times);
  return times[times.size() / 2];
}

// Relaxed atomic loads would be the same instructions; the compiler may go four words at a time here.
std::uint64_t sum_of_words(Bytes memory) {
  const auto* const words = reinterpret_cast<const std::uint64_t*>(memory.data());
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < memory.size() / 8; ++i) sum += words[i];
  return sum;
}

struct Times {
  double sweep_ms = 0;
  double plain_ms = 0;
  std::size_t bytes = 0;  // of the control plane
  std::uint32_t attended = 0;
};

Times measure(const World& world, const control::Policy& policy, unsigned rounds) {
  Forgetful ledger;
  control::Attendant::Settings settings;
  settings.sweep_period = kBetween;
  control::Attendant attendant(policy, ledger, kStart, settings);
  const auto reader = plane::TableReader::over(world.table_memory.bytes());
  ADIEU_ASSERT(reader);
  const plane::ControlWriter writer(world.control_memory.bytes(), 1, kCommands);
  Instant now = kStart;
  attendant.watch({}, *reader, writer, std::nullopt, now, kCommands);
  std::vector<double> sweeps;
  std::vector<double> plains;
  std::uint64_t sum = 0;
  for (unsigned round = 0; round < rounds + 2; ++round) {
    const double plain = milliseconds_of([&] { sum += sum_of_words(world.table_memory.bytes()); });
    const std::uint64_t before = attendant.counts().sweeps;
    const double sweep = milliseconds_of([&] { attendant.attend(now); });
    ADIEU_ASSERT(attendant.counts().sweeps == before + 1);
    now = now + kBetween;
    if (round < 2) continue;  // memory is touched for the first time
    sweeps.push_back(sweep);
    plains.push_back(plain);
  }
  ADIEU_ASSERT(sum != 0);
  return {median(sweeps), median(plains), attendant.bytes(), attendant.controller().attended()};
}

struct Arguments {
  std::uint32_t connections = 1'000'000;
  unsigned rounds = 11;
  bool quick = false;
  std::string json;
};

int run(const Arguments& arguments) {
  const std::uint32_t n = arguments.connections;
  const World world(n);
  const Times one = measure(world, control::Policy(), arguments.rounds);
  const Times ten = measure(world, ten_rules(), arguments.rounds);
  const double millions = n / 1e6;
  const double bytes = static_cast<double>(one.bytes) / n;
  fmt::print("{} connections, {} octets a record, {} rounds, medians\n", n, sizeof(plane::Slot), arguments.rounds);
  fmt::print("  {:<22}{:>10}{:>14}{:>10}{:>12}\n", "policy", "sweep ms", "plain read ms", "times", "attended");
  for (const auto& [what, t] : {std::pair("built in (one rule)", one), std::pair("ten rules", ten)})
    fmt::print("  {:<22}{:>10.1f}{:>14.1f}{:>10.2f}{:>12}\n", what, t.sweep_ms, t.plain_ms, t.sweep_ms / t.plain_ms,
               t.attended);
  if (!arguments.json.empty()) {
    const nlohmann::json out{{"connections", n},
                             {"sweep_ms", one.sweep_ms},
                             {"plain_read_ms", one.plain_ms},
                             {"sweep_ms_ten_rules", ten.sweep_ms},
                             {"plain_read_ms_ten_rules", ten.plain_ms},
                             {"control_bytes", one.bytes}};
    std::ofstream(arguments.json) << out.dump(1) << "\n";
  }
  fmt::print("\nsweep.vs_plain_read = {:.2f} times\n", one.sweep_ms / one.plain_ms);
  fmt::print("sweep.vs_plain_read_ten_rules = {:.2f} times\n", ten.sweep_ms / ten.plain_ms);
  fmt::print("sweep.ms_per_million = {:.1f} ms\n", one.sweep_ms / millions);
  fmt::print("sweep.bytes_per_quiet_connection = {:.1f} octets\n", bytes);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  Arguments arguments;
  CLI::App app("one sweep over a large table against a plain read of it");
  app.add_flag("--quick", arguments.quick, "50,000 connections");
  app.add_option("--connections", arguments.connections)->check(CLI::Range(1000, 20'000'000));
  app.add_option("--rounds", arguments.rounds)->check(CLI::Range(1, 1000));
  app.add_option("--json", arguments.json, "where the results go");
  try {
    app.parse(count, words);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (arguments.quick) arguments.connections = 50'000;
  return run(arguments);
}
