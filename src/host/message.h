// What goes over the supervisor's socket: one fixed structure, with descriptors beside it.
//
// What lives here: Message, the ends of a SOCK_SEQPACKET socket, peer credentials. What does not: who answers what
// (supervisor.h), who asks (plane_link.h, client.h, control_process.h).
//
// Both ends are on one host and of one user, and of one version: a message of another version or size is answered with
// Refused and a sentence, and the socket is closed. Nothing in a message is trusted: text is cut at its end,
// enumerations are checked by whoever reads them, descriptors that nobody asked for are closed.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/descriptor.h"
#include "host/failure.h"
#include "plane/table.h"

namespace adieu::host {

inline constexpr std::uint32_t kProtocolMagic = 0x65696461;  // "adie"
inline constexpr std::uint16_t kProtocolVersion = 1;
inline constexpr std::size_t kMostDescriptors = 4;

enum class MessageKind : std::uint16_t {
  // to the supervisor
  RegisterPlane =
      1,        // incarnation, plane_kind, child, name; descriptors: table, control block, wake_plane, wake_control
  Attend = 2,   // the control plane asks for all planes, now and as they come
  Read = 3,     // ls, why: all planes, then EndOfList, once
  Goodbye = 4,  // this end stops in good order: a plane that says it has not failed
  // from the supervisor
  Welcome = 16,     // process: the supervisor's; text: its run directory
  Refused = 17,     // text says why; the socket is closed after it
  Plane = 18,       // as registered; to control all four descriptors, to readers two read-only ones
  PlaneEnded = 19,  // incarnation; failed: it died without a goodbye
  EndOfList = 20,   // process: the control plane's, 0 when there is none
  Stop = 21,        // end in good order
  Reload = 22,      // to control: read the policy's file again
};

struct Message {
  std::uint32_t magic = kProtocolMagic;
  std::uint16_t version = kProtocolVersion;
  MessageKind kind = MessageKind::Goodbye;
  std::uint64_t incarnation = 0;
  std::uint32_t process = 0;
  plane::PlaneKind plane_kind = plane::PlaneKind::Engine;
  std::uint8_t child = 0;   // started by `adieu up`; others carry their engine in their own process
  std::uint8_t failed = 0;  // the plane is dead; what stands in its table is its last word
  std::uint8_t unused = 0;
  std::array<char, 40> name{};
  std::array<char, 192> text{};
};
static_assert(sizeof(Message) == 256);

std::string text_of(std::span<const char> field);
void set_text(std::span<char> field, std::string_view text);

struct Received {
  Message message;
  std::vector<Descriptor> descriptors;
};

enum class ReceiveTrouble : std::uint8_t { Nothing, Closed, Malformed };
struct NotReceived {
  ReceiveTrouble trouble = ReceiveTrouble::Nothing;
  std::string text;  // Malformed: why, for the one who sent it
};

// Who is at the other end, as the kernel says (SO_PEERCRED).
struct Peer {
  pid_t process = 0;
  uid_t user = 0;
};
Result<Peer> peer_of(int socket);

// A listening socket at `path`, for this user alone. Whatever stood there is gone: the caller holds supervisor.lock.
Result<Descriptor> listen_at(const std::string& path);
// Nobody listens there: an error with errno in `number`, if wanted.
Result<Descriptor> connect_to(const std::string& path, int* number = nullptr);
// False: not now, the socket is full; the message was not sent. An error: the other end is gone.
Result<bool> send_message(int socket, const Message& message, std::span<const int> descriptors = {});
std::expected<Received, NotReceived> receive_message(int socket);
// Waits for one at most `limit`; for clients, which have nothing else to do.
Result<Received> await_message(int socket, Duration limit);

}  // namespace adieu::host
