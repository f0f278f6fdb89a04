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
