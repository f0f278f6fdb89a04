// Start, give up privileges, sweep after sweep.
#include "host/kernel_process.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "host/clock.h"
#include "host/log.h"
#include "host/plane_link.h"
#include "host/privileges.h"
#include "kernel/plane.h"

namespace adieu::host {
namespace {

enum Token : std::uint64_t { kStop, kBell, kLink };

constexpr std::uint32_t kSlots = 1U << 20;
constexpr Duration kBeat = seconds(1);
// Sweeps and looks together take at most one part in so many of a core: with more sockets they come less often.
constexpr std::int64_t kShare = 50;

Duration cpu_time() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return nanoseconds(std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec);
}

void tell_sight(const kernel::Sight& sight, OnceLog& once) {
  if (sight.processes_closed > 0)
    once.warn("processes",
              fmt::format("what {} of {} processes have open may not be seen: their connections seem to be "
                          "held by nobody that is known (CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH are missing)",
                          sight.processes_closed, sight.processes));
  else
    once.over("processes", "what every process has open can be seen");
  if (sight.networks_closed > 0)
    once.warn("networks", fmt::format("{} network namespaces may not be entered (CAP_SYS_ADMIN is missing): the "
                                      "connections in them are not seen",
                                      sight.networks_closed));
  else
    once.over("networks", "all network namespaces can be entered");
}

}  // namespace

plane::TableSetup kernel_table() {
  plane::TableSetup setup;
  setup.kind = plane::PlaneKind::Kernel;
  setup.incarnation = random_number();
  setup.abilities = kernel::kAbilities;
  setup.capacity = {.slots = kSlots, .beside = true};
  setup.name = "kernel";
  setup.time_wait = seconds(60);  // TCP_TIMEWAIT_LEN, a constant of the kernel
  setup.process = static_cast<std::uint64_t>(::getpid());
  return setup;
}

std::string why_unlisted(const kernel::Error& error) {
  std::string text = fmt::format("the kernel's sockets cannot be listed (sock_diag): {}", name(error.kind));
  if (error.code != 0) text += fmt::format(" ({})", std::strerror(error.code));
  return text;
}

Result<void> run_kernel_process(const std::string& run_dir, Duration sweep) {
  name_log("kernel");
  const Descriptor stop = signals({SIGTERM, SIGINT});
  const RunDir dir(run_dir);
  const auto lock = Lock::take(dir.lock("kernel"));
  if (!lock) return failed("another kernel plane lives: " + lock.error().text);
  const plane::TableSetup setup = kernel_table();
  auto seam = SeamMemory::make(setup.capacity);
  if (!seam) return std::unexpected(seam.error());

  plane::TableWriter table(seam->table(), setup);
  auto plane = kernel::Plane::open(table);
  if (!plane) return failed(why_unlisted(plane.error()));
  plane->act(kernel::kAbilities, kernel::Prober(dir.kernel_probe()));
  // To see who has what open, to enter the networks of containers, and (CAP_NET_ADMIN) to end a connection on command.
  // CAP_SYS_PTRACE is also what a duplicate of somebody's descriptor takes, CAP_SYS_ADMIN what the BPF programs take
  // that are loaded by now.
  const auto kept = keep_privileges({CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN, CAP_NET_ADMIN});
  if (!kept) return kept;

  const plane::ControlView control = seam->control();
  Poller poller;
  poller.add(stop.get(), kStop);
  poller.add(seam->wake_plane(), kBell);
  PlaneLink link(dir, *seam, {setup.incarnation, setup.kind, "kernel", true}, poller, kLink);
  OnceLog once;
  Instant sweep_at = Instant::unknown();
  std::uint64_t events_told = 0;
  std::uint64_t commands_told = 0;
  bool whole = false;  // the latest sweep
  if (!kernel::is_hosts_own_network()) plane->keep_to_own_network();
  for (bool stopping = false; !stopping && !link.told_to_stop();) {
    const Instant now = host::now();
    if (sweep_at <= now) {
      // Swept before it registers for the first time: whoever reads the table then finds it filled.
      const Duration before = cpu_time();
      plane->look(now);
      tell_sight(plane->sight(), once);
      const auto done = plane->sweep(now, control);
      whole = done.has_value();
      if (!done)
        once.warn("sweep", why_unlisted(done.error()));
      else
        once.over("sweep", "the kernel's sockets can be listed again");
      sweep_at = now + later(sweep, (cpu_time() - before) * kShare);
    }
    if (whole) plane->beat(now);
    plane->take_commands(now, control);
    link.advance(now);
    if (table.events_written() != events_told || table.commands_taken() != commands_told) ring(seam->wake_control());
    events_told = table.events_written();
    commands_told = table.commands_taken();
    const bool more = control.waiting(commands_told) > 0 && table.has_receipt_room(control);
    const Instant until = more ? now : now + kBeat;
    const auto ready = poller.wait(earlier(earlier(sweep_at, until), link.next_deadline()));
    for (const std::uint64_t token : ready) {
      if (token == kStop) stopping = true;
      if (token == kBell) quiet(seam->wake_plane());
      if (token == kLink) link.input(host::now());
    }
  }
  link.goodbye();
  return {};
}

}  // namespace adieu::host
