// The consumer's side of the ring. What does not live here: what is put into it (bpf/events.bpf.c).
#include "kernel/bpf_events.h"

#include <endian.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "kernel/bpf/objects.h"
#include "kernel/bpf/rows.h"
#include "kernel/reply.h"

namespace adieu::kernel {
namespace {

struct Program {
  BpfEventKind kind;
  const char* name;
};
constexpr Program kPrograms[kBpfEventKinds] = {
    {BpfEventKind::StateChanged, "tell_state"},
    {BpfEventKind::ResetReceived, "tell_reset"},
    {BpfEventKind::EndOfStreamRead, "tell_end_of_stream"},
};
static_assert(static_cast<int>(BpfEventKind::StateChanged) == kRowStateChanged);
static_assert(static_cast<int>(BpfEventKind::ResetReceived) == kRowResetReceived);
static_assert(static_cast<int>(BpfEventKind::EndOfStreamRead) == kRowEndOfStreamRead);
static_assert(sizeof(EventRow) == 72);

std::size_t page() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

// The kernel's positions only grow, and are unsigned long there too.
std::atomic_ref<unsigned long> position_in(std::uint8_t* mapped) {
  void* const start = mapped;
  return std::atomic_ref(*static_cast<unsigned long*>(start));
}

BpfEvent event_of(const EventRow& row) {
  BpfEvent event;
  event.kind = static_cast<BpfEventKind>(row.kind);
  event.old_state = state_of(row.old_state);
  event.new_state = state_of(row.new_state);
  event.cookie = row.cookie;
  event.when = {static_cast<std::int64_t>(row.when)};
  event.network = row.network;
  event.local.port = be16toh(row.local_port);
  event.remote.port = be16toh(row.remote_port);
  std::ranges::copy(row.local, event.local.address.octets.begin());
  std::ranges::copy(row.remote, event.remote.address.octets.begin());
  event.process = row.process;
  event.error = row.error;
  return event;
}

}  // namespace

void BpfEvents::Unmap::operator()(std::uint8_t* memory) const { munmap(memory, octets); }

BpfEvents::BpfEvents(BpfObject object, std::size_t ring_octets)
    : object_(std::move(object)), ring_octets_(ring_octets) {}

std::expected<BpfEvents, Error> BpfEvents::open(std::size_t ring_octets, std::uint32_t wanted) {
  ring_octets = std::bit_ceil(std::clamp(ring_octets, page(), kMostRingOctets));
  auto object = BpfObject::open(objects::kEvents, "adieu_events");
  if (!object) return std::unexpected(object.error());
  object->leave_out_missing_tracepoints();
  if (auto set = object->set_entries("ring", static_cast<std::uint32_t>(ring_octets)); !set)
    return std::unexpected(set.error());
  if (auto loaded = object->load(); !loaded) return std::unexpected(loaded.error());
  BpfEvents events(std::move(*object), ring_octets);
  if (auto mapped = events.map_ring(); !mapped) return std::unexpected(mapped.error());
  if (auto attached = events.attach(wanted); !attached) return std::unexpected(attached.error());
  return events;
}

std::expected<void, Error> BpfEvents::attach(std::uint32_t wanted) {
  std::expected<void, Error> first;
  unsigned attached = 0;
  missing_ = kAllBpfEvents & ~wanted;
  for (const Program& program : kPrograms) {
    if ((wanted & bit(program.kind)) == 0) continue;
    if (auto done = object_.attach(program.name)) {
      ++attached;
    } else {
      missing_ |= bit(program.kind);
      if (first) first = done;
    }
  }
  return attached == 0 ? first : std::expected<void, Error>{};
}

std::expected<void, Error> BpfEvents::map_ring() {
  const auto map = [this](std::size_t octets, int protection, std::size_t offset) {
    void* const memory = mmap(nullptr, octets, protection, MAP_SHARED, descriptor(), static_cast<off_t>(offset));
    return Mapped(memory == MAP_FAILED ? nullptr : static_cast<std::uint8_t*>(memory), Unmap{octets});
  };
  consumer_ = map(page(), PROT_READ | PROT_WRITE, 0);
  if (!consumer_) return std::unexpected(bpf_error(errno));
  producer_ = map(page() + 2 * ring_octets_, PROT_READ, page());
  if (!producer_) return std::unexpected(bpf_error(errno));
  return {};
}

std::size_t BpfEvents::poll(std::span<BpfEvent> into) {
  const auto ours = position_in(consumer_.get());
  unsigned long at = ours.load(std::memory_order_relaxed);  // nobody else writes it
  const unsigned long end = position_in(producer_.get()).load(std::memory_order_acquire);
  std::uint8_t* const ring = producer_.get() + page();
  std::size_t count = 0;
  while (count < into.size() && at != end) {
    std::uint8_t* const record = ring + (at & (ring_octets_ - 1));
    void* const header = record;
    const std::uint32_t length = std::atomic_ref(*static_cast<std::uint32_t*>(header)).load(std::memory_order_acquire);
    if ((length & BPF_RINGBUF_BUSY_BIT) != 0) break;  // begun, and its program still writes
    if ((length & BPF_RINGBUF_DISCARD_BIT) == 0 && length == sizeof(EventRow)) {
      EventRow row;
      std::memcpy(&row, record + BPF_RINGBUF_HDR_SZ, sizeof row);
      into[count++] = event_of(row);
    }
    const std::uint32_t octets = (length & ~std::uint32_t{BPF_RINGBUF_DISCARD_BIT}) + BPF_RINGBUF_HDR_SZ;
    at += (octets + 7) / 8 * 8;
    ours.store(at, std::memory_order_release);
  }
  return count;
}

std::uint64_t BpfEvents::lost() const {
  std::vector<std::uint64_t> of_cpu(BpfObject::cpus());
  const std::uint32_t zero = 0;
  if (!object_.look_up("lost", &zero, of_cpu.data())) return 0;
  std::uint64_t sum = 0;
  for (const std::uint64_t count : of_cpu) sum += count;
  return sum;
}

}  // namespace adieu::kernel
