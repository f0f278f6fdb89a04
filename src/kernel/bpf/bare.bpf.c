// Reads what a bare segment of one socket would say now.
//
// What lives here: the program that looks the socket up by its name, as the kernel does for a segment that comes in. It
// is run by whoever asks, on a "packet" that carries the question and brings the answer back. What does not: asking
// (bpf_bare.cc), sending the segment (crafter.cc).
//
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The kernel's headers want its own types first.
#include "kernel/bpf/kernel_types.h"
//
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel/bpf/rows.h"

const char kLicense[] SEC("license") = "GPL";

// Its segments carry more than a TCP header and timestamps, or it sends none: a signature (RFC 2385, RFC 5925),
// subflows (RFC 8684), a socket in repair.
static __always_inline int is_plain(struct tcp_sock* tcp) {
  if (bpf_core_field_exists(tcp->md5sig_info) && tcp->md5sig_info) return 0;
  if (bpf_core_field_exists(tcp->ao_info) && tcp->ao_info) return 0;
  if (bpf_core_field_exists(tcp->is_mptcp) && BPF_CORE_READ_BITFIELD(tcp, is_mptcp)) return 0;
  return !BPF_CORE_READ_BITFIELD(tcp, repair);
}

// What its own next segment would say: the connection's clock (RFC 7323), which must not run ahead of it.
static __always_inline __u32 timestamp(struct tcp_sock* tcp) {
  const __u64 microseconds = bpf_ktime_get_ns() / 1000;
  const int fine = bpf_core_field_exists(tcp->tcp_usec_ts) && BPF_CORE_READ_BITFIELD(tcp, tcp_usec_ts);
  return (__u32)(fine ? microseconds : microseconds / 1000) + tcp->tsoffset;
}

static __always_inline void read_header(struct tcp_sock* tcp, struct BareRow* row) {
  struct inet_sock* inet = &tcp->inet_conn.icsk_inet;
  row->mark = inet->sk.sk_mark;
  row->device = inet->sk.__sk_common.skc_bound_dev_if;
  row->service = inet->tos;
  row->ttl = inet->uc_ttl;
  row->hop_limit = -1;
  struct ipv6_pinfo* v6 = inet->sk.__sk_common.skc_family == AF_INET6 ? inet->pinet6 : 0;
  if (!v6) return;
  row->traffic_class = v6->tclass;
  row->hop_limit = v6->hop_limit;
}

static __always_inline void read_segment(struct tcp_sock* tcp, struct BareRow* row) {
  const struct sock_common* common = &tcp->inet_conn.icsk_inet.sk.__sk_common;
  row->cookie = common->skc_cookie.counter;
  row->state = common->skc_state;
  row->is_idle = tcp->snd_una == tcp->write_seq && tcp->snd_nxt == tcp->write_seq;
  row->is_plain = is_plain(tcp);
  row->next = tcp->snd_nxt;
  row->ack = tcp->rcv_nxt;
  const __u32 right = tcp->rcv_wup + tcp->rcv_wnd;
  row->window = (__s32)(right - row->ack) > 0 ? right - row->ack : 0;
  row->window_scale = BPF_CORE_READ_BITFIELD(tcp, rx_opt.rcv_wscale);
  row->has_timestamps = BPF_CORE_READ_BITFIELD(tcp, rx_opt.tstamp_ok);
  row->timestamp = timestamp(tcp);
  row->echo = tcp->rx_opt.ts_recent;
  read_header(tcp, row);
}

// Its names are those of a segment from the peer.
static __always_inline __u32 tuple_of(const struct BareQuestion* question, struct bpf_sock_tuple* tuple) {
  if (question->is_v4) {
    __builtin_memcpy(&tuple->ipv4.saddr, question->remote + 12, 4);
    __builtin_memcpy(&tuple->ipv4.daddr, question->local + 12, 4);
    tuple->ipv4.sport = question->remote_port;
    tuple->ipv4.dport = question->local_port;
    return sizeof tuple->ipv4;
  }
  __builtin_memcpy(tuple->ipv6.saddr, question->remote, 16);
  __builtin_memcpy(tuple->ipv6.daddr, question->local, 16);
  tuple->ipv6.sport = question->remote_port;
  tuple->ipv6.dport = question->local_port;
  return sizeof tuple->ipv6;
}

SEC("tc")
int tell_bare_segment(struct __sk_buff* packet) {
  struct BareQuestion question;
  if (bpf_skb_load_bytes(packet, BARE_AT, &question, sizeof question) != 0) return 0;
  struct bpf_sock_tuple tuple = {};
  struct BareRow row = {};
  struct bpf_sock* found = 0;
  // The verifier wants a constant.
  if (tuple_of(&question, &tuple) == sizeof tuple.ipv4)
    found = bpf_skc_lookup_tcp(packet, &tuple, sizeof tuple.ipv4, BPF_F_CURRENT_NETNS, 0);
  else
    found = bpf_skc_lookup_tcp(packet, &tuple, sizeof tuple.ipv6, BPF_F_CURRENT_NETNS, 0);
  if (found) {
    // Not of a minisock or a connection request, which have none of a socket's fields.
    struct tcp_sock* tcp = bpf_skc_to_tcp_sock(found);
    if (tcp) read_segment(tcp, &row);
    bpf_sk_release(found);
  }
  bpf_skb_store_bytes(packet, BARE_AT, &row, sizeof row, 0);
  return 0;
}
