// Questions to a peer: the kernel's keepalive and adieu's probes as they are on the wire, and which question is
// answered in which state, how often.
//
// What lives here: those experiments. What does not: how they are run (experiment.cc).
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "host/clock.h"
#include "lab/experiment.h"

namespace adieu::lab {
namespace {

std::string answer_count(std::size_t count, std::size_t of) { return fmt::format("{}/{}", count, of); }

// --- asking

void arm_keepalive(Stage& stage, End& end, int count) {
  if (!stage.is_kernel()) return;
  Stage::kernel(end).set_option(IPPROTO_TCP, TCP_KEEPIDLE, 1);
  Stage::kernel(end).set_option(IPPROTO_TCP, TCP_KEEPINTVL, 1);
  Stage::kernel(end).set_option(IPPROTO_TCP, TCP_KEEPCNT, count);
  Stage::kernel(end).set_option(SOL_SOCKET, SO_KEEPALIVE, 1);
}

// What came out of order: below what the puppet had taken in, and no FIN.
std::vector<Heard> questions(const End& end, Instant since) {
  std::vector<Heard> found;
  for (const Heard& h : end.peer.heard())
    if (h.at >= since && !h.segment.fin && !h.segment.rst && !h.segment.syn && h.segment.seq < end.peer.rcv_nxt())
      found.push_back(h);
  return found;
}

// In the words of the sender: its SND.NXT is the puppet's RCV.NXT.
std::string form_of(const End& end, const Heard& question) {
  return fmt::format("SND.NXT-{}, {} octet{}", distance(question.segment.seq, end.peer.rcv_nxt()), question.payload,
                     question.payload == 1 ? "" : "s");
}

Finding keepalive_form(Stage& stage) {
  stage.build();
  if (stage.is_kernel()) stage.was_set("SO_KEEPALIVE, TCP_KEEPIDLE = TCP_KEEPINTVL = 1 s (default 7200, 75)");
  stage.set_control("--interval 1s --sweep 200ms");
  std::vector<End> ends;
  for (int i = 0; i < 3; ++i) ends.push_back(stage.connect());
  // An octet each way, so that there is one to be said again.
  for (End& end : ends) {
    end.it.send(1);
    end.peer.send_data(1);
  }
  stage.into_fin_wait_2(ends[1]);
  stage.into_close_wait(ends[2]);
  for (End& end : ends) arm_keepalive(stage, end, 9);
  const Instant since = host::now();
  // By default adieu asks half-closed connections only.
  const std::ptrdiff_t first = stage.is_kernel() ? 0 : 1;
  const bool asked = stage.until(seconds(8), [&] {
    return std::ranges::all_of(ends.begin() + first, ends.end(),
                               [&](const End& end) { return questions(end, since).size() >= 2; });
  });
  std::string text;
  bool as_said = asked;
  const std::string nothing = stage.is_kernel() ? "nothing" : "nothing (the policy asks half-closed ones)";
  std::vector<std::pair<std::string, double>> figures;
  static constexpr const char* kStates[] = {"ESTABLISHED", "FIN-WAIT-2", "CLOSE-WAIT"};
  for (std::size_t i = 0; i < ends.size(); ++i) {
    std::string forms;
    for (const Heard& h : questions(ends[i], since)) {
      const std::string form = form_of(ends[i], h);
      if (forms.find(form) == std::string::npos) forms += (forms.empty() ? "" : " and ") + form;
      as_said = as_said && h.segment.seq == ends[i].peer.rcv_nxt() - 1;
    }
    text += fmt::format("{}{}: {}", i == 0 ? "" : "; ", kStates[i], forms.empty() ? nothing : forms);
    figures.emplace_back(fmt::format("questions_{}", i), static_cast<double>(questions(ends[i], since).size()));
  }
  return {text, as_said, std::move(figures)};
}

// With an answer to none of them: FIN-WAIT-1 and LAST-ACK, and for comparison FIN-WAIT-2.
Finding keepalive_fin_unanswered(Stage& stage) {
  stage.build();
  stage.was_set("SO_KEEPALIVE, TCP_KEEPIDLE = TCP_KEEPINTVL = 1 s, TCP_KEEPCNT = 2 (default 7200, 75, 9)");
  End one = stage.connect(), last = stage.connect(), two = stage.connect();
  stage.into_close_wait(last);
  stage.into_fin_wait_2(two);
  for (End* end : {&one, &last, &two}) {
    arm_keepalive(stage, *end, 2);
    end->peer.answers = false;
  }
  const Instant since = host::now();
  one.it.shut_send();
  last.it.shut_send();
  const auto two_gone = stage.gone_after(two, since, seconds(6));
  stage.pass(seconds(1));
  const auto tell = [&](const char* state, End& end) {
    return fmt::format("{}: {} keepalives, {} after {}", state, questions(end, since).size(),
                       state_text(end.it.state()), in_seconds(host::now() - since));
  };
  return {fmt::format("{}; {}; FIN-WAIT-2: {}", tell("FIN-WAIT-1", one), tell("LAST-ACK", last),
                      two_gone ? "gone after " + in_seconds(*two_gone) : "still there"),
          !one.it.state() && !last.it.state(),
          {{"keepalives_fin_wait_1", static_cast<double>(questions(one, since).size())},
           {"keepalives_last_ack", static_cast<double>(questions(last, since).size())},
           {"fin_wait_2_gone_s", two_gone ? two_gone->seconds() : -1}}};
}

Finding keepalive_dead_peer(Stage& stage) {
  stage.build();
  if (stage.is_kernel())
    stage.was_set("SO_KEEPALIVE, TCP_KEEPIDLE = TCP_KEEPINTVL = 1 s, TCP_KEEPCNT = 3 (default 7200, 75, 9)");
  stage.set_control("--interval 1s --sweep 200ms --probes 3 --proof-span 3s");
  End end = stage.connect();
  end.it.send(1);
  stage.into_fin_wait_2(end);
  arm_keepalive(stage, end, 3);
  end.peer.answers = false;
  const Instant since = host::now();
  const auto gone = stage.gone_after(end, since, seconds(12));
  const auto asked = questions(end, since).size();
  const auto resets = end.peer.count(since, [](const Heard& h) { return h.segment.rst; });
  return {fmt::format("FIN-WAIT-2: {} questions, then {}, {} RST", asked,
                      gone ? "gone after " + in_seconds(*gone) : "still there", resets),
          gone && asked == 3,
          {{"gone_s", gone ? gone->seconds() : -1}, {"questions", static_cast<double>(asked)}}};
}

// --- being asked

enum class Form { Keepalive, LastOctet, PlainAck };

wire::Segment segment_of(const Puppet& puppet, Form form) {
  switch (form) {
    case Form::Keepalive: return puppet.keepalive();
    case Form::LastOctet: return puppet.last_octet();
    case Form::PlainAck: return puppet.next();
  }
  return puppet.next();
}

struct Asked {
  const char* state;
  End end;
  std::size_t to_one = 0;
  std::size_t to_many = 0;
};

// One connection in each state that can be asked. The peer has sent an octet, and it was acknowledged.
std::vector<Asked> one_in_each_state(Stage& stage) {
  std::vector<Asked> all;
  for (const char* state : {"ESTABLISHED", "FIN-WAIT-2", "its orphan", "CLOSE-WAIT", "LAST-ACK", "TIME-WAIT"}) {
    all.push_back({state, stage.connect()});
    Puppet& peer = all.back().end.peer;
    peer.send_data(1);
    stage.await("an octet is acknowledged", [&] { return peer.acknowledged() == peer.snd_nxt(); });
    all.back().end.it.receive();
  }
  stage.into_fin_wait_2(all[1].end);
  stage.into_fin_wait_2(all[2].end);
  all[2].end.it.close();
  stage.into_close_wait(all[3].end);
  stage.into_close_wait(all[4].end);
  all[4].end.peer.answers = false;  // or LAST-ACK would be over at once
  all[4].end.it.close();
  stage.await("an end is in LAST-ACK", [&] { return all[4].end.it.state() == State::LastAck; });
  stage.into_time_wait(all[5].end);
  all[5].end.it.close();
  return all;
}

std::size_t answers_since(const Asked& asked, Instant since) {
  return asked.end.peer.count(since, [](const Heard& h) { return h.is_bare_ack(); });
}

Finding answers_to(Stage& stage, Form form, bool limited = true) {
  constexpr std::size_t kMany = 20;
  stage.build();
  if (!limited) stage.set("net.ipv4.tcp_invalid_ratelimit", "0");
  std::vector<Asked> all = one_in_each_state(stage);
  stage.pass(seconds(1));  // so that no answer from before counts against a limit
  Instant since = host::now();
  for (Asked& asked : all) asked.end.peer.say(segment_of(asked.end.peer, form));
  stage.pass(seconds(1));
  for (Asked& asked : all) asked.to_one = answers_since(asked, since);
  since = host::now();
  for (std::size_t i = 0; i < kMany; ++i) {
    for (Asked& asked : all) asked.end.peer.say(segment_of(asked.end.peer, form));
    stage.pass(milliseconds(100));
  }
  stage.pass(milliseconds(200));
  std::string ones, many;
  Finding finding{.text = {}, .as_said = true, .figures = {}};
  bool same = true;
  for (Asked& asked : all) {
    asked.to_many = answers_since(asked, since);
    same = same && asked.to_one == all[0].to_one && asked.to_many == all[0].to_many;
    ones += fmt::format("{}{} {}", ones.empty() ? "" : ", ", asked.state, answer_count(asked.to_one, 1));
    many += fmt::format("{}{} {}", many.empty() ? "" : ", ", asked.state, answer_count(asked.to_many, kMany));
    finding.figures.emplace_back(fmt::format("one {}", asked.state), static_cast<double>(asked.to_one));
    finding.figures.emplace_back(fmt::format("twenty {}", asked.state), static_cast<double>(asked.to_many));
    const bool all_answered = asked.to_one == 1 && asked.to_many == kMany;
    const bool none_answered = asked.to_one == 0 && asked.to_many == 0;
    finding.as_said = finding.as_said && (form == Form::PlainAck ? none_answered : all_answered);
  }
  finding.text = same ? fmt::format(
                            "answers in all six states (ESTABLISHED, FIN-WAIT-2 held and orphaned, CLOSE-WAIT, "
                            "LAST-ACK, TIME-WAIT): {} to one, {} to 20 at 10/s",
                            answer_count(all[0].to_one, 1), answer_count(all[0].to_many, kMany))
                      : fmt::format("answers to one: {}; to 20 at 10/s: {}", ones, many);
  return finding;
}

Finding probe_keepalive(Stage& stage) { return answers_to(stage, Form::Keepalive); }
Finding probe_keepalive_unlimited(Stage& stage) { return answers_to(stage, Form::Keepalive, false); }
Finding probe_last_octet(Stage& stage) { return answers_to(stage, Form::LastOctet); }
Finding probe_plain_ack(Stage& stage) { return answers_to(stage, Form::PlainAck); }

}  // namespace

std::vector<Experiment> experiments_of_probing() {
  constexpr std::string_view kUnacceptable =
      "\"if an incoming segment is not acceptable, an acknowledgment should be sent in reply\": ";
  static const std::string kKeepalive = std::string(kUnacceptable) + "to each at SND.NXT-1 without data";
  static const std::string kOctet = std::string(kUnacceptable) + "to each last octet that comes again";
  return {
      {"keepalive-form", "in each state, a keepalive \"generally contains SEG.SEQ = SND.NXT-1\"",
       "RFC 9293 section 3.8.4", keepalive_form},
      {"keepalive-fin-unanswered", "SO_KEEPALIVE asks, and ends what does not answer, in every state", "often said",
       keepalive_fin_unanswered,
       "not applicable: it has no keepalive; an unacknowledged FIN is its own question (probe form \"pending\")"},
      {"keepalive-dead-peer", "after TCP_KEEPCNT unanswered keepalives the connection is ended", "tcp(7)",
       keepalive_dead_peer},
      {"probe-keepalive-form", kKeepalive, "RFC 9293 section 3.10.7.4", probe_keepalive},
      {"probe-keepalive-unlimited",
       "only tcp_invalid_ratelimit keeps answers back: 0 disables it, and each is answered", "ip-sysctl.rst",
       probe_keepalive_unlimited, "not applicable: its limit is a setting of the program's own"},
      {"probe-last-octet", kOctet, "RFC 9293 section 3.10.7.4", probe_last_octet},
      {"probe-plain-ack", "an ACK at SND.NXT is acceptable and says nothing: nobody answers it", "RFC 9293",
       probe_plain_ack},
  };
}

}  // namespace adieu::lab
