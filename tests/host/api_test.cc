// Orders between threads, pages over tables, what an end would mean. The whole API is asked in tests/cli/api_test.py.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <optional>
#include <set>
#include <thread>

#include "host/api_board.h"
#include "host/api_json.h"
#include "host/api_prospect.h"
#include "host/api_tables.h"
#include "host/clock.h"
#include "host/keepalive_prospect.h"
#include "host/kernel_prospect.h"
#include "host/plane_link.h"
#include "plane/table.h"

namespace adieu::host {
namespace {

bool rings(int bell) {
  pollfd waiting{bell, POLLIN, 0};
  return ::poll(&waiting, 1, 5000) == 1;
}

// ---- the board

TEST(Board, AnOrderComesWithATicketAndItsResultGoesBackToWhoGaveIt) {
  ApiBoard board;
  std::array<OrderResult, 2> results;
  std::array<std::thread, 2> people;
  for (std::uint32_t i = 0; i < 2; ++i)
    people[i] = std::thread([&, i] {
      Order order;
      order.id.slot = i;
      results[i] = board.order(order, seconds(10));
    });
  std::set<std::uint64_t> tickets;
  for (int given = 0; given < 2;) {
    ASSERT_TRUE(rings(board.bell()));
    for (const Order& order : board.take_orders()) {
      ++given;
      tickets.insert(order.request.ticket);
      board.result(order.request.ticket, {.what = OrderResult::What::Receipt, .verdict = 100 + order.id.slot});
    }
  }
  for (std::thread& person : people) person.join();
  EXPECT_EQ(tickets.size(), 2U);
  EXPECT_EQ(tickets.count(0), 0U);
  EXPECT_EQ(results[0].verdict, 100U);
  EXPECT_EQ(results[1].verdict, 101U);
}

TEST(Board, AnOrderThatNobodyTookIsWithdrawnWithItsOwner) {
  ApiBoard board;
  EXPECT_EQ(board.order({}, milliseconds(10)).what, OrderResult::What::TooLate);
  EXPECT_TRUE(board.take_orders().empty());
}

TEST(Board, AResultThatNobodyWaitsForIsDropped) {
  ApiBoard board;
  std::thread person([&] { board.order({}, milliseconds(50)); });
  ASSERT_TRUE(rings(board.bell()));
  const auto orders = board.take_orders();
  person.join();
  ASSERT_EQ(orders.size(), 1U);
  board.result(orders[0].request.ticket, {});
  EXPECT_EQ(board.order({}, milliseconds(1)).what, OrderResult::What::TooLate);
}

TEST(Board, NewsWakeWhoWaitsAndAreNotMissedByWhoComesLate) {
  ApiBoard board;
  const std::uint64_t seen = board.await_news(0, milliseconds(1));
  std::thread control([&] { board.tell_news(); });
  const std::uint64_t next = board.await_news(seen, seconds(10));
  control.join();
  EXPECT_NE(next, seen);
  EXPECT_EQ(board.await_news(seen, seconds(10)), next);
  EXPECT_EQ(board.await_news(next, milliseconds(1)), next);
}

// ---- pages

plane::Record record_of(std::uint16_t port, State state = State::Established) {
  plane::Record record;
  record.local = {Address::v4(10, 0, 0, 1), 80};
  record.remote = {Address::v4(10, 0, 0, 2), port};
  record.state = state;
  record.holder = plane::Holder::Held;
  record.state_entered = record.last_heard = now();
  return record;
}

// Planes with connections, on a board.
class Pages : public testing::Test {
 protected:
  void add_plane(const char* name, std::uint16_t connections) {
    const plane::Capacity capacity{.slots = 64, .receipts = 8, .events = 4};
    auto table = std::make_shared<Mapping>(mapped(plane::table_bytes(capacity)));
    auto control = std::make_shared<Mapping>(mapped(plane::control_block_bytes()));
    plane::TableWriter writer(table->writable(), {.incarnation = 7 + planes.size(),
                                                  .abilities = plane::Ability::Finish | plane::Ability::AbortReset,
                                                  .capacity = capacity,
                                                  .name = name});
    const plane::ControlView view(control->bytes());
    for (std::uint16_t i = 0; i < connections; ++i)
      writer.open(record_of(static_cast<std::uint16_t>(1000 + i), i % 2 == 0 ? State::Established : State::CloseWait),
                  view);
    planes.push_back(
        std::make_shared<const ApiPlane>(ApiPlane{name, 7 + planes.size(), plane::PlaneKind::Engine, 1, table, control,
                                                  *plane::TableReader::over(table->bytes()), view}));
    board.show_planes(planes);
  }
  static Mapping mapped(std::size_t bytes) {
    const auto memory = make_shared("test", bytes);
    return std::move(*Mapping::of(memory->get(), bytes, Mapping::Access::Write));
  }
  // All of them, by pages of `limit`.
  std::vector<std::string> walk(const char* filter, std::size_t limit) {
    const ApiTables tables(board.snapshot());
    std::vector<std::string> ids;
    std::optional<NamedId> after;
    for (int guard = 0; guard < 100; ++guard) {
      const auto page = tables.page(*control::Filter::parse(filter), after, limit);
      EXPECT_LE(page.connections.size(), limit);
      for (const ConnectionView& view : page.connections) ids.push_back(text(view.id));
      if (!page.more) break;
      after = page.connections.back().id;
    }
    return ids;
  }

