// Parts through a queue. What does not live here: what becomes of them (plane.cc).
#include "kernel/dump.h"

#include <utility>

namespace adieu::kernel {

// Not std::thread, which can only throw where a host has no process left to give.
Dump::Dump() {
  const auto start = [](void* dump) -> void* {
    static_cast<Dump*>(dump)->run();
    return nullptr;
  };
  has_thread_ = pthread_create(&thread_, nullptr, start, this) == 0;
  if (!has_thread_) run();
}

Dump::~Dump() {
  if (has_thread_) pthread_join(thread_, nullptr);
}

std::optional<std::vector<Socket>> Dump::poll_part() {
  std::unique_lock lock(mutex_);
  more_.wait(lock, [this] { return is_over_ || !parts_.empty(); });
  if (parts_.empty()) return std::nullopt;
  std::vector<Socket> part = std::move(parts_.front());
  parts_.pop_front();
  return part;
}

void Dump::run() {
  auto taken = take();
  pass_on();
  const std::scoped_lock lock(mutex_);
  taken_ = taken;
  is_over_ = true;
  more_.notify_one();
}

std::expected<void, Error> Dump::take() {
  auto diag = Diag::open();
  if (!diag) return std::unexpected(diag.error());
  const Visit listener = [](void* context, const Socket& socket) {
    static_cast<Dump*>(context)->part_.push_back(socket);
  };
  const Visit connection = [](void* context, const Socket& socket) {
    Dump& dump = *static_cast<Dump*>(context);
    dump.part_.push_back(socket);
    if (dump.part_.size() == kPart) dump.pass_on();
  };
  if (auto listeners = diag->dump_listeners(listener, this); !listeners) return listeners;
  pass_on();
  return diag->dump(connection, this);
}

void Dump::pass_on() {
  std::vector<Socket> full;
  full.reserve(kPart);
  std::swap(full, part_);
  const std::scoped_lock lock(mutex_);
  parts_.push_back(std::move(full));
  more_.notify_one();
}

}  // namespace adieu::kernel
