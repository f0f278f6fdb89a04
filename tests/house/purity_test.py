#!/usr/bin/env python3
# Proof that the purity test can fail: a clock, a file, a thread, a random number, compiled into archives of their own.
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import purity

COMPILER = os.environ.get("CXX", "c++")
LISTED = purity.read_list(purity.LIST.read_text())

IMPURE = {
    "a clock": ("#include <chrono>\nauto f() { return std::chrono::steady_clock::now(); }", "now"),
    "a system call": ("#include <unistd.h>\nauto f() { return getpid(); }", "getpid"),
    "a file": ("#include <cstdio>\nauto f() { return std::fopen(\"x\", \"r\"); }", "fopen"),
    "a random number": ("#include <random>\nauto f() { return std::random_device{}(); }", "random_device"),
    "a thread": ("#include <thread>\nvoid f() { std::thread([] {}).detach(); }", "thread"),
    "an environment": ("#include <cstdlib>\nauto f() { return std::getenv(\"X\"); }", "getenv"),
}
PURE = "#include <vector>\nstd::vector<int> f(std::vector<int> v) { v.push_back(1); return v; }"


class Purity(unittest.TestCase):
    def unlisted(self, *sources, room="tcp"):
        with tempfile.TemporaryDirectory() as folder:
            members = []
            for number, source in enumerate(sources):
                member = f"{folder}/{number}.cc.o"
                subprocess.run([COMPILER, "-std=c++20", "-O1", "-fno-exceptions", "-x", "c++", "-c", "-o", member, "-"],
                               input=source + "\n", text=True, check=True)
                members.append(member)
            archive = str(Path(folder) / "lib.a")
            subprocess.run(["ar", "rc", archive, *members], check=True)
            return [s.name for s in purity.impure([(room, archive)], LISTED)]

    def test_values_and_memory_are_allowed(self):
        self.assertEqual(self.unlisted(PURE), [])

    def test_each_kind_of_impurity_is_found(self):
        for what, (source, symbol) in IMPURE.items():
            with self.subTest(what):
                self.assertTrue(any(symbol in name for name in self.unlisted(PURE, source)))

    def test_what_an_archive_defines_itself_is_no_reference(self):
        own = self.unlisted("int getpid();\nint f() { return getpid(); }", "int getpid() { return 1; }")
        self.assertEqual(own, [])

    def test_an_entry_counts_only_in_its_scope(self):
        allowed = purity.read_list("stack  siphash  a hash\nbase/assert.cc  abort  a bug\n*  memcpy  bytes\n")
        cases = [("stack", "isn.cc", "siphash", 0), ("tcp", "isn.cc", "siphash", 1), ("base", "assert.cc", "abort", 0),
                 ("base", "rng.cc", "abort", 1), ("tcp", "input.cc", "memcpy", 0), ("tcp", "input.cc", "memcpy_s", 1)]
        for room, member, name, expected in cases:
            with self.subTest(room=room, member=member, name=name):
                symbol = purity.Symbol(room, member, name)
                self.assertEqual(len(list(purity.unlisted([symbol], set(), allowed))), expected)

    def test_an_entry_without_a_reason_is_an_error(self):
        with self.assertRaises(ValueError):
            purity.read_list("*  memcpy\n")


if __name__ == "__main__":
    unittest.main()
