// Octets exactly once and in order.
#include <string>

#include "sim/checkers.h"
#include "sim/pattern.h"

namespace adieu::sim {

void StreamChecker::read(const End& end, std::uint64_t position, Bytes octets, Instant now) {
  if (end.pair == nullptr) return fail(now, label(end) + " reads from a connection that nobody began");
  const End* peer = end.pair->peer_of(end);
  const std::uint64_t stream = end.pair->stream(1 - end.side, book_.plan().seed);
  const std::size_t wrong = first_difference(stream, position, octets);
  if (wrong < octets.size()) fail(now, label(end) + " reads a wrong octet at " + std::to_string(position + wrong));
  if (peer == nullptr || position + octets.size() > peer->written)
    fail(now, label(end) + " reads " + std::to_string(position + octets.size()) + " octets, of " +
                  std::to_string(peer == nullptr ? 0 : peer->written) + " that were written");
}

void StreamChecker::end_of_stream(const End& end, Instant now) {
  const End* peer = end.pair == nullptr ? nullptr : end.pair->peer_of(end);
  if (end.receive_shut) return;  // it asked to hear no more
  if (peer == nullptr || !peer->finished) return fail(now, label(end) + " reads an end that its peer did not make");
  if (end.read != peer->written)
    fail(now, label(end) + " reads the end after " + std::to_string(end.read) + " of " + std::to_string(peer->written) +
                  " octets");
}

void StreamChecker::settled(const Settlement& settlement) {
  for (const Pair& pair : settlement.book.pairs()) {
    const End* a = pair.ends[0];
    const End* b = pair.ends[1];
    if (a == nullptr || b == nullptr || a->lost || b->lost) continue;
    if (!a->facts.syn_acked || !b->facts.syn_acked) continue;
    if (!pair.plan->ends[0].is_graceful() || !pair.plan->ends[1].is_graceful()) continue;
    if (a->reason == EndReason::Commanded || b->reason == EndReason::Commanded) continue;  // LivingChecker's
    for (const End* end : {a, b}) {
      const End& peer = *pair.peer_of(*end);
      if (!end->clean_end || end->read != peer.written)
        fail(settlement.now, label(*end) + " was patient and got " + std::to_string(end->read) + " of " +
                                 std::to_string(peer.written) +
                                 " octets; it ended: " + std::string(adieu::name(end->reason)));
    }
  }
}

}  // namespace adieu::sim
