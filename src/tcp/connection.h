// One TCP connection: RFC 9293's state machine, without addresses, maps, clock or I/O.
//
// What lives here: Connection. What does not: demultiplexing, listeners, the seam (stack); opinions (control).
// The code is in four files: input.cc (a segment, the steps of RFC 9293 section 3.10.7 in their order), output.cc (what
// to send next), calls.cc (what an application asks), timers.cc (deadlines).
//
// Its methods are of four kinds:
//   input     input(), expire(), packet_too_big(), probe()
//   calls     send(), receive(), shutdown_send(), shutdown_receive(), close(), abort()
//   output    poll_segment(), take_changes(), final_reset()
//   deadline  next_deadline(); calling expire() early is harmless
//
// Two shapes: the dormant record (this object, all that a quiet connection costs here) and the Transfer, which exists
// only while bytes move. The facts' instants are not kept here but in the connection table, which is the only copy:
// take_changes() tells which of them moved.
//
// Threads: a connection belongs to its engine's. Sources: RFC 9293, 5961, 6298, 7323, 2018, 6191, 5681, 6582.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>

#include "base/terms.h"
#include "base/time.h"
#include "tcp/rtt.h"
#include "tcp/settings.h"
#include "tcp/transfer.h"
#include "wire/tcp.h"

namespace adieu::tcp {

// What every operation needs from outside.
struct Environment {
  Instant now;
  const Settings& settings;
};

// What moved since take_changes() was last called; a bit set.
enum Change : std::uint8_t {
  kHeard = 1U << 0,        // an acceptable segment
  kProgressIn = 1U << 1,   // new octets or the FIN of the peer
  kProgressOut = 1U << 2,  // SND.UNA moved
  kStateChanged = 1U << 3,
  kReadable = 1U << 4,  // octets, end of stream or an error wait for the application
  kWritable = 1U << 5,  // there is room in the send buffer again
  kPassedR1 = 1U << 6,
};

// What the stack is to do with a segment after input().
enum class Disposition : std::uint8_t {
  Done,
  Reset,   // answer it with <SEQ=SEG.ACK><CTL=RST>, as if there were no connection (stack/no_connection.cc)
  Reopen,  // TIME-WAIT may end for this SYN (RFC 6191): forget the connection and give the SYN to a listener
};

// Why a call could not do what was asked.
enum class CallError : std::uint8_t {
  WouldBlock,     // nothing to read, or no room to write: ask again when woken
  SendingClosed,  // after shutdown_send() or close()
  NotConnected,   // not yet, or the connection has ended without an error
  Reset,          // the connection has been reset
  Refused,        // the connection was refused
};

struct OpenParameters {
  Seq iss;                          // keyed, RFC 6528
  std::uint16_t local_mss = 1460;   // what our MTU allows a segment's payload to be, without options
  std::uint16_t default_mss = 536;  // of a peer that does not say: 536 over IPv4, 1220 over IPv6 (MUST-15)
  std::uint32_t timestamp_offset = 0;
  Options options;
};

class Connection {
 public:
  // Active OPEN: SYN-SENT. RFC 9293 section 3.10.1.
  Connection(const OpenParameters& parameters, const Environment& env);
  // Passive OPEN that a SYN has reached: SYN-RECEIVED. RFC 9293 section 3.10.7.2.
  Connection(const OpenParameters& parameters, const wire::Segment& syn, const Environment& env);

  // --- input
  [[nodiscard]] Disposition input(const wire::Segment& segment, const Environment& env);
  void expire(const Environment& env);
  // A validated ICMP message: the path carries no larger payload than `mss`.
  void packet_too_big(std::uint16_t mss, const Environment& env);
  // Asks the peer for a sign with the next segment. False if the connection's state or history does not allow the form.
  [[nodiscard]] bool probe(ProbeForm form, const Environment& env);

  // --- calls
  // How many octets were taken; WouldBlock when none.
  std::expected<std::size_t, CallError> send(Bytes bytes, const Environment& env);
  // How many octets were copied; 0 at the end of the stream. `peek`: they stay.
  std::expected<std::size_t, CallError> receive(MutableBytes out, bool peek, const Environment& env);
  // Our FIN follows what has been sent. RFC 9293 section 3.10.4 (CLOSE, in the RFC's sense).
  std::expected<void, CallError> shutdown_send(const Environment& env);
  // Nothing on the wire, no state change: what arrives from now on is acknowledged and discarded.
  std::expected<void, CallError> shutdown_receive(const Environment& env);
  // The application is done with it, in both directions. Unread octets make it a reset (RFC 1122 section 4.2.2.13).
  void close(const Environment& env);
  // RFC 9293 section 3.10.5. `reason`: Aborted or Commanded; `silent`: no RST.
  void abort(EndReason reason, bool silent, const Environment& env);

