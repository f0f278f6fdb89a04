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
  kRowRetransmitted = 3,
  kRowDestroyed = 4,
  kRowEndOfStreamRead = 5,
};
struct EventRow {
  __u64 cookie;
  __u64 when;  // CLOCK_MONOTONIC, ns
  __u32 network;
  __u32 process;
  __u32 length;
  __u16 error;
  __u16 local_port;  // network order, as is remote_port
  __u8 local[16];    // IPv4 as ::ffff:a.b.c.d
  __u8 remote[16];
  __u16 remote_port;
  __u8 kind;
  __u8 old_state;  // the kernel's numbers
  __u8 new_state;
  __u8 unused[3];
};
