// Start, give up privileges, sweep after sweep.
#include "host/kernel_process.h"

#include <fmt/format.h>
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

std::string words(const kernel::Error& error) {
  std::string text(name(error.kind));
  if (error.code != 0) text += fmt::format(" ({})", std::strerror(error.code));
  return text;
}

}  // namespace

Result<void> run_kernel_process(const std::string& run_dir, Duration sweep) {
  name_log("kernel");
  const Descriptor stop = signals({SIGTERM, SIGINT});
  const RunDir dir(run_dir);
  const auto lock = Lock::take(dir.lock("kernel"));
  if (!lock) return failed("another kernel plane lives: " + lock.error().text);
  auto seam = SeamMemory::make({.slots = kSlots});
  if (!seam) return std::unexpected(seam.error());

  plane::TableSetup setup;
  setup.kind = plane::PlaneKind::Kernel;
  setup.incarnation = random_number();
  setup.abilities = kernel::kAbilities;
  setup.capacity = {.slots = kSlots};
  setup.name = "kernel";
  setup.time_wait = seconds(60);  // TCP_TIMEWAIT_LEN, a constant of the kernel
  setup.process = static_cast<std::uint64_t>(::getpid());
  plane::TableWriter table(seam->table(), setup);
  auto plane = kernel::Plane::open(table);
  if (!plane) return failed("the kernel's sockets cannot be listed (sock_diag): " + words(plane.error()));
  if (auto dropped = drop_all_privileges(); !dropped) return dropped;

  const plane::ControlView control = seam->control();
  Poller poller;
  poller.add(stop.get(), kStop);
  poller.add(seam->wake_plane(), kBell);
  PlaneLink link(dir, *seam, {setup.incarnation, setup.kind, "kernel", true}, poller, kLink);
  OnceLog once;
  Instant sweep_at = Instant::unknown();
  std::uint64_t events_told = 0;
  for (bool stopping = false; !stopping && !link.told_to_stop();) {
    const Instant now = host::now();
    if (sweep_at <= now) {
      // Swept before it registers for the first time: whoever reads the table then finds it filled.
      if (auto done = plane->sweep(now, control); !done)
        once.warn("sweep", "the kernel's sockets cannot be listed now: " + words(done.error()));
      else
        once.over("sweep", "the kernel's sockets can be listed again");
      sweep_at = now + sweep;
    }
    plane->take_commands(now, control);
    link.advance(now);
    if (table.events_written() != events_told) ring(seam->wake_control());
    events_told = table.events_written();
    const auto ready = poller.wait(earlier(earlier(sweep_at, now + kBeat), link.next_deadline()));
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
