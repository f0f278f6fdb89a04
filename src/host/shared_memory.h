// The seam's memory between processes: sealed memfds and their mappings.
//
// What lives here: making, sealing, checking and mapping. What does not: what stands in it (plane), handing the
// descriptors on (message.h).
// Whoever maps another's memory relies on two seals: it cannot shrink (no SIGBUS), and nobody can take the seals away.
#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "host/descriptor.h"
#include "host/failure.h"

namespace adieu::host {

// Larger than any table of ours; a descriptor of a larger one is refused.
inline constexpr std::size_t kMostSharedBytes = std::size_t{1} << 32;

class Mapping {
 public:
  enum class Access { Read, Write };

  Mapping() = default;
  static Result<Mapping> of(int descriptor, std::size_t bytes, Access access);
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  Bytes bytes() const { return {data_, size_}; }
  MutableBytes writable() { return {data_, size_}; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

// Zeroed, of a size that nobody can change any more.
Result<Descriptor> make_shared(const char* name, std::size_t bytes);
// From now on nobody gets a writable mapping; those that exist stay (F_SEAL_FUTURE_WRITE). Then the seals are final.
Result<void> seal_for_one_writer(int descriptor);
// The same memory, read-only, as an open file of its own: it cannot be made writable again through this descriptor.
Result<Descriptor> reopen_read_only(int descriptor);
// A memfd that cannot shrink, and not an absurd one: its size.
Result<std::size_t> check_shared(int descriptor);

}  // namespace adieu::host