  // --- output
  // The next segment to send, at most `most_payload` octets long (more than the MSS: a device cuts it); ports are the
  // caller's. The payload points into this connection and is valid until its next method call.
  std::optional<wire::Segment> poll_segment(std::size_t most_payload, const Environment& env);
  std::uint8_t take_changes();
  // The RST that tells the peer of an end that it did not ask for; once, after state() has become CLOSED.
  std::optional<wire::Segment> final_reset();

  // --- deadline
  Instant next_deadline() const;
  Instant deadline(Timer timer) const;

  // --- getters
  State state() const { return state_; }
  EndReason reason() const { return reason_; }
  bool has_transfer() const { return transfer_ != nullptr; }
  // Nothing is buffered, outstanding or owed: the transfer could be given back.
  bool is_quiet() const;
  void release_transfer();
  bool is_orphan() const { return flags_.closed; }
  bool is_send_shut() const { return flags_.fin_queued; }
  bool is_receive_shut() const { return flags_.receive_shut; }
  bool is_end_of_stream_read() const { return flags_.end_of_stream_read; }
  bool has_peer_fin() const { return flags_.peer_fin; }
  bool is_peer_window_closed() const;
  bool can_probe(ProbeForm form) const;
  bool has_passed_r1() const { return flags_.passed_r1; }
  std::uint32_t attempts() const { return transfer_ ? transfer_->attempts : 0; }
  Instant oldest_unacked() const { return transfer_ ? transfer_->oldest_unacked : Instant::never(); }
  std::uint32_t unread() const { return transfer_ ? static_cast<std::uint32_t>(transfer_->receive.size()) : 0; }
  std::uint32_t unsent() const { return transfer_ ? static_cast<std::uint32_t>(transfer_->send.size()) : 0; }
  std::size_t send_room() const;
  std::uint16_t effective_mss() const;
  Seq snd_una() const { return snd_una_; }
  Seq snd_nxt() const { return snd_nxt_; }
  Seq rcv_nxt() const { return rcv_nxt_; }
  std::uint32_t snd_wnd() const { return snd_wnd_; }
  const RttEstimate& rtt() const { return rtt_; }
  const Options& options() const { return options_; }
  void set_no_delay(bool on) { options_.no_delay = on; }
  void set_buffers(std::uint32_t send, std::uint32_t receive);
  std::uint8_t send_scale() const { return send_scale_; }
  std::uint8_t receive_scale() const { return receive_scale_; }
  bool uses_timestamps() const { return flags_.timestamps; }
  bool uses_sack() const { return flags_.sack; }
  const Transfer* transfer() const { return transfer_.get(); }
  std::size_t heap_bytes() const;

  void check_invariants() const;

 private:
  struct Flags {
    bool fin_queued : 1 = false;  // the application will send no more
    bool peer_fin : 1 = false;    // the peer's FIN has been taken, in order
    bool receive_shut : 1 = false;
    bool end_of_stream_read : 1 = false;
    bool closed : 1 = false;   // the application has let go: an orphan
    bool passive : 1 = false;  // came from LISTEN
    bool timestamps : 1 = false;
    bool sack : 1 = false;
    bool scale_offered : 1 = false;  // the peer's SYN carried a window scale
    bool ack_now : 1 = false;
    bool has_echo : 1 = false;    // echo_octet_ is the last data octet that the peer acknowledged
    bool probe_echo : 1 = false;  // probes asked for and not yet sent
    bool probe_bare : 1 = false;
    bool passed_r1 : 1 = false;
    bool reset_due : 1 = false;  // final_reset() has something to say
    bool ts_recent_valid : 1 = false;
  };

  // input.cc, in the order of RFC 9293 section 3.10.7
  Disposition input_syn_sent(const wire::Segment& segment, const Environment& env);
  bool check_timestamps(const wire::Segment& segment, const Environment& env);
  bool check_sequence(const wire::Segment& segment, const Environment& env);
  bool check_reset(const wire::Segment& segment, const Environment& env);
  bool check_syn(const wire::Segment& segment, const Environment& env);
  std::optional<Disposition> check_ack(const wire::Segment& segment, const Environment& env);
  void remember_timestamp(const wire::Segment& segment, const Environment& env);
  void process_ack(const wire::Segment& segment, const Environment& env);
  void process_text(const wire::Segment& segment, const Environment& env);
  void process_fin(const wire::Segment& segment, const Environment& env);
  void accept_text(Seq seq, Bytes text, const Environment& env);
  void take_fin(const Environment& env);
  void take_syn_options(const wire::Segment& syn, const Environment& env);
  void update_window(const wire::Segment& segment, const Environment& env);
  void acknowledged(Seq ack, const wire::Segment& segment, const Environment& env);
  void established(const wire::Segment& segment, const Environment& env);
  void fin_acknowledged(const Environment& env);
  void heard();
  void acknowledge_later(std::uint32_t octets, const Environment& env);
  bool is_acceptable(const wire::Segment& segment) const;
  bool is_recent_duplicate(const wire::Segment& segment) const;
  bool may_reopen(const wire::Segment& syn) const;
  void challenge(const wire::Segment& segment, const Environment& env);

