#!/usr/bin/env python3
"""The kernel plane without the help that it may have from the kernel, one kind of help at a time: what is known then,
and what is done. Older kernels lack some of them, and some operators allow none.

What does not live here: the same for an ordinary user and for one look without a daemon (leaks_test.py).

usage: no_bpf_test.py ADIEU
"""
import array
import json
import os
import socket
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from own_network import enter_own_network  # noqa: E402
from running_adieu import Up  # noqa: E402

ADIEU = sys.argv.pop(1)
IS_ROOT = os.getuid() == 0
PERMITTED = enter_own_network()
KINDS = ("holders", "events", "end-of-stream", "guard")
PATIENCE = 20


class KernelUp(Up):
    """Of the kernel's connections alone, which it looks at often."""

    def __init__(self, *words, through=()):
        super().__init__(ADIEU, "--plane", "kernel", "--sweep", "200ms", *words, through=through)

    def row(self, end, *, until):
        """What is known of the connection whose end `end` is, once `until` holds of it."""
        local, remote = (f"{a}:{p}" for a, p in (end[0], end[1]))
        late = time.monotonic() + PATIENCE
        while True:
            done = self.adieu("ls", "--json", "--all", "src", local, "and", "dst", remote)
            for line in done.stdout.splitlines():
                row = json.loads(line)
                if until(row):
                    return row
            if time.monotonic() > late:
                raise AssertionError(f"of {local} {remote}: {done.stdout}{done.stderr}")
            time.sleep(0.05)

    def programs_loaded(self):
        """By its kernel plane, into the kernel, and what they are attached to."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            children = file.read().split()
        loaded = 0
        for child in children:
            with open(f"/proc/{child}/cmdline", encoding="utf-8") as file:
                if "kernel-process" in file.read():
                    descriptors = f"/proc/{child}/fd"
                    loaded += sum(os.readlink(f"{descriptors}/{one}") in ("anon_inode:bpf-prog", "anon_inode:bpf_link")
                                  for one in os.listdir(descriptors))
        return loaded


def ends():
    """Two ends of a connection, and the name of each."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    server.settimeout(PATIENCE)
    return client, server, (client.getsockname(), server.getsockname()), (server.getsockname(), client.getsockname())


@unittest.skipUnless(PERMITTED and IS_ROOT, "SKIPPED, NOT TESTED: only root may load programs into the kernel")
class NoBpf(unittest.TestCase):
    def left_unclosed(self, up, wanted):
        """What is wanted of one whose program has read the end of the stream, and does not close it."""
        client, server, _, name = ends()
        with client, server:
            up.row(name, until=lambda row: row["wanted"] == "held")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(server.recv(9), b"")
            up.row(name, until=lambda row: row["wanted"] == wanted)

    def reason_of_a_reset(self, up):
        client, server, _, name = ends()
        with server:
            up.row(name, until=lambda row: row["state"] == "ESTABLISHED")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            return up.row(name, until=lambda row: row["reason"] != "none")["reason"]

    def in_flight(self, up, wanted):
        """What is wanted of one that only a message in a socket's queue refers to."""
        client, server, _, name = ends()
        one, other = socket.socketpair()
        with client, one, other:
            one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [server.fileno()]))])
            server.close()
            up.row(name, until=lambda row: row["wanted"] == wanted)

    def ends_one(self, up):
        client, server, _, name = ends()
        with client, server:
            row = up.row(name, until=lambda row: row["state"] == "ESTABLISHED")
            done = up.adieu("end", "--reset", row["id"])
            self.assertIn("reset done", done.stdout, done.stderr)
            with self.assertRaises(ConnectionAbortedError):
                server.recv(9)

    def with_(self, *words, wanted, reason, in_flight, through=()):
        with KernelUp(*words, through=through) as up:
            self.left_unclosed(up, wanted)
            self.assertEqual(self.reason_of_a_reset(up), reason)
            self.in_flight(up, in_flight)
            self.ends_one(up)
            return up.programs_loaded(), up.said()

    READ, UNKNOWN = "held, end of stream read, not closed", "held, nothing left to read, not closed"
    RESET, VANISHED = "reset by path or peer", "vanished, reason unknown"
    COUNTED, UNFOUND = "open in no process: in flight, or io_uring's", "held by nobody who was found"

    def without(self, kinds, **expected):
        """Less is loaded than with all of them; how much."""
        with KernelUp() as up:
            full = up.programs_loaded()
        loaded, _ = self.with_("--no-bpf", kinds, **expected)
        self.assertLess(loaded, full)
        return loaded

    def test_with_all_of_them(self):
        loaded, said = self.with_(wanted=self.READ, reason=self.RESET, in_flight=self.COUNTED)
        self.assertGreaterEqual(loaded, 2 * 5)
        self.assertEqual(said, "")

    def test_without_any(self):
        self.assertEqual(self.without("all", wanted=self.UNKNOWN, reason=self.VANISHED, in_flight=self.UNFOUND), 0)

    def test_without_the_iterator_over_descriptors(self):
        self.without("holders", wanted=self.READ, reason=self.RESET, in_flight=self.UNFOUND)

    def test_without_events(self):
        self.without("events", wanted=self.UNKNOWN, reason=self.VANISHED, in_flight=self.COUNTED)

    def test_without_the_tracepoint_of_receives_that_older_kernels_lack(self):
        self.without("end-of-stream", wanted=self.UNKNOWN, reason=self.RESET, in_flight=self.COUNTED)

    def test_without_the_guarded_reset_that_older_kernels_lack(self):
        self.without("guard", wanted=self.READ, reason=self.RESET, in_flight=self.COUNTED)

    def test_without_segments_of_our_own(self):
        self.without("probe", wanted=self.READ, reason=self.RESET, in_flight=self.COUNTED)

    def test_without_two_of_them(self):
        self.without("guard,holders", wanted=self.READ, reason=self.RESET, in_flight=self.UNFOUND)

    def test_a_word_that_is_none(self):
        done = subprocess.run([ADIEU, "up", "--no-bpf", "iterators"], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 2)
        for kind in KINDS:
            self.assertIn(kind, done.stderr)

    def test_where_the_kernel_refuses_all_of_them(self):
        """A root that may not load programs, as in a container, is told once what is missing, and works."""
        kept = "-sys_admin,-bpf,-perfmon"
        loaded, said = self.with_(wanted=self.UNKNOWN, reason=self.VANISHED, in_flight=self.UNFOUND,
                                  through=("setpriv", f"--bounding-set={kept}", f"--inh-caps={kept}"))
        self.assertEqual(loaded, 0)
        self.assertIn("the kernel does not tell what happens to its sockets (not permitted)", said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
