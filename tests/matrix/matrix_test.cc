// The closing matrix of closing_matrix.inc, asked of the engine and of this host's Linux.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/terms.h"
#include "device/interface.h"
#include "engine_subject.h"
#include "kernel_subject.h"
#include "stage.h"

namespace adieu::matrix {
namespace {

Address address(Family family, std::uint8_t host) {
  if (family == Family::V4) return Address::v4(10, 99, 0, host);
  Address v6;
  v6.octets[0] = 0xfd;
  v6.octets[1] = 0x99;
  v6.octets[15] = host;
  return v6;
}

std::string words(const Outcome& outcome) {
  return outcome.next + " | answer: " + outcome.answer + " | application: " + outcome.application;
}

// In words, what is wrong with the cell; empty if nothing.
std::string ask(Subject& subject, const Cell& cell, const Outcome& expected) {
  Stage stage(subject);
  const std::string where =
      std::string(cell.state) + " x " + std::string(cell.title) + " [" + std::string(cell.step) + "]\n";
  if (const std::string lost = stage.enter(cell.state, cell.event); !lost.empty())
    return where + "  never got there: " + lost;
  const Outcome seen = stage.perform(cell, expected.answer);
  if (seen == expected) return {};
  return where + "  expected " + words(expected) + "\n  seen     " + words(seen);
}

TEST(ClosingMatrix, HasACellForEachStateAndEventExactlyOnceAndAStepForEachCell) {
  std::map<Event, std::multiset<std::string_view>> states;
  for (const Cell& cell : closing_matrix()) {
    states[cell.event].insert(cell.state);
    EXPECT_FALSE(cell.step.empty());
    EXPECT_TRUE(cell.kernel || !cell.why.empty()) << cell.state << " x " << cell.title;
  }
  std::multiset<std::string_view> all;
  for (unsigned i = 0; i < kStates; ++i) all.insert(name(static_cast<State>(i)));
  EXPECT_EQ(states.size(), static_cast<std::size_t>(Event::HourOfSilence) + 1);
  for (const auto& [event, of_event] : states) EXPECT_EQ(of_event, all) << static_cast<int>(event);
}

TEST(ClosingMatrix, HoldsOnTheEngineWithBothFamilies) {
  for (const Family family : {Family::V4, Family::V6}) {
    for (const Cell& cell : closing_matrix()) {
      EngineSubject engine({address(family, 1), 7000}, {address(family, 2), 40000});
      EXPECT_EQ(ask(engine, cell, cell.expected), "");
    }
  }
}

class LinuxMatrix : public kernel::test::Namespace {};

// What Linux is asked is the table's claim about it, in its own words: a state is what sock_diag says, and an end has
// no reason there.
Outcome as_linux_says(Outcome outcome) {
  if (outcome.next.starts_with("ended") || outcome.next == "LISTEN") outcome.next = "CLOSED";
  return outcome;
}

TEST_F(LinuxMatrix, HoldsOnThisHostsLinuxWhereASocketReachesTheCell) {
  auto tun = device::Tun::open("matrix%d", {.vnet_header = false, .multi_queue = false});
  if (!tun) GTEST_SKIP() << "SKIPPED, NOT TESTED: no TUN device is permitted here: " << std::strerror(tun.error().code);
  ASSERT_TRUE(device::bring_up(tun->name()));
  ASSERT_TRUE(device::set_address(tun->name(), address(Family::V4, 1), 24));
  auto diag = kernel::Diag::open();
  ASSERT_TRUE(diag);
  Linux host{std::move(*tun), std::move(*diag)};
  std::uint16_t port = 10000;
  unsigned asked = 0;
  for (const Cell& cell : closing_matrix()) {
    ++port;
    if (!cell.kernel) continue;
    KernelSubject linux(host, {address(Family::V4, 1), port}, {address(Family::V4, 2), port});
    EXPECT_EQ(ask(linux, cell, as_linux_says(cell.of_linux)), "");
    ++asked;
  }
  EXPECT_GT(asked, 400U);
}

}  // namespace
}  // namespace adieu::matrix
