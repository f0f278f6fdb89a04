// Chapters 1 to 3: what a half-close is, on the wire and at both ends.
#include <unistd.h>

#include <algorithm>

#include "cli/story_scene.h"
#include "host/clock.h"
#include "host/text.h"

namespace adieu::cli {
namespace {

constexpr Duration kLong = seconds(15);
constexpr std::string_view kTun = "--tun adieu1 --address 10.77.1.2/24 --gateway-address 10.77.1.1/24";

// A connection between the engine, drawn on the left, and the kernel.
struct Pair {
  std::string engine;
  std::string kernel;
};

std::vector<lab::Step> steps_of(const lab::Watch& watch, const Pair& pair) {
  return lab::read_exchange(watch.between(endpoint(pair.engine), endpoint(pair.kernel)), endpoint(pair.engine));
}

void draw(Scene& scene, const lab::Net& net, const Pair& pair, const std::vector<lab::Step>& steps,
          const std::string& engine_does, const std::string& kernel_does, std::vector<lab::Note> notes = {}) {
  scene.ladder({.left = fmt::format("{} {}", engine_does, pair.engine),
                .right = fmt::format("{} {}", kernel_does, pair.kernel),
                .steps = steps,
                .left_states = scene.states("engine", pair.engine, pair.kernel),
                .right_states = scene.ss_states(net, pair.kernel, pair.engine),
                .notes = std::move(notes),
                .zero = steps.empty() ? host::now() : steps.front().seen.at,
                .until = host::now()});
}

// Both ends of a half-closed connection as the table and `ss` show them: (`engine`, `kernel`) states.
bool both(Scene& scene, const lab::Net& net, const Pair& pair, std::string_view engine, std::string_view kernel) {
  const auto row = scene.row("engine", pair.engine, pair.kernel);
  const auto seen_by_plane = scene.row("kernel", pair.kernel, pair.engine);
  const auto in_ss = scene.ss(net, pair.kernel, pair.engine);
  return row && (*row)["state"] == engine && seen_by_plane && (*seen_by_plane)["state"] == kernel && in_ss &&
         in_ss->state == kernel;
}

std::string states_text(Scene& scene, const lab::Net& net, const Pair& pair) {
  const auto state = [](const Scene::Row& row) {
    return row ? (*row)["state"].get<std::string>() : std::string("none");
  };
  const auto in_ss = scene.ss(net, pair.kernel, pair.engine);
  return fmt::format("adieu ls: engine {}, kernel {}; ss: {}", state(scene.row("engine", pair.engine, pair.kernel)),
                     state(scene.row("kernel", pair.kernel, pair.engine)), in_ss ? in_ss->state : "none");
}

// The FIN of one side, the ACK of it, and that the other has sent none.
void claim_one_fin(Scene& scene, const std::vector<lab::Step>& steps, bool from_engine) {
  const auto fin = std::ranges::find_if(
      steps, [&](const lab::Step& s) { return s.kind == lab::Kind::Fin && s.from_left == from_engine; });
  const bool sent = fin != steps.end();
  const auto acked = [&](const lab::Step& s) {
    return s.from_left != from_engine && s.ack >= fin->seq + fin->seen.payload + 1;
  };
  const auto ack = sent ? std::ranges::find_if(fin, steps.end(), acked) : steps.end();
  const auto other_fins = lab::count(steps, !from_engine, lab::Kind::Fin);
  const auto resets = lab::count(steps, true, lab::Kind::Reset) + lab::count(steps, false, lab::Kind::Reset);
  scene.claim(sent && ack != steps.end() && other_fins == 0 && resets == 0,
              "the client's FIN is acknowledged; the server has sent none, and nobody a RST",
              sent && ack != steps.end()
                  ? fmt::format("wire: FIN seq {}, then ACK {} after {:.1f} ms; FINs of the server {}, RSTs {}",
                                fin->seq, ack->ack, (ack->seen.at - fin->seen.at).seconds() * 1000, other_fins, resets)
                  : "wire: no FIN with its ACK was seen");
}

// Octets that the server sent after the client's FIN, and the client's ACK of the last of them.
void claim_data_flows(Scene& scene, const std::vector<lab::Step>& steps, bool client_is_engine, std::size_t heard) {
  const auto fin = std::ranges::find_if(
      steps, [&](const lab::Step& s) { return s.kind == lab::Kind::Fin && s.from_left == client_is_engine; });
  const Instant since = fin == steps.end() ? Instant::never() : fin->seen.at;
  const std::uint64_t octets = lab::data_since(steps, !client_is_engine, since);
  std::uint32_t acked = 0;
  std::uint32_t before = 0;
  for (const lab::Step& s : steps) {
    if (s.from_left != client_is_engine) continue;
    acked = std::max(acked, s.ack);
    if (s.seen.at <= since) before = std::max(before, s.ack);
  }
  scene.claim(octets >= 25 && acked > before && heard >= 25, "data flows on, the other way",
              fmt::format("wire: {} octets after the FIN, {} of them acknowledged; the client has printed {}", octets,
                          acked - before, heard));
}

void claim_states(Scene& scene, const lab::Net& net, const Pair& pair, std::string_view engine,
                  std::string_view kernel) {
  scene.claim(both(scene, net, pair, engine, kernel), fmt::format("{} here, {} there, and it stays so", engine, kernel),
              states_text(scene, net, pair));
}

// For the ladder: that many octets after the FIN is story enough.
constexpr std::size_t kEnoughWords = 12;
std::size_t words_after_fin(const std::vector<lab::Step>& steps, bool from_left) {
  const auto fin = std::ranges::find(steps, lab::Kind::Fin, &lab::Step::kind);
  return fin == steps.end() ? 0 : lab::count(steps, from_left, lab::Kind::Data, fin->seen.at);
}

}  // namespace

void chapter_engine_client(Scene& scene) {
  const lab::Net host = scene.net("host");
  scene.up(host, "--plane kernel");
  lab::Process& server = scene.python(host, "endless_server.py", "--pace 150 0.0.0.0 5000");
  scene.await_output(server, "listening");
  const lab::Watch watch(host, "adieu1");
  lab::Process& client = scene.native(host, "half_closing_client", fmt::format("{} --seconds 60 10.77.1.1:5000", kTun));
  Pair pair{"", "10.77.1.1:5000"};
  scene.await(kLong, "the engine's client is in FIN-WAIT-2", [&] {
    const auto row = scene.row("engine", "10.77.1.2:", pair.kernel);
    if (row) pair.engine = (*row)["local"].get<std::string>();
    return row && (*row)["state"] == "FIN-WAIT-2";
  });
  scene.until(kLong, [&] {
    return words_after_fin(steps_of(watch, pair), false) >= kEnoughWords &&
           both(scene, host, pair, "FIN-WAIT-2", "CLOSE-WAIT");
  });
  const auto steps = steps_of(watch, pair);
  draw(scene, host, pair, steps, "engine client", "kernel server");
  claim_one_fin(scene, steps, true);
  claim_states(scene, host, pair, "FIN-WAIT-2", "CLOSE-WAIT");
  claim_data_flows(scene, steps, true, count_of(client.output(), 'x'));
}

// Over IPv6, where the kernel has it: every chapter could be, and this one shows it.
void chapter_engine_server(Scene& scene) {
  const lab::Net host = scene.net("host");
  const bool v6 = access("/proc/net/if_inet6", F_OK) == 0;
  const std::string ours = v6 ? "fd77:1::2" : "10.77.1.2", theirs = v6 ? "fd77:1::1" : "10.77.1.1";
  const auto with_port = [&](const std::string& address, std::string_view port) {
    return v6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
  };
  scene.up(host, "--plane kernel");
  const lab::Watch watch(host, "adieu1");
  lab::Process& server = scene.native(host, "endless_server",
                                      fmt::format("--tun adieu1 --address {0}/{2} --gateway-address {1}/{2} --pace 150 "
                                                  "--seconds 60 5000",
                                                  ours, theirs, v6 ? 64 : 24));
  scene.await_output(server, "listen");
  lab::Process& client = scene.python(host, "half_closing_client.py", ours + " 5000");
  Pair pair{with_port(ours, "5000"), ""};
  scene.await(kLong, "the kernel's client is in FIN-WAIT-2", [&] {
    const auto row = scene.ss(host, with_port(theirs, ""), pair.engine);
    if (row) pair.kernel = row->local;
    return row && row->state == "FIN-WAIT-2";
  });
  scene.until(kLong, [&] {
    return words_after_fin(steps_of(watch, pair), true) >= kEnoughWords &&
           both(scene, host, pair, "CLOSE-WAIT", "FIN-WAIT-2");
  });
  const auto steps = steps_of(watch, pair);
  draw(scene, host, pair, steps, "engine server", "kernel client");
  claim_one_fin(scene, steps, false);
  claim_states(scene, host, pair, "CLOSE-WAIT", "FIN-WAIT-2");
  claim_data_flows(scene, steps, false, count_of(client.output(), 'x'));
}

namespace {

// Connects, reads all the time, and at a word on its standard input sends that many octets.
constexpr const char* kBulkClient = R"(
import socket, sys, threading
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def hear():
    while connection.recv(65536): pass
threading.Thread(target=hear, daemon=True).start()
print("connected", connection.getsockname()[1], flush=True)
sys.stdin.readline()
left = int(sys.argv[3])
while left > 0: left -= connection.send(b"y" * min(left, 65536))
print("sent", flush=True)
sys.stdin.readline()
)";
constexpr std::uint32_t kBulk = 8'000'000;

std::uint32_t highest_ack(const std::vector<lab::Step>& steps, bool from_left) {
  std::uint32_t ack = 0;
  for (const lab::Step& s : steps)
    if (s.from_left == from_left) ack = std::max(ack, s.ack);
  return ack;
}
std::uint32_t smallest_window(const std::vector<lab::Step>& steps, bool from_left) {
  std::uint32_t window = UINT32_MAX;
  for (const lab::Step& s : steps)
    if (s.from_left == from_left) window = std::min(window, s.window);
  return window;
}

// What the server may send after its SHUT_RD, if nobody can tell: its own data, and nothing else until data comes.
void claim_no_trace(Scene& scene, const lab::Net& net, const Pair& pair, const std::vector<lab::Step>& steps) {
  std::size_t handshake = 0, data = 0, other = 0;
  for (const lab::Step& s : steps) {
    if (!s.from_left) continue;
    if (s.kind == lab::Kind::Syn)
      ++handshake;
    else if (s.kind == lab::Kind::Data)
      ++data;
    else
      ++other;
  }
  scene.claim(handshake == 1 && other == 0, "SHUT_RD puts nothing on the wire",
              fmt::format("wire: the server has sent its SYN, {} segments of data, and {} others", data, other));
  scene.claim(both(scene, net, pair, "ESTABLISHED", "ESTABLISHED"), "no change of state: ESTABLISHED at both ends",
              states_text(scene, net, pair));
}

// The same on the kernel alone: its window closes, because what it acknowledges stays in its queue.
void compare_with_kernel(Scene& scene, const lab::Net& net) {
  lab::Process& server = scene.python(net, "endless_server.py", "--shut-receive 0.0.0.0 5001");
  scene.await_output(server, "listening");
  const lab::Watch watch(net, "lo");
  lab::Process& client = scene.python_text(net, kBulkClient, fmt::format("127.0.0.1 5001 {}", kBulk));
  scene.await_output(client, "connected");
  client.tell("now\n");
  const Endpoint end = endpoint("127.0.0.1:5001");
  const auto closed = [&] { return smallest_window(lab::read_exchange(watch.seen(), end), true) == 0; };
  const bool held = scene.until(seconds(5), closed);
  const auto steps = lab::read_exchange(watch.seen(), end);
  scene.claim(held && !contains(client.output(), "sent"),
              "(the kernel's own server lets its window close on such a client)",
              fmt::format("wire: window {} after {} octets; its client still waits", smallest_window(steps, true),
                          highest_ack(steps, true)));
}

}  // namespace