  // output.cc
  std::optional<wire::Segment> poll_syn(const Environment& env);
  std::optional<wire::Segment> poll_probe(const Environment& env);
  std::optional<wire::Segment> poll_first_again(const Environment& env);
  std::optional<wire::Segment> poll_window_probe(const Environment& env);
  std::optional<wire::Segment> poll_data(std::size_t most_payload, const Environment& env);
  wire::Segment data_segment(Seq seq, std::size_t length, bool with_fin, const Environment& env);
  std::size_t sendable(std::size_t most_payload);
  std::uint32_t usable_window() const;
  void sent(Seq seq, std::uint32_t length, const Environment& env);
  wire::Segment bare_segment(Seq seq, const Environment& env);
  std::uint32_t receive_window() const;
  void advertise(wire::Segment& segment);

  // timers.cc
  void set_deadline(Timer timer, Instant at);
  void retransmission_timeout(const Environment& env);
  void persist(const Environment& env);
  // Which of Retransmit and Persist must run, now that something has changed; `restart`: from `now`.
  void arm_timers(const Environment& env, bool restart);
  void count_attempt(const Environment& env);

  void enter(State state);
  void end(EndReason reason, bool reset);
  void enter_time_wait(const Environment& env);
  Transfer& transfer();
  bool is_syn_unacked() const { return state_ == State::SynSent || state_ == State::SynReceived; }
  // The sequence number of the first octet in the send buffer.
  Seq send_front() const { return is_syn_unacked() ? snd_una_ + 1 : snd_una_; }
  // Our FIN is queued, and neither acknowledged nor gone with the connection.
  bool is_fin_unacked() const {
    return state_ == State::FinWait1 || state_ == State::Closing || state_ == State::LastAck ||
           (state_ == State::SynReceived && flags_.fin_queued);
  }
  bool is_fin_acked() const { return state_ == State::FinWait2 || state_ == State::TimeWait; }
  bool has_outstanding() const { return snd_una_ != snd_nxt_; }
  // Of our FIN, once it is queued: behind all that is in the send buffer.
  Seq fin_seq() const { return send_front() + unsent(); }
  std::uint32_t timestamp(const Environment& env) const;

  std::unique_ptr<Transfer> transfer_;
  Instant time_wait_until_ = Instant::never();
  Seq snd_una_;
  Seq snd_nxt_;
  Seq snd_wl1_;
  Seq snd_wl2_;
  Seq rcv_nxt_;
  Seq rcv_advertised_;  // the right edge of the window we last told the peer
  Seq last_ack_sent_;   // RFC 7323 section 4.3
  std::uint32_t snd_wnd_ = 0;
  std::uint32_t max_snd_wnd_ = 0;  // RFC 5961 section 5: MAX.SND.WND
  std::uint32_t ts_recent_ = 0;
  std::uint32_t ts_recent_at_s_ =
      0;  // seconds; a value older than 24 days is no longer compared (RFC 7323 section 5.5)
  std::uint32_t timestamp_offset_ = 0;
  std::uint32_t challenged_at_ms_ = 0;          // when we last answered what a stranger can send; 0: never
  std::uint32_t answered_duplicate_at_ms_ = 0;  // and what only the peer can easily send
  RttEstimate rtt_;
  Options options_;
  std::uint16_t mss_ = 536;  // of the peer, and of the path; payload of a segment without options
  std::uint16_t local_mss_ = 1460;
  Flags flags_;
  State state_ = State::Closed;
  EndReason reason_ = EndReason::None;
  std::uint8_t changes_ = 0;
  std::uint8_t send_scale_ = 0;     // shift of the windows that we receive
  std::uint8_t receive_scale_ = 0;  // shift of the windows that we send
  std::uint8_t echo_octet_ = 0;
};

static_assert(sizeof(Connection) <= 112, "the dormant record: 256 octets all in, of which the seam's slot takes 128");

}  // namespace adieu::tcp
