// A segment for which there is no connection: RFC 9293 section 3.10.7.1 (CLOSED) and the parts of 3.10.7.2 (LISTEN)
// that do not open one.
#include "base/limits.h"
#include "stack/engine_impl.h"

namespace adieu::stack {

namespace {
// RSTs to strangers that wait for the device; a flood beyond it is answered by silence.
constexpr std::size_t kReplies = 1024;
}  // namespace

void Engine::Impl::answer_without_connection(const Tuple& tuple, const wire::Segment& segment) {
  ++counters.no_connection;
  // "An incoming segment containing a RST is discarded."
  if (segment.rst) return;
  wire::Segment reset;
  reset.rst = true;
  if (segment.ack_flag) {
    // "If the ACK bit is on, <SEQ=SEG.ACK><CTL=RST>"
    reset.seq = segment.ack;
  } else {
    // "If the ACK bit is off, sequence number zero is used, <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>"
    reset.ack_flag = true;
    reset.ack = segment.end();
  }
  if (replies.size() >= kReplies) {
    ++counters.replies_dropped;
    return;
  }
  queue_reply(tuple, reset);
}

// Also the last word of a connection that was reset: those are never dropped, connections bound them.
void Engine::Impl::queue_reply(const Tuple& tuple, const wire::Segment& segment) {
  if (segment.rst) ++counters.resets_out;
  replies.push_back({tuple, segment});
}

}  // namespace adieu::stack
