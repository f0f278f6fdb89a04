// Pipes of 64 KiB, as Linux makes them.
#include "packetdrill/pipe.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "packetdrill/machine.h"

namespace adieu::packetdrill {

namespace {
constexpr std::size_t kCapacity = 65536;
}

std::pair<std::shared_ptr<PipeEnd>, std::shared_ptr<PipeEnd>> PipeEnd::make() {
  const std::shared_ptr<PipeEnd> reader(new PipeEnd(false));
  const std::shared_ptr<PipeEnd> writer(new PipeEnd(true));
  reader->pipe_ = writer->pipe_ = std::make_shared<Pipe>();
  reader->pipe_->reader = reader.get();
  reader->pipe_->writer = writer.get();
  return {reader, writer};
}

std::size_t PipeEnd::room() const { return kCapacity - pipe_->octets.size(); }

std::uint32_t PipeEnd::events(Machine&) {
  std::uint32_t now = 0;
  if (is_writer_) {
    if (room() > 0) now |= POLLOUT | POLLWRNORM;
    if (pipe_->reader == nullptr) now |= POLLERR;
  } else {
    if (!pipe_->octets.empty()) now |= POLLIN | POLLRDNORM;
    if (pipe_->writer == nullptr) now |= POLLHUP;
  }
  return now;
}

long PipeEnd::await(Call& call, int flags) {
  const auto there = [this] { return is_writer_ ? room() : pipe_->octets.size(); };
  const auto alone = [this] { return (is_writer_ ? pipe_->reader : pipe_->writer) == nullptr; };
  if (is_writer_ && alone()) return -EPIPE;
  if (there() == 0 && !alone()) {
    if (nonblocking || (flags & MSG_DONTWAIT) != 0) return -EAGAIN;
    call.wait(Instant::never(), [&] { return there() > 0 || alone(); });
  }
  return is_writer_ && alone() ? -EPIPE : static_cast<long>(there());
}

long PipeEnd::receive(Call& call, MutableBytes out, int flags) {
  if (is_writer_) return -EBADF;
  if (out.empty()) return 0;
  const long there = await(call, flags);
  if (there <= 0) return there;
  const auto count = std::min(out.size(), static_cast<std::size_t>(there));
  const auto end = pipe_->octets.begin() + static_cast<std::ptrdiff_t>(count);
  std::copy(pipe_->octets.begin(), end, out.begin());
  if ((flags & MSG_PEEK) != 0) return static_cast<long>(count);
  pipe_->octets.erase(pipe_->octets.begin(), end);
  if (pipe_->writer != nullptr) pipe_->writer->spread(POLLOUT | POLLWRNORM);
  return static_cast<long>(count);
}

long PipeEnd::send(Call& call, Bytes bytes, int flags) {
  if (!is_writer_) return -EBADF;
  std::size_t done = 0;
  while (done < bytes.size()) {
    const long there = await(call, flags);
    if (there <= 0) return done > 0 ? static_cast<long>(done) : there;
    const Bytes piece = bytes.subspan(done).first(std::min(bytes.size() - done, static_cast<std::size_t>(there)));
    pipe_->octets.insert(pipe_->octets.end(), piece.begin(), piece.end());
    done += piece.size();
    pipe_->reader->spread(POLLIN | POLLRDNORM);
  }
  return static_cast<long>(done);
}

long PipeEnd::ioctl(Call&, unsigned long request, int* value) {
  if (request != FIONREAD) return -ENOTTY;
  *value = static_cast<int>(pipe_->octets.size());
  return 0;
}

void PipeEnd::close(Call&) {
  (is_writer_ ? pipe_->writer : pipe_->reader) = nullptr;
  if (PipeEnd* other = is_writer_ ? pipe_->reader : pipe_->writer) other->spread(POLLHUP | POLLERR);
}

long splice(Call& call, File& in, File& out, std::size_t count, unsigned flags) {
  if (in.kind() != Kind::Pipe && out.kind() != Kind::Pipe) return -EINVAL;
  const int how = (flags & SPLICE_F_NONBLOCK) != 0 ? MSG_DONTWAIT : 0;
  std::size_t most = std::min(count, kCapacity);
  if (out.kind() == Kind::Pipe) {
    auto& end = static_cast<PipeEnd&>(out);
    const long free = end.is_writer() ? end.await(call, how) : -EBADF;
    if (free < 0) return free;
    most = std::min(most, static_cast<std::size_t>(free));
  }
  // What a socket does not take stays in the pipe.
  const bool keep = in.kind() == Kind::Pipe;
  std::vector<std::uint8_t> octets(most);
  const long got = in.receive(call, octets, how | (keep ? MSG_PEEK : 0));
  if (got <= 0) return got;
  const long moved = out.send(call, Bytes(octets).first(static_cast<std::size_t>(got)), how);
  if (keep && moved > 0) in.receive(call, MutableBytes(octets).first(static_cast<std::size_t>(moved)), MSG_DONTWAIT);
  return moved;
}

}  // namespace adieu::packetdrill