void chapter_shut_receive(Scene& scene) {
  const lab::Net host = scene.net("host");
  scene.up(host, "--plane kernel");
  const lab::Watch watch(host, "adieu1");
  lab::Process& server =
      scene.native(host, "endless_server", fmt::format("{} --shut-receive --pace 150 --seconds 60 5000", kTun));
  scene.await_output(server, "listen");
  lab::Process& client = scene.python_text(host, kBulkClient, fmt::format("10.77.1.2 5000 {}", kBulk));
  scene.await_output(client, "connected");
  const Pair pair{"10.77.1.2:5000", "10.77.1.1:" + first_line(client.output()).substr(sizeof "connected")};
  scene.until(kLong, [&] {  // the kernel plane shows it with its next sweep
    return lab::count(steps_of(watch, pair), true, lab::Kind::Data) >= 5 &&
           both(scene, host, pair, "ESTABLISHED", "ESTABLISHED");
  });
  scene.sample(true);
  const auto quiet = steps_of(watch, pair);
  const Instant now = host::now();
  client.tell("now\n");
  const bool all = scene.until(kLong, [&] { return highest_ack(steps_of(watch, pair), true) >= kBulk + 1; });
  scene.until(kLong, [&] { return contains(client.output(), "sent"); });
  const auto steps = steps_of(watch, pair);
  draw(scene, host, pair, steps, "engine server", "kernel client", {{now, "the client begins to send 8 MB"}});
  claim_no_trace(scene, host, pair, quiet);
  scene.claim(all && smallest_window(steps, true) > 0,
              "the client's window stays open: what arrives is acknowledged and discarded",
              fmt::format("wire: {} of {} octets acknowledged, smallest window {}, segments not captured {}",
                          highest_ack(steps, true) - 1, kBulk, smallest_window(steps, true), watch.lost()));
  scene.claim(both(scene, host, pair, "ESTABLISHED", "ESTABLISHED"), "ESTABLISHED at both ends still",
              states_text(scene, host, pair));
  compare_with_kernel(scene, host);
}

}  // namespace adieu::cli
