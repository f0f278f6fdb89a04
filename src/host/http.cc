// cpp-httplib reads requests and writes responses; who may connect, how many and for how long is decided here.
#include "host/http.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <httplib.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>

#include "base/assert.h"
#include "host/clock.h"
#include "host/descriptor.h"
#include "host/log.h"
#include "host/message.h"
#include "host/poller.h"
#include "host/text.h"

namespace adieu::host {
namespace {

// From the first octet to the last: a request is short, and comes from this host.
constexpr Duration kRequestLimit = seconds(5);
// An answer that finds no reader for so long is given up.
constexpr Duration kReaderLimit = seconds(5);
constexpr Duration kRetry = seconds(1);
// Of a client, between two looks for somebody who listens.
constexpr Duration kNobodyThere = milliseconds(50);
constexpr std::size_t kHeaderOctets = std::size_t{16} << 10;
// httplib matches paths by std::regex, which recurses once a character.
constexpr std::size_t kLongestPath = 1024;

bool wait_for(int descriptor, short events, Instant until) {
  for (;;) {
    const std::int64_t left = (until - now()).milliseconds();
    pollfd waiting{descriptor, events, 0};
    const int ready = ::poll(&waiting, 1, left <= 0 ? 0 : static_cast<int>(left) + 1);
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

// A socket as httplib reads and writes it, with bounds of its own.
class SocketStream final : public httplib::Stream {
 public:
  SocketStream(int socket, std::uint32_t user) : socket_(socket), user_(user), until_(now() + kRequestLimit) {}

  bool is_readable() const override { return at_ < filled_ || wait_for(socket_, POLLIN, until_); }
  // Asked before each part of a stream: a reader that has hung up is noticed although there is nothing to write.
  bool is_writable() const override {
    pollfd waiting{socket_, POLLOUT | POLLRDHUP, 0};
    return ::poll(&waiting, 1, static_cast<int>(kReaderLimit.milliseconds())) == 1 && waiting.revents == POLLOUT;
  }
  // One octet a call is httplib's habit, so they are taken from the kernel by the buffer.
  ssize_t read(char* to, std::size_t size) override {
    if (at_ == filled_) {
      if (total_ >= kMostRequestOctets + kHeaderOctets || !wait_for(socket_, POLLIN, until_)) return -1;
      const ssize_t got = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (got <= 0) return got;
      at_ = 0;
      filled_ = static_cast<std::size_t>(got);
      total_ += filled_;
    }
    const std::size_t part = std::min(size, filled_ - at_);
    std::memcpy(to, buffer_.data() + at_, part);
    at_ += part;
    return static_cast<ssize_t>(part);
  }
  ssize_t write(const char* from, std::size_t size) override {
    for (std::size_t done = 0; done < size;) {
      const ssize_t sent = ::send(socket_, from + done, size - done, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0)
        done += static_cast<std::size_t>(sent);
      else if (sent < 0 && errno != EINTR && (errno != EAGAIN || !wait_for(socket_, POLLOUT, now() + kReaderLimit)))
        return -1;
    }
    return static_cast<ssize_t>(size);
  }
  // What httplib calls the remote port carries the user: there is no better place in its Request.
  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip = "here";
    port = static_cast<int>(user_);
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    ip = "here";
    port = 0;
  }
  socket_t socket() const override { return socket_; }

 private:
  int socket_;
  std::uint32_t user_;
  Instant until_;
  std::array<char, 4096> buffer_{};
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
  std::size_t total_ = 0;
};

// In a time that does not tell how much of it was right.
bool same(std::string_view a, std::string_view b) {
  bool differ = a.size() != b.size();
  for (std::size_t i = 0; i < a.size(); ++i) differ |= b.empty() || a[i] != b[i % b.size()];
  return !differ;
}

// Requests of one door, parsed and handed on.
class Parser final : public httplib::Server {
 public:
  // `token`: what each request must bring; empty: none.
  Parser(HttpHandler& handler, std::string token) : handler_(handler), token_(std::move(token)) {
    set_payload_max_length(kMostRequestOctets);
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      const auto [status, sentence] = objection(request);
      if (status == 0) return HandlerResponse::Unhandled;
      put(handler_.trouble(status, sentence), response);
      return HandlerResponse::Handled;
    });
    const auto serve = [this](const httplib::Request& request, httplib::Response& response) {
      put(handler_.answer(translated(request)), response);
    };
    Get(".*", serve);
    Post(".*", serve);
    set_exception_handler([this](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
      put(handler_.trouble(500, "an internal error: see the log of `adieu up`"), response);
    });
    set_error_handler([this](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty()) put(handler_.trouble(response.status, explanation(response.status)), response);
    });
  }

