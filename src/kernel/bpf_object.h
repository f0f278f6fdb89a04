// A BPF object of ours in the kernel: loaded, attached, read. The one door to libbpf.
//
// What lives here: BpfObject. What does not: what the programs tell (bpf_holdings.h and its like).
// BPF may be refused: without CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN), by an old kernel, by one without BTF. Nothing
// is printed; what libbpf and the verifier said is in bpf_words().
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "kernel/socket.h"

struct bpf_object;
struct bpf_link;

namespace adieu::kernel {

// What libbpf and the verifier said in this thread since the latest BpfObject::open(); of much, the end.
std::string_view bpf_words();

// The error of an errno that BPF answered.
Error bpf_error(int code);

// A descriptor that is closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

// The next rows of a walk, as many as fit, each of `octets`; none: it is over.
[[nodiscard]] std::expected<std::size_t, Error> read_rows(const Descriptor& walk, void* rows, std::size_t most,
                                                          std::size_t octets);

class BpfObject {
 public:
  static std::expected<BpfObject, Error> open(Bytes object, const char* name);

  // Between open() and load(). A program for a tracepoint that this kernel lacks would make all of them fail.
  void leave_out_missing_tracepoints();
  [[nodiscard]] std::expected<void, Error> set_entries(const char* map, std::uint32_t entries);

  [[nodiscard]] std::expected<void, Error> load();

  // After load(). A program stays attached as long as the object.
  [[nodiscard]] std::expected<void, Error> attach(const char* program);
  // Runs a program for packets on one that came in by `device` (0: loopback), in the network namespace of the calling
  // thread; what it has written there stands in `packet` afterwards.
  [[nodiscard]] std::expected<void, Error> run(const char* program, MutableBytes packet, std::uint32_t device) const;
  // A new walk of the iterator that was attached first: of the PID and network namespace of the calling thread.
  [[nodiscard]] std::expected<Descriptor, Error> walk() const;

  // The map's descriptor; it belongs to the object.
  int map(const char* name) const;
  // Keys and values are as large as the map says; `value` of a per-CPU map is one of a multiple of 8 octets for each of
  // cpus(). look_up() says false where the key is not there.
  [[nodiscard]] bool look_up(const char* map, const void* key, void* value) const;
  [[nodiscard]] std::expected<void, Error> update(const char* map, const void* key, const void* value) const;
  void erase(const char* map, const void* key) const;
  static unsigned cpus();

 private:
  struct Unload {
    void operator()(bpf_object* object) const;
  };
  struct Detach {
    void operator()(bpf_link* link) const;
  };
  BpfObject() = default;

  std::unique_ptr<bpf_object, Unload> object_;
  std::vector<std::unique_ptr<bpf_link, Detach>> links_;
};

}  // namespace adieu::kernel
