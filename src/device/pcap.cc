// The format is of the pcap-savefile(5) manual page. Numbers are in this host's order; the magic number tells readers.
#include "device/pcap.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/limits.h"

namespace adieu::device {

namespace {

constexpr std::uint32_t kNanosecondMagic = 0xa1b23c4d;
constexpr std::uint32_t kLinkTypeRaw = 101;  // packets begin with an IPv4 or IPv6 header
constexpr std::uint32_t kSnapLength = limits::kPacketBytes;
constexpr std::size_t kBufferBytes = 256 * 1024;
constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

struct FileHeader {
  std::uint32_t magic = kNanosecondMagic;
  std::uint16_t version_major = 2;
  std::uint16_t version_minor = 4;
  std::uint32_t reserved[2] = {0, 0};
  std::uint32_t snap_length = kSnapLength;
  std::uint32_t link_type = kLinkTypeRaw;
};
static_assert(sizeof(FileHeader) == 24);

struct PacketHeader {
  std::uint32_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  std::uint32_t captured_length = 0;
  std::uint32_t original_length = 0;
};
static_assert(sizeof(PacketHeader) == 16);

template <typename T>
void append(std::vector<std::uint8_t>& buffer, const T& value) {
  std::uint8_t octets[sizeof(T)];
  std::memcpy(octets, &value, sizeof(T));
  buffer.insert(buffer.end(), octets, octets + sizeof(T));
}

// How many of the first `written` octets of `buffer` are whole packets (and the file header, if it is a file's start).
std::size_t whole_packets(const std::vector<std::uint8_t>& buffer, std::size_t written, bool is_start) {
  std::size_t whole = is_start ? sizeof(FileHeader) : 0;
  if (whole > written) return 0;
  while (whole + sizeof(PacketHeader) <= written) {
    PacketHeader header;
    std::memcpy(&header, buffer.data() + whole, sizeof(header));
    const std::size_t next = whole + sizeof(header) + header.captured_length;
    if (next > written) break;
    whole = next;
  }
  return whole;
}

}  // namespace

std::expected<PcapWriter, Error> PcapWriter::create(const char* path, Duration wall_clock_offset) {
  // Packets hold what people said to each other: the file is for its owner.
  const int descriptor = ::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return std::unexpected(Error{errno, "creating the capture file", ""});
  return PcapWriter(descriptor, wall_clock_offset);
}

PcapWriter::PcapWriter(int descriptor, Duration wall_clock_offset)
    : descriptor_(descriptor), wall_clock_offset_(wall_clock_offset) {
  buffer_.reserve(kBufferBytes);
  append(buffer_, FileHeader{});
}

PcapWriter::PcapWriter(PcapWriter&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      wall_clock_offset_(other.wall_clock_offset_),
      file_bytes_(other.file_bytes_),
      buffer_(std::move(other.buffer_)) {}

PcapWriter& PcapWriter::operator=(PcapWriter&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(wall_clock_offset_, other.wall_clock_offset_);
  std::swap(file_bytes_, other.file_bytes_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

PcapWriter::~PcapWriter() {
  if (descriptor_ < 0) return;
  static_cast<void>(flush());
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::expected<void, Error> PcapWriter::write(Bytes packet, Instant when) {
  if (!is_capturing()) return {};
  const Bytes captured = packet.first(std::min<std::size_t>(packet.size(), kSnapLength));
  std::expected<void, Error> result;
  if (buffer_.size() + sizeof(PacketHeader) + captured.size() > kBufferBytes) result = flush();
  if (!is_capturing()) return result;
  const std::int64_t wall = std::max<std::int64_t>((when + wall_clock_offset_).ns, 0);
  PacketHeader header;
  header.seconds = static_cast<std::uint32_t>(wall / kNanosecondsPerSecond);
  header.nanoseconds = static_cast<std::uint32_t>(wall % kNanosecondsPerSecond);
  header.captured_length = static_cast<std::uint32_t>(captured.size());
  header.original_length = static_cast<std::uint32_t>(packet.size());
  append(buffer_, header);
  buffer_.insert(buffer_.end(), captured.begin(), captured.end());
  return result;
}

std::expected<void, Error> PcapWriter::flush() {
  if (!is_capturing()) return {};
  std::size_t written = 0;
  while (written < buffer_.size()) {
    const ssize_t length = ::write(descriptor_, buffer_.data() + written, buffer_.size() - written);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return stop(length < 0 ? errno : EIO, written);
    written += static_cast<std::size_t>(length);
  }
  file_bytes_ += written;
  buffer_.clear();
  return {};
}

std::expected<void, Error> PcapWriter::stop(int code, std::size_t written) {
  file_bytes_ += whole_packets(buffer_, written, file_bytes_ == 0);
  // Where it is no regular file (a pipe, /dev/full) there is nothing to cut back.
  [[maybe_unused]] const int cut = ::ftruncate(descriptor_, static_cast<off_t>(file_bytes_));
  ::close(std::exchange(descriptor_, -1));
  buffer_ = {};
  return std::unexpected(Error{code, "writing the capture file",
                               "the capture stops here, whole packets up to now are in the file; all else goes on"});
}

}  // namespace adieu::device
