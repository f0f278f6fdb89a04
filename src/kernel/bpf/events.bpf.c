// What happens to TCP sockets, told into a ring as it happens.
//
// What lives here: a program a tracepoint; what is left out, and why. What does not: reading the ring (bpf_events.cc).
// Each runs inside of the kernel's TCP: what is of no interest leaves after a comparison or two.
//
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The kernel's headers want its own types first.
#include "kernel/bpf/kernel_types.h"
//
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "kernel/bpf/rows.h"

const char kLicense[] SEC("license") = "GPL";

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);  // BpfEvents::open() says how large
} ring SEC(".maps");

// Events for which the ring had no room.
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} lost SEC(".maps");

// Cookies of sockets whose end of stream was told: a program that reads it in a busy loop, a million times a second,
// is told once. A cookie that falls out for others is told again.
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 8192);
  __type(key, __u64);
  __type(value, __u8);
} ended SEC(".maps");

static __always_inline void put_mapped(__u8* octets, __be32 address) {
  __u32* words = (__u32*)octets;
  words[0] = 0;
  words[1] = 0;
  words[2] = bpf_htonl(0xffff);
  words[3] = address;
}

static __always_inline void put_words(__u8* octets, const struct in6_addr* address) {
  __u32* words = (__u32*)octets;
  words[0] = address->in6_u.u6_addr32[0];
  words[1] = address->in6_u.u6_addr32[1];
  words[2] = address->in6_u.u6_addr32[2];
  words[3] = address->in6_u.u6_addr32[3];
}

// Room for an event of the socket, with all of it but what its kind alone knows; null: lost, and counted.
static __always_inline struct EventRow* begin(struct sock* sk, __u8 kind) {
  struct EventRow* row = bpf_ringbuf_reserve(&ring, sizeof *row, 0);
  if (!row) {
    const __u32 zero = 0;
    __u64* count = bpf_map_lookup_elem(&lost, &zero);
    // Atomic: an interrupt on this CPU may lose one in between.
    if (count) __sync_fetch_and_add(count, 1);
    return 0;
  }
  const struct sock_common* common = &sk->__sk_common;
  row->cookie = bpf_get_socket_cookie(sk);
  row->when = bpf_ktime_get_ns();
  row->network = common->skc_net.net->ns.inum;
  row->process = 0;
  row->error = 0;
  // Not skc_num: that is already 0 when a socket that was closed says so.
  row->local_port = BPF_CORE_READ((struct inet_sock*)sk, inet_sport);
  row->remote_port = common->skc_dport;
  row->kind = kind;
  row->old_state = row->new_state = common->skc_state;
  __builtin_memset(row->unused, 0, sizeof row->unused);
  if (common->skc_family == AF_INET6) {
    put_words(row->local, &common->skc_v6_rcv_saddr);
    put_words(row->remote, &common->skc_v6_daddr);
  } else {
    put_mapped(row->local, common->skc_rcv_saddr);
    put_mapped(row->remote, common->skc_daddr);
  }
  return row;
}

static __always_inline __u32 current_process(void) { return bpf_get_current_pid_tgid() >> 32; }

// Made by a call of the application (connect, shutdown, close or its exit), in its process; the others by a segment or
// a timer, in whatever process was interrupted.
static __always_inline int is_made_by_call(int new_state) {
  return new_state == BPF_TCP_SYN_SENT || new_state == BPF_TCP_FIN_WAIT1 || new_state == BPF_TCP_LAST_ACK;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tell_state, struct sock* sk, int old_state, int new_state) {
  if (sk->sk_protocol != IPPROTO_TCP) return 0;
  // A listener, or a copy of one that has yet to become a connection: its cookie is not yet the one that it keeps.
  if (old_state == BPF_TCP_LISTEN || new_state == BPF_TCP_LISTEN) return 0;
  struct EventRow* row = begin(sk, kRowStateChanged);
  if (!row) return 0;
  row->old_state = old_state;
  row->new_state = new_state;
  row->error = sk->sk_err;
  if (is_made_by_call(new_state)) row->process = current_process();
  bpf_ringbuf_submit(row, 0);
  return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tell_reset, struct sock* sk) {
  struct EventRow* row = begin(sk, kRowResetReceived);
  if (row) bpf_ringbuf_submit(row, 0);
  return 0;
}

// Every receive of every socket of the host comes by here.
SEC("tp_btf/sock_recv_length")
int BPF_PROG(tell_end_of_stream, struct sock* sk, int result, int flags) {
  if (result != 0 || flags & MSG_PEEK || sk->sk_protocol != IPPROTO_TCP) return 0;
  const unsigned char state = sk->__sk_common.skc_state;
  if (state != BPF_TCP_CLOSE_WAIT && state != BPF_TCP_LAST_ACK && state != BPF_TCP_CLOSING) return 0;
  // A call that asked for no octets got none, too.
  const struct tcp_sock* tcp = (struct tcp_sock*)sk;
  if (BPF_CORE_READ(tcp, copied_seq) != BPF_CORE_READ(tcp, rcv_nxt)) return 0;
  const __u64 cookie = bpf_get_socket_cookie(sk);
  if (bpf_map_lookup_elem(&ended, &cookie)) return 0;
  struct EventRow* row = begin(sk, kRowEndOfStreamRead);
  if (!row) return 0;
  row->process = current_process();
  bpf_ringbuf_submit(row, 0);
  const __u8 told = 1;
  bpf_map_update_elem(&ended, &cookie, &told, BPF_ANY);
  return 0;
}