  // While this is not called with false, streams go on. httplib looks at this member alone.
  void run(bool on) { svr_sock_ = on ? 0 : INVALID_SOCKET; }
  void serve(int socket, std::uint32_t user) {
    SocketStream stream(socket, user);
    bool closed = false;
    // Compression would hold back a stream's parts; nobody needs a part of an answer.
    process_request(stream, true, closed, [](httplib::Request& request) {
      request.headers.erase("Accept-Encoding");
      request.ranges.clear();
      // It means no body (RFC 9112 section 6.3); httplib would wait for the end of the stream.
      if (!request.has_header("Content-Length")) request.set_header("Content-Length", "0");
    });
  }

 private:
  static std::string_view explanation(int status) {
    if (status == 413) return "a request has at most 64 KiB";
    if (status == 414) return "the address is too long";
    return "this is no request that can be understood";
  }

  std::pair<int, const char*> objection(const httplib::Request& request) const {
    constexpr std::string_view kScheme = "Bearer ";
    const std::string given = request.get_header_value("Authorization");
    if (!token_.empty() && (!given.starts_with(kScheme) || !same(token_, given.substr(kScheme.size()))))
      return {401, "say the token: Authorization: Bearer TOKEN (it stands in the file given to --http-token-file)"};
    if (request.method != "GET" && request.method != "HEAD" && request.method != "POST")
      return {405, "only GET and POST are answered"};
    if (request.path.size() > kLongestPath) return {414, "the path is too long"};
    // Two readers of one request must not take two lengths for true.
    const std::string length = request.get_header_value("Content-Length");
    if (request.get_header_value_count("Content-Length") > 1) return {400, "give one Content-Length, not several"};
    if (request.has_header("Content-Length") &&
        (length.empty() || length.find_first_not_of("0123456789") != std::string::npos))
      return {400, "Content-Length is a number of octets"};
    // Its length is not known before it is read, or not before it is unpacked.
    if (request.has_header("Transfer-Encoding") || request.has_header("Content-Encoding"))
      return {411, "send the body as it is, with its Content-Length"};
    return {0, ""};
  }

  static HttpRequest translated(const httplib::Request& request) {
    HttpRequest out;
    out.method = request.method == "HEAD" ? "GET" : request.method;
    out.path = request.path;
    out.body = request.body;
    out.last_event_id = request.get_header_value("Last-Event-ID");
    for (const auto& [name, value] : request.params) out.query.emplace_back(name, value);
    out.user = static_cast<std::uint32_t>(request.remote_port);
    return out;
  }

  static void put(HttpResponse from, httplib::Response& to) {
    to.status = from.status;
    to.set_header("Cache-Control", "no-store");
    if (from.status == 401) to.set_header("WWW-Authenticate", "Bearer");
    if (from.stream == nullptr) return to.set_content(from.body, from.type);
    const std::shared_ptr<HttpStream> stream = std::move(from.stream);
    to.set_chunked_content_provider(from.type, [stream](std::size_t, httplib::DataSink& sink) {
      if (!sink.is_writable()) return false;
      std::string part;
      const bool more = stream->next(part);
      if (!part.empty() && !sink.write(part.data(), part.size())) return false;
      if (!more) sink.done();
      return true;
    });
  }

  HttpHandler& handler_;
  std::string token_;
};

Result<Descriptor> listen_at_path(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return failed(fmt::format("the path {} is longer than a unix socket allows", path));
  std::memcpy(address.sun_path, path.data(), path.size());
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return failed_by_system("making a unix socket", errno);
  ::unlink(path.c_str());
  // Nobody can connect before listen(), so the mode is right in time; the umask belongs to all threads.
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
    return failed_by_system("binding " + path, errno);
  if (::chmod(path.c_str(), 0600) < 0) return failed_by_system("closing " + path + " to others", errno);
  if (::listen(socket.get(), 64) < 0) return failed_by_system("listening at " + path, errno);
  return socket;
}

