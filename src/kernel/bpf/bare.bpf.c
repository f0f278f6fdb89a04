// Reads, of the sockets that are named in a map, what a bare segment of theirs would say now, under their own lock.
//
// What lives here: the program that the kernel runs for each TCP socket of a network namespace. What does not: naming
// sockets (bpf_bare.cc), sending the segment (crafter.cc).
//
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The kernel's headers want its own types first.
#include "kernel/bpf/kernel_types.h"
//
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel/bpf/rows.h"

const char kLicense[] SEC("license") = "GPL";

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 256);  // kMostAtOnce
  __type(key, __u64);
  __type(value, __u8);
} wanted SEC(".maps");

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

SEC("iter/tcp")
int tell_bare_segment(struct bpf_iter__tcp* context) {
  struct sock_common* common = context->sk_common;
  if (!common) return 0;
  const __u64 cookie = common->skc_cookie.counter;
  if (cookie == 0 || !bpf_map_lookup_elem(&wanted, &cookie)) return 0;
  bpf_map_delete_elem(&wanted, &cookie);  // an iterator may meet a socket twice
  struct BareRow row = {.cookie = cookie};
  // A minisock has none of a socket's fields.
  struct tcp_sock* tcp = bpf_skc_to_tcp_sock(common);
  if (common->skc_state != BPF_TCP_TIME_WAIT && common->skc_state != BPF_TCP_NEW_SYN_RECV && tcp) {
    row.state = common->skc_state;
    row.is_idle = tcp->snd_una == tcp->write_seq && tcp->snd_nxt == tcp->write_seq;
    row.is_plain = is_plain(tcp);
    row.next = tcp->snd_nxt;
    row.ack = tcp->rcv_nxt;
    const __u32 right = tcp->rcv_wup + tcp->rcv_wnd;
    row.window = (__s32)(right - tcp->rcv_nxt) > 0 ? right - tcp->rcv_nxt : 0;
    row.window_scale = BPF_CORE_READ_BITFIELD(tcp, rx_opt.rcv_wscale);
    row.has_timestamps = BPF_CORE_READ_BITFIELD(tcp, rx_opt.tstamp_ok);
    row.timestamp = timestamp(tcp);
    row.echo = tcp->rx_opt.ts_recent;
    read_header(tcp, &row);
  }
  bpf_seq_write(context->meta->seq, &row, sizeof row);
  return 0;
}
