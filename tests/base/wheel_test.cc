// Deadlines: each owner is called once, at its deadline, and in an order that replays.
#include "base/wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/rng.h"

namespace adieu {
namespace {

using namespace literals;

constexpr Instant kStart{5'000'000'123};

std::vector<std::uint32_t> pop_all(TimingWheel& wheel, Instant now) {
  std::vector<std::uint32_t> owners;
  while (const auto owner = wheel.pop_due(now)) owners.push_back(*owner);
  return owners;
}

TEST(TimingWheel, CallsAnOwnerOnceAtItsDeadlineAndNotANanosecondBefore) {
  for (const Duration wait : {1_ms, 63_ms, 64_ms, 65_ms, 4095_ms, 4096_ms, 1_h, 24_h * 30, 24_h * 396, 24_h * 3000}) {
    TimingWheel wheel(kStart);
    const auto ignored = wheel.arm(7, kStart + wait);
    EXPECT_EQ(wheel.deadline(ignored), kStart + wait);
    EXPECT_EQ(wheel.pop_due(kStart + wait - 1_ns), std::nullopt) << wait.seconds();
    EXPECT_EQ(wheel.pop_due(kStart + wait), 7U) << wait.seconds();
    EXPECT_EQ(wheel.pop_due(kStart + wait), std::nullopt);
    EXPECT_EQ(wheel.armed(), 0U);
  }
}

TEST(TimingWheel, RoundsADeadlineUpToAWholeTickNeverDown) {
  TimingWheel wheel(kStart);
  const auto handle = wheel.arm(1, kStart + 10_ms + 1_ns);
  EXPECT_EQ(wheel.deadline(handle), kStart + 11_ms);
  EXPECT_EQ(wheel.pop_due(kStart + 11_ms - 1_ns), std::nullopt);
  EXPECT_EQ(wheel.pop_due(kStart + 11_ms), 1U);
}

TEST(TimingWheel, ADeadlineInThePastIsDueAtOnce) {
  TimingWheel wheel(kStart);
  EXPECT_EQ(pop_all(wheel, kStart + 1_s).size(), 0U);
  static_cast<void>(wheel.arm(1, kStart - 1_h));
  static_cast<void>(wheel.arm(2, kStart + 999_ms));
  EXPECT_LE(wheel.next_deadline(), kStart + 1_s);
  EXPECT_EQ(pop_all(wheel, kStart + 1_s).size(), 2U);
}

TEST(TimingWheel, DoesNotCallWhoCancelled) {
  TimingWheel wheel(kStart);
  const auto first = wheel.arm(1, kStart + 5_ms);
  static_cast<void>(wheel.arm(2, kStart + 5_ms));
  const auto third = wheel.arm(3, kStart + 5_ms);
  wheel.cancel(first);
  wheel.cancel(third);
  EXPECT_EQ(pop_all(wheel, kStart + 1_h), std::vector<std::uint32_t>{2});
}

TEST(TimingWheel, FollowsWhoMovesEitherWay) {
  TimingWheel wheel(kStart);
  const auto early = wheel.arm(1, kStart + 1_s);
  const auto late = wheel.arm(2, kStart + 1_h);
  wheel.move(early, kStart + 2_h);
  wheel.move(late, kStart + 2_s);
  EXPECT_EQ(wheel.pop_due(kStart + 2_s - 1_ns), std::nullopt);
  EXPECT_EQ(pop_all(wheel, kStart + 2_s), std::vector<std::uint32_t>{2});
  EXPECT_EQ(wheel.pop_due(kStart + 2_h - 1_ns), std::nullopt);
  EXPECT_EQ(pop_all(wheel, kStart + 2_h), std::vector<std::uint32_t>{1});
}

TEST(TimingWheel, NeverComesNever) {
  TimingWheel wheel(kStart);
  EXPECT_EQ(wheel.next_deadline(), Instant::never());
  const auto handle = wheel.arm(1, Instant::never());
  EXPECT_EQ(wheel.pop_due(kStart + 24_h * 36'500), std::nullopt);
  EXPECT_EQ(wheel.armed(), 1U);
  wheel.cancel(handle);
  EXPECT_EQ(wheel.next_deadline(), Instant::never());
}

TEST(TimingWheel, WhoSleepsUntilNextDeadlineArrivesInAFewSteps) {
  for (const Duration wait : {1_ms, 100_ms, 61_s, 2_h, 24_h * 30, 24_h * 396}) {
    TimingWheel wheel(kStart);
    static_cast<void>(wheel.arm(1, kStart + wait));
    Instant now = kStart;
    int steps = 0;
    while (!wheel.pop_due(now)) {
      ASSERT_LE(wheel.next_deadline(), kStart + wait);
      ASSERT_GT(wheel.next_deadline(), now) << "an early call must bring the deadline nearer";
      now = wheel.next_deadline();
      ++steps;
    }
    EXPECT_EQ(now, kStart + wait);
    EXPECT_LE(steps, 6) << "one a level";
  }
}

TEST(TimingWheel, AnEmptyWheelHoldsNoNodes) {
  TimingWheel wheel(kStart);
  const std::size_t empty = wheel.bytes();
  const auto handle = wheel.arm(1, kStart + 1_s);
  EXPECT_GT(wheel.bytes(), empty);
  wheel.cancel(handle);
  EXPECT_EQ(wheel.armed(), 0U);
}

// The same calls on a wheel and on a sorted map of deadlines; what each says must agree at every step.
class Comparison {
 public:
  explicit Comparison(std::uint64_t seed) : rng_(seed), wheel_(kStart) {}

  void step() {
    switch (rng_.below(8)) {
      case 0:
      case 1:
      case 2: arm(); break;
      case 3:
        if (!armed_.empty()) move();
        break;
      case 4:
        if (!armed_.empty()) cancel();
        break;
      default: advance(); break;
    }
    ASSERT_EQ(wheel_.armed(), armed_.size());
    ASSERT_EQ(wheel_.next_deadline() == Instant::never(), armed_.empty());
    if (!armed_.empty()) {
      ASSERT_LE(wheel_.next_deadline(), later(earliest(), now_)) << "a lower bound";
    }
  }
  Duration elapsed() const { return now_ - kStart; }
  std::uint64_t popped() const { return popped_; }

 private:
  struct Armed {
    TimingWheel::Handle handle;
    Instant deadline;  // as asked for
    bool was_late;     // already when it was armed or moved
  };

  // Thirteen days at most, but now and then beyond what the levels span (2^36 ms, two years).
  unsigned reach() { return rng_.chance(0.005) ? 57 : 50; }
  // Each power of two up to `most` bits of nanoseconds is as likely as another.
  Duration some_time(unsigned most) {
    const std::uint64_t bits = rng_.below(most + 1);
    return Duration{static_cast<std::int64_t>(rng_.below(std::uint64_t{1} << bits))};
  }
  Instant some_deadline() { return rng_.chance(0.05) ? now_ - some_time(35) : now_ + some_time(reach()); }
  static Instant rounded(Instant deadline) {
    const std::int64_t ns = later((deadline - kStart).ns, std::int64_t{0});
    return kStart + milliseconds((ns + 999'999) / 1'000'000);
  }
  Instant earliest() const { return rounded(by_deadline_.begin()->first); }
  std::map<std::uint32_t, Armed>::iterator any_armed() {
    const auto found = armed_.lower_bound(static_cast<std::uint32_t>(rng_.below(next_owner_)));
    return found == armed_.end() ? armed_.begin() : found;
  }

  void arm() {
    const Instant deadline = some_deadline();
    const std::uint32_t owner = next_owner_++;
    armed_[owner] = {wheel_.arm(owner, deadline), deadline, rounded(deadline) <= now_};
    by_deadline_.emplace(deadline, owner);
  }
  void move() {
    const auto found = any_armed();
    by_deadline_.erase({found->second.deadline, found->first});
    found->second.deadline = some_deadline();
    found->second.was_late = rounded(found->second.deadline) <= now_;
    by_deadline_.emplace(found->second.deadline, found->first);
    wheel_.move(found->second.handle, found->second.deadline);
    ASSERT_EQ(wheel_.deadline(found->second.handle), rounded(found->second.deadline));
  }
  void cancel() {
    const auto found = any_armed();
    by_deadline_.erase({found->second.deadline, found->first});
    wheel_.cancel(found->second.handle);
    armed_.erase(found);
  }
  void advance() {
    now_ = rng_.chance(0.3) && !armed_.empty() ? later(now_, earliest() - Duration{rng_.chance(0.5) ? 1 : 0})
                                               : now_ + some_time(reach());
    Instant last = Instant::unknown();
    while (const auto owner = wheel_.pop_due(now_)) {
      const auto found = armed_.find(*owner);
      ASSERT_NE(found, armed_.end()) << "nobody is called twice, nor after cancelling";
      const Instant due = rounded(found->second.deadline);
      ASSERT_LE(due, now_) << "nobody is called early";
      if (!found->second.was_late) {
        ASSERT_GE(due, last) << "in the order of their ticks";
        last = due;
      }
      by_deadline_.erase({found->second.deadline, *owner});
      armed_.erase(found);
      ++popped_;
      if (rng_.chance(0.1)) arm();  // as a connection does when it is called
    }
    if (!armed_.empty()) {
      ASSERT_GT(earliest(), now_) << "nobody is forgotten";
    }
  }

  Rng rng_;
  TimingWheel wheel_;
  Instant now_ = kStart;
  std::uint32_t next_owner_ = 1;
  std::map<std::uint32_t, Armed> armed_;
  std::set<std::pair<Instant, std::uint32_t>> by_deadline_;
  std::uint64_t popped_ = 0;
};

TEST(TimingWheel, AgreesWithASortedListOverMillionsOfMilliseconds) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Comparison comparison(seed);
    for (int i = 0; i < 20'000; ++i) {
      comparison.step();
      ASSERT_FALSE(HasFatalFailure()) << "step " << i;
    }
    EXPECT_GT(comparison.elapsed().milliseconds(), 5'000'000);
    EXPECT_GT(comparison.popped(), 3'000U);
  }
}

}  // namespace
}  // namespace adieu
