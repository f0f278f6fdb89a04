// A script in the manner of packetdrill, as a program: calls on one side of the interface, packets on the other.
//
// What lives here: Script, which loads the adapter as packetdrill does and speaks to it as packetdrill does; Peer, the
// remote end of one connection, which is nothing but sequence numbers; OtherThread, for a call that blocks.
// What does not: any knowledge of the adapter but its interface.
#pragma once

#include <arpa/inet.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/syscall.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/limits.h"
#include "base/time.h"
#include "packetdrill/interface.h"
#include "wire/ip.h"
#include "wire/tcp.h"

namespace adieu::packetdrill {

using namespace adieu::literals;

#ifdef ADIEU_ADAPTER  // the library's file; without it the adapter is linked into this program (sanitizers)
inline decltype(&packetdrill_interface_init) load_init() {
  static void* const library = dlopen(ADIEU_ADAPTER, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | RTLD_DEEPBIND);
  if (library == nullptr) {
    ADD_FAILURE() << dlerror();
    std::abort();
  }
  return reinterpret_cast<decltype(&packetdrill_interface_init)>(dlsym(library, "packetdrill_interface_init"));
}
#else
inline decltype(&packetdrill_interface_init) load_init() { return packetdrill_interface_init; }
#endif

inline constexpr std::uint16_t kPort = 8080;
inline constexpr std::uint16_t kPeerPort = 40000;

// What left, with its octets.
struct Packet {
  Instant at;
  wire::Segment segment;  // its payload is in `data`
  std::string data;
  Address source;
  std::size_t octets = 0;
};

struct Addresses {
  Address local = Address::v4(192, 168, 0, 1);
  Address remote = Address::v4(192, 0, 2, 1);
};

class Script {
 public:
  explicit Script(const char* flags = "", const Addresses& where = {}) : addresses(where) { load_init()(flags, &i); }
  ~Script() { i.free(i.userdata); }
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;

  // --- time
  Instant now() {
    timeval time{};
    i.gettimeofday(i.userdata, &time, nullptr);
    return {seconds(time.tv_sec).ns + microseconds(time.tv_usec).ns};
  }
  void sleep(Duration span) {
    constexpr std::int64_t kMost = 1'000'000'000;
    for (std::int64_t us = span.ns / 1000; us > 0; us -= kMost) {
      i.usleep(i.userdata, static_cast<useconds_t>(std::min(us, kMost)));
    }
  }

  // --- packets
  void inject(const wire::Segment& segment) {
    std::vector<std::uint8_t> packet(limits::kPacketBytes);
    const std::size_t header = wire::ip_header_bytes(addresses.remote.family());
    const std::size_t length =
        wire::write_tcp(segment, addresses.remote, addresses.local, false, MutableBytes(packet).subspan(header));
    wire::write_ip({.source = addresses.remote, .destination = addresses.local}, length, packet);
    ASSERT_EQ(i.netdev_send(i.userdata, packet.data(), header + length), 0);
  }
  // The next packet that leaves, however long that takes; nullopt: there will be none.
  std::optional<Packet> next() {
    std::vector<std::uint8_t> octets(limits::kPacketBytes);
    std::size_t count = octets.size();
    long long us = 0;
    EXPECT_EQ(i.netdev_receive(i.userdata, octets.data(), &count, &us), 0);
    if (count == 0) return std::nullopt;
    const auto ip = wire::parse_ip(Bytes(octets).first(count));
    EXPECT_TRUE(ip) << "no IP packet";
    const auto segment = ip ? wire::parse_tcp(*ip, {}) : std::unexpected(ip.error());
    EXPECT_TRUE(segment) << "no TCP segment, or its checksum is wrong";
    if (!segment) return std::nullopt;
    Packet packet{{us * 1000}, *segment, {}, ip->source, count};
    packet.data.assign(segment->payload.begin(), segment->payload.end());
    packet.segment.payload = {};
    return packet;
  }
  // The next one, which must be there.
  Packet expect() {
    const auto packet = next();
    EXPECT_TRUE(packet) << "nothing left";
    return packet.value_or(Packet{});
  }

