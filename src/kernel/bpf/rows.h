// What our BPF programs tell, octet by octet: read by C++ on one side and written by BPF's C on the other.
//
// What lives here: rows and their kinds. What does not: their meaning for a caller (bpf_*.h).
//
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
#pragma once

#include <linux/types.h>

// One descriptor of one process that is a TCP socket.
struct HoldingRow {
  __u32 inode;
  __u32 process;
  __s32 descriptor;
  __u32 references;
};

// Something that happened to a TCP socket.
enum EventRowKind {
  kRowStateChanged = 1,
  kRowResetReceived = 2,
  kRowEndOfStreamRead = 3,
};
struct EventRow {
  __u64 cookie;
  __u64 when;  // CLOCK_MONOTONIC, ns
  __u32 network;
  __u32 process;
  __u16 error;
  __u16 local_port;  // network order, as is remote_port
  __u8 local[16];    // IPv4 as ::ffff:a.b.c.d
  __u8 remote[16];
  __u16 remote_port;
  __u8 kind;
  __u8 old_state;  // the kernel's numbers
  __u8 new_state;
  __u8 unused[7];
};

// One socket to destroy; the key of an order is its cookie.
struct OrderRow {
  __u32 segments_in;
  __u8 state;       // the kernel's number
  __u8 is_guarded;  // segments_in must still be so
  __u8 is_done;     // answered: an iterator may meet a socket twice
  __u8 unused;
};

// What became of it.
enum OrderOutcome {
  kRowOrderDestroyed = 1,
  kRowOrderOtherState = 2,
  kRowOrderHeardSince = 3,
  kRowOrderMinisocket = 4,
  kRowOrderRefused = 5,
};
struct AnswerRow {
  __u64 cookie;
  __u64 octets_in;
  __u64 octets_acked;
  __u32 segments_in;
  __s32 code;  // Refused: what the kernel said
  __u8 outcome;
  __u8 state;
  __u8 unused[6];
};

// Which socket is asked what its bare segment would say. The question stands in a "packet" behind room for a header of
// Ethernet, and the answer in its place.
#define BARE_AT 14
struct BareQuestion {
  __u8 local[16];
  __u8 remote[16];
  __u16 local_port;  // network order, as is remote_port
  __u16 remote_port;
  __u8 is_v4;  // the last four octets of each address
  __u8 unused[3];
};
// What a bare segment of one socket would say now, and how its packets are sent.
struct BareRow {
  __u64 cookie;
  __u32 next;  // SND.NXT
  __u32 ack;
  __u32 window;  // in octets
  __u32 timestamp;
  __u32 echo;
  __u32 mark;
  __s32 device;  // to which it is bound; 0: to none
  __s16 ttl;     // this and hop_limit: -1, as the route says
  __s16 hop_limit;
  __u8 state;     // the kernel's number; 0: a minisock, and nothing else is told
  __u8 is_idle;   // all that it was given is sent and acknowledged
  __u8 is_plain;  // its segments are a TCP header and perhaps timestamps
  __u8 has_timestamps;
  __u8 window_scale;
  __u8 service;        // TOS of IPv4
  __u8 traffic_class;  // of IPv6
  __u8 unused;
};
