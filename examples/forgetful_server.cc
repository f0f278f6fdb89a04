// A server that forgets to close: it reads each stream to its end, and keeps the connection. On its host that is a
// CLOSE-WAIT for ever, the leak that people look for at three in the morning. Its TCP is adieu's, in this very process.
#include <cstdio>
#include <list>
#include <thread>

#include "examples/flags.h"
#include "host/clock.h"

using namespace adieu;
using namespace adieu::host;

static int trouble(const std::string& text) {
  std::fprintf(stderr, "forgetful_server: %s\n", text.c_str());
  return 2;
}

static void read_to_the_end(NativeSocket& socket) {
  std::array<std::uint8_t, 65536> buffer;
  for (auto got = socket.receive(buffer); got && *got > 0; got = socket.receive(buffer)) {
  }
}

int main(int argc, char** argv) {
  const ServerFlags flags = server_flags(argc, argv, "Reads what comes to its end, and never closes.");
  const Instant until = now() + Duration{static_cast<std::int64_t>(flags.seconds * 1e9)};
  std::list<NativeSocket> forgotten;
  std::vector<std::jthread> readers;  // they end when the engine does
  auto engine = NativeEngine::start(flags.engine);
  if (!engine) return trouble(engine.error().text);
  auto listener = engine->listen(*parse_endpoint("0.0.0.0:" + flags.where.back()));
  if (!listener) return trouble(listener.error().text);
  std::printf("listening on %s\n", text(*listener->local()).c_str());
  std::fflush(stdout);
  while (auto socket = listener->accept(until)) {
    forgotten.push_back(std::move(*socket));
    readers.emplace_back(read_to_the_end, std::ref(forgotten.back()));
  }
}