  std::vector<std::shared_ptr<const ApiPlane>> planes;
  ApiBoard board;
};

TEST_F(Pages, HoldEachConnectionOnceInOneOrderWhateverTheirLength) {
  add_plane("b", 3);
  add_plane("a", 2);
  const std::vector<std::string> expected{"a/0.1", "a/1.1", "b/0.1", "b/1.1", "b/2.1"};
  for (const std::size_t limit : {1U, 2U, 3U, 4U, 5U, 6U}) EXPECT_EQ(walk("", limit), expected) << limit;
}

TEST_F(Pages, HoldOnlyWhatSurelyMatches) {
  add_plane("a", 5);
  EXPECT_EQ(walk("state close-wait", 1), (std::vector<std::string>{"a/1.1", "a/3.1"}));
  EXPECT_EQ(walk("standing alive and dport = :1002", 9), (std::vector<std::string>{"a/2.1"}));
  EXPECT_EQ(walk("standing gone", 9), std::vector<std::string>{});
  EXPECT_EQ(walk("eof read", 9), std::vector<std::string>{}) << "it is not known";
}

TEST_F(Pages, CountEachThatMayMatchOnceWhateverTheirLength) {
  add_plane("a", 5);
  const ApiTables tables(board.snapshot());
  for (const std::size_t limit : {1U, 2U, 3U, 9U}) {
    std::optional<NamedId> after;
    std::uint64_t sure = 0, unsure = 0;
    for (bool more = true; more;) {
      const auto page = tables.page(*control::Filter::parse("state established or eof read"), after, limit);
      sure += page.connections.size();
      unsure += page.unsure;
      more = page.more;
      after = page.connections.back().id;
    }
    EXPECT_EQ(sure, 3U) << limit;
    EXPECT_EQ(unsure, 2U) << limit << ": nobody knows of those in CLOSE-WAIT";
  }
}

TEST_F(Pages, GoOnThoughThePlaneOfTheLastOneIsGone) {
  add_plane("a", 2);
  add_plane("b", 2);
  planes.erase(planes.begin());
  board.show_planes(planes);
  const auto page = ApiTables(board.snapshot()).page({}, NamedId{"a", 0, 1}, 9);
  ASSERT_EQ(page.connections.size(), 2U);
  EXPECT_EQ(text(page.connections.front().id), "b/0.1");
}

TEST_F(Pages, ASnapshotIsReadThoughItsPlaneHasGoneMeanwhile) {
  add_plane("a", 1);
  const ApiTables tables(board.snapshot());
  planes.clear();
  board.show_planes({});
  EXPECT_TRUE(tables.find({"a", 0, 1}));
  EXPECT_FALSE(ApiTables(board.snapshot()).find({"a", 0, 1}));
}

TEST_F(Pages, AConnectionIsFoundByItsWholeNameAlone) {
  add_plane("a", 1);
  const ApiTables tables(board.snapshot());
  EXPECT_TRUE(tables.find({"a", 0, 1}));
  for (const NamedId& id : {NamedId{"a", 0, 2}, NamedId{"a", 1, 1}, NamedId{"a", UINT32_MAX, 1}, NamedId{"b", 0, 1}})
    EXPECT_FALSE(tables.find(id)) << text(id);
}

// ---- prospects

const plane::Abilities kAll = plane::Ability::Finish | plane::Ability::AbortReset | plane::Ability::AbortSilent;

TEST(Prospect, AFinishNeedsAStreamThatIsStillOpenAndAPeer) {
  for (unsigned i = 0; i < kStates; ++i) {
    const State state = static_cast<State>(i);
    const bool open = state == State::Established || state == State::CloseWait;
    EXPECT_EQ(!prospect_of(EndHow::Finish, record_of(1, state), kAll).refused, open) << name(state);
    EXPECT_EQ(default_end(state) == EndHow::Finish, open) << name(state);
  }
}

TEST(Prospect, TimeWaitIsLeftToItself) {
  for (const EndHow how : {EndHow::Finish, EndHow::Reset, EndHow::Silent})
    EXPECT_EQ(prospect_of(how, record_of(1, State::TimeWait), kAll).refused, control::Refusal::Unable);
}

TEST(Prospect, WhatAPlaneCannotDoIsSaid) {
  for (const EndHow how : {EndHow::Finish, EndHow::Reset, EndHow::Silent}) {
    const Prospect prospect = prospect_of(how, record_of(1), 0);
    EXPECT_EQ(prospect.refused, control::Refusal::Unable);
    EXPECT_FALSE(prospect.here.empty());
    EXPECT_TRUE(prospect.application.empty());
  }
}

Prospect of_the_kernels(EndHow how, const plane::Record& record, plane::Abilities abilities = kAll) {
  return prospect_of(how, record, abilities, plane::PlaneKind::Kernel);
}

TEST(Prospect, OfTheKernelsNamesWhatTheApplicationSeesInEachState) {
  plane::Record record = record_of(1);
  record.holder = plane::Holder::Held;
  record.unread = 17;
  EXPECT_EQ(
      of_the_kernels(EndHow::Reset, record).application,
      "it can still read 17 octets; its next read or write fails: ECONNABORTED, once; from then on end of stream, "
      "and EPIPE; the descriptor stays open: only the program can close it");
  record.state = State::CloseWait;
  EXPECT_NE(of_the_kernels(EndHow::Reset, record).application.find("say end of stream"), std::string::npos);
  EXPECT_NE(of_the_kernels(EndHow::Finish, record).application.find("EPIPE (and SIGPIPE"), std::string::npos);
  record.state = State::FinWait2;
  EXPECT_NE(of_the_kernels(EndHow::Reset, record).peer.find("EPIPE"), std::string::npos);
  record.holder = plane::Holder::Orphan;
  EXPECT_EQ(of_the_kernels(EndHow::Reset, record).peer.find("EPIPE"), std::string::npos);
  EXPECT_NE(of_the_kernels(EndHow::Reset, record).here.find("without a segment"), std::string::npos);
}

TEST(Prospect, OfTheKernelsSaysWhatCannotBeDoneAndWhy) {
  plane::Record record = record_of(1);
  record.holder = plane::Holder::AcceptQueue;
  EXPECT_EQ(of_the_kernels(EndHow::Finish, record).refused, control::Refusal::Unable);
  EXPECT_NE(of_the_kernels(EndHow::Finish, record).here.find("no process has a descriptor"), std::string::npos);
  EXPECT_FALSE(of_the_kernels(EndHow::Reset, record).refused);
  EXPECT_EQ(of_the_kernels(EndHow::Silent, record).refused, control::Refusal::Unable);
  record.holder = plane::Holder::Held;
  EXPECT_FALSE(of_the_kernels(EndHow::Finish, record).refused);
  record.beside.looked = true;  // and nobody was found
  EXPECT_TRUE(of_the_kernels(EndHow::Finish, record).refused);
  for (const EndHow how : {EndHow::Finish, EndHow::Reset, EndHow::Silent}) {
    EXPECT_TRUE(of_the_kernels(how, record, 0).refused) << name(how);
    EXPECT_TRUE(of_the_kernels(how, record_of(1, State::TimeWait)).refused) << name(how);
  }
}

OwnLimitsSeen has_set(bool is_on, int idle, int interval, unsigned count) {
  OwnLimitsSeen seen;
  seen.options = kernel::Options{};
  seen.options->keepalive = is_on;
  seen.options->keepalive_time = seconds(idle);
  seen.options->keepalive_interval = seconds(interval);
  seen.options->keepalive_probes = count;
  return seen;
}
bool tells(const std::string& words, std::string_view part) { return words.find(part) != std::string::npos; }

TEST(Prospect, OfAKeepaliveTellsWithTheValuesThatWillHold) {
  const plane::Abilities can = kAll | plane::Ability::Keepalive;
  plane::Record record = record_of(1);
  record.holder = plane::Holder::Held;
  const auto prospect = [&](const plane::Keepalive& wanted, const OwnLimitsSeen& seen) {
    return keepalive_prospect_of(record, can, wanted, seen);
  };
  const Prospect ordered = prospect({60, 10, 3}, {});
  EXPECT_FALSE(ordered.refused);
  EXPECT_TRUE(tells(ordered.here, "after 1 min 0 s without a segment, then every 10.0 s, 3 questions in all"));
  EXPECT_TRUE(tells(ordered.application,
                    "silent, 1 min 30 s after it was heard last, and no sooner than that from now: its next read"));
  EXPECT_FALSE(tells(ordered.application, "if its program has not set its own"));
  EXPECT_TRUE(tells(ordered.peer, "after each 1 min 0 s of silence"));
  const Prospect its_own = prospect({60, 0, 0}, has_set(false, 7200, 20, 2));
  EXPECT_TRUE(tells(its_own.application, "silent, 1 min 40 s after"));
  OwnLimitsSeen network;
  network.settings = kernel::Settings{};  // 75 s, 9
  EXPECT_TRUE(
      tells(prospect({60, 0, 0}, network).application,
            "12 min 15 s after it was heard last, and no sooner than that from now, if its program has not set"));
  EXPECT_TRUE(tells(prospect({60, 0, 0}, {}).here, "then every tcp_keepalive_intvl"));
  EXPECT_TRUE(tells(prospect({60, 10, 3}, has_set(true, 60, 10, 3)).here, "nothing is changed"));
  EXPECT_FALSE(tells(prospect({60, 10, 3}, has_set(true, 60, 10, 4)).here, "nothing is changed"));
  EXPECT_TRUE(tells(prospect({}, {}).here, "refused if its program has set TCP_USER_TIMEOUT"));
  EXPECT_FALSE(tells(prospect({}, has_set(false, 60, 10, 3)).here, "TCP_USER_TIMEOUT"));
  record.unsent = 50;
  EXPECT_TRUE(tells(prospect({}, {}).application, "until then its retransmissions decide"));
  record.state = State::CloseWait;
  EXPECT_TRUE(tells(prospect({}, {}).application, "reading goes on to say end of stream"));
}

TEST(Prospect, OfAKeepaliveSaysWhyItCannotBeHad) {
  const plane::Abilities can = kAll | plane::Ability::Keepalive;
  plane::Record record = record_of(1);
  record.holder = plane::Holder::Held;
  const auto why_not = [&](plane::Abilities abilities, const OwnLimitsSeen& seen = {}) {
    const Prospect prospect = keepalive_prospect_of(record, abilities, {}, seen);
    EXPECT_TRUE(prospect.refused);
    EXPECT_TRUE(prospect.application.empty());
    return prospect.here;
  };
  EXPECT_TRUE(tells(why_not(kAll), "pidfd_getfd"));
  OwnLimitsSeen limited = has_set(false, 1, 1, 1);
  limited.options->user_timeout = seconds(30);
  EXPECT_TRUE(tells(why_not(can, limited), "TCP_USER_TIMEOUT to 30.0 s"));
  for (const State state : {State::FinWait1, State::Closing, State::LastAck}) {
    record.state = state;
    EXPECT_TRUE(tells(why_not(can), "our FIN waits for its acknowledgement")) << name(state);
  }
  record.state = State::SynSent;
  EXPECT_TRUE(tells(why_not(can), "no peer yet"));
  record.state = State::FinWait2;
  record.holder = plane::Holder::Orphan;
  EXPECT_TRUE(tells(why_not(can), "no process has a descriptor"));
  record.state = State::TimeWait;
  EXPECT_TRUE(tells(why_not(can), "quarantine"));
  record.state = State::Established;
  EXPECT_EQ(prospect_of(EndHow::Keepalive, record, kAll).refused, control::Refusal::Unable);
  EXPECT_TRUE(tells(prospect_of(EndHow::Keepalive, record, kAll).here, "the engine has no keepalive"));
  EXPECT_TRUE(of_the_kernels(EndHow::Keepalive, record, can).refused) << "nobody holds it";
}

TEST(Prospect, WarnsOfKernelsOnWhichAnOrphanMayBecomeImmortal) {
  for (const char* release : {"6.11.11-generic", "6.1.0-30-amd64", "5.15.0", "4.19"})
    EXPECT_TRUE(may_make_orphans_immortal(release)) << release;
  for (const char* release : {"6.12.0", "6.18.44", "7.0-rc1", "", "linux", "6", "6.", "x.y"})
    EXPECT_FALSE(may_make_orphans_immortal(release)) << release;
}

TEST(Prospect, WhatWouldBeLostIsCounted) {
  plane::Record record = record_of(1);
  EXPECT_EQ(prospect_of(EndHow::Reset, record, kAll).application.find("lost"), std::string::npos);
  record.unread = 17;
  record.unsent = 23;
  const Prospect prospect = prospect_of(EndHow::Reset, record, kAll);
  EXPECT_NE(prospect.application.find("17 octets"), std::string::npos);
  EXPECT_NE(prospect.peer.find("23 octets"), std::string::npos);
  record.holder = plane::Holder::Orphan;
  EXPECT_NE(prospect_of(EndHow::Reset, record, kAll).application.find("no application"), std::string::npos);
}

// ---- bodies

TEST(Bodies, TakeWhatTheDocumentSaysAndNothingElse) {
  EXPECT_EQ(parse_probe_body(" {} ")->wait, Duration{});
  EXPECT_EQ(parse_probe_body(R"({"wait_s": 0.25})")->wait, milliseconds(250));
  EXPECT_EQ(parse_probe_body(R"({"wait_s": 10})")->wait, seconds(10));
  for (const char* const bad :
       {R"({"wait_s": 10.001})", R"({"wait_s": -0.001})", R"({"wait_s": null})", "[]", "{", "{}{}"})
    EXPECT_FALSE(parse_probe_body(bad)) << bad;
  EXPECT_EQ(parse_end_body(R"({"how": "silent"})")->order.how, EndHow::Silent);
  EXPECT_EQ(parse_end_body("{}")->order.how, std::nullopt);
  EXPECT_TRUE(parse_end_body(R"({"dry_run": true})")->dry_run);
  const auto keeps = parse_end_body(R"({"how": "keepalive", "keepalive": {"idle_s": 32767, "count": 1}})");
  ASSERT_TRUE(keeps);
  EXPECT_EQ(keeps->order.how, EndHow::Keepalive);
  EXPECT_EQ(keeps->order.keepalive, (plane::Keepalive{32767, 0, 1}));
  EXPECT_EQ(parse_end_body(R"({"how": "keepalive"})")->order.keepalive, plane::Keepalive{});
  for (const char* const bad : {R"({"idle_s": 32768})", R"({"idle_s": 0})", R"({"interval_s": 1.5})",
                                R"({"interval_s": -1})", R"({"count": 128})", R"({"count": "3"})", R"({"idle": 1})",
                                "3", "null", R"({"count": 18446744073709551616})"}) {
    EXPECT_FALSE(parse_end_body(fmt::format(R"({{"how": "keepalive", "keepalive": {}}})", bad))) << bad;
    EXPECT_FALSE(parse_end_body(fmt::format(R"({{"how": "reset", "keepalive": {}}})", bad))) << bad;
  }
  EXPECT_FALSE(parse_end_body(R"({"how": "reset", "keepalive": {"idle_s": 1}})"));
  for (const char* const bad : {R"({"how": ""})", R"({"dry_run": 1})", R"({"dryrun": true})", R"("reset")"})
    EXPECT_FALSE(parse_end_body(bad)) << bad;
}

TEST(Bodies, ThatAreMissingAreToldWhatIsWanted) {
  for (const char* const none : {"", " \n"}) {
    EXPECT_NE(parse_probe_body(none).error().text.find(R"({"wait_s":3})"), std::string::npos);
    EXPECT_NE(parse_end_body(none).error().text.find(R"("how":"finish")"), std::string::npos);
  }
}

TEST(Bodies, NameEachMemberOnce) {
  const auto twice = parse_end_body(R"({"dry_run": true, "how": "reset", "dry_run": false})");
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().text, "`dry_run` is given twice");
  EXPECT_FALSE(parse_probe_body(R"({"wait_s":1,"wait_s":1})"));
  EXPECT_TRUE(parse_end_body(R"({"how": "reset", "dry_run": true})"));
}

TEST(Bodies, AReceiptIsReadAsItWasWritten) {
  const Receipt receipt{.id = "a/1.2",
                        .act = "probe",
                        .done = true,
                        .outcome = "done",
                        .sentence = "done",
                        .state = "ESTABLISHED",
                        .verdict = UINT64_MAX - 1,
                        .heard = true,
                        .heard_after_s = 0.25,
                        .ended = "reset by path or peer"};
  const auto read = parse_receipt(receipt_json(receipt));
  ASSERT_TRUE(read);
  EXPECT_EQ(receipt_json(*read), receipt_json(receipt));
  EXPECT_FALSE(parse_receipt("{}"));
  EXPECT_FALSE(parse_receipt("<html>"));
}

}  // namespace
}  // namespace adieu::host
