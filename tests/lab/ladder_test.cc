// Reading an exchange into steps, and drawing it. No network: the segments are written down here.
#include "lab/ladder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace adieu::lab {
namespace {

using namespace literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const Endpoint kClient{Address::v4(10, 0, 0, 1), 40000};
const Endpoint kServer{Address::v4(10, 0, 0, 2), 80};

// A conversation with initial sequence numbers 1000 (client) and 4294967290 (server: it wraps).
class Talk {
 public:
  Seen& client(std::uint32_t seq, std::uint32_t ack, std::uint32_t payload = 0) { return add(true, seq, ack, payload); }
  Seen& server(std::uint32_t seq, std::uint32_t ack, std::uint32_t payload = 0) {
    return add(false, seq, ack, payload);
  }
  void open() {
    client(0, 0).segment.syn = true;
    segments.back().segment.ack_flag = false;
    server(0, 1).segment.syn = true;
    client(1, 1);
  }
  std::vector<Step> steps() const { return read_exchange(segments, kClient); }
  std::vector<Kind> kinds() const {
    std::vector<Kind> result;
    for (const Step& s : steps()) result.push_back(s.kind);
    return result;
  }
  Instant last() const { return segments.back().at; }

  std::vector<Seen> segments;

 private:
  Seen& add(bool from_client, std::uint32_t seq, std::uint32_t ack, std::uint32_t payload) {
    const Seq client_start{1000}, server_start{4294967290U};
    Seen seen{Instant{0} + 10_ms * static_cast<std::int64_t>(segments.size()),
              from_client ? kClient : kServer,
              from_client ? kServer : kClient,
              {},
              payload};
    seen.segment.seq = (from_client ? client_start : server_start) + seq;
    seen.segment.ack = (from_client ? server_start : client_start) + ack;
    seen.segment.ack_flag = true;
    seen.segment.window = 1000;
    segments.push_back(seen);
    return segments.back();
  }
};

std::size_t columns(std::string_view line) {
  std::size_t n = 0;
  for (const char c : line) n += (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
  return n;
}

TEST(ReadExchange, CountsFromTheInitialSequenceNumbersAcrossTheWrap) {
  Talk talk;
  talk.open();
  talk.server(1, 1, 100);
  talk.client(1, 101);
  const auto steps = talk.steps();
  EXPECT_EQ(steps[3].seq, 1U);
  EXPECT_EQ(steps[4].ack, 101U);
  EXPECT_EQ(data_since(steps, false, Instant::unknown()), 100U);
  EXPECT_EQ(data_since(steps, true, Instant::unknown()), 0U);
}

TEST(ReadExchange, TellsProbesFromDataAndAcknowledgments) {
  Talk talk;
  talk.open();
  talk.client(1, 1, 5);  // data
  talk.server(1, 6);     // its ACK
  talk.client(6, 1).segment.fin = true;
  talk.server(1, 7);
  talk.client(5, 1, 1);  // the last octet again, SND.NXT-2 after the FIN
  talk.server(1, 7);
  talk.client(6, 1);  // nothing, SND.NXT-1
  talk.server(1, 7);
  talk.server(1, 7);  // an ACK that answers nothing
  EXPECT_THAT(talk.kinds(), ElementsAre(Kind::Syn, Kind::Syn, Kind::Ack, Kind::Data, Kind::Ack, Kind::Fin, Kind::Ack,
                                        Kind::DataEcho, Kind::Answer, Kind::Bare, Kind::Answer, Kind::Ack));
}

TEST(ReadExchange, CallsDataSentTwiceAgain) {
  Talk talk;
  talk.open();
  talk.client(1, 1, 500);
  talk.client(1, 1, 500);
  talk.client(501, 1).segment.fin = true;
  talk.client(501, 1).segment.fin = true;
  EXPECT_THAT(talk.kinds(),
              ElementsAre(Kind::Syn, Kind::Syn, Kind::Ack, Kind::Data, Kind::Again, Kind::Fin, Kind::Again));
}

TEST(ReadExchange, JoinsAConversationInTheMiddle) {
  Talk talk;
  talk.server(501, 77, 10);
  talk.client(77, 511);
  const auto steps = talk.steps();
  EXPECT_EQ(steps[0].seq, 1U);
  EXPECT_EQ(steps[1].ack, 11U);
  EXPECT_EQ(steps[1].seq, 1U);
}

TEST(ReadExchange, ScalesWindowsOnlyWhenBothEndsOfferedTo) {
  Talk both, one;
  both.open();
  both.segments[0].segment.window_scale = 7;
  both.segments[1].segment.window_scale = 3;
  one.open();
  one.segments[0].segment.window_scale = 7;
  EXPECT_EQ(both.steps()[2].window, 128'000U);
  EXPECT_EQ(both.steps()[0].window, 1000U) << "never in a SYN";
  EXPECT_EQ(one.steps()[2].window, 1000U);
}

TEST(Ladder, ShowsStatesAtBothEndsWhereTheyChange) {
  Talk talk;
  talk.open();
  talk.client(1, 1).segment.fin = true;
  talk.server(1, 2);
  const std::string text =
      draw({.left = "engine",
            .right = "kernel",
            .steps = talk.steps(),
            .left_states = {{Instant{0} + 25_ms, "ESTABLISHED"}, {Instant{0} + 45_ms, "FIN-WAIT-2"}},
            .right_states = {{Instant{0} + 26_ms, "ESTABLISHED"}, {Instant{0} + 46_ms, "CLOSE-WAIT"}},
            .notes = {},
            .zero = {0}},
           false);
  EXPECT_THAT(text, HasSubstr("SYN seq 0"));
  EXPECT_LT(text.find("ESTABLISHED"), text.find("FIN ACK seq 1"));
  EXPECT_LT(text.find("FIN ACK seq 1"), text.find("FIN-WAIT-2"));
  EXPECT_NE(text.find("FIN-WAIT-2 │"), std::string::npos);
  EXPECT_NE(text.find("│ CLOSE-WAIT"), std::string::npos);
}

TEST(Ladder, FoldsALongRunOfDataAndLosesNoOctetInTheCount) {
  Talk talk;
  talk.open();
  for (std::uint32_t i = 0; i < 50; ++i) {
    talk.server(1 + i * 1000, 1, 1000);
    talk.client(1, 1 + (i + 1) * 1000);
  }
  const std::string text = draw({.left = "a",
                                 .right = "b",
                                 .steps = talk.steps(),
                                 .left_states = {},
                                 .right_states = {},
                                 .notes = {},
                                 .zero = {0}},
                                false);
  // 100 rows, 3 shown before (data, ACK, data) and 2 after (data, ACK).
  EXPECT_THAT(text, HasSubstr("... 47 data segments, 47 kB, 48 ACKs ..."));
  EXPECT_LT(std::ranges::count(text, '\n'), 12);
}

TEST(Ladder, ShowsARunOfNineWholeAndFoldsOneOfTen) {
  const auto drawn = [](int probes) {
    Talk talk;
    talk.open();
    for (int i = 0; i < probes; ++i) talk.client(0, 1);
    return draw({.left = "a",
                 .right = "b",
                 .steps = talk.steps(),
                 .left_states = {},
                 .right_states = {},
                 .notes = {},
                 .zero = {0}},
                false);
  };
  EXPECT_THAT(drawn(9), Not(HasSubstr("...")));
  EXPECT_THAT(drawn(10), HasSubstr("... 5 probes, 0 answers ..."));
}

TEST(Ladder, IsNeverWiderThanAHundredColumnsAndHasNoColoursUnlessAsked) {
  Talk talk;
  talk.open();
  Seen& longest = talk.server(4'000'000'000U, 3'000'000'000U, 65000);
  longest.segment.psh = longest.segment.fin = true;
  longest.segment.window = 0;
  const Ladder ladder{.left = "a program with a very long name 10.255.255.255:65535",
                      .right = "another program with a very long name",
                      .steps = talk.steps(),
                      .left_states = {{Instant{0}, "SYN-RECEIVED"}},
                      .right_states = {{Instant{0}, "SYN-RECEIVED"}},
                      .notes = {{talk.last(), std::string(200, 'n')}},
                      .zero = Instant{0} - seconds(9999)};
  const std::string plain = draw(ladder, false);
  for (std::size_t from = 0; from < plain.size();) {
    const std::size_t end = plain.find('\n', from);
    EXPECT_LE(columns(std::string_view(plain).substr(from, end - from)), 100U) << plain.substr(from, end - from);
    from = end + 1;
  }
  EXPECT_EQ(plain.find('\x1b'), std::string::npos);
  EXPECT_NE(draw(ladder, true).find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace adieu::lab