Result<Descriptor> listen_on(const Endpoint& endpoint) {
  const bool v4 = endpoint.address.family() == Family::V4;
  sockaddr_storage storage{};
  socklen_t length = 0;
  if (v4) {
    auto& address = reinterpret_cast<sockaddr_in&>(storage);
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    std::memcpy(&address.sin_addr, endpoint.address.octets.data() + 12, 4);
    length = sizeof address;
  } else {
    auto& address = reinterpret_cast<sockaddr_in6&>(storage);
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(endpoint.port);
    std::memcpy(&address.sin6_addr, endpoint.address.octets.data(), 16);
    length = sizeof address;
  }
  Descriptor socket(::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return failed_by_system("making a socket", errno);
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool is_bound = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0;
  if (is_bound && ::listen(socket.get(), 64) == 0) return socket;
  if (errno == EADDRINUSE)
    return failed(
        fmt::format("another program serves port {} already (`ss -ltnp sport = :{}` names it): end that one, or start "
                    "`adieu up` with another port for --http",
                    endpoint.port, endpoint.port));
  return failed_by_system("binding it", errno);
}

std::string canned(int status, std::string_view reason, const HttpResponse& response) {
  return fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", status,
                     reason, response.type, response.body.size(), response.body);
}

// A socket that is closed over octets nobody has read resets the connection, and the answer may be lost with it.
void close_gently(int socket) {
  ::shutdown(socket, SHUT_WR);
  std::array<char, 4096> rest{};
  const Instant until = now() + milliseconds(300);
  for (std::size_t total = 0; total < kMostRequestOctets && wait_for(socket, POLLIN, until);) {
    const ssize_t got = ::recv(socket, rest.data(), rest.size(), MSG_DONTWAIT);
    if (got <= 0) return;
    total += static_cast<std::size_t>(got);
  }
}

}  // namespace

const std::string* HttpRequest::parameter(std::string_view name) const {
  for (const auto& [key, value] : query)
    if (key == name) return &value;
  return nullptr;
}

const std::string* HttpRequest::odd_parameter(std::initializer_list<std::string_view> known) const {
  for (const auto& [given, value] : query)
    if (std::ranges::find(known, given) == known.end() || parameter(given) != &value) return &given;
  return nullptr;
}

Result<std::string> read_token(const std::string& file) {
  const Descriptor opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!opened) return failed_by_system("reading the token " + file, errno);
  struct stat facts{};
  if (::fstat(opened.get(), &facts) < 0 || !S_ISREG(facts.st_mode))
    return failed(fmt::format("the token {} is no regular file", file));
  if (facts.st_uid != ::geteuid() && facts.st_uid != 0)
    return failed(fmt::format("the token {} belongs to another user", file));
  if ((facts.st_mode & 07177) != 0)
    return failed(fmt::format("the token {} can be read or written by others: chmod 600 {}", file, file));
  std::array<char, 4096> octets{};
  const ssize_t got = ::read(opened.get(), octets.data(), octets.size());
  if (got < 0) return failed_by_system("reading the token " + file, errno);
  std::string_view token(octets.data(), static_cast<std::size_t>(got));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.remove_suffix(1);
  if (token.size() < 16 || token.size() > 512)
    return failed(fmt::format("the token in {} has {} octets: it must have 16 to 512; head -c 32 /dev/urandom | base64",
                              file, token.size()));
  for (const char c : token)
    if (c <= 0x20 || c >= 0x7f)
      return failed(fmt::format("the token in {} must be one word of printable ASCII characters", file));
  return std::string(token);
}

Result<void> check_loopback(const Endpoint& endpoint) {
  if (!endpoint.address.is_loopback())
    return failed(
        fmt::format("{} is no loopback address: the API speaks plain HTTP, so it is served at 127.0.0.1 or [::1] only; "
                    "put a proxy with TLS before it for others",
                    text(endpoint)));
  if (endpoint.port < 1024)
    return failed("--http needs a port from 1024 up: the control plane keeps no right to a lower one");
  return {};
}

