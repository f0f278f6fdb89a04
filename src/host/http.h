// HTTP/1.1 over a unix socket, and over loopback where that is wanted: who may come in, and bytes <-> requests.
//
// What lives here: HttpServer with its two doors, HttpClient. What does not: what is answered (api_server.h). http.cc
// alone knows cpp-httplib.
//
// The unix socket has mode 0600, and the kernel is asked who is at the other end (SO_PEERCRED): only root and the user
// of this process are heard. Loopback is open to every user of the host, so a token is asked of each request there.
//
// Everything is bounded: connections at a time, by door; the octets and the time of a request; how long an answer may
// find no reader. A connection carries one request. A stream is asked for more only once its reader took the last.
//
// Threads: one that accepts, one a connection. HttpHandler::answer() and HttpStream::next() run in the latter.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "host/failure.h"

namespace adieu::host {

inline constexpr std::size_t kMostRequestOctets = std::size_t{64} << 10;
inline constexpr unsigned kMostHttpConnections = 32;  // at one door

struct HttpRequest {
  std::string method;  // GET or POST
  std::string path;    // decoded
  std::string body;
  std::string last_event_id;  // empty: none was given
  std::vector<std::pair<std::string, std::string>> query;
  std::uint32_t user = 0;  // who asks (a uid); through a token: the user of this process

  const std::string* parameter(std::string_view name) const;
  // The first one that is not `known`, or is given twice.
  const std::string* odd_parameter(std::initializer_list<std::string_view> known) const;
};

// A response without an end. Destroyed once its reader is gone.
class HttpStream {
 public:
  virtual ~HttpStream() = default;
  // Waits a second at the most; what is new is appended to `out`, which is empty. False: no more will come.
  virtual bool next(std::string& out) = 0;
};

struct HttpResponse {
  int status = 200;
  std::string type = "application/json";
  std::string body;
  std::unique_ptr<HttpStream> stream;  // instead of a body
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  virtual HttpResponse answer(const HttpRequest& request) = 0;
  // How an error of HTTP itself is told.
  virtual HttpResponse trouble(int status, std::string_view sentence) = 0;
};

struct HttpDoors {
  std::string socket;                // path of the unix socket
  std::optional<Endpoint> loopback;  // none: no TCP at all
  std::string token;                 // for loopback
};
// A secret of at least 16 octets, in a file that only its owner reads.
Result<std::string> read_token(const std::string& file);
// Loopback and nothing else.
Result<void> check_loopback(const Endpoint& endpoint);

class HttpServer {
 public:
  // Serves until it is destroyed. A door that cannot be opened is said and tried again every second. `handler` outlives
  // the server.
  HttpServer(HttpDoors doors, HttpHandler& handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

inline constexpr int kNobodyListens = 0;
struct HttpAnswer {
  int status = kNobodyListens;
  std::string body;
};
// One request to a unix socket. `limit`: for the answer to begin. `patience`: while nobody listens there, and so
// nothing was sent, it is tried again for so long (then: kNobodyListens); a GET also when whoever had taken it died.
Result<HttpAnswer> http_get(const std::string& socket, const std::string& target, Duration limit,
                            Duration patience = {});
Result<HttpAnswer> http_post(const std::string& socket, const std::string& target, const std::string& body,
                             Duration limit, Duration patience = {});
// `text` as it stands in the query of a target.
std::string url_encoded(std::string_view text);

}  // namespace adieu::host
