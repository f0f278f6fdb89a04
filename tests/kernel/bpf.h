// What tests of BPF share: where it is not to be had here, they are skipped and say why.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "kernel/bpf_object.h"

// In SetUp() or a test. A kernel that rejects a program of ours, or an answer that we do not understand, is a failure.
#define SKIP_WITHOUT_BPF(opened)                                                                                \
  do {                                                                                                          \
    if (opened) break;                                                                                          \
    const ::adieu::kernel::Error error = (opened).error();                                                      \
    if (error.kind == ::adieu::kernel::ErrorKind::NotPermitted ||                                               \
        error.kind == ::adieu::kernel::ErrorKind::NotSupported)                                                 \
      GTEST_SKIP() << "SKIPPED, NOT TESTED: BPF: " << name(error.kind) << ": " << ::adieu::kernel::bpf_words(); \
    FAIL() << name(error.kind) << ", " << std::strerror(error.code) << ": " << ::adieu::kernel::bpf_words();    \
  } while (false)