// --- the server

class HttpServer::Impl {
 public:
  Impl(HttpDoors doors, HttpHandler& handler)
      : handler_(handler),
        own_user_(::geteuid()),
        stop_(make_bell()),
        doors_{Door(handler, ""), Door(handler, doors.token)} {
    ADIEU_ASSERT(!doors.loopback || !doors.token.empty());
    path_ = doors.socket;
    doors_[0].address = doors.socket;
    doors_[0].open = [path = doors.socket] { return listen_at_path(path); };
    if (doors.loopback) {
      doors_[1].address = "http://" + text(*doors.loopback);
      doors_[1].open = [at = *doors.loopback] { return listen_on(at); };
    }
    for (Door& door : doors_) door.parser.run(true);
    thread_ = std::thread([this] { accept_all(); });
  }

  ~Impl() {
    ring(stop_.get());
    thread_.join();
    std::unique_lock lock(mutex_);
    for (Door& door : doors_) {
      door.parser.run(false);
      for (const int socket : door.sockets) ::shutdown(socket, SHUT_RDWR);
    }
    all_gone_.wait(lock, [&] { return doors_[0].sockets.empty() && doors_[1].sockets.empty(); });
    if (doors_[0].listener) ::unlink(path_.c_str());
  }

 private:
  struct Door {
    Door(HttpHandler& handler, const std::string& token) : parser(handler, token) {}
    Parser parser;
    std::string address;
    std::function<Result<Descriptor>()> open;  // empty: this door is not wanted
    Descriptor listener;
    std::set<int> sockets;  // of those who are inside
    OnceLog log;
  };

  void accept_all() {
    for (;;) {
      std::array<pollfd, 3> waiting{{{stop_.get(), POLLIN, 0}, {-1, POLLIN, 0}, {-1, POLLIN, 0}}};
      bool all_open = true;
      for (std::size_t i = 0; i < doors_.size(); ++i) {
        all_open = try_to_open(doors_[i]) && all_open;
        waiting[i + 1].fd = doors_[i].listener.get();
      }
      ::poll(waiting.data(), waiting.size(), all_open ? -1 : static_cast<int>(kRetry.milliseconds()));
      if (waiting[0].revents != 0) return;
      for (std::size_t i = 0; i < doors_.size(); ++i)
        if (waiting[i + 1].revents != 0) let_in(i);
    }
  }

  static bool try_to_open(Door& door) {
    if (door.listener || !door.open) return true;
    auto listener = door.open();
    if (!listener) {
      door.log.warn("door", fmt::format("the API is not served at {}, which is tried again every second: {}",
                                        door.address, listener.error().text));
      return false;
    }
    door.log.over("door", fmt::format("the API is served at {}", door.address));
    door.listener = std::move(*listener);
    return true;
  }

