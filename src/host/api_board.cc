// One lock, two conditions, a bell.
#include "host/api_board.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "host/poller.h"

namespace adieu::host {
namespace {

// Each is a thread that waits; the doors admit fewer.
constexpr std::size_t kMostOrders = 256;

std::chrono::nanoseconds as_chrono(Duration duration) { return std::chrono::nanoseconds(duration.ns); }

}  // namespace

struct ApiBoard::Impl {
  Descriptor bell = make_bell();
  mutable std::mutex mutex;
  mutable std::condition_variable answered, news_came;
  ApiSnapshot shown;
  std::uint64_t news = 0;
  std::uint64_t tickets = 0;
  std::vector<Order> orders;
  std::map<std::uint64_t, std::optional<OrderResult>> waiting;  // by ticket
};

ApiBoard::ApiBoard() : impl_(std::make_unique<Impl>()) {
  impl_->shown.policy = std::make_shared<const NamedPolicy>();
  impl_->shown.hosts = std::make_shared<const control::HostBook>();
}
ApiBoard::~ApiBoard() = default;

void ApiBoard::show_planes(std::vector<std::shared_ptr<const ApiPlane>> planes) {
  std::ranges::sort(planes, {}, [](const auto& plane) { return plane->name; });
  const std::unique_lock lock(impl_->mutex);
  impl_->shown.planes.swap(planes);
}

void ApiBoard::show_policy(std::shared_ptr<const NamedPolicy> policy) {
  const std::unique_lock lock(impl_->mutex);
  impl_->shown.policy.swap(policy);
}

void ApiBoard::show_hosts(std::shared_ptr<const control::HostBook> hosts) {
  const std::unique_lock lock(impl_->mutex);
  impl_->shown.hosts.swap(hosts);
}

void ApiBoard::show_tally(const Tally& tally) {
  const std::unique_lock lock(impl_->mutex);
  impl_->shown.tally = tally;
}

void ApiBoard::tell_news() {
  {
    const std::unique_lock lock(impl_->mutex);
    ++impl_->news;
  }
  impl_->news_came.notify_all();
}

int ApiBoard::bell() const { return impl_->bell.get(); }

std::vector<Order> ApiBoard::take_orders() {
  quiet(impl_->bell.get());
  const std::unique_lock lock(impl_->mutex);
  return std::exchange(impl_->orders, {});
}

void ApiBoard::result(std::uint64_t ticket, const OrderResult& result) {
  {
    const std::unique_lock lock(impl_->mutex);
    const auto found = impl_->waiting.find(ticket);
    if (found == impl_->waiting.end()) return;  // nobody waits for it any more
    found->second = result;
  }
  impl_->answered.notify_all();
}

ApiSnapshot ApiBoard::snapshot() const {
  const std::unique_lock lock(impl_->mutex);
  return impl_->shown;
}

OrderResult ApiBoard::order(Order order, Duration limit) {
  std::unique_lock lock(impl_->mutex);
  if (impl_->waiting.size() >= kMostOrders)
    return {.what = OrderResult::What::Refused, .refusal = control::Refusal::NoRoom};
  const std::uint64_t ticket = ++impl_->tickets;
  order.request.ticket = ticket;
  const auto place = impl_->waiting.emplace(ticket, std::nullopt).first;
  impl_->orders.push_back(order);
  ring(impl_->bell.get());
  impl_->answered.wait_for(lock, as_chrono(limit), [&] { return place->second.has_value(); });
  const OrderResult result = place->second.value_or(OrderResult{});
  impl_->waiting.erase(place);
  // Not taken yet: then it never will be.
  std::erase_if(impl_->orders, [&](const Order& one) { return one.request.ticket == ticket; });
  return result;
}

std::uint64_t ApiBoard::await_news(std::uint64_t seen, Duration limit) const {
  std::unique_lock lock(impl_->mutex);
  impl_->news_came.wait_for(lock, as_chrono(limit), [&] { return impl_->news != seen; });
  return impl_->news;
}

// --- the tally

std::optional<std::uint64_t> TallyLedger::verdict(const control::Decision& decision, Instant now) {
  news_ = true;
  if (decision.command && decision.command->kind == plane::CommandKind::Probe)
    ++tally_.probes[static_cast<unsigned>(decision.command->form)];
  if (!decision.is_routine) ++tally_.decisions[{decision.verdict.cause, rule_name(*policy_, decision.rule)}];
  return ledger_.verdict(decision, now);
}

bool TallyLedger::noted(const control::Note& note, Instant now) {
  news_ = true;
  return ledger_.noted(note, now);
}

bool TallyLedger::receipt(std::uint32_t plane, const plane::Receipt& receipt) {
  news_ = true;
  return ledger_.receipt(plane, receipt);
}

bool TallyLedger::ended(std::uint32_t plane, const plane::ConnectionId& id, const plane::Record& record) {
  news_ = true;
  return ledger_.ended(plane, id, record);
}

bool TallyLedger::learned(const control::HostLearned& host) {
  know(host);
  hosts_changed_ = true;
  return ledger_.learned(host);
}

std::shared_ptr<const control::HostBook> TallyLedger::poll_hosts() {
  if (!std::exchange(hosts_changed_, false)) return nullptr;
  auto hosts = std::make_shared<control::HostBook>();
  for (const auto& [address, host] : learned_hosts_) hosts->know(host);
  return hosts;
}

bool TallyLedger::commit() { return ledger_.commit(); }

}  // namespace adieu::host
