// Giving the orders and taking the answers. What does not live here: carrying them out (bpf/destroy.bpf.c).
#include "kernel/bpf_destroy.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "kernel/bpf/objects.h"
#include "kernel/bpf/rows.h"
#include "kernel/reply.h"

namespace adieu::kernel {
namespace {

static_assert(static_cast<int>(DestroyOutcome::Destroyed) == kRowOrderDestroyed);
static_assert(static_cast<int>(DestroyOutcome::OtherState) == kRowOrderOtherState);
static_assert(static_cast<int>(DestroyOutcome::HeardSince) == kRowOrderHeardSince);
static_assert(static_cast<int>(DestroyOutcome::Minisocket) == kRowOrderMinisocket);
static_assert(static_cast<int>(DestroyOutcome::Refused) == kRowOrderRefused);
// The kernel keeps answers until they are read in 8 pages, and asks again for what did not fit: a socket that was
// destroyed would then be gone without its answer. All of them fit.
static_assert(BpfDestroy::kMostOrders * sizeof(AnswerRow) <= 8 * 4096);

// 0, which no socket is in: none is destroyed in this state.
std::uint8_t kernel_state(State state) {
  if (state != State::SynSent && state != State::SynReceived && (!is_synchronized(state) || state == State::TimeWait))
    return 0;
  std::uint8_t number = 1;
  while (state_of(number) != state) ++number;
  return number;
}

DestroyAnswer answer_of(const AnswerRow& row) {
  return {.outcome = static_cast<DestroyOutcome>(row.outcome),
          .state = state_of(row.state),
          .code = -row.code,
          .segments_in = row.segments_in,
          .octets_in = row.octets_in,
          .octets_acked = row.octets_acked};
}

std::size_t count_missing(std::span<const DestroyAnswer> answers) {
  return static_cast<std::size_t>(std::ranges::count(answers, DestroyOutcome::NotFound, &DestroyAnswer::outcome));
}

}  // namespace

std::expected<BpfDestroy, Error> BpfDestroy::open() {
  auto object = BpfObject::open(objects::kDestroy, "adieu_destroy");
  if (!object) return std::unexpected(object.error());
  if (auto set = object->set_entries("orders", kMostOrders); !set) return std::unexpected(set.error());
  if (auto loaded = object->load(); !loaded) return std::unexpected(loaded.error());
  if (auto attached = object->attach("carry_out_orders"); !attached) return std::unexpected(attached.error());
  return BpfDestroy(std::move(*object));
}

std::expected<void, Error> BpfDestroy::carry_out(std::span<const DestroyOrder> orders,
                                                 std::span<DestroyAnswer> answers) {
  ADIEU_ASSERT(orders.size() == answers.size());
  std::ranges::fill(answers, DestroyAnswer{});
  for (std::size_t first = 0; first < orders.size(); first += kMostOrders) {
    const std::size_t count = std::min(kMostOrders, orders.size() - first);
    if (auto done = carry_out_some(orders.subspan(first, count), answers.subspan(first, count)); !done) return done;
  }
  return {};
}

std::expected<void, Error> BpfDestroy::carry_out_some(std::span<const DestroyOrder> orders,
                                                      std::span<DestroyAnswer> answers) {
  std::expected<void, Error> done;
  for (const DestroyOrder& order : orders) {
    const OrderRow row{.segments_in = order.segments_in.value_or(0),
                       .state = kernel_state(order.state),
                       .is_guarded = order.segments_in.has_value(),
                       .is_done = 0,
                       .unused = 0};
    if (done) done = object_.update("orders", &order.cookie, &row);
  }
  // A walk over the kernel's table can miss a socket that is there; twice in a row hardly. None is answered twice.
  for (int attempt = 0; done && attempt < 2 && count_missing(answers) > 0; ++attempt) done = walk(orders, answers);
  for (const DestroyOrder& order : orders) object_.erase("orders", &order.cookie);
  return done;
}

std::expected<void, Error> BpfDestroy::walk(std::span<const DestroyOrder> orders, std::span<DestroyAnswer> answers) {
  const auto walk = object_.walk();
  if (!walk) return std::unexpected(walk.error());
  std::array<AnswerRow, kMostOrders> rows;
  std::size_t outstanding = count_missing(answers);
  while (outstanding != 0) {
    // The kernel stops walking when it has what was asked for.
    const auto count = read_rows(*walk, rows.data(), outstanding, sizeof(AnswerRow));
    if (!count) return std::unexpected(count.error());
    if (*count == 0) return {};
    for (const AnswerRow& row : std::span(rows).first(*count)) {
      const auto order = std::ranges::find(orders, row.cookie, &DestroyOrder::cookie);
      if (order != orders.end()) answers[static_cast<std::size_t>(order - orders.begin())] = answer_of(row);
    }
    outstanding -= *count;
  }
  return {};
}

}  // namespace adieu::kernel
