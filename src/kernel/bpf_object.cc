// libbpf, as one room of the house sees it. What does not live here: any program's rows.
#include "kernel/bpf_object.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

namespace adieu::kernel {
namespace {

// The verifier says what it minds at the end of pages of what it does not.
constexpr std::size_t kWords = 4096;
thread_local std::array<char, kWords> words;
thread_local std::size_t words_said = 0;

int hear(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  va_list again;
  va_copy(again, arguments);
  const int length = std::vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length <= 0) return 0;
  std::string text(static_cast<std::size_t>(length) + 1, '\0');
  std::vsnprintf(text.data(), text.size(), format, arguments);
  text.pop_back();
  const std::string_view said = std::string_view(text).substr(text.size() - std::min(text.size(), kWords));
  const std::size_t kept = std::min(words_said, kWords - said.size());
  std::memmove(words.data(), words.data() + words_said - kept, kept);
  said.copy(words.data() + kept, said.size());
  words_said = kept + said.size();
  return 0;
}

std::unexpected<Error> failure(int code) { return std::unexpected(bpf_error(code)); }

}  // namespace

std::string_view bpf_words() { return {words.data(), words_said}; }

Error bpf_error(int code) {
  switch (code) {
    case EPERM: return {ErrorKind::NotPermitted, code};
    // ESRCH: no BTF in this kernel, or nothing of that name in it.
    case ENOENT:
    case ESRCH:
    case EOPNOTSUPP:
    case ENOSYS: return {ErrorKind::NotSupported, code};
    // Of the verifier, or of a kernel that does not know this type of program or map.
    case EACCES:
    case EINVAL: return {ErrorKind::Rejected, code};
    default: return {ErrorKind::System, code};
  }
}

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

std::expected<std::size_t, Error> read_rows(const Descriptor& walk, void* rows, std::size_t most, std::size_t octets) {
  ssize_t length = 0;
  do {
    length = read(walk.get(), rows, most * octets);
    // EAGAIN: a million sockets or descriptors without a row; the walk goes on where it stopped.
  } while (length < 0 && (errno == EINTR || errno == EAGAIN));
  if (length < 0) return std::unexpected(bpf_error(errno));
  if (static_cast<std::size_t>(length) % octets != 0) return std::unexpected(Error{ErrorKind::NotUnderstood, 0});
  return static_cast<std::size_t>(length) / octets;
}

void BpfObject::Unload::operator()(bpf_object* object) const { bpf_object__close(object); }
void BpfObject::Detach::operator()(bpf_link* link) const { bpf_link__destroy(link); }

std::expected<BpfObject, Error> BpfObject::open(Bytes object, const char* name) {
  words_said = 0;
  libbpf_set_print(hear);
  bpf_object_open_opts options{};
  options.sz = sizeof options;
  options.object_name = name;
  BpfObject opened;
  opened.object_.reset(bpf_object__open_mem(object.data(), object.size(), &options));
  if (!opened.object_) return failure(errno);
  return opened;
}

void BpfObject::leave_out_missing_tracepoints() {
  const std::unique_ptr<btf, decltype(&btf__free)> types(btf__load_vmlinux_btf(), btf__free);
  if (!types) return;  // load() will say so
  bpf_program* program = nullptr;
  while ((program = bpf_object__next_program(object_.get(), program)) != nullptr) {
    const std::string section = bpf_program__section_name(program);  // tp_btf/<tracepoint>
    const std::string type = "btf_trace_" + section.substr(section.find('/') + 1);
    if (btf__find_by_name_kind(types.get(), type.c_str(), BTF_KIND_TYPEDEF) < 0)
      bpf_program__set_autoload(program, false);
  }
}

std::expected<void, Error> BpfObject::set_entries(const char* map, std::uint32_t entries) {
  const int code = bpf_map__set_max_entries(bpf_object__find_map_by_name(object_.get(), map), entries);
  if (code != 0) return failure(-code);
  return {};
}

std::expected<void, Error> BpfObject::load() {
  const int code = bpf_object__load(object_.get());
  if (code != 0) return failure(-code);
  return {};
}

std::expected<void, Error> BpfObject::attach(const char* name) {
  const bpf_program* program = bpf_object__find_program_by_name(object_.get(), name);
  if (program == nullptr || bpf_program__fd(program) < 0) return failure(ENOENT);
  bpf_link* link = bpf_program__attach(program);
  if (link == nullptr) return failure(errno);
  links_.emplace_back(link);
  return {};
}

std::expected<void, Error> BpfObject::run(const char* name, MutableBytes packet, std::uint32_t device) const {
  const bpf_program* program = bpf_object__find_program_by_name(object_.get(), name);
  if (program == nullptr) return failure(ENOENT);
  __sk_buff context{};
  context.ifindex = device;
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = options.data_out = packet.data();
  options.data_size_in = options.data_size_out = static_cast<std::uint32_t>(packet.size());
  options.ctx_in = &context;
  options.ctx_size_in = sizeof context;
  options.repeat = 1;
  const int code = bpf_prog_test_run_opts(bpf_program__fd(program), &options);
  if (code != 0) return failure(-code);
  return {};
}

std::expected<Descriptor, Error> BpfObject::walk() const {
  const int fd = bpf_iter_create(bpf_link__fd(links_.front().get()));
  if (fd < 0) return failure(-fd);
  return Descriptor(fd);
}

int BpfObject::map(const char* name) const { return bpf_object__find_map_fd_by_name(object_.get(), name); }

bool BpfObject::look_up(const char* map_name, const void* key, void* value) const {
  return bpf_map_lookup_elem(map(map_name), key, value) == 0;
}

std::expected<void, Error> BpfObject::update(const char* map_name, const void* key, const void* value) const {
  const int code = bpf_map_update_elem(map(map_name), key, value, BPF_ANY);
  if (code != 0) return failure(-code);
  return {};
}

void BpfObject::erase(const char* map_name, const void* key) const { bpf_map_delete_elem(map(map_name), key); }

unsigned BpfObject::cpus() { return static_cast<unsigned>(std::max(libbpf_num_possible_cpus(), 1)); }

}  // namespace adieu::kernel
