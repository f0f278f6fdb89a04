// Asking the supervisor, mapping what it hands out.
#include "host/census.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "host/clock.h"
#include "host/ledger.h"
#include "host/message.h"

namespace adieu::host {
namespace {

constexpr Duration kAnswerLimit = seconds(3);
// A running control plane sweeps once a second by default and is late by less than this.
constexpr Duration kLate = seconds(5);

Result<PlaneSeen> open_plane(Received& received) {
  const Message& message = received.message;
  if (received.descriptors.size() != 2) return failed("the supervisor handed out a plane without its two descriptors");
  const auto table_bytes = check_shared(received.descriptors[0].get());
  const auto control_bytes = check_shared(received.descriptors[1].get());
  if (!table_bytes || !control_bytes) return std::unexpected((!table_bytes ? table_bytes : control_bytes).error());
  auto table = Mapping::of(received.descriptors[0].get(), *table_bytes, Mapping::Access::Read);
  auto control = Mapping::of(received.descriptors[1].get(), *control_bytes, Mapping::Access::Read);
  if (!table || !control) return std::unexpected((!table ? table : control).error());
  const auto reader = plane::TableReader::over(table->bytes());
  if (!reader) return failed(fmt::format("plane {}: {}", text_of(message.name), name(reader.error())));
  const plane::ControlView view(control->bytes());
  return PlaneSeen{.name = text_of(message.name),
                   .incarnation = message.incarnation,
                   .kind = message.plane_kind,
                   .process = message.process,
                   .failed = message.failed != 0,
                   .table_memory = std::move(*table),
                   .control_memory = std::move(*control),
                   .table = *reader,
                   .control = view};
}

// Stopped by a signal (SIGSTOP, a debugger): the third field of /proc/PID/stat.
bool is_halted(std::uint32_t process) {
  const Descriptor file(::open(fmt::format("/proc/{}/stat", process).c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 256> text{};
  const ssize_t length = file ? ::read(file.get(), text.data(), text.size()) : -1;
  if (length <= 0) return false;
  const std::string_view all(text.data(), static_cast<std::size_t>(length));
  const std::size_t name_end = all.rfind(')');
  return name_end + 2 < all.size() && (all[name_end + 2] == 'T' || all[name_end + 2] == 't');
}

ControlState state_of_control(const Census& census) {
  if (census.control_process == 0) return ControlState::Absent;
  if (is_halted(census.control_process)) return ControlState::Stopped;
  const Instant now = host::now();
  const bool late = std::ranges::any_of(census.planes, [&](const PlaneSeen& plane) {
    const auto status = plane.control.status();
    return !plane.failed && status && status->swept_at.is_known() && now - status->swept_at > kLate;
  });
  return late ? ControlState::Stopped : ControlState::Running;
}

// By the plane that was swept last; nullopt: no control plane has swept any.
std::optional<std::uint64_t> fingerprint_in_force(const Census& census) {
  std::optional<plane::ControlStatus> latest;
  for (const PlaneSeen& plane : census.planes)
    if (const auto status = plane.control.status(); status && (!latest || latest->swept_at < status->swept_at))
      latest = status;
  return latest ? std::optional(latest->policy) : std::nullopt;
}

// The text is written a moment before the first sweep by it.
void learn_policy(Census& census, const RunDir& run_dir) {
  constexpr int kTries = 10;
  for (int tries = 0; tries < kTries; ++tries) {
    const auto wanted = fingerprint_in_force(census);
    if (!wanted) break;
    if (auto found = published_policy(run_dir, *wanted)) {
      census.policy = std::move(*found);
      return;
    }
    ::usleep(20'000);
  }
  census.policy = built_in_policy();
  census.policy_known = !fingerprint_in_force(census).has_value();
}

// Where there is no ledger yet, or none that can be read, nothing has been learned.
std::shared_ptr<const control::HostBook> learned_hosts(const RunDir& run_dir) {
  auto book = std::make_shared<control::HostBook>();
  const auto ledger = LedgerReader::open(run_dir.ledger());
  const auto hosts = ledger ? ledger->hosts() : std::unexpected(ledger.error());
  if (hosts)
    for (const control::HostLearned& host : *hosts) book->know(host);
  return book;
}

}  // namespace

std::string_view name(ControlState state) {
  switch (state) {
    case ControlState::Running: return "running";
    case ControlState::Stopped: return "stopped";
    case ControlState::Absent: return "absent";
  }
  return "?";
}

Result<Census> take_census(const RunDir& run_dir) {
  int number = 0;
  const auto socket = connect_to(run_dir.socket(), &number);
  if (!socket && (number == ENOENT || number == ECONNREFUSED))
    return failed(
        fmt::format("no `adieu up` runs with the run directory {}: {}", run_dir.path(), how_to_start(run_dir)));
  if (!socket) return std::unexpected(socket.error());
  Message hello;
  hello.kind = MessageKind::Read;
  if (auto sent = send_message(socket->get(), hello); !sent) return std::unexpected(sent.error());
  Census census;
  for (;;) {
    auto received = await_message(socket->get(), kAnswerLimit);
    if (!received) return failed(fmt::format("`adieu up` at {}: {}", run_dir.path(), received.error().text));
    if (received->message.kind == MessageKind::Plane) {
      auto plane = open_plane(*received);
      if (!plane) return std::unexpected(plane.error());
      census.planes.push_back(std::move(*plane));
    } else if (received->message.kind == MessageKind::EndOfList) {
      census.control_process = received->message.process;
      census.control = state_of_control(census);
      learn_policy(census, run_dir);
      census.hosts = learned_hosts(run_dir);
      return census;
    }
  }
}

}  // namespace adieu::host