  // --- addresses
  sockaddr_storage address(const Address& a, std::uint16_t port) const {
    sockaddr_storage storage{};
    if (a.family() == Family::V4) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port);
      std::memcpy(&v4.sin_addr, &a.octets[12], 4);
      std::memcpy(&storage, &v4, sizeof v4);
    } else {
      sockaddr_in6 v6{};
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port);
      std::memcpy(&v6.sin6_addr, a.octets.data(), 16);
      std::memcpy(&storage, &v6, sizeof v6);
    }
    return storage;
  }
  int domain() const { return addresses.local.family() == Family::V4 ? AF_INET : AF_INET6; }
  socklen_t address_length() const { return domain() == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6); }

  // --- calls that most scripts begin with
  int socket(int modes = 0) { return i.socket(i.userdata, domain(), SOCK_STREAM | modes, IPPROTO_TCP); }
  int bind(int fd, std::uint16_t port) {
    Address any = addresses.local;
    any.octets.fill(0);
    if (domain() == AF_INET) any = Address::v4(0, 0, 0, 0);
    const auto local = address(any, port);
    return i.bind(i.userdata, fd, reinterpret_cast<const sockaddr*>(&local), address_length());
  }
  int connect(int fd, std::uint16_t port = kPort) {
    const auto remote = address(addresses.remote, port);
    return i.connect(i.userdata, fd, reinterpret_cast<const sockaddr*>(&remote), address_length());
  }
  int listener(int modes = 0) {
    const int fd = socket(modes);
    EXPECT_EQ(bind(fd, kPort), 0);
    EXPECT_EQ(i.listen(i.userdata, fd, 5), 0);
    return fd;
  }
  int accept(int fd) { return i.accept(i.userdata, fd, nullptr, nullptr); }
  ssize_t write(int fd, std::string_view text) { return i.write(i.userdata, fd, text.data(), text.size()); }
  // What recv() gives; "!" and an errno's name where it fails.
  std::string recv(int fd, int flags = 0, std::size_t most = 65536) {
    std::string text(most, '\0');
    const ssize_t n = i.recv(i.userdata, fd, text.data(), text.size(), flags);
    if (n < 0) return std::string("!") + strerrorname_np(errno);
    text.resize(static_cast<std::size_t>(n));
    return text;
  }
  int close(int fd) { return i.close(i.userdata, fd); }
  int shutdown(int fd, int how) { return i.shutdown(i.userdata, fd, how); }
  int option(int fd, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    EXPECT_EQ(i.getsockopt(i.userdata, fd, level, name, &value, &length), 0) << strerrorname_np(errno);
    return value;
  }
  template <typename Value>
  int set_option(int fd, int level, int name, const Value& value) {
    return i.setsockopt(i.userdata, fd, level, name, &value, sizeof value);
  }
  int error(int fd) { return option(fd, SOL_SOCKET, SO_ERROR); }
  short poll(int fd, short events, int timeout_ms = 0) {
    pollfd entry{fd, events, 0};
    const int count = i.poll(i.userdata, &entry, 1, timeout_ms);
    EXPECT_EQ(count, entry.revents != 0 ? 1 : 0);
    return entry.revents;
  }
  int queued(int fd, unsigned long request) {
    int value = -1;
    EXPECT_EQ(i.ioctl(i.userdata, fd, request, &value), 0);
    return value;
  }

  packetdrill_interface i{};
  Addresses addresses;
};

// The other end of a connection.
class Peer {
 public:
  Peer(Script& s, std::uint16_t local_port, std::uint16_t remote_port)
      : script(s), local(local_port), remote(remote_port) {}

