// A server that never stops talking: accepts, and sends "xxxxx" to everybody without end, until they reset the
// connection. Its TCP is adieu's, in this very process.
#include <cstdio>
#include <thread>

#include "examples/flags.h"
#include "host/clock.h"

using namespace adieu;
using namespace adieu::host;

static int trouble(const std::string& text) {
  std::fprintf(stderr, "endless_server: %s\n", text.c_str());
  return 2;
}

static void talk(NativeSocket socket, bool shut_receive, int pace) {
  if (shut_receive && !socket.shutdown(Shut::Receive)) return;
  while (socket.send_all("xxxxx")) std::this_thread::sleep_for(std::chrono::milliseconds(pace));
}

int main(int argc, char** argv) {
  const ServerFlags flags = server_flags(argc, argv);
  const Instant until = now() + Duration{static_cast<std::int64_t>(flags.seconds * 1e9)};

  // Without an address: on all of the engine's, of the family of the first.
  const auto& own = flags.engine.engine.addresses;
  const bool v6 = !own.empty() && own[0].address.family() == Family::V6;
  const std::string address = flags.where.size() == 2 ? flags.where[0] : v6 ? "::" : "0.0.0.0";
  const bool bracketed = address.find(':') != std::string::npos;
  const auto local = parse_endpoint((bracketed ? "[" + address + "]" : address) + ":" + flags.where.back());
  if (!local) return trouble(local.error().text);

  std::vector<std::jthread> talkers;  // they end when the engine does, which resets whoever is still connected
  auto engine = NativeEngine::start(flags.engine);
  if (!engine) return trouble(engine.error().text);
  auto listener = engine->listen(*local);
  if (!listener) return trouble(listener.error().text);
  std::printf("listening on %s\n", text(*listener->local()).c_str());
  std::fflush(stdout);
  while (true) {
    auto socket = listener->accept(until);
    if (!socket && socket.error().kind == stack::Error::WouldBlock) break;  // --seconds
    if (!socket) return trouble(socket.error().text);
    talkers.emplace_back(talk, std::move(*socket), flags.shut_receive, flags.pace_ms);
  }
}
