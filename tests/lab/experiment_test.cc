// `adieu lab` from within: puppets and the two kinds of end, what becomes of experiments, and the quick set whole.
#include "lab/experiment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "host/clock.h"

namespace adieu::lab {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class ExperimentTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = why_no_world();
    if (!reason.empty()) GTEST_SKIP() << "SKIPPED, NOTHING WAS TESTED: " << reason;
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
  }
  static void on_a_stage(Tried tried, const std::function<void(Stage&)>& inside) {
    if (tried == Tried::Engine && access("/dev/net/tun", R_OK | W_OK) != 0)
      GTEST_SKIP() << "SKIPPED, NOTHING WAS TESTED: no /dev/net/tun";
    auto world = start_world([&](World& w) {
      Stage stage(w, {.tried = tried, .quick = true, .program = ""});
      stage.build();
      inside(stage);
      return testing::Test::HasFailure() ? 1 : 0;
    });
    ASSERT_TRUE(world) << world.error().text;
    EXPECT_EQ(world->wait(seconds(30)), 0);
  }
};

class OnBothTest : public ExperimentTest, public testing::WithParamInterface<Tried> {};
INSTANTIATE_TEST_SUITE_P(Ends, OnBothTest, testing::Values(Tried::Kernel, Tried::Engine),
                         [](const auto& one) { return one.param == Tried::Kernel ? "Kernel" : "Engine"; });

TEST_P(OnBothTest, APuppetTalksWithItAndClosesInOrder) {
  on_a_stage(GetParam(), [](Stage& stage) {
    End end = stage.connect();
    end.it.send(100);
    EXPECT_TRUE(stage.until(seconds(2),
                            [&] { return end.peer.count({}, [](const Heard& h) { return h.payload == 100; }) == 1; }));
    end.peer.send_data(30);
    EXPECT_TRUE(stage.until(seconds(2), [&] { return end.it.unread() == 30; }));
    EXPECT_EQ(end.it.receive(), 30U);
    EXPECT_EQ(end.it.receive(), std::nullopt);
    stage.into_close_wait(end);
    EXPECT_EQ(end.it.receive(), 0U);
    end.it.close();
    EXPECT_TRUE(stage.gone_after(end, host::now(), seconds(2)));
    EXPECT_TRUE(end.peer.heard_fin());
    EXPECT_EQ(end.peer.count({}, [](const Heard& h) { return h.segment.rst; }), 0U);
  });
}

TEST_P(OnBothTest, AnEndCanBeBroughtIntoTheStatesThatExperimentsNeed) {
  on_a_stage(GetParam(), [](Stage& stage) {
    End end = stage.connect();
    stage.into_time_wait(end);
    EXPECT_EQ(end.it.state(), State::TimeWait);
    End half = stage.connect();
    stage.into_fin_wait_2(half);
    half.it.close();
    EXPECT_EQ(half.it.state(), State::FinWait2) << "an orphan is seen as well";
  });
}

TEST_P(OnBothTest, AMutePuppetAnswersNothingAndHearsTheFinAgain) {
  on_a_stage(GetParam(), [](Stage& stage) {
    End end = stage.connect();
    end.peer.answers = false;
    end.it.shut_send();
    EXPECT_TRUE(
        stage.until(seconds(3), [&] { return end.peer.count({}, [](const Heard& h) { return h.segment.fin; }) >= 2; }));
    EXPECT_EQ(end.it.state(), State::FinWait1);
    EXPECT_FALSE(end.peer.heard_fin());
  });
}

TEST_P(OnBothTest, APuppetWithAClosedWindowTakesNoDataAndSaysSo) {
  on_a_stage(GetParam(), [](Stage& stage) {
    End end = stage.connect();
    const Seq before = end.peer.rcv_nxt();
    end.peer.window = 0;
    end.peer.send_ack();
    stage.pass(milliseconds(50));
    end.it.send(100);
    stage.pass(seconds(1));
    EXPECT_EQ(end.peer.rcv_nxt(), before);
    end.peer.window = 64000;
    end.peer.send_ack();
    EXPECT_TRUE(stage.until(seconds(5), [&] { return end.peer.rcv_nxt() == before + 100; }));
  });
}

TEST_F(ExperimentTest, APuppetFarAwayAnswersLater) {
  on_a_stage(Tried::Kernel, [](Stage& stage) {
    const Instant start = host::now();
    stage.connect_far(milliseconds(300));
    EXPECT_GE(host::now() - start, milliseconds(300));
  });
}

// --- what becomes of experiments

Finding as_said(Stage&) { return {.text = "so it is", .as_said = true, .figures = {{"one", 1.0}}}; }
Finding not_as_said(Stage&) { return {.text = "so it is not"}; }
Finding skips(Stage&) { throw Skip("no such thing here"); }
Finding fails(Stage&) { throw Trouble("it fell over"); }

