// Filters: what people write, which connections that means, and where a mistake stands.
#include "control/filter.h"

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/control/records.h"

namespace adieu::control {
namespace {

using plane::Holder;
using plane::Known;
using testing::at;

// A connection of this host's web server, half-closed by its peer two hours ago and forgotten since.
struct Scene {
  plane::Record record = [] {
    plane::Record r = testing::half_closed(at(hours(1)), State::CloseWait);
    r.remote = {Address::v4(193, 233, 7, 99), 50000};
    r.state_entered = at(hours(1));
    r.last_heard = at(hours(2));
    r.end_of_stream_read = Known::Yes;
    r.attempts = 3;
    r.unread = 0;
    r.unsent = 100;
    return r;
  }();
  std::string plane = "web";
  plane::PlaneKind kind = plane::PlaneKind::Engine;
  std::vector<Process> processes{{100, "nginx"}, {101, "nginx: worker"}};
  bool processes_known = true;
  Standing standing = Standing::Silent;
  Instant now = at(hours(3));

  Truth is(std::string_view text) const {
    const auto filter = Filter::parse(text);
    EXPECT_TRUE(filter.has_value()) << text << ": " << message(filter.error().trouble);
    return filter ? filter->match({record, plane, kind, processes, processes_known, standing, now}) : Truth::Unknown;
  }
  Scene in(State state) const {
    Scene scene = *this;
    scene.record.state = state;
    return scene;
  }
};
template <typename Change>
Scene with(Change change) {
  Scene scene;
  change(scene);
  return scene;
}

// Nothing is known that a plane may leave unknown, and nobody has judged.
Scene hidden() {
  return with([](Scene& s) {
    s.record.holder = Holder::Unknown;
    s.record.end_of_stream_read = Known::Unknown;
    s.record.state_entered = Instant::unknown();
    s.record.last_heard = Instant::unknown();
    s.record.unread = plane::kUnknownCount;
    s.record.unsent = plane::kUnknownCount;
    s.processes.clear();
    s.processes_known = false;
    s.standing = Standing::Unknown;
  });
}

StateSet states_of(std::string_view text) {
  const auto filter = Filter::parse(text);
  EXPECT_TRUE(filter.has_value()) << text;
  return filter ? filter->states() : StateSet{0};
}
StateSet all_but(StateSet set) { return static_cast<StateSet>(((1U << kStates) - 1) & ~static_cast<unsigned>(set)); }

constexpr std::string_view kSpellings[kStates][4] = {
    {"closed", "CLOSE", "UNCONN", "unconnected"},          {"listen", "LISTEN", "listening", "Listening"},
    {"syn-sent", "SYN_SENT", "synsent", "SYN-SENT"},       {"syn-recv", "SYN_RECV", "SYN-RECEIVED", "SYN_RCVD"},
    {"established", "ESTAB", "estab", "ESTABLISHED"},      {"fin-wait-1", "FIN_WAIT1", "finwait1", "FIN_WAIT_1"},
    {"fin-wait-2", "FIN_WAIT2", "finwait2", "FIN-WAIT-2"}, {"close-wait", "CLOSE_WAIT", "closewait", "Close-Wait"},
    {"closing", "CLOSING", "Closing", "closing"},          {"last-ack", "LAST_ACK", "lastack", "LAST-ACK"},
    {"time-wait", "TIME_WAIT", "timewait", "TIME-WAIT"}};

}  // namespace

// --- states ---

TEST(Filter, KnowsEveryStateInEverySpelling) {
  for (unsigned s = 0; s < kStates; ++s)
    for (const std::string_view spelling : kSpellings[s]) {
      const std::string text = "state " + std::string(spelling);
      EXPECT_EQ(states_of(text), set_of(static_cast<State>(s))) << text;
      EXPECT_EQ(states_of("exclude " + std::string(spelling)), all_but(set_of(static_cast<State>(s)))) << text;
    }
  for (unsigned s = 0; s < kStates; ++s)
    EXPECT_EQ(states_of("state " + std::string(name(static_cast<State>(s)))), set_of(static_cast<State>(s)));
}

TEST(Filter, KnowsTheGroupsOfSs) {
  const auto closed_or_listen = static_cast<StateSet>(set_of(State::Closed) | set_of(State::Listen));
  const auto bucket = static_cast<StateSet>(set_of(State::SynReceived) | set_of(State::TimeWait));
  EXPECT_EQ(states_of("state all"), all_but(0));
  EXPECT_EQ(states_of("state connected"), all_but(closed_or_listen));
  EXPECT_EQ(states_of("state synchronized"), all_but(static_cast<StateSet>(closed_or_listen | set_of(State::SynSent))));
  EXPECT_EQ(states_of("state bucket"), bucket);
  EXPECT_EQ(states_of("state big"), all_but(bucket));
}

TEST(Filter, TakesSeveralStatesInARowAsOneSet) {
  const auto both = static_cast<StateSet>(set_of(State::CloseWait) | set_of(State::LastAck));
  EXPECT_EQ(states_of("state close-wait state last-ack"), both);
  EXPECT_EQ(states_of("exclude close-wait exclude last-ack"), all_but(both));
  EXPECT_EQ(states_of("exclude all state close-wait state last-ack"), both);
  EXPECT_EQ(states_of("state connected exclude established exclude syn-sent"),
            states_of("state syn-recv state fin-wait-1 state fin-wait-2 state close-wait state closing state last-ack "
                      "state time-wait"));
  EXPECT_EQ(states_of("not state close-wait state last-ack"), all_but(both));
  EXPECT_EQ(states_of("state != close-wait"), all_but(set_of(State::CloseWait)));
  EXPECT_EQ(states_of("state close-wait and state last-ack"), 0);
  EXPECT_EQ(Scene{}.is("state last-ack state close-wait dport = 50000"), Truth::Yes);
  EXPECT_EQ(Scene{}.is("state last-ack state close-wait dport = 50001"), Truth::No);
}

TEST(Filter, TellsTheStatesOutsideOfWhichItNeverHolds) {
  EXPECT_EQ(states_of("state close-wait and dport = :443"), set_of(State::CloseWait));
  EXPECT_EQ(states_of("state close-wait or dport = :443"), all_but(0));
  EXPECT_EQ(states_of("not (state close-wait or dport = :443)"), all_but(set_of(State::CloseWait)));
  EXPECT_EQ(states_of("eof unread"), states_of("state close-wait state closing state last-ack state time-wait"));
  EXPECT_EQ(states_of("eof != read"), all_but(0));
}

// --- what people write ---

TEST(Filter, MeansEverythingWhenItIsEmpty) {
  for (const char* text : {"", "  \t\n", "state all", "src *", "state close-wait or not state close-wait"}) {
    const auto filter = Filter::parse(text);
    ASSERT_TRUE(filter) << text;
    EXPECT_TRUE(filter->is_everything()) << text;
    EXPECT_EQ(hidden().is(text), Truth::Yes) << text;
  }
  EXPECT_EQ(Filter{}, *Filter::parse(""));
  EXPECT_FALSE(Filter::parse("state connected")->is_everything());
  EXPECT_FALSE(Filter::parse("held yes")->is_everything());
  EXPECT_FALSE(Filter::parse("dport = 1 or dport != 1")->is_everything());  // true, but more than it can see
}

// ss(8), USAGE EXAMPLES, with numbers for the services.
TEST(Filter, ReadsTheExamplesOfSs) {
  EXPECT_EQ(Scene{}.is("state established ( dport = :22 or sport = :22 )"), Truth::No);
  const Scene apache = Scene{}.in(State::FinWait1);
  constexpr std::string_view kApache = "state fin-wait-1 ( sport = :80 or sport = :443 ) dst 193.233.7/24";
  EXPECT_EQ(apache.is(kApache), Truth::Yes);
  EXPECT_EQ(Scene{}.is(kApache), Truth::No);
}

TEST(Filter, IsReadTheSameWithAndWithoutSpaces) {
  EXPECT_EQ(*Filter::parse("state close-wait&&(dport>=:1024||!held=yes)"),
            *Filter::parse("state close-wait and ( dport ge 1024 or not held eq yes )"));
  EXPECT_EQ(*Filter::parse("STATE close-wait AND Held YES"), *Filter::parse("state close-wait & held = yes"));
}

TEST(Filter, BindsNotBeforeAndBeforeOr) {
  const Scene scene;  // CLOSE-WAIT
  EXPECT_EQ(scene.is("state close-wait or state listen and state closing"), Truth::Yes);
  EXPECT_EQ(scene.is("(state close-wait or state listen) and state closing"), Truth::No);
  EXPECT_EQ(scene.is("state closing and state listen or state close-wait"), Truth::Yes);
  EXPECT_EQ(scene.is("state closing and (state listen or state close-wait)"), Truth::No);
  EXPECT_EQ(scene.is("held yes or state listen state closing"), Truth::Yes);
  EXPECT_EQ(scene.is("not state listen and state closing"), Truth::No);
  EXPECT_EQ(scene.is("not (state listen and state closing)"), Truth::Yes);
  EXPECT_EQ(scene.is("! ! held yes"), Truth::Yes);
}

TEST(Filter, ComparesPortsInEverySpelling) {
  for (const char* text : {"dport = :50000", "dport 50000",     "dport == 50000", "dport eq :50000", "dport != 49999",
                           "dport ne 49999", "dport neq 49999", "dport < 50001",  "dport lt 50001",  "dport <= 50000",
                           "dport le 50000", "dport leq 50000", "dport > 49999",  "dport gt :49999", "dport >= 50000",
                           "dport ge 50000", "dport geq 50000", "sport = :443",   "dport = *",       "sport :*"})
    EXPECT_EQ(Scene{}.is(text), Truth::Yes) << text;
  for (const char* text : {"dport = :443", "dport != 50000", "dport < 50000", "dport <= 49999", "dport > 50000",
                           "dport >= 50001", "sport = :50000", "dport != *"})
    EXPECT_EQ(Scene{}.is(text), Truth::No) << text;
}

TEST(Filter, FindsHostsByAddressPrefixAndPort) {
  for (const char* text : {"dst 193.233.7.99", "dst = 193.233.7.99:50000", "dst == 193.233.7/24",
                           "dst 193.233/16:50000", "dst 192/6", "dst 0/0", "dst *", "dst *:50000", "dst :50000",
                           "dst 193.233.7.99:*", "dst != 10/8", "src 10/8", "src 10.0.0.1/31", "dst inet:*",
                           "dst inet:193/8:50000", "dst [::ffff:193.233.7.99]:50000", "src 10.255.255.255/8"})
    EXPECT_EQ(Scene{}.is(text), Truth::Yes) << text;
  for (const char* text : {"dst 193.233.7.98", "dst 193.233.7.99:443", "dst 193.233.6/24", "dst 194/7", "dst 193",
                           "dst :443", "dst != 193/8", "src 193/8", "src 10.0.0.2/31", "dst ::/0", "dst inet6:*",
                           "src 10.0.0.0/32", "dst [::]/80", "dst != *"})
    EXPECT_EQ(Scene{}.is(text), Truth::No) << text;
}

TEST(Filter, FindsHostsOfIpv6Alike) {
  const Scene scene = with([](Scene& s) {
    s.record.local = {{{0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}}, 443};
    s.record.remote = {{{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0}}, 50000};
  });
  for (const char* text :
       {"src fd77::2", "src [fd77::2]", "src [fd77::2]:443", "src fd77::/64", "src [fd77::/64]:443",
        "src [FD77::]/16:443", "src fd77:0:0:0:0:0:0:2", "src fd77:0:0:0:0:0:0.0.0.2", "src fd77::0.0.0.2", "src ::/0",
        "dst 2001:db8:0:80::", "dst 2001:db8:0:80::/57", "dst 2001:db8::/56", "dst 2001:db8:0:ff::/57",
        "dst inet6:[2001:db8::]/32:50000", "family inet6"})
    EXPECT_EQ(scene.is(text), Truth::Yes) << text;
  for (const char* text : {"src fd77::3", "src [fd77::2]:80", "dst 2001:db8::/57", "src 0/0", "src fd78::/16",
                           "dst inet:*", "family inet", "dst 2001:db8:0:80::1"})
    EXPECT_EQ(scene.is(text), Truth::No) << text;
  EXPECT_EQ(scene.is("src [fd77::3]/127"), Truth::Yes);
}

// --- adieu's words: each once true, once false, once unknown ---

TEST(Filter, AsksForTheStanding) {
  constexpr std::pair<std::string_view, Standing> kAll[] = {
      {"alive", Standing::Alive}, {"silent", Standing::Silent},   {"suspect", Standing::Suspect},
      {"gone", Standing::Gone},   {"unknown", Standing::Unknown}, {"ended", Standing::Ended}};
  static_assert(std::size(kAll) == kStandings);
  for (const auto& [asked, asked_standing] : kAll)
    for (const auto& [given, standing] : kAll) {
      const Scene scene = with([&](Scene& s) { s.standing = standing; });
      // Of one that nobody judges it is known that it has not ended.
      const bool is_unknown =
          standing == Standing::Unknown && asked_standing != Standing::Unknown && asked_standing != Standing::Ended;
      const Truth expected = is_unknown ? Truth::Unknown : asked == given ? Truth::Yes : Truth::No;
      EXPECT_EQ(scene.is("standing " + std::string(asked)), expected) << asked << given;
      EXPECT_EQ(scene.is("standing != " + std::string(asked)), static_cast<Truth>(2 - static_cast<int>(expected)));
    }
  EXPECT_TRUE(Filter::parse("held yes or not standing gone")->needs_standing());
  EXPECT_FALSE(Filter::parse("held yes")->needs_standing());
  EXPECT_TRUE(Filter::parse("held yes or not age > 1h")->needs_past());
  EXPECT_TRUE(Filter::parse("eof read")->needs_past());
  EXPECT_FALSE(Filter::parse("comm storage and idle > 1h")->needs_past());
}

TEST(Filter, AsksHowLongAConnectionIsInItsState) {
  const Scene two_hours;
  EXPECT_EQ(two_hours.is("age >= 2h"), Truth::Yes);
  EXPECT_EQ(two_hours.is("age > 2h"), Truth::No);
  EXPECT_EQ(two_hours.is("age <= 120min"), Truth::Yes);
  EXPECT_EQ(two_hours.is("age < 7200s"), Truth::No);
  EXPECT_EQ(two_hours.is("age > 7199999ms"), Truth::Yes);
  EXPECT_EQ(two_hours.is("age < 7200000000001ns"), Truth::Yes);
  EXPECT_EQ(two_hours.is("age >= 7200000001us"), Truth::No);
  EXPECT_EQ(two_hours.is("age >= 0.08333d and age < 0.08334d and age > 1.9h and age > 119.99m"), Truth::Yes);
  EXPECT_EQ(hidden().is("age > 1h"), Truth::Unknown);
  EXPECT_EQ(hidden().is("age < 1h"), Truth::Unknown);
  EXPECT_EQ(with([](Scene& s) { s.now = Instant::unknown(); }).is("age > 1h"), Truth::Unknown);
}

TEST(Filter, TakesARecordThatIsNewerThanNowForBrandNew) {
  const Scene scene = with([](Scene& s) { s.record.state_entered = s.now + milliseconds(1); });
  EXPECT_EQ(scene.is("age >= 0"), Truth::Yes);
  EXPECT_EQ(scene.is("age > 0"), Truth::No);
}

TEST(Filter, AsksHowLongThePeerHasNotBeenHeard) {
  EXPECT_EQ(Scene{}.is("idle > 5min"), Truth::Yes);
  EXPECT_EQ(Scene{}.is("idle > 1h"), Truth::No);
  EXPECT_EQ(Scene{}.is("idle >= 1h"), Truth::Yes);
  EXPECT_EQ(hidden().is("idle > 5min"), Truth::Unknown);
}

TEST(Filter, AsksWhoHoldsIt) {
  constexpr Holder kAll[] = {Holder::Unknown, Holder::Held, Holder::AcceptQueue, Holder::Orphan};
  constexpr std::string_view kHolders[] = {"unknown", "held", "accept-queue", "orphan"};
  constexpr std::string_view kHeld[] = {"unknown", "yes", "no", "no"};
  for (unsigned given = 0; given < 4; ++given) {
    const Scene scene = with([&](Scene& s) { s.record.holder = kAll[given]; });
    for (const std::string_view asked : kHolders)
      EXPECT_EQ(scene.is("holder " + std::string(asked)), asked == kHolders[given]             ? Truth::Yes
                                                          : given == 0 && asked != kHolders[0] ? Truth::Unknown
                                                                                               : Truth::No);
    for (const std::string_view asked : {"yes", "no", "unknown"})
      EXPECT_EQ(scene.is("held = " + std::string(asked)), asked == kHeld[given]             ? Truth::Yes
                                                          : given == 0 && asked != kHeld[0] ? Truth::Unknown
                                                                                            : Truth::No);
  }
  EXPECT_EQ(Scene{}.is("held != no"), Truth::Yes);
  EXPECT_EQ(hidden().is("held != no"), Truth::Unknown);
  EXPECT_EQ(hidden().is("held != unknown"), Truth::No);
}

TEST(Filter, AsksWhetherTheEndOfThePeersStreamHasBeenRead) {
  EXPECT_EQ(Scene{}.is("eof read"), Truth::Yes);
  EXPECT_EQ(Scene{}.is("eof unread"), Truth::No);
  EXPECT_EQ(Scene{}.is("eof unknown"), Truth::No);
  EXPECT_EQ(hidden().is("eof read"), Truth::Unknown);
  EXPECT_EQ(hidden().is("eof unread"), Truth::Unknown);
  EXPECT_EQ(hidden().is("eof unknown"), Truth::Yes);
  Scene unread = hidden();
  unread.record.unread = 1;  // what stands before the end has not been read
  EXPECT_EQ(unread.is("eof unread"), Truth::Yes);
  unread.record.unread = 0;
  EXPECT_EQ(unread.is("eof unread"), Truth::Unknown);
  // Where it has not ended there is no end to read.
  const Scene open = with([](Scene& s) { s.record.end_of_stream_read = Known::No; }).in(State::Established);
  EXPECT_EQ(open.is("eof unread"), Truth::No);
  EXPECT_EQ(open.is("eof read or eof unknown"), Truth::No);
  EXPECT_EQ(open.is("eof != unread"), Truth::Yes);
}

TEST(Filter, AsksForThePlaneByKindOrName) {
  for (const char* text : {"plane engine", "plane web", "plane = we*", "plane *", "plane \"web\"", "plane != kernel"})
    EXPECT_EQ(Scene{}.is(text), Truth::Yes) << text;
  for (const char* text : {"plane kernel", "plane WEB", "plane w", "plane webs*", "plane != web", "plane != engine"})
    EXPECT_EQ(Scene{}.is(text), Truth::No) << text;
  EXPECT_EQ(with([](Scene& s) { s.kind = plane::PlaneKind::Kernel; }).is("plane kernel"), Truth::Yes);
}

TEST(Filter, AsksForTheProcessesThatHoldIt) {
  for (const char* text : {"pid = 100", "pid 101", "pid != 7", "comm nginx", "comm \"nginx: worker\"",
                           "comm 'nginx: *'", "comm = ngi*", "comm != apache2", "comm *"})
    EXPECT_EQ(Scene{}.is(text), Truth::Yes) << text;
  for (const char* text : {"pid = 7", "pid != 100", "comm apache2", "comm NGINX", "comm ngin", "comm != nginx"})
    EXPECT_EQ(Scene{}.is(text), Truth::No) << text;
  for (const char* text : {"pid = 100", "pid != 100", "comm nginx", "comm != nginx", "comm *"})
    EXPECT_EQ(hidden().is(text), Truth::Unknown) << text;
  // One that is known holds it, whoever else does.
  EXPECT_EQ(with([](Scene& s) { s.processes_known = false; }).is("comm nginx"), Truth::Yes);
  EXPECT_EQ(with([](Scene& s) { s.processes_known = false; }).is("comm apache2"), Truth::Unknown);
  EXPECT_EQ(with([](Scene& s) { s.processes.clear(); }).is("comm nginx"), Truth::No);
  EXPECT_TRUE(Filter::parse("pid 1")->needs_processes());
  EXPECT_TRUE(Filter::parse("not comm x")->needs_processes());
  EXPECT_FALSE(Filter::parse("plane x")->needs_processes());
}

TEST(Filter, ComparesCounts) {
  for (const char* text : {"unsent > 0", "unsent = 100", "unsent 100", "unread = 0", "unread != 1", "attempts > 2",
                           "attempts <= 3", "unread < 4294967295"})
    EXPECT_EQ(Scene{}.is(text), Truth::Yes) << text;
  for (const char* text : {"unsent < 100", "unread > 0", "attempts > 8", "attempts != 3"})
    EXPECT_EQ(Scene{}.is(text), Truth::No) << text;
  EXPECT_EQ(hidden().is("unread > 0"), Truth::Unknown);
  EXPECT_EQ(hidden().is("unsent = 0"), Truth::Unknown);
  EXPECT_EQ(hidden().is("unsent != 0"), Truth::Unknown);
  EXPECT_EQ(hidden().is("attempts > 2"), Truth::Yes);  // every plane counts them
}

TEST(Filter, AnswersUnknownOnlyWhereItMatters) {
  const Scene scene = hidden();
  EXPECT_EQ(scene.is("held yes and state close-wait"), Truth::Unknown);
  EXPECT_EQ(scene.is("held yes and state listen"), Truth::No);
  EXPECT_EQ(scene.is("held yes or state close-wait"), Truth::Yes);
  EXPECT_EQ(scene.is("held yes or dport = 1"), Truth::Unknown);
  EXPECT_EQ(scene.is("held yes or not held yes"), Truth::Unknown);
  EXPECT_EQ(scene.is("not (held yes and dport = 1)"), Truth::Yes);
}

TEST(Filter, TellsWhenTimeAloneMayChangeTheAnswer) {
  const Scene scene;
  const auto next = [&](std::string_view text, Instant now) {
    return Filter::parse(text)->next_change(scene.record, now);
  };
  EXPECT_EQ(next("state close-wait", scene.now), Instant::never());
  EXPECT_EQ(next("age >= 3h or idle < 5h", scene.now), at(hours(4)));
  EXPECT_EQ(next("age >= 3h or idle < 5h", at(hours(4))), at(hours(7)));
  EXPECT_EQ(next("age >= 3h or idle < 5h", at(hours(7))), Instant::never());
  EXPECT_EQ(next("age > 3h", scene.now), at(hours(4) + nanoseconds(1)));
  EXPECT_EQ(next("age <= 3h", at(hours(4))), at(hours(4) + nanoseconds(1)));
  EXPECT_EQ(Filter::parse("age > 1h")->next_change(hidden().record, scene.now), Instant::never());
  Scene later = scene;
  later.now = next("age > 3h", scene.now);
  EXPECT_EQ(later.is("age > 3h"), Truth::Yes);
  later.now = later.now - nanoseconds(1);
  EXPECT_EQ(later.is("age > 3h"), Truth::No);
}

// --- mistakes ---

namespace {
struct Mistake {
  FilterTrouble trouble;
  std::string_view text;
  std::string_view marks;  // under the place
};
using enum FilterTrouble;
constexpr Mistake kMistakes[] = {
    {TermMissing, "held yes and", "            "},
    {TermMissing, "or held yes", "^^"},
    {TermMissing, "held yes or and pid 1", "            ^^^"},
    {TermMissing, "( )", "  ^"},
    {TermMissing, "not", "   "},
    {TermMissing, "> 5", "^"},
    {TermMissing, "held yes \"x\"", "         ^^^"},
    {ValueMissing, "state", "^^^^^"},
    {ValueMissing, "dport =", "^^^^^"},
    {ValueMissing, "(held) or pid 1", " ^^^^"},
    {ValueMissing, "state and held yes", "^^^^^"},
    {ValueMissing, "age >", "^^^"},
    {ParenthesisOpen, "pid 1 (held yes", "      ^"},
    {ParenthesisExtra, "held yes) or pid 1", "        ^"},
    {QuoteOpen, "comm \"nginx", "     ^^^^^^"},
    {UnknownWord, "held yes colour red", "         ^^^^^^"},
    {UnknownWord, "close-wait", "^^^^^^^^^^"},
    {OnlyInSs, "state all dev eth0", "          ^^^"},
    {OnlyInSs, "autobound", "^^^^^^^^^"},
    {UnknownState, "state closewait2", "      ^^^^^^^^^^"},
    {UnknownState, "state all exclude a-very-long-name-of-a-state", "                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^"},
    {UnknownStanding, "standing dead", "         ^^^^"},
    {UnknownHeld, "held maybe", "     ^^^^^"},
    {UnknownHolder, "holder = nobody", "         ^^^^^^"},
    {UnknownEndOfStream, "eof yes", "    ^^^"},
    {UnknownFamily, "family ipv6", "       ^^^^"},
    {BadAddress, "dst example.org", "    ^^^^^^^^^^^"},
    {BadAddress, "dst 1.2.3.4.5", "    ^^^^^^^^^"},
    {BadAddress, "dst 256.1", "    ^^^^^"},
    {BadAddress, "dst 010.0.0.1", "    ^^^^^^^^^"},
    {BadAddress, "dst 1:2:3", "    ^^^^^"},
    {BadAddress, "dst 1:2:3:4:5:6:7:1.2.3.4", "    ^^^^^^^^^^^^^^^^^^^^^"},
    {BadAddress, "dst ::1::", "    ^^^^^"},
    {BadAddress, "dst 1:2:3:4:5:6:7::8:9", "    ^^^^^^^^^^^^^^^^^^"},
    {BadAddress, "dst fe80::1%eth0", "    ^^^^^^^^^^^^"},
    {BadAddress, "dst [::1", "    ^^^^"},
    {BadAddress, "dst [10.0.0.1]:80", "    ^^^^^^^^^^"},
    {BadAddress, "dst \"\"", "     "},
    {BadPrefix, "dst 10/33", "       ^^"},
    {BadPrefix, "dst 10.0.0.0/:80", "             "},
    {BadPrefix, "dst fd77::/129", "           ^^^"},
    {BadPrefix, "dst [fd77::/8]/8", "              ^^"},
    {BadPort, "dport = :65536", "         ^^^^^"},
    {BadPort, "dport -1", "      ^^"},
    {BadPort, "dport :", "      ^"},
    {BadPort, "dport > *", "        ^"},
    {ServiceName, "dport = :https", "         ^^^^^"},
    {ServiceName, "dst 10.0.0.1:ssh", "             ^^^"},
    {BadNumber, "pid = init", "      ^^^^"},
    {BadNumber, "unread > 4294967296", "         ^^^^^^^^^^"},
    {BadNumber, "attempts > 1.5", "           ^^^"},
    {BadDuration, "age > soon", "      ^^^^"},
    {BadDuration, "age > 5weeks", "      ^^^^^^"},
    {BadDuration, "age > 1.2.3s", "      ^^^^^^"},
    {BadDuration, "age > .5s", "      ^^^"},
    {BadDuration, "age > 5.s", "      ^^^"},
    {BadDuration, "age > 106752d", "      ^^^^^^^"},
    {UnitMissing, "idle > 90", "       ^^"},
    {BadName, "comm a*b", "     ^^^"},
    {BadName, "plane \"\"", "      ^^"},
    {OnlyEquality, "state > closed", "      ^"},
    {OnlyEquality, "pid >= 5", "    ^^"},
    {OnlyEquality, "dst lt 10/8", "    ^^"},
    {OnlyOrder, "age = 1h", "    ^"},
    {OnlyOrder, "idle != 1h", "     ^^"},
    {OnlyOrder, "age 1h", "^^^"},
};
}  // namespace

TEST(Filter, SaysWhereAMistakeStands) {
  std::set<FilterTrouble> seen{FilterTrouble::TooLong, FilterTrouble::TooManyTerms, FilterTrouble::TooDeep};  // below
  for (const Mistake& mistake : kMistakes) {
    const auto filter = Filter::parse(mistake.text);
    ASSERT_FALSE(filter) << mistake.text;
    const std::size_t first = std::min(mistake.marks.find('^'), mistake.marks.size());
    EXPECT_EQ(filter.error().trouble, mistake.trouble) << mistake.text << ": " << message(filter.error().trouble);
    EXPECT_EQ(filter.error().at, first) << mistake.text;
    EXPECT_EQ(filter.error().length, mistake.marks.size() - first) << mistake.text;
    seen.insert(mistake.trouble);
  }
  EXPECT_EQ(seen.size(), kFilterTroubles) << "a mistake that no text above makes";
}

TEST(Filter, SaysWhatToWriteInstead) {
  std::set<std::string_view> sentences;
  for (unsigned t = 0; t < kFilterTroubles; ++t) {
    const std::string_view sentence = message(static_cast<FilterTrouble>(t));
    EXPECT_NE(sentence.find(": "), std::string_view::npos) << sentence;
    EXPECT_NE(sentence.find("write"), std::string_view::npos) << sentence;
    EXPECT_EQ(sentence.find_last_of('\n'), std::string_view::npos);
    sentences.insert(sentence);
  }
  EXPECT_EQ(sentences.size(), kFilterTroubles);
  EXPECT_NE(message(FilterTrouble::ServiceName).find("number"), std::string_view::npos);
}

TEST(Filter, HoldsAtEachLimitAndNotBeyond) {
  const auto repeated = [](std::string_view part, std::size_t times) {
    std::string text;
    for (std::size_t i = 0; i < times; ++i) text += part;
    return text;
  };
  EXPECT_TRUE(Filter::parse(repeated(" ", 4096)));
  EXPECT_EQ(Filter::parse(repeated(" ", 4097)).error(), (FilterError{FilterTrouble::TooLong, 4096, 1}));
  // 32 terms and 31 times `and` are 63 nodes; `not` is one more.
  EXPECT_EQ(Scene{}.is(repeated("held yes ", 32)), Truth::Yes);
  EXPECT_EQ(Scene{}.is("not held no " + repeated("held yes ", 31)), Truth::Yes);
  EXPECT_EQ(Filter::parse(repeated("held yes ", 33)).error().trouble, FilterTrouble::TooManyTerms);
  EXPECT_EQ(Filter::parse("not held no and not held no " + repeated("held yes ", 30)).error().trouble,
            FilterTrouble::TooManyTerms);
  EXPECT_EQ(Scene{}.is(repeated("(", 32) + "held yes" + repeated(")", 32)), Truth::Yes);
  EXPECT_EQ(Filter::parse(repeated("(", 33) + "held yes" + repeated(")", 33)).error(),
            (FilterError{FilterTrouble::TooDeep, 32, 1}));
  EXPECT_EQ(Scene{}.is(repeated("(held yes) ", 32)), Truth::Yes);  // beside each other is not nested
  EXPECT_EQ(Scene{}.is(repeated("not ", 1000) + "held yes"), Truth::Yes);
  EXPECT_EQ(Scene{}.is(repeated("!", 1001) + "held yes"), Truth::No);
  EXPECT_TRUE(Filter::parse("age > 106751d"));
}

TEST(Filter, IsAValue) {
  Filter copy;
  {
    const auto original = Filter::parse("comm \"nginx: *\" and state close-wait");
    ASSERT_TRUE(original);
    copy = *original;
  }
  const Scene scene;
  EXPECT_EQ(
      copy.match({scene.record, "web", plane::PlaneKind::Engine, scene.processes, true, Standing::Gone, scene.now}),
      Truth::Yes);
  EXPECT_FALSE(copy == Filter{});
}

// --- properties ---

namespace {

// A random expression, as text with every parenthesis written, and its answer worked out here.
struct Expression {
  std::string text;
  Truth truth;
};
Truth negation(Truth t) { return t == Truth::Unknown ? t : t == Truth::Yes ? Truth::No : Truth::Yes; }

// For `hidden()`, in CLOSE-WAIT.
Expression leaf() {
  return *rc::gen::elementOf(std::vector<Expression>{{"state close-wait", Truth::Yes},
                                                     {"state listen", Truth::No},
                                                     {"sport = :443", Truth::Yes},
                                                     {"dst 10/8", Truth::No},
                                                     {"held yes", Truth::Unknown},
                                                     {"standing != gone", Truth::Unknown},
                                                     {"comm nginx", Truth::Unknown},
                                                     {"attempts > 8", Truth::No}});
}
Expression expression(int depth) {
  const int shape = depth == 0 ? 0 : *rc::gen::inRange(0, 4);
  if (shape == 0) return leaf();
  const Expression a = expression(depth - 1);
  if (shape == 1) return {"not (" + a.text + ")", negation(a.truth)};
  const Expression b = expression(depth - 1);
  const bool both = shape == 2;
  return {"(" + a.text + (both ? ") and (" : ") or (") + b.text + ")",
          both ? std::min(a.truth, b.truth) : std::max(a.truth, b.truth)};
}

}  // namespace

RC_GTEST_PROP(FilterProperties, AnswersAsKleenesLogicDoes, ()) {
  const Expression e = expression(4);
  RC_ASSERT(hidden().is(e.text) == e.truth);
}

RC_GTEST_PROP(FilterProperties, HoldsDeMorgan, ()) {
  const std::string a = expression(2).text;
  const std::string b = expression(2).text;
  RC_ASSERT(hidden().is("not ((" + a + ") and (" + b + "))") == hidden().is("not (" + a + ") or not (" + b + ")"));
}

// Without parentheses: the greatest of the conjunctions, each of them the least of its terms.
RC_GTEST_PROP(FilterProperties, BindsAsSsPromises, ()) {
  std::string text;
  Truth any = Truth::No;
  Truth all = Truth::Yes;
  const int terms = *rc::gen::inRange(1, 12);
  for (int i = 0; i < terms; ++i) {
    const Expression e = leaf();
    const bool negated = *rc::gen::arbitrary<bool>();
    const int joint = i == 0 ? 0 : *rc::gen::inRange(1, 4);
    if (joint == 3) {
      any = std::max(any, all);
      all = Truth::Yes;
    }
    // Side by side, two states would be one set; a parenthesis keeps them two terms.
    constexpr std::string_view kJoints[] = {"", " and ", " ", " or "};
    text += std::string(kJoints[joint]) + (negated ? "not (" : "(") + e.text + ")";
    all = std::min(all, negated ? negation(e.truth) : e.truth);
  }
  RC_ASSERT(hidden().is(text) == std::max(any, all));
}

RC_GTEST_PROP(FilterProperties, NeverSaysYesOutsideItsStates, ()) {
  const Expression e = expression(4);
  for (unsigned s = 0; s < kStates; ++s) {
    const auto state = static_cast<State>(s);
    if (!contains(states_of(e.text), state)) RC_ASSERT(hidden().in(state).is(e.text) == Truth::No);
  }
}

}  // namespace adieu::control
