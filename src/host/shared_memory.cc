// memfd_create(2), fcntl(2) F_ADD_SEALS, mmap(2).
#include "host/shared_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

namespace adieu::host {

Result<Mapping> Mapping::of(int descriptor, std::size_t bytes, Access access) {
  const int protection = access == Access::Write ? PROT_READ | PROT_WRITE : PROT_READ;
  void* const data = ::mmap(nullptr, bytes, protection, MAP_SHARED, descriptor, 0);
  if (data == MAP_FAILED) return failed_by_system(fmt::format("mapping {} octets of shared memory", bytes), errno);
  Mapping mapping;
  mapping.data_ = static_cast<std::uint8_t*>(data);
  mapping.size_ = bytes;
  return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<Descriptor> make_shared(const char* name, std::size_t bytes) {
  Descriptor made(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!made) return failed_by_system("making shared memory (memfd_create)", errno);
  if (::ftruncate(made.get(), static_cast<off_t>(bytes)) < 0)
    return failed_by_system(fmt::format("sizing shared memory to {} octets", bytes), errno);
  if (::fcntl(made.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
    return failed_by_system("sealing shared memory", errno);
  return made;
}

Result<void> seal_for_one_writer(int descriptor) {
  if (::fcntl(descriptor, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
    return failed_by_system("sealing shared memory for its one writer", errno);
  return {};
}

Result<Descriptor> reopen_read_only(int descriptor) {
  Descriptor reopened(::open(fmt::format("/proc/self/fd/{}", descriptor).c_str(), O_RDONLY | O_CLOEXEC));
  if (!reopened) return failed_by_system("reopening shared memory read-only (is /proc mounted?)", errno);
  return reopened;
}

Result<std::size_t> check_shared(int descriptor) {
  const int seals = ::fcntl(descriptor, F_GET_SEALS);
  if (seals < 0) return failed("it is no memfd");
  if ((seals & F_SEAL_SHRINK) == 0) return failed("its memory could shrink under its readers (no F_SEAL_SHRINK)");
  struct stat facts{};
  if (::fstat(descriptor, &facts) < 0) return failed_by_system("asking for its size", errno);
  const auto bytes = static_cast<std::size_t>(facts.st_size);
  if (facts.st_size <= 0 || bytes > kMostSharedBytes)
    return failed(fmt::format("its size is {} octets", facts.st_size));
  return bytes;
}

}  // namespace adieu::host