Row row_of(const Experiment& experiment) {
  const Experiment* const chosen[] = {&experiment};
  Row result;
  run_experiments(chosen, {}, [&](const Row& row) { result = row; });
  return result;
}

TEST_F(ExperimentTest, AVerdictIsTheKernels) {
  EXPECT_EQ(verdict(row_of({"a", "said", "source", as_said})), "as said");
  EXPECT_EQ(verdict(row_of({"a", "said", "source", not_as_said})), "not as said");
  EXPECT_EQ(verdict(row_of({"a", "said", "source", skips})), "skipped");
  EXPECT_EQ(verdict(row_of({"a", "said", "source", fails})), "failed");
}

TEST_F(ExperimentTest, WhatHappenedInAWorldIsToldOutside) {
  const Row row = row_of({"a", "said", "source", as_said, "not here"});
  EXPECT_EQ(row.kernel.course, Course::Measured);
  EXPECT_EQ(row.kernel.text, "so it is");
  ASSERT_EQ(row.kernel.figures.size(), 1U);
  EXPECT_EQ(row.kernel.figures[0], (std::pair<std::string, double>{"one", 1.0}));
  EXPECT_EQ(row.engine.course, Course::NotApplicable);
  EXPECT_EQ(row.engine.text, "not here");
  EXPECT_EQ(row_of({"a", "said", "source", skips}).engine.text, "no such thing here");
  EXPECT_EQ(row_of({"a", "said", "source", fails}).kernel.text, "it fell over");
}

TEST_F(ExperimentTest, RowsComeInTheOrderAskedForWhateverTakesLongest) {
  const Experiment slow{"slow", "said", "source", [](Stage& stage) {
                          stage.build();
                          stage.pass(milliseconds(500));
                          return Finding{};
                        }};
  const Experiment fast{"fast", "said", "source", as_said};
  const Experiment* const chosen[] = {&slow, &fast};
  std::vector<std::string> order;
  run_experiments(chosen, {}, [&](const Row& row) { order.emplace_back(row.experiment->name); });
  EXPECT_THAT(order, testing::ElementsAre("slow", "fast"));
}

TEST(Experiments, HaveNamesOfTheirOwnAndSayWhoSaysIt) {
  std::set<std::string_view> names;
  for (const Experiment& one : all_experiments()) {
    EXPECT_TRUE(names.insert(one.name).second) << one.name;
    EXPECT_FALSE(one.said.empty()) << one.name;
    EXPECT_FALSE(one.source.empty()) << one.name;
    if (one.not_for_engine.empty()) continue;
    EXPECT_THAT(std::string(one.not_for_engine), StartsWith("not applicable: "));
  }
  EXPECT_GE(names.size(), 30U);
}

// --- all of them, as `adieu lab --quick` runs them; not what they find, which is the kernel's affair

void expect_measured(const Row& row, const Cell& cell, const char* whose) {
  const std::string name = std::string(row.experiment->name) + " " + whose;
  EXPECT_EQ(cell.course, Course::Measured) << name << ": " << cell.text;
  EXPECT_FALSE(cell.text.empty()) << name;
  EXPECT_FALSE(cell.figures.empty()) << name;
  for (const auto& [figure, value] : cell.figures) {
    EXPECT_TRUE(std::isfinite(value) && value >= -1) << name << " " << figure;
    if (!figure.ends_with("gone_s")) continue;
    EXPECT_TRUE(value == -1 || (value >= 0 && value < 15)) << name << " " << value;
  }
  EXPECT_GT(cell.seconds, 0) << name;
}

TEST_F(ExperimentTest, TheQuickSetMeasuresSomethingInEachRow) {
  std::vector<const Experiment*> all;
  for (const Experiment& one : all_experiments()) all.push_back(&one);
  const bool has_tun = access("/dev/net/tun", R_OK | W_OK) == 0;
  std::size_t rows = 0;
  run_experiments(all, {.quick = true, .program = ""}, [&](const Row& row) {
    ++rows;
    const bool tracks = row.kernel.course != Course::Skipped || !row.experiment->name.starts_with("conntrack");
    if (tracks) expect_measured(row, row.kernel, "kernel");
    // Without adieu's program nobody asks for the engine: those rows are tests/cli/lab_test.py's.
    if (row.engine.course == Course::Skipped && has_tun && tracks)
      EXPECT_THAT(row.engine.text, HasSubstr("control plane asks")) << row.experiment->name;
    else if (row.engine.course != Course::NotApplicable && has_tun && tracks)
      expect_measured(row, row.engine, "engine");
    const auto json = nlohmann::json::parse(json_line(row), nullptr, false);
    EXPECT_EQ(json.value("name", ""), row.experiment->name);
    EXPECT_EQ(json.value("verdict", ""), verdict(row));
    EXPECT_TRUE(json["kernel"]["figures"].is_object());
  });
  EXPECT_EQ(rows, all.size());
}

}  // namespace
}  // namespace adieu::lab
