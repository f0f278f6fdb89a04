// Start, give up privileges, turn after turn.
#include "host/engine_process.h"

#include <malloc.h>

#include <csignal>

#include "host/engine_loop.h"
#include "host/privileges.h"
#include "host/services.h"

namespace adieu::host {

Result<void> run_engine_process(const std::string& run_dir, const EngineOptions& options) {
  name_log("engine");
  // Fixed, or glibc raises it with the first large ring that is freed, and keeps what transfers give back: 1.5 GB were
  // held after 6,400 connections with 256 KiB each had ended.
  ::mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  const Descriptor stop = signals({SIGTERM, SIGINT});
  const RunDir dir(run_dir);
  const auto lock = Lock::take(dir.lock("engine"));
  if (!lock) return failed("another engine lives: " + lock.error().text);

  EngineSetup setup;
  setup.options = options;
  setup.name = "engine";
  setup.child = true;
  setup.run_dir = dir;
  setup.stop = stop.get();
  auto opened = EngineLoop::open(setup);
  if (!opened) return std::unexpected(opened.error());
  EngineLoop& loop = **opened;
  if (auto dropped = drop_all_privileges(); !dropped) return dropped;

  Services services(loop.engine());
  if (options.services)
    if (auto listening = services.listen(); !listening) return listening;
  bool more = false;
  loop.send_out();
  while (true) {
    if (more)
      loop.poll();
    else
      loop.wait();
    if (!loop.take_in()) break;
    more = options.services && services.run(loop.now());
    loop.send_out();
  }
  loop.abort_all();
  if (loop.failure()) return std::unexpected(*loop.failure());
  if (loop.link() != nullptr) loop.link()->goodbye();
  return {};
}

}  // namespace adieu::host
