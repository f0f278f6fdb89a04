// Making the seam's memory, and registering it again and again.
#include "host/plane_link.h"

#include <unistd.h>

#include "host/log.h"

namespace adieu::host {
namespace {

constexpr Duration kRetry = milliseconds(200);
constexpr Duration kRetryRefused = seconds(2);

}  // namespace

Result<SeamMemory> SeamMemory::make(const plane::Capacity& capacity) {
  SeamMemory seam;
  const std::size_t table_bytes = plane::table_bytes(capacity);
  const std::size_t control_bytes = plane::control_block_bytes();
  auto table = make_shared("adieu-table", table_bytes);
  if (!table) return std::unexpected(table.error());
  auto control = make_shared("adieu-control", control_bytes);
  if (!control) return std::unexpected(control.error());
  auto table_mapping = Mapping::of(table->get(), table_bytes, Mapping::Access::Write);
  if (!table_mapping) return std::unexpected(table_mapping.error());
  auto control_mapping = Mapping::of(control->get(), control_bytes, Mapping::Access::Read);
  if (!control_mapping) return std::unexpected(control_mapping.error());
  if (auto sealed = seal_for_one_writer(table->get()); !sealed) return std::unexpected(sealed.error());
  auto read_only = reopen_read_only(table->get());
  if (!read_only) return std::unexpected(read_only.error());
  seam.table_file_ = std::move(*read_only);
  seam.control_file_ = std::move(*control);
  seam.table_ = std::move(*table_mapping);
  seam.control_ = std::move(*control_mapping);
  seam.wake_plane_ = make_bell();
  seam.wake_control_ = make_bell();
  return seam;
}

PlaneLink::PlaneLink(const RunDir& run_dir, const SeamMemory& seam, PlaneIdentity identity, Poller& poller,
                     std::uint64_t token)
    : path_(run_dir.socket()), seam_(seam), identity_(std::move(identity)), poller_(poller), token_(token) {}

void PlaneLink::advance(Instant now) {
  if (connected() || now < retry_at_ || stop_) return;
  retry_at_ = now + kRetry;
  auto socket = connect_to(path_);
  if (!socket) return;
  Message hello;
  hello.kind = MessageKind::RegisterPlane;
  hello.incarnation = identity_.incarnation;
  hello.process = static_cast<std::uint32_t>(::getpid());
  hello.plane_kind = identity_.kind;
  hello.child = identity_.child ? 1 : 0;
  set_text(hello.name, identity_.name);
  const auto descriptors = seam_.descriptors();
  const auto sent = send_message(socket->get(), hello, descriptors);
  if (!sent || !*sent) return;
  socket_ = std::move(*socket);
  poller_.add(socket_.get(), token_);
}

void PlaneLink::input(Instant now) {
  while (connected()) {
    const auto received = receive_message(socket_.get());
    if (!received) {
      if (received.error().trouble == ReceiveTrouble::Nothing) return;
      if (received.error().trouble == ReceiveTrouble::Malformed) log_warning("supervisor: " + received.error().text);
      return lost(now, kRetry);
    }
    const Message& message = received->message;
    if (message.kind == MessageKind::Welcome) {
      registered_ = true;
      last_refusal_.clear();
    } else if (message.kind == MessageKind::Stop) {
      stop_ = true;
    } else if (message.kind == MessageKind::Refused) {
      const std::string why = text_of(message.text);
      if (why != last_refusal_) log_warning("`adieu up` refuses this plane: " + why);
      last_refusal_ = why;
      return lost(now, kRetryRefused);
    }
  }
}

void PlaneLink::lost(Instant now, Duration retry_after) {
  socket_.reset();
  registered_ = false;
  retry_at_ = now + retry_after;
}

void PlaneLink::goodbye() {
  if (!connected()) return;
  Message message;
  message.kind = MessageKind::Goodbye;
  message.incarnation = identity_.incarnation;
  // A supervisor that cannot take it now takes our end for a failure; nothing worse can come of it.
  [[maybe_unused]] const auto sent = send_message(socket_.get(), message);
  socket_.reset();
  stop_ = true;
}

}  // namespace adieu::host
