// A client that has said all it has to say, and listens: connects, sends a line, shuts down its sending side, and
// prints what it receives until the end of the stream. Its TCP is adieu's, in this very process.
#include <cstdio>
#include <thread>

#include "examples/flags.h"
#include "host/clock.h"

using namespace adieu;
using namespace adieu::host;

static int trouble(const std::string& text) {
  std::fprintf(stderr, "half_closing_client: %s\n", text.c_str());
  return 2;
}

int main(int argc, char** argv) {
  const ClientFlags flags = client_flags(argc, argv);
  const Instant until = now() + Duration{static_cast<std::int64_t>(flags.seconds * 1e9)};

  const auto address = parse_endpoint(flags.peer);
  if (!address) return trouble(address.error().text);
  auto engine = NativeEngine::start(flags.engine);
  if (!engine) return trouble(engine.error().text);
  auto socket = engine->connect(*address);
  if (!socket) return trouble(socket.error().text);

  if (const auto sent = socket->send_all("hello\n"); !sent) return trouble(sent.error().text);
  if (const auto shut = socket->shutdown(Shut::Send); !shut) return trouble(shut.error().text);

  if (flags.close_after_ms >= 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(flags.close_after_ms));
    socket->close();
    // The engine lives in this process, so the orphan lives no longer than it.
    while (engine->live_connections() > 0 && now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return 0;
  }
  std::array<std::uint8_t, 65536> buffer;
  std::size_t received = 0;
  while (received < flags.octets) {
    const auto got = socket->receive(buffer, until);
    if (!got && got.error().kind == stack::Error::WouldBlock) break;  // --seconds
    if (!got) return trouble(got.error().text);
    if (*got == 0) break;  // the peer has closed as well
    std::fwrite(buffer.data(), 1, *got, stdout);
    std::fflush(stdout);
    received += *got;
  }
}
