// Start, give up privileges, sweep after sweep.
#include "host/kernel_process.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "host/clock.h"
#include "host/log.h"
#include "host/options.h"
#include "host/plane_link.h"
#include "host/privileges.h"
#include "kernel/plane.h"

namespace adieu::host {
namespace {

enum Token : std::uint64_t { kStop, kBell, kLink, kTold };

constexpr std::uint32_t kSlots = 1U << 20;
constexpr Duration kBeat = seconds(1);
// Sweeps and looks together take at most one part in so many of a core: with more sockets they come less often. Where
// the kernel tells what happens, a sweep is for the rest: who has what open, unread octets, timers.
constexpr std::int64_t kShare = 50;
constexpr std::int64_t kShareWhenTold = 100;
constexpr std::int64_t kShareWhenLost = 10;  // of what it told: only a sweep repairs that
// What the kernel tells is read so often, while it tells something.
constexpr Duration kHearing = milliseconds(100);

// A batch of questions holds a duplicate each, a network namespace two descriptors.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Duration cpu_time() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return nanoseconds(std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec);
}

void tell_sight(const kernel::Sight& sight, OnceLog& once) {
  if (sight.processes_closed > 0)
    once.warn("processes",
              fmt::format("what {} of {} processes have open may not be seen: their connections seem to be "
                          "held by nobody that is known (CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH are missing, or "
                          "descriptors: ulimit -n)",
                          sight.processes_closed, sight.processes));
  else
    once.over("processes", "what every process has open can be seen");
  if (!sight.all_processes_visible)
    once.warn("process namespace",
              "only processes of this process namespace are seen: who else has a connection open is not known");
  if (sight.networks_closed > 0)
    once.warn("networks",
              fmt::format("{} network namespaces may not be entered (CAP_SYS_ADMIN is missing, or descriptors: "
                          "ulimit -n): the connections in them are not seen",
                          sight.networks_closed));
  else
    once.over("networks", "all network namespaces can be entered");
}

kernel::Bpf bpf_without(const std::vector<std::string>& words) {
  const auto may = [&](std::string_view word) {
    return std::ranges::none_of(words, [&](const std::string& one) { return one == kNoBpf[0] || one == word; });
  };
  return {.holders = may("holders"),
          .events = may("events"),
          .end_of_stream = may("end-of-stream"),
          .probe = may("probe"),
          .guard = may("guard")};
}

// One table, filled for as long as this process lives.
class KernelLoop {
 public:
  KernelLoop(const RunDir& dir, const plane::TableSetup& setup, SeamMemory& seam, plane::TableWriter& table,
             kernel::Plane plane, Duration sweep, int stop);
  void run();

 private:
  void hear(Instant now);
  Instant next_hearing() const { return hear_at_ == Instant::never() ? plane_.next_due() : hear_at_; }
  void sweep(Instant now);
  void wait(Instant now);

