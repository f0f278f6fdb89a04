// Destroys the sockets that are named in a map, if they still are as the order says, under their own lock.
//
// What lives here: the program that the kernel runs for each TCP socket of a network namespace. What does not: giving
// orders, and what the answers mean (bpf_destroy.cc).
//
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The kernel's headers want its own types first.
#include "kernel/bpf/kernel_types.h"
//
#include <bpf/bpf_helpers.h>

#include "kernel/bpf/rows.h"

const char kLicense[] SEC("license") = "GPL";

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 256);  // kMostOrders
  __type(key, __u64);
  __type(value, struct OrderRow);
} orders SEC(".maps");

extern int bpf_sock_destroy(struct sock_common* sk) __ksym;

// The iterator holds the lock of a whole socket while this runs: no segment is processed, no call of the application.
static __always_inline void carry_out(const struct OrderRow* order, struct sock_common* common,
                                      struct AnswerRow* answer) {
  // A minisock or a connection request has no lock, and none of a socket's fields: the kernel's function would read
  // beyond its end.
  struct tcp_sock* tcp = bpf_skc_to_tcp_sock(common);
  if (common->skc_state == BPF_TCP_TIME_WAIT || common->skc_state == BPF_TCP_NEW_SYN_RECV || !tcp) {
    answer->outcome = kRowOrderMinisocket;
    return;
  }
  answer->segments_in = tcp->segs_in;
  answer->octets_in = tcp->bytes_received;
  answer->octets_acked = tcp->bytes_acked;
  if (answer->state != order->state) {
    answer->outcome = kRowOrderOtherState;
  } else if (order->is_guarded && answer->segments_in != order->segments_in) {
    answer->outcome = kRowOrderHeardSince;
  } else {
    answer->code = bpf_sock_destroy(common);
    answer->outcome = answer->code == 0 ? kRowOrderDestroyed : kRowOrderRefused;
  }
}

SEC("iter/tcp")
int carry_out_orders(struct bpf_iter__tcp* context) {
  struct sock_common* common = context->sk_common;
  if (!common) return 0;
  const __u64 cookie = common->skc_cookie.counter;
  if (cookie == 0) return 0;  // never asked for, hence not ordered
  struct OrderRow* order = bpf_map_lookup_elem(&orders, &cookie);
  if (!order || order->is_done) return 0;
  struct AnswerRow answer = {.cookie = cookie, .state = common->skc_state};
  order->is_done = 1;
  carry_out(order, common, &answer);
  bpf_seq_write(context->meta->seq, &answer, sizeof answer);
  return 0;
}