  void let_in(std::size_t index) {
    Door& door = doors_[index];
    Descriptor socket(::accept4(door.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) {
      // Out of descriptors: the one that waits would be reported at once, again and again.
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) ::usleep(100'000);
      return;
    }
    std::uint32_t user = own_user_;
    if (index == 0) {
      const auto peer = peer_of(socket.get());
      if (!peer || (peer->user != 0 && peer->user != own_user_))
        return turn_away(std::move(socket), 403, "Forbidden",
                         "only root and the user who runs `adieu up` are answered");
      user = peer->user;
    }
    const std::unique_lock lock(mutex_);
    if (door.sockets.size() >= kMostHttpConnections)
      return turn_away(std::move(socket), 503, "Service Unavailable",
                       "too many are being served: try again in a moment");
    try {
      std::thread([this, &door, number = socket.get(), user] { serve(door, number, user); }).detach();
    } catch (const std::system_error&) {
      return turn_away(std::move(socket), 503, "Service Unavailable",
                       "no thread can be started: try again in a moment");
    }
    door.sockets.insert(socket.release());
  }

  // A fresh socket's buffer has room for this; whoever does not read it does not hold the others up. It stays open for
  // a while: who is still writing a request would else find a broken pipe, and no reason.
  void turn_away(Descriptor socket, int status, std::string_view reason, std::string_view sentence) {
    const std::string all = canned(status, reason, handler_.trouble(status, sentence));
    ::send(socket.get(), all.data(), all.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    ::shutdown(socket.get(), SHUT_WR);
    turned_away_[next_turned_away_++ % turned_away_.size()] = std::move(socket);
  }

  void serve(Door& door, int number, std::uint32_t user) {
    Descriptor socket(number);
    try {
      door.parser.serve(number, user);
      close_gently(number);
    } catch (const std::exception& error) {
      log_error(fmt::format("a request failed: {}", error.what()));
    }
    const std::unique_lock lock(mutex_);
    door.sockets.erase(number);
    socket.reset();
    all_gone_.notify_all();
  }

  HttpHandler& handler_;
  std::string path_;
  std::uint32_t own_user_;
  Descriptor stop_;
  std::array<Door, 2> doors_;  // the socket's, and loopback's
  std::mutex mutex_;           // over `sockets`
  std::condition_variable all_gone_;
  std::array<Descriptor, 16> turned_away_;  // the latest
  std::size_t next_turned_away_ = 0;
  std::thread thread_;
};

HttpServer::HttpServer(HttpDoors doors, HttpHandler& handler)
    : impl_(std::make_unique<Impl>(std::move(doors), handler)) {}
HttpServer::~HttpServer() = default;

// --- the client

namespace {

using Request = std::function<httplib::Result(httplib::ClientImpl&)>;

// nullopt: nobody listens at the socket, and nothing was sent.
std::optional<httplib::Result> try_once(const std::string& socket, Duration limit, const Request& request) {
  if (::access(socket.c_str(), F_OK) < 0) return std::nullopt;
  httplib::ClientImpl client(socket, 80);
  client.set_address_family(AF_UNIX);
  client.set_connection_timeout(limit.ns / 1'000'000'000);
  client.set_read_timeout(limit.ns / 1'000'000'000, limit.ns % 1'000'000'000 / 1000);
  httplib::Result result = request(client);
  if (!result && result.error() == httplib::Error::Connection) return std::nullopt;
  return result;
}

// `again`: it may be sent twice; whoever dies with it unanswered is no reason to give up. `otherwise`: what is to be
// said where it was sent and not answered.
Result<HttpAnswer> ask(const std::string& socket, Duration limit, Duration patience, bool again,
                       std::string_view otherwise, const Request& request) {
  const Instant began = now();
  for (;;) {
    if (::access(socket.c_str(), R_OK | W_OK) < 0 && (errno == EACCES || errno == EPERM))
      return failed(
          fmt::format("{} may not be used by this user: only root and the user who runs `adieu up` may", socket));
    const Instant asked = now();
    const auto result = try_once(socket, limit, request);
    const bool is_broken = result && !*result && now() - asked < limit;
    if ((!result || (again && is_broken)) && asked - began < patience) {
      ::usleep(static_cast<useconds_t>(kNobodyThere.ns / 1000));
      continue;
    }
    if (!result) return HttpAnswer{};
    if (*result) return HttpAnswer{(*result)->status, (*result)->body};
    const std::string span = is_broken ? "" : fmt::format(" within {}", text(limit));
    return failed(
        fmt::format("the control plane at {} was asked, and has not answered{}: {}", socket, span, otherwise));
  }
}

const httplib::Headers kHeaders{{"Host", "localhost"}};

}  // namespace

Result<HttpAnswer> http_get(const std::string& socket, const std::string& target, Duration limit, Duration patience) {
  return ask(socket, limit, patience, true, "nothing was ordered",
             [&](httplib::ClientImpl& client) { return client.Get(target, kHeaders); });
}

Result<HttpAnswer> http_post(const std::string& socket, const std::string& target, const std::string& body,
                             Duration limit, Duration patience) {
  return ask(socket, limit, patience, false, "the order was sent and may still be carried out; `adieu log` tells",
             [&](httplib::ClientImpl& client) { return client.Post(target, kHeaders, body, "application/json"); });
}

std::string url_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~' || c == '/';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace adieu::host