  SeamMemory& seam_;
  plane::TableWriter& table_;
  kernel::Plane plane_;
  plane::ControlView control_;
  Poller poller_;
  PlaneLink link_;
  OnceLog once_;
  Duration every_;
  Duration cost_;                          // of the latest sweep
  Instant swept_at_ = Instant::unknown();  // when it ended
  Instant sweep_at_ = Instant::unknown();
  Instant hear_at_ = Instant::never();  // never(): when the ring rings or a timer is due
  bool is_deaf_ = false;                // the poller does not watch the ring
  bool whole_ = false;                  // the latest sweep
  bool stopping_ = false;
};

KernelLoop::KernelLoop(const RunDir& dir, const plane::TableSetup& setup, SeamMemory& seam, plane::TableWriter& table,
                       kernel::Plane plane, Duration sweep, int stop)
    : seam_(seam),
      table_(table),
      plane_(std::move(plane)),
      control_(seam.control()),
      link_(dir, seam, {setup.incarnation, setup.kind, "kernel", true}, poller_, kLink),
      every_(sweep) {
  poller_.add(stop, kStop);
  poller_.add(seam.wake_plane(), kBell);
  if (plane_.told_descriptor() >= 0) poller_.add(plane_.told_descriptor(), kTold);
}

void KernelLoop::run() {
  std::uint64_t events_told = 0;
  std::uint64_t commands_told = 0;
  while (!stopping_ && !link_.told_to_stop()) {
    const Instant now = host::now();
    if (earlier(next_hearing(), sweep_at_) <= now) hear(now);
    if (sweep_at_ <= now) sweep(now);
    if (whole_) plane_.beat(host::now());  // later than `now` by what a sweep of a great many took
    plane_.take_commands(now, control_);
    link_.advance(now);
    if (table_.events_written() != events_told || table_.commands_taken() != commands_told) ring(seam_.wake_control());
    events_told = table_.events_written();
    commands_told = table_.commands_taken();
    wait(now);
  }
  link_.goodbye();
}

void KernelLoop::hear(Instant now) {
  const kernel::Heard heard = plane_.hear(now, control_);
  hear_at_ = heard.anything ? now + kHearing : Instant::never();
  if (is_deaf_ && !heard.anything) {
    poller_.add(plane_.told_descriptor(), kTold);
    is_deaf_ = false;
  }
  if (heard.lost == 0) return;
  sweep_at_ = earlier(sweep_at_, swept_at_ + cost_ * kShareWhenLost);
  once_.warn("events", fmt::format("{} events of the kernel's sockets were lost: a sweep repairs that", heard.lost));
}

// Swept before the plane registers for the first time: whoever reads the table then finds it filled.
void KernelLoop::sweep(Instant now) {
  const Duration before = cpu_time();
  plane_.look(now);
  tell_sight(plane_.sight(), once_);
  const auto done = plane_.sweep(now, control_);
  whole_ = done.has_value();
  if (!done)
    once_.warn("sweep", why_unlisted(done.error()));
  else
    once_.over("sweep", "the kernel's sockets can be listed again");
  if (done) once_.over("events", "a sweep has seen what the lost events told");
  cost_ = cpu_time() - before;
  swept_at_ = host::now();
  sweep_at_ = now + later(every_, cost_ * (plane_.told_descriptor() >= 0 ? kShareWhenTold : kShare));
}

void KernelLoop::wait(Instant now) {
  const bool more = control_.waiting(table_.commands_taken()) > 0 && table_.has_receipt_room(control_);
  const Instant until =
      more ? now : earlier(earlier(sweep_at_, next_hearing()), earlier(now + kBeat, link_.next_deadline()));
  for (const std::uint64_t token : poller_.wait(until)) {
    if (token == kStop) stopping_ = true;
    if (token == kBell) quiet(seam_.wake_plane());
    if (token == kLink) link_.input(host::now());
    if (token != kTold) continue;
    poller_.remove(plane_.told_descriptor());
    is_deaf_ = true;
    hear_at_ = now;
  }
}

}  // namespace

plane::TableSetup kernel_table() {
  plane::TableSetup setup;
  setup.kind = plane::PlaneKind::Kernel;
  setup.incarnation = random_number();
  setup.first_generation = static_cast<std::uint32_t>(1 + random_number() % 999);  // three digits: people read it
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

Result<void> run_kernel_process(const std::string& run_dir, Duration sweep, const std::vector<std::string>& no_bpf) {
  name_log("kernel");
  const Descriptor stop = signals({SIGTERM, SIGINT});
  const RunDir dir(run_dir);
  const auto lock = Lock::take(dir.lock("kernel"));
  if (!lock) return failed("another kernel plane lives: " + lock.error().text);
  raise_descriptor_limit();
  const plane::TableSetup setup = kernel_table();
  auto seam = SeamMemory::make(setup.capacity);
  if (!seam) return std::unexpected(seam.error());

  plane::TableWriter table(seam->table(), setup);
  auto plane = kernel::Plane::open(table, bpf_without(no_bpf));
  if (!plane) return failed(why_unlisted(plane.error()));
  plane->act(kernel::kAbilities, kernel::Prober(dir.kernel_probe()));
  plane->prepare_to_look();
  if (auto listens = plane->listen(); !listens)
    log_warning(fmt::format(
        "the kernel does not tell what happens to its sockets ({}): changes are seen by the next sweep, and why a "
        "connection ended is not known",
        kernel::name(listens.error().kind)));
  // To see who has what open, to enter the networks of containers, and (CAP_NET_ADMIN) to end a connection on command.
  // CAP_SYS_PTRACE is also what a duplicate of somebody's descriptor takes, CAP_SYS_ADMIN what the BPF programs take
  // that are loaded by now, CAP_NET_RAW what a segment of ours takes.
  const auto kept = keep_privileges({CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW});
  if (!kept) return kept;
  if (!kernel::is_hosts_own_network()) plane->keep_to_own_network();
  KernelLoop(dir, setup, *seam, table, std::move(*plane), sweep, stop.get()).run();
  return {};
}

}  // namespace adieu::host
