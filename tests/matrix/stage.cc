// The roads into the eleven states, the events, and their description.
#include "stage.h"

#include <algorithm>
#include <array>
#include <vector>

namespace adieu::matrix {

namespace {

constexpr std::array<std::uint8_t, 3> kOctets{'a', 'b', 'c'};
constexpr Seq kIrs{4'999'999};

// The peer's segments: where in the window, how long, which control bit, what they acknowledge.
enum class Where : std::uint8_t { Left, At, In, Right };
enum class Control : std::uint8_t { None, Fin, Rst, Syn };
enum class Acknowledges : std::uint8_t { Usual, Nothing, All, Unsent, Old };
struct Shape {
  Event event;
  Where where;
  std::size_t octets;
  Control control;
  Acknowledges acknowledges;
};
using enum Where;
using enum Control;
using enum Acknowledges;
// clang-format off
constexpr Shape kShapes[] = {
    {Event::AckLeft,      Left,  0, None, Usual},
    {Event::AckAt,        At,    0, None, Usual},
    {Event::AckIn,        In,    0, None, Usual},
    {Event::AckRight,     Right, 0, None, Usual},
    {Event::AckOfAll,     At,    0, None, All},
    {Event::AckUnsent,    At,    0, None, Unsent},
    {Event::AckOld,       At,    0, None, Old},
    {Event::DataLeft,     Left,  1, None, Usual},
    {Event::DataOver,     Left,  3, None, Usual},
    {Event::DataAt,       At,    3, None, Usual},
    {Event::DataAhead,    In,    3, None, Usual},
    {Event::DataRight,    Right, 3, None, Usual},
    {Event::DataNoAck,    At,    3, None, Nothing},
    {Event::FinLeft,      Left,  0, Fin,  Usual},
    {Event::FinAt,        At,    0, Fin,  Usual},
    {Event::FinOfAll,     At,    0, Fin,  All},
    {Event::FinAhead,     In,    0, Fin,  Usual},
    {Event::FinRight,     Right, 0, Fin,  Usual},
    {Event::DataFin,      At,    3, Fin,  Usual},
    {Event::RstLeft,      Left,  0, Rst,  Usual},
    {Event::RstAt,        At,    0, Rst,  Usual},
    {Event::RstNoAck,     At,    0, Rst,  Nothing},
    {Event::RstUnsent,    At,    0, Rst,  Unsent},
    {Event::RstIn,        In,    0, Rst,  Usual},
    {Event::RstRight,     Right, 0, Rst,  Usual},
    {Event::SynLeft,      Left,  0, Syn,  Nothing},
    {Event::SynAt,        At,    0, Syn,  Nothing},
    {Event::SynIn,        In,    0, Syn,  Nothing},
    {Event::SynRight,     Right, 0, Syn,  Nothing},
    {Event::SynAckLeft,   Left,  0, Syn,  All},
    {Event::SynAckAt,     At,    0, Syn,  All},
    {Event::SynAckUnsent, At,    0, Syn,  Unsent},
};
// clang-format on

std::vector<Cell> build() {
  std::vector<Cell> cells;
  Event event{};
  std::string_view title;
  const auto same = [&](std::string_view state, const char* next, const char* answer, const char* app,
                        std::string_view step) {
    const Outcome outcome{next, answer, app};
    cells.push_back({event, title, state, outcome, step, true, outcome, {}});
  };
  const auto ours = [&](std::string_view state, const char* next, const char* answer, const char* app,
                        std::string_view step, std::string_view why) {
    cells.push_back({event, title, state, {next, answer, app}, step, false, {}, why});
  };
  const auto differs = [&](std::string_view state, const char* next, const char* answer, const char* app,
                           std::string_view step, const char* next2, const char* answer2, const char* app2,
                           std::string_view why) {
    cells.push_back({event, title, state, {next, answer, app}, step, true, {next2, answer2, app2}, why});
  };
#define EVENT(id, words) event = Event::id, title = words;
#define SAME(...) same(__VA_ARGS__);
#define OURS(...) ours(__VA_ARGS__);
#define LINUX(...) differs(__VA_ARGS__);
#include "closing_matrix.inc"
#undef EVENT
#undef SAME
#undef OURS
#undef LINUX
  return cells;
}

bool is_one_of(std::string_view state, std::initializer_list<std::string_view> states) {
  return std::ranges::find(states, state) != states.end();
}
bool has_peer_fin(std::string_view state) {
  return is_one_of(state, {"CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT"});
}

}  // namespace

std::span<const Cell> closing_matrix() {
  static const std::vector<Cell> cells = build();
  return cells;
}

// --- the road

wire::Segment Stage::plain(Seq seq) const {
  wire::Segment segment;
  segment.seq = seq;
  segment.ack_flag = true;
  segment.ack = is_one_of(state_, {"SYN-SENT", "SYN-RECEIVED"}) ? nxt_ : una_;
  segment.window = 65535;
  return segment;
}

void Stage::say(wire::Segment segment) {
  sent_ = segment;
  sent_any_ = true;
  subject_.inject(packet_of(segment, subject_.peer(), subject_.local()));
}

void Stage::note(const std::vector<Heard>& heard) {
  for (const Heard& h : heard) {
    const wire::Segment& s = h.segment;
    if (s.rst) continue;
    if (s.syn) una_ = s.seq;
    nxt_ = s.syn ? s.seq + 1 : later(nxt_, s.seq + h.octets + (s.fin ? 1U : 0U));
    if (!s.ack_flag) continue;
    rcv_nxt_ = s.ack;
    edge_ = s.ack + s.window;
  }
}

void Stage::hear(bool expected) {
  const auto heard = subject_.answers(expected);
  note(heard);
  before_.insert(before_.end(), heard.begin(), heard.end());
}

std::string Stage::enter(std::string_view state, Event event) {
  const auto fail = [&](const char* where) { return std::string(where) + ", it is " + subject_.state(); };
  state_ = state;
  if (state == "CLOSED") return {};
  if (state == "SYN-SENT") {
    if (subject_.connect() != "done") return fail("connect");
    hear(true);
    return before_.size() == 1 && before_[0].segment.syn ? "" : fail("no SYN");
  }
  subject_.listen();
  if (state == "LISTEN") return {};
  wire::Segment syn;
  syn.seq = kIrs;
  syn.syn = true;
  syn.window = 65535;
  syn.mss = 1460;
  say(syn);
  hear(true);
  if (before_.empty() || !before_[0].segment.syn) return fail("no SYN,ACK");
  if (state == "SYN-RECEIVED") return {};
  const auto acknowledges = [&] {
    una_ = nxt_;
    say(plain(rcv_nxt_));
    hear(false);
  };
  const auto sends_fin = [&] {
    wire::Segment fin = plain(rcv_nxt_);
    fin.fin = true;
    say(fin);
    hear(true);
  };
  const auto shuts_down = [&] {
    if (subject_.shut_send() != "done") return false;
    hear(true);
    return true;
  };
  acknowledges();
  if (!subject_.accept()) return fail("accept");
  if (event == Event::CloseUnread) {
    wire::Segment data = plain(rcv_nxt_);
    data.payload = kOctets;
    say(data);
    hear(true);
  }
  if (is_one_of(state, {"CLOSE-WAIT", "LAST-ACK"})) sends_fin();
  if (is_one_of(state, {"FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "LAST-ACK", "TIME-WAIT"}) && !shuts_down())
    return fail("shutdown");
  if (is_one_of(state, {"FIN-WAIT-2", "TIME-WAIT"})) acknowledges();
  if (is_one_of(state, {"CLOSING", "TIME-WAIT"})) sends_fin();
  if (event == Event::RetransmitDue && is_one_of(state, {"ESTABLISHED", "CLOSE-WAIT"})) {
    if (subject_.send(kOctets) != "taken") return fail("send");
    hear(true);
  }
  return subject_.state() == state ? "" : fail("on the road");
}

// --- the event

// Segments of the peer. False: the event is none.
bool Stage::is_segment(Event event, wire::Segment& segment) {
  const auto shape = std::ranges::find(kShapes, event, &Shape::event);
  if (shape == std::end(kShapes)) return false;
  const auto seq = [&] {
    switch (shape->where) {
      case Where::Left: return rcv_nxt_ - 1;
      case Where::At: return rcv_nxt_;
      case Where::In: return rcv_nxt_ + 100;
      case Where::Right: return edge_ + 1;
    }
    return Seq{};
  };
  segment = plain(seq());
  segment.payload = Bytes(kOctets).first(shape->octets);
  segment.fin = shape->control == Control::Fin;
  segment.rst = shape->control == Control::Rst;
  segment.syn = shape->control == Control::Syn;
  switch (shape->acknowledges) {
    case Acknowledges::Usual: break;
    case Acknowledges::Nothing: segment.ack_flag = false; break;
    case Acknowledges::All: segment.ack = nxt_; break;
    case Acknowledges::Unsent: segment.ack = nxt_ + 1000; break;
    case Acknowledges::Old: segment.ack = una_ - 70000; break;
  }
  return true;
}

// Calls of the application. False: the event is none.
bool Stage::is_call(Event event, std::string& application) {
  std::string octets;
  if (event == Event::Connect)
    application = subject_.connect();
  else if (event == Event::Send)
    application = subject_.send(kOctets);
  else if (event == Event::Receive)
    application = subject_.receive(octets);
  else if (event == Event::ShutSend)
    application = subject_.shut_send();
  else if (event == Event::ShutReceive)
    application = subject_.shut_receive();
  else if (event == Event::Close || event == Event::CloseUnread)
    application = subject_.close();
  else if (event == Event::Abort)
    application = subject_.abort();
  else
    return false;
  return true;
}

Outcome Stage::perform(const Cell& cell, std::string_view expected_answer) {
  using namespace literals;
  const bool expected = expected_answer != "-";
  Outcome outcome;
  wire::Segment segment;
  sent_any_ = false;
  bool called = false;
  if (is_segment(cell.event, segment)) {
    say(segment);
    heard_ = subject_.answers(expected);
  } else if (cell.event == Event::IcmpHard || cell.event == Event::IcmpSoft) {
    const auto what = cell.event == Event::IcmpHard ? Unreachable::Port : Unreachable::Host;
    subject_.inject(icmp_packet(what, subject_.local(), subject_.peer(), una_));
    heard_ = subject_.answers(expected);
  } else if (is_call(cell.event, outcome.application)) {
    called = true;
    heard_ = subject_.answers(expected);
  } else {
    heard_ = subject_.wait(cell.event == Event::RetransmitDue ? 3_s : 1_h);
  }
  if (!called) outcome.application = application();
  outcome.next = subject_.state();
  for (const Heard& h : heard_) {
    if (!outcome.answer.empty()) outcome.answer += " + ";
    outcome.answer += describe(h, octets_ + (ended_ ? 1U : 0U));
  }
  if (heard_.empty()) outcome.answer = "-";
  if (expected_answer == "*") outcome.answer = "*";
  return outcome;
}

// What the application sees of it.
std::string Stage::application() {
  if (const std::string error = subject_.error(); !error.empty()) return error;
  const std::string now = subject_.state();
  std::string words;
  const auto add = [&](const char* word) { words += words.empty() ? word : std::string(", ") + word; };
  const bool open = is_one_of(now, {"ESTABLISHED", "CLOSE-WAIT"});
  if (state_ == "SYN-SENT" && open) add("connects");
  if (is_one_of(state_, {"LISTEN", "SYN-RECEIVED"}) && subject_.accept()) add("connects");
  std::string octets;
  const bool end = subject_.receive(octets) == "end";
  octets_ = static_cast<std::uint32_t>(octets.size());
  ended_ = end && !has_peer_fin(state_) && (has_peer_fin(now) || now.starts_with("ended"));
  if (octets_ > 0) add("octets");
  if (ended_) add("end");
  return words.empty() ? "-" : words;
}

std::string Stage::describe(const Heard& heard, std::uint32_t advanced) const {
  const wire::Segment& s = heard.segment;
  if (s.rst) {
    if (sent_any_ && sent_.ack_flag && !s.ack_flag && s.seq == sent_.ack) return "RST SEQ=SEG.ACK";
    if (sent_any_ && !sent_.ack_flag && s.ack_flag && s.seq == Seq{0} && s.ack == sent_.end()) return "RST,ACK SEQ=0";
    if (s.seq == nxt_) return "RST SEQ=SND.NXT";
    return "RST with SEQ off by " + std::to_string(s.seq - nxt_);
  }
  if (s.syn) {
    const bool again = std::ranges::any_of(before_, [&](const Heard& b) {
      return b.segment.syn && b.segment.ack_flag == s.ack_flag && b.segment.seq == s.seq;
    });
    if (s.ack_flag && sent_any_ && s.ack != sent_.seq + 1) return "SYN,ACK with a wrong ACK";
    return std::string(s.ack_flag ? "SYN,ACK" : "SYN") + (again ? " again" : "");
  }
  const char* again = s.seq == nxt_ ? "" : s.seq == una_ ? " again" : " with a wrong SEQ";
  if (heard.octets > 0) return std::string("data") + again;
  if (s.fin) return std::string("FIN") + again;
  const Seq expected = state_ == "SYN-SENT" ? sent_.seq + 1 : rcv_nxt_ + advanced;
  if (s.seq != nxt_) return "ACK with SEQ off by " + std::to_string(s.seq - nxt_);
  if (s.ack != expected) return "ACK with ACK off by " + std::to_string(s.ack - expected);
  return "ACK";
}

}  // namespace adieu::matrix
