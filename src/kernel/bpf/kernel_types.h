// What our BPF programs read of the kernel's own types, and nothing else of them.
//
// What lives here: the fields that are read, under the kernel's names. Where they are is found when a program is loaded
// (CO-RE): neither order nor size nor what stands between them need be right here. What does not: what the programs
// tell (rows.h). For *.bpf.c alone.
//
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#define IPPROTO_TCP 6
#define IPPROTO_MPTCP 262
#define SOCK_STREAM 1
#define AF_INET 2
#define AF_INET6 10
#define MSG_PEEK 2

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct upid {
  int nr;
};
struct pid {
  unsigned int level;
  struct upid numbers[1];
};
struct files_struct;
struct task_struct {
  int pid;
  int tgid;
  struct task_struct* group_leader;
  struct files_struct* files;
  struct pid* thread_pid;
};

struct counter64 {
  __s64 counter;
};
struct file_count {
  struct counter64 refcnt;
};
struct inode {
  unsigned long i_ino;
};
struct file {
  struct inode* f_inode;
  struct counter64 f_count;  // before Linux 6.13: references
  struct file_count f_ref;   // since: references less one
};

struct ns_common {
  unsigned int inum;
};
struct net {
  struct ns_common ns;
};
struct possible_net {
  struct net* net;
};
struct in6_addr {
  union {
    __be32 u6_addr32[4];
  } in6_u;
};
struct sock_common {
  unsigned short skc_family;
  volatile unsigned char skc_state;
  __be32 skc_daddr;
  __be32 skc_rcv_saddr;
  __be16 skc_dport;
  __u16 skc_num;
  struct in6_addr skc_v6_daddr;
  struct in6_addr skc_v6_rcv_saddr;
  int skc_bound_dev_if;
  struct possible_net skc_net;
  struct counter64 skc_cookie;
};
struct sock {
  struct sock_common __sk_common;
  __u16 sk_type;
  __u16 sk_protocol;
  int sk_err;
  __u32 sk_mark;
};
struct ipv6_pinfo {
  __s16 hop_limit;
  __u8 tclass;
};
struct inet_sock {
  struct sock sk;
  struct ipv6_pinfo* pinet6;
  __be16 inet_sport;
  __s16 uc_ttl;
  __u8 tos;
};
struct inet_connection_sock {
  struct inet_sock icsk_inet;
};
struct tcp_options_received {
  __u32 ts_recent;
  __u16 tstamp_ok : 1, rcv_wscale : 4;
};
struct tcp_sock {
  struct inet_connection_sock inet_conn;
  struct tcp_options_received rx_opt;
  __u32 snd_una;
  __u32 snd_nxt;
  __u32 write_seq;
  __u32 rcv_wup;
  __u32 rcv_wnd;
  __u32 tsoffset;
  __u8 repair : 1, tcp_usec_ts : 1;  // tcp_usec_ts: since Linux 6.7
  _Bool is_mptcp;                    // these three where the kernel was built for it
  void* md5sig_info;
  void* ao_info;
  __u32 segs_in;
  __u32 rcv_nxt;
  __u32 copied_seq;
  __u64 bytes_received;
  __u64 bytes_acked;
};
struct socket {
  struct sock* sk;
};

struct seq_file;
struct bpf_iter_meta {
  struct seq_file* seq;
};
struct bpf_iter__task_file {
  struct bpf_iter_meta* meta;
  struct task_struct* task;
  __u32 fd;
  struct file* file;
};
struct bpf_iter__tcp {
  struct bpf_iter_meta* meta;
  struct sock_common* sk_common;
};

#pragma clang attribute pop