  wire::Segment segment() const {
    wire::Segment s;
    s.source_port = remote;
    s.destination_port = local;
    s.seq = seq;
    s.ack_flag = true;
    s.ack = ack;
    s.window = window;
    return s;
  }
  void send(const wire::Segment& s) {
    script.inject(s);
    seq = later(seq, s.end());
  }
  void sends(std::string_view text) {
    wire::Segment s = segment();
    s.payload = {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
    s.psh = true;
    send(s);
  }
  void sends_fin() {
    wire::Segment s = segment();
    s.fin = true;
    send(s);
  }
  void sends_syn(bool with_ack) {
    wire::Segment s = segment();
    s.syn = true;
    s.ack_flag = with_ack;
    s.mss = 1000;
    send(s);
  }
  void acknowledges() { send(segment()); }
  void resets(std::int32_t beyond = 0) {
    wire::Segment s = segment();
    s.rst = true;
    s.seq = seq + static_cast<std::uint32_t>(beyond);
    script.inject(s);
  }
  // Takes the next packet, and all that it says, into account.
  Packet hears() {
    Packet packet = script.expect();
    EXPECT_EQ(packet.segment.source_port, local);
    EXPECT_EQ(packet.segment.destination_port, remote);
    const auto length = packet.segment.length() + static_cast<std::uint32_t>(packet.data.size());
    ack = packet.segment.syn ? packet.segment.seq + length : later(ack, packet.segment.seq + length);
    return packet;
  }
  Packet hears_ack() {
    Packet packet = hears();
    EXPECT_TRUE(packet.segment.ack_flag && !packet.segment.syn && !packet.segment.fin && !packet.segment.rst);
    EXPECT_EQ(packet.data, "");
    EXPECT_EQ(packet.segment.ack, seq);
    return packet;
  }
  Packet hears_data(std::string_view text) {
    Packet packet = hears();
    EXPECT_EQ(packet.data, text);
    return packet;
  }
  Packet hears_fin() {
    Packet packet = hears();
    EXPECT_TRUE(packet.segment.fin);
    EXPECT_EQ(packet.data, "");
    return packet;
  }
  Packet hears_reset() {
    const Packet packet = script.expect();
    EXPECT_TRUE(packet.segment.rst);
    return packet;
  }
  void hears_nothing() {
    const auto packet = script.next();
    EXPECT_FALSE(packet) << "flags: " << (packet->segment.syn ? "S" : "") << (packet->segment.fin ? "F" : "")
                         << (packet->segment.rst ? "R" : "") << " data: " << packet->data;
  }
  // The peer opens; `listener` is accepted from.
  int opens(int listener) {
    sends_syn(false);
    const Packet answer = hears();
    EXPECT_TRUE(answer.segment.syn && answer.segment.ack_flag);
    acknowledges();
    const int fd = script.accept(listener);
    EXPECT_GE(fd, 0);
    return fd;
  }

  Script& script;
  std::uint16_t local;
  std::uint16_t remote;
  Seq seq{1000};
  Seq ack{};
  std::uint16_t window = 10000;
};

// A second thread, in a call that blocks: made, it sleeps in it, as packetdrill makes sure before it goes on.
class OtherThread {
 public:
  explicit OtherThread(std::function<void()> work)
      : thread_([this, work = std::move(work)] {
          id_ = static_cast<pid_t>(syscall(SYS_gettid));
          work();
          done_ = true;
        }) {
    while (!done_ && !is_asleep()) std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  ~OtherThread() {
    if (thread_.joinable()) thread_.join();
  }
  bool done() const { return done_; }
  void join() { thread_.join(); }

 private:
  bool is_asleep() const {
    if (id_ == 0) return false;
    std::ifstream stat("/proc/self/task/" + std::to_string(id_) + "/stat");
    std::string text;
    std::getline(stat, text);
    const auto after_name = text.rfind(')');
    return after_name != std::string::npos && text.size() > after_name + 2 && text[after_name + 2] == 'S';
  }
  std::atomic<pid_t> id_{0};
  std::atomic<bool> done_{false};
  std::thread thread_;
};

// Each story costs well under a second, whatever virtual time passes in it.
class Adapter : public testing::Test {
 protected:
  void TearDown() override {
#ifdef ADIEU_ADAPTER
    EXPECT_LT(std::chrono::steady_clock::now() - start_, std::chrono::seconds(1));
#endif
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace adieu::packetdrill
