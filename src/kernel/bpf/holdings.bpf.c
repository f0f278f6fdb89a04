// Every descriptor of every process that is a TCP socket, told to whoever reads the iterator.
//
// What lives here: the program that the kernel runs for each descriptor. What does not: reading it (bpf_holdings.cc).
//
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The kernel's headers want its own types first.
#include "kernel/bpf/kernel_types.h"
//
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel/bpf/rows.h"

const char kLicense[] SEC("license") = "GPL";

// The process's number in the PID namespace of who reads: the kernel's own would be another process there.
static __always_inline __u32 process_of(struct task_struct* task) {
  struct task_struct* reader = bpf_get_current_task_btf();
  const unsigned int level = reader->thread_pid->level;
  if (level == 0) return task->tgid;
  struct pid* pid = task->group_leader->thread_pid;
  int number = 0;
  const void* numbers = (const void*)pid + bpf_core_field_offset(struct pid, numbers);
  bpf_probe_read_kernel(&number, sizeof number, numbers + level * bpf_core_type_size(struct upid));
  return number;
}

// While it shows a descriptor, the iterator itself holds one reference; that one is left out.
static __always_inline __u32 references_of(struct file* file) {
  if (bpf_core_field_exists(file->f_ref)) return file->f_ref.refcnt.counter;
  return file->f_count.counter - 1;
}

SEC("iter/task_file")
int tell_holding(struct bpf_iter__task_file* context) {
  struct task_struct* task = context->task;
  struct file* file = context->file;
  if (!task || !file) return 0;
  // Threads share their leader's table, but for those that have one of their own (unshare(CLONE_FILES)).
  if (task->tgid != task->pid && task->files == task->group_leader->files) return 0;
  struct socket* socket = bpf_sock_from_file(file);
  if (!socket) return 0;
  struct sock* sk = socket->sk;
  // A descriptor of MPTCP has the inode of its first subflow, which is a TCP socket (RFC 8684).
  if (!sk || sk->sk_type != SOCK_STREAM || (sk->sk_protocol != IPPROTO_TCP && sk->sk_protocol != IPPROTO_MPTCP))
    return 0;
  const struct HoldingRow row = {
      .inode = file->f_inode->i_ino,
      .process = process_of(task),
      .descriptor = context->fd,
      .references = references_of(file),
  };
  bpf_seq_write(context->meta->seq, &row, sizeof row);
  return 0;
}
