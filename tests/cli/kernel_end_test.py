#!/usr/bin/env python3
"""`adieu end` on the kernel's connections, with a running `adieu up --plane kernel`: in each state, what was said
beforehand, what the application and its peer saw, and what went over the wire.

What does not live here: the acts one by one, races and refusals among them (tests/kernel/act_test.cc).

usage: kernel_end_test.py ADIEU
"""
import contextlib
import ctypes
import errno
import json
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from own_network import enter_own_network  # noqa: E402
from running_adieu import Up  # noqa: E402

ADIEU = sys.argv.pop(1)
FIN, RST = 0x01, 0x04


PERMITTED = enter_own_network()


class Wire:
    """What goes over loopback between two ports."""
    def __init__(self):
        self.tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.tap.bind(("lo", 0))
        self.tap.setblocking(False)

    def flags_from(self, port):
        """The flags of every segment sent from `port` since the last call, joined."""
        flags = 0
        while True:
            try:
                frame = self.tap.recv(65536)
            except BlockingIOError:
                return flags
            segment = frame[14 + (frame[14] & 15) * 4:]
            if frame[23] == 6 and int.from_bytes(segment[:2], "big") == port:
                flags |= segment[13]

    def close(self):
        self.tap.close()


def turn_deaf(end):
    """Whatever arrives for it is dropped: to its peer it is not there."""
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0), 8)  # BPF_RET, 0 octets
    end.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HP", 1, ctypes.addressof(nothing)))  # SO_ATTACH_FILTER


def outcome(call):
    """What a call on a socket returned, or the name of its error."""
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno]


@unittest.skipUnless(PERMITTED, "SKIPPED, NOT TESTED: no network namespace is permitted here")
class KernelEnd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        up = cls.enterClassContext(Up(ADIEU, "--plane", "kernel"))
        cls.run_dir, cls.adieu = up.run_dir, up.adieu
        cls.until(lambda: cls.adieu("ls", "--json").returncode in (0, 1), "adieu up answers")

    @staticmethod
    def until(condition, what):
        end = time.monotonic() + 20
        while not (value := condition()):
            if time.monotonic() > end:
                raise AssertionError(what)
            time.sleep(0.05)
        return value

    def setUp(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.client = socket.create_connection(self.listener.getsockname())
        self.server, _ = self.listener.accept()
        self.client_port, self.server_port = self.client.getsockname()[1], self.server.getsockname()[1]
        for end in (self.client, self.server):
            end.settimeout(5)
        self.wire = Wire()
        for thing in (self.listener, self.client, self.server, self.wire):
            self.addCleanup(thing.close)

    def found(self, port, state, holders=("held", "orphan")):
        """The ID of the end at `port` once it is published in `state` and who holds it is known."""
        other = self.client_port + self.server_port - port

        def look():
            done = self.adieu("ls", "--all", "--json", "sport", "=", f":{port}", "and", "dport", "=", f":{other}")
            rows = [json.loads(line) for line in done.stdout.splitlines()]
            # That it was accepted, and who holds it, a look finds that is younger than that.
            ids = [row["id"] for row in rows if row["state"] == state and row["reason"] == "none"
                   and row["holder"] in holders and (row["comm"] or row["holder"] != "held")]
            return ids and ids[0]
        return self.until(look, f"{port} is in {state}")

    def told(self, identity, *how):
        done = self.adieu("end", "--dry-run", *how, identity)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(outcome(lambda: self.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)), 0)
        return done.stdout

    def ended(self, identity, *how):
        self.wire.flags_from(0)
        done = self.adieu("end", *how, identity)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r": (finish|reset|keepalive) done, now in \S+ \(verdict \d+\)\n\Z")
        return done.stdout

    def reason(self, identity):
        def look():
            reason = json.loads(self.adieu("why", "--json", identity).stdout)["reason"]
            return reason != "none" and reason
        return self.until(look, "it has ended")

    def test_reset_in_established(self):
        identity = self.found(self.server_port, "ESTABLISHED")
        self.client.sendall(b"unread")
        told = self.told(identity, "--reset")
        self.assertIn("its next read or write fails: ECONNABORTED", told)
        self.assertIn("sends a RST", told)
        self.assertIn("; the descriptor stays open: only the program can close it\n", told)
        self.assertIn("now in CLOSED", self.ended(identity, "--reset"))
        self.assertEqual(outcome(lambda: self.server.recv(99)), b"unread")
        self.assertEqual(outcome(lambda: self.server.recv(99)), "ECONNABORTED")
        self.assertEqual(outcome(lambda: self.server.recv(99)), b"")
        self.assertEqual(outcome(lambda: self.server.send(b"x")), "EPIPE")
        self.assertEqual(outcome(lambda: self.client.recv(99)), "ECONNRESET")
        self.assertTrue(self.wire.flags_from(self.server_port) & RST)
        self.assertEqual(self.reason(identity), "commanded")

    def test_finish_in_established(self):
        identity = self.found(self.server_port, "ESTABLISHED")
        told = self.told(identity)
        self.assertIn(f"of process {os.getpid()}: our FIN is sent", told)
        self.assertRegex(told, r"its next write fails: EPIPE .*it reads on until the peer closes")
        self.assertRegex(self.ended(identity), r"now in FIN-WAIT-[12]")
        self.assertEqual(outcome(lambda: self.client.recv(99)), b"")
        self.client.sendall(b"still heard")
        self.assertEqual(outcome(lambda: self.server.recv(99)), b"still heard")
        self.assertEqual(outcome(lambda: self.server.send(b"x")), "EPIPE")
        self.assertEqual(self.wire.flags_from(self.server_port) & (FIN | RST), FIN)

    def test_a_dry_run_says_once_what_is_the_same_for_many(self):
        pairs = [socket.create_connection(self.listener.getsockname()) for _ in range(4)]
        pairs += [self.listener.accept()[0] for _ in pairs]
        for end in pairs:
            self.addCleanup(end.close)
        words = ["end", "--dry-run", "--reset", "state", "established", "and", "sport", "=", f":{self.server_port}"]

        def all_known():
            done = self.adieu("ls", "--json", *words[3:])
            rows = [json.loads(line) for line in done.stdout.splitlines()]
            return len(rows) == 5 and all(row["comm"] and row["holder"] == "held" for row in rows)
        self.until(all_known, "five are held")
        together = self.adieu(*words).stdout.splitlines()
        self.assertRegex(together[0], r"\A5 connections of python\S*   ESTABLISHED, \w+\Z")
        self.assertEqual(len(together), 1 + 3 + 3 + 1)
        self.assertEqual(together[-1], "    and 2 more: --dry-run --all tells each")
        self.assertEqual(len(self.adieu(*words, "--all").stdout.splitlines()), 5 * 4)
        self.assertEqual(len(self.adieu(*words, "--json").stdout.splitlines()), 5)

    def test_what_is_asked_before_many_are_ended_is_told_like_a_dry_run(self):
        pairs = [socket.create_connection(self.listener.getsockname()) for _ in range(40)]
        pairs += [self.listener.accept()[0] for _ in pairs]
        for end in pairs:
            self.addCleanup(end.close)
        words = ["sport", "=", f":{self.server_port}"]

        def all_known():
            rows = [json.loads(line) for line in self.adieu("ls", "--json", *words).stdout.splitlines()]
            return len(rows) == 41 and all(row["comm"] and row["holder"] == "held" for row in rows)
        self.until(all_known, "41 are held")
        terminal, theirs = pty.openpty()
        with subprocess.Popen([ADIEU, "end", "--reset", *words, "--run-dir", self.run_dir], stdin=theirs,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as end:
            os.close(theirs)
            os.write(terminal, b"n\n")
            done, told = end.communicate(timeout=30)
            os.close(terminal)
        self.assertEqual((end.returncode, done), (2, ""))
        lines = told.splitlines()
        self.assertRegex(lines[0], r"\A41 connections of python\S*   ESTABLISHED, \w+\Z")
        self.assertEqual(lines[-2:], ["    and 38 more: --dry-run --all tells each",
                                      "end 41 connections? [y/N] adieu: nothing was done"])
        self.assertEqual(len(lines), 1 + 3 + 3 + 1 + 1)
        self.assertEqual(outcome(lambda: self.client.send(b"x")), 1)

    def test_any_number_of_ids_may_be_named(self):
        identity = self.found(self.server_port, "ESTABLISHED")
        unknown = [f"kernel/{slot}.9" for slot in range(100_000, 102_000)]
        done = self.adieu("end", "--reset", "--yes", *unknown[:1000], identity, *unknown[1000:])
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, rf"\A{re.escape(identity)}: reset done, now in CLOSED \(verdict \d+\)\n\Z")
        self.assertEqual(len(done.stderr.splitlines()), len(unknown))

    def test_what_may_match_is_counted_with_the_remedy(self):
        words = ["end", "--dry-run", "age > 1h", "and", "sport", "=", f":{self.server_port}"]
        with Up(ADIEU, "--plane", "kernel") as younger:  # than the connections
            done = self.until(lambda: "may match" in (done := younger.adieu(*words)).stderr and done, "its sweep")
        self.assertEqual((done.returncode, done.stdout), (0, "no connection matches\n"))
        self.assertRegex(done.stderr, r"\A[12] more may match: [^\n]*\n\(age and eof [^\n]*`idle > \.\.\.`\)\n\Z")

    def test_two_endpoints_name_a_connection_to_be_ended(self):
        self.found(self.server_port, "ESTABLISHED")
        done = self.adieu("end", "--dry-run", f"127.0.0.1:{self.server_port}", f"127.0.0.1:{self.client_port}")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertIn(f"127.0.0.1:{self.server_port} -> 127.0.0.1:{self.client_port}   ESTABLISHED", done.stdout)
        nobody = self.adieu("end", "127.0.0.1:1", "127.0.0.1:2")
        self.assertEqual((nobody.returncode, nobody.stdout), (0, "no connection matches\n"))

    def test_finish_in_close_wait(self):
        self.client.sendall(b"last words")
        self.client.shutdown(socket.SHUT_WR)
        identity = self.found(self.server_port, "CLOSE-WAIT")
        self.assertIn("its next write fails: EPIPE", self.told(identity))
        self.assertRegex(self.ended(identity), "now in (LAST-ACK|CLOSED)")
        self.assertEqual(outcome(lambda: self.client.recv(99)), b"")
        self.assertEqual(outcome(lambda: self.server.send(b"x")), "EPIPE")
        self.assertEqual([outcome(lambda: self.server.recv(99)) for _ in range(2)], [b"last words", b""])
        self.assertEqual(self.wire.flags_from(self.server_port) & (FIN | RST), FIN)

    def test_reset_in_close_wait(self):
        self.client.sendall(b"last words")
        self.client.shutdown(socket.SHUT_WR)
        identity = self.found(self.server_port, "CLOSE-WAIT")
        told = self.told(identity, "--reset")
        self.assertIn("reading goes on to say end of stream", told)
        self.ended(identity, "--reset")
        self.assertEqual([outcome(lambda: self.server.recv(99)) for _ in range(2)], [b"last words", b""])
        self.assertEqual([outcome(lambda: self.server.send(b"x")) for _ in range(2)], ["ECONNABORTED", "EPIPE"])
        self.assertEqual(outcome(lambda: self.client.recv(99)), "ECONNRESET")
        self.assertTrue(self.wire.flags_from(self.server_port) & RST)

    def test_reset_in_fin_wait_2(self):
        self.client.shutdown(socket.SHUT_WR)
        identity = self.found(self.client_port, "FIN-WAIT-2")
        refused = self.adieu("end", "--finish", identity)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("our stream is closed already", refused.stderr)
        self.assertIn("EPIPE, as it has had our end of stream", self.told(identity))
        self.ended(identity)
        self.assertEqual(outcome(lambda: self.client.recv(99)), "ECONNABORTED")
        self.assertEqual(self.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), errno.EPIPE)
        self.assertTrue(self.wire.flags_from(self.client_port) & RST)

    def test_reset_of_an_orphan(self):
        self.client.close()
        identity = self.found(self.client_port, "FIN-WAIT-2")
        told = self.told(identity)
        self.assertIn("nothing: no application holds it", told)
        self.assertIn("nothing now; if it is there, a reset once it sends anything", told)
        self.ended(identity)
        self.assertEqual(self.wire.flags_from(self.client_port) & RST, 0)
        self.assertEqual(outcome(lambda: self.server.send(b"x")), 1)
        self.assertTrue(self.until(lambda: self.wire.flags_from(self.client_port) & RST, "a reset from no socket"))
        self.assertEqual(outcome(lambda: self.server.send(b"x")), "EPIPE")

    def test_time_wait_is_left_to_itself(self):
        self.client.close()
        self.server.close()
        identity = self.found(self.client_port, "TIME-WAIT", ["unknown", "orphan"])
        done = self.adieu("end", identity)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("TIME-WAIT is the protocol's own quarantine", done.stderr)

    def test_what_nobody_holds_takes_no_fin_and_nothing_ends_silently(self):
        waiting = socket.create_connection(self.listener.getsockname())
        self.addCleanup(waiting.close)
        self.client_port = waiting.getsockname()[1]
        identity = self.found(self.server_port, "ESTABLISHED", ["accept queue"])
        for how, says in (("--finish", "no process has a descriptor of it"), ("--silent", "--reset does")):
            done = self.adieu("end", how, identity)
            self.assertEqual(done.returncode, 2, how)
            self.assertIn(says, done.stderr)
        self.assertEqual(outcome(lambda: waiting.send(b"x")), 1)

    def keepalive(self, end):
        return [end.getsockopt(level, name) for level, name in (
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), (socket.IPPROTO_TCP, socket.TCP_KEEPCNT))]

    def test_probe_is_answered_and_leaves_the_socket_as_it_was(self):
        self.client.shutdown(socket.SHUT_WR)
        identity = self.found(self.client_port, "FIN-WAIT-2")
        before = self.keepalive(self.client)
        time.sleep(2.5)  # silence is what is asked about: a second of it, as the latest sweep saw it
        done = self.adieu("probe", "--wait", "5s", identity)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertIn("asked, and heard after", done.stdout)
        self.assertEqual(self.keepalive(self.client), before)
        self.assertFalse(os.path.exists(self.run_dir + "/kernel_probe"))
        self.client.close()
        orphan = self.until(lambda: "orphan" in self.adieu("why", "--json", identity).stdout and identity, "an orphan")
        refused = self.adieu("probe", orphan)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("cannot be asked", refused.stderr)

    def test_probe_of_what_the_peer_has_forgotten_is_answered_by_a_reset(self):
        self.client.close()
        orphan = self.found(self.client_port, "FIN-WAIT-2")
        identity = self.found(self.server_port, "CLOSE-WAIT")
        self.ended(orphan)  # without a segment, as tcp_fin_timeout ends it
        time.sleep(2.5)
        done = self.adieu("probe", identity)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertIn("answered by a reset: the peer no longer knows it; it has ended, and the program will see EPIPE",
                      done.stdout)
        self.assertEqual(outcome(lambda: self.server.recv(99)), b"")
        self.assertEqual(outcome(lambda: self.server.send(b"x")), "EPIPE")
        self.assertEqual(self.reason(identity), "reset by path or peer")

    def test_probe_of_what_the_peer_has_forgotten_in_established_tells_of_the_other_error(self):
        identity = self.found(self.server_port, "ESTABLISHED")
        self.client.setsockopt(socket.IPPROTO_TCP, 19, 1)  # TCP_REPAIR: its close() sends nothing
        self.client.close()
        time.sleep(2.5)
        done = self.adieu("probe", "--json", identity)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        receipt = json.loads(done.stdout)
        self.assertEqual([receipt[k] for k in ("ended", "state", "heard")], ["reset by path or peer", "CLOSED", False])
        self.assertIn("the program will see ECONNRESET when it reads or writes", receipt["sentence"])
        self.assertEqual(outcome(lambda: self.server.recv(99)), "ECONNRESET")

    def test_keepalive_lives_while_it_is_answered_and_ends_when_nobody_answers(self):
        values = ("--keepalive", "--idle", "1s", "--interval", "1s", "--count", "3")
        identity = self.found(self.server_port, "ESTABLISHED")
        told = self.told(identity, *values)
        self.assertRegex(told, rf"\n  keepalive +SO_KEEPALIVE is switched on through a duplicate of descriptor "
                               rf"{self.server.fileno()} of process {os.getpid()}, and stays on: the kernel asks the "
                               r"peer after 1.0 s without a segment, then every 1.0 s, 3 questions in all;")
        self.assertRegex(told, r"\n  application +nothing while the peer answers; if the peer is silent, 4.0 s after "
                               "it was heard last, and no sooner than that from now: its next read or write fails: "
                               "ETIMEDOUT, once;")
        self.assertRegex(told, r"\n  peer +if it is there: a segment without data after each 1.0 s of silence")
        self.assertEqual(self.keepalive(self.server)[0], 0, "nothing is done yet")
        self.assertIn("now in ESTABLISHED", self.ended(identity, *values))
        self.assertEqual(self.keepalive(self.server), [1, 1, 1, 3])
        self.assertFalse(os.path.exists(self.run_dir + "/kernel_probe"))
        already = self.adieu("end", "--dry-run", "--keepalive", identity).stdout
        self.assertIn("nothing is changed, as it is on already", already)
        changed = self.adieu("end", "--dry-run", *values, identity).stdout
        self.assertIn("it is on already, and told new values through a duplicate", changed)
        self.assertIn("keepalive, idle 1.0 s, interval 1.0 s, count 3 (verdict", self.adieu("log").stdout)

        time.sleep(4.5)  # longer than a silent peer would have
        self.assertEqual(outcome(lambda: self.server.send(b"answered")), 8)
        self.assertEqual(outcome(lambda: self.client.recv(99)), b"answered")
        row = self.until(lambda: (row := json.loads(self.adieu("why", "--json", identity).stdout))
                         and row["own_limits"]["timer"] == "keepalive" and row, "the timer is the keepalive's again")
        self.assertTrue(row["keepalive"])
        self.assertIn("its kernel's keepalive, if nobody answers", row["ends"])
        self.assertEqual([row["own_limits"]["options"][name] for name in
                          ("keepalive", "keepalive_time_s", "keepalive_interval_s", "keepalive_probes")],
                         [True, 1.0, 1.0, 3])
        why = self.adieu("why", identity).stdout
        self.assertRegex(why, r"\nends +in about [34]\.\d s: its kernel's keepalive, if nobody answers\n")

        turn_deaf(self.client)
        self.server.settimeout(20)
        began = time.monotonic()
        self.assertEqual(outcome(lambda: self.server.recv(99)), "ETIMEDOUT")
        self.assertLess(time.monotonic() - began, 12)
        self.assertEqual(outcome(lambda: self.server.recv(99)), b"")
        self.assertEqual(outcome(lambda: self.server.send(b"x")), "EPIPE")
        self.assertTrue(self.wire.flags_from(self.server_port) & RST)
        self.assertEqual(self.reason(identity), "given up by its own TCP")

    def test_keepalive_where_it_cannot_be_had_says_why(self):
        def refused(identity):
            done = self.adieu("end", "--keepalive", identity)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            return done.stderr
        self.server.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30000)
        identity = self.found(self.server_port, "ESTABLISHED")
        done = self.adieu("end", "--keepalive", identity)
        self.assertEqual(done.returncode, 2)
        self.assertIn("TCP_USER_TIMEOUT", done.stdout + done.stderr)
        self.assertEqual(self.keepalive(self.server)[0], 0)
        self.client.close()
        self.assertIn("no process has a descriptor of it", refused(self.found(self.client_port, "FIN-WAIT-2")))
        for words in (["--idle", "1s"], ["--keepalive", "--reset"], ["--keepalive", "--idle", "1500ms"],
                      ["--keepalive", "--idle", "10h"], ["--keepalive", "--count", "128"]):
            wrong = self.adieu("end", *words, identity)
            self.assertEqual((wrong.returncode, wrong.stdout), (2, ""), words)

    def test_keepalive_by_a_rule_is_switched_on_once(self):
        with contextlib.ExitStack() as stack:
            policy = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".toml"))
            policy.write(f'[[rule]]\nname = "kept"\nmatch = "plane kernel and sport = :{self.server_port} and state '
                         'established"\nprobing = false\nalways = "keepalive"\n'
                         'keepalive = { idle = "10min", count = 5 }\n')
            policy.flush()
            up = stack.enter_context(Up(ADIEU, "--plane", "kernel", "--sweep", "200ms", "--policy", policy.name))

            def said(*words):
                return up.adieu(*words).stdout
            before = self.keepalive(self.client)
            self.until(lambda: self.keepalive(self.server)[0] == 1, "the rule switches it on")
            self.assertEqual(self.keepalive(self.server), [1, 600, before[2], 5])
            self.assertEqual(self.keepalive(self.client), before, "and its peer's end is nobody's business")
            time.sleep(2)  # ten sweeps
            receipts = [line for line in said("log", "--kind", "receipt").splitlines() if "keepalive" in line]
            self.assertEqual(len(receipts), 1, receipts)
            self.assertIn("keepalive: done", receipts[0])
            self.assertRegex(said("log", "--kind", "verdict"),
                             'rule "kept" switches on the kernel\'s keepalive for all that it matches')
            listed = said("ls", "--json", "sport", "=", f":{self.server_port}")
            rows = [json.loads(line) for line in listed.splitlines()]
            self.assertEqual([row["keepalive"] for row in rows if row["state"] == "ESTABLISHED"], [True])

    def test_no_rule_of_its_own_touches_the_kernels_connections(self):
        identity = self.found(self.server_port, "ESTABLISHED")
        why = self.adieu("why", identity).stdout
        self.assertRegex(why, r"\nrule +[^\n]*it does not say `plane kernel`; `adieu probe` and `adieu end` do\n")
        log = self.adieu("log", "--kind", "receipt", "--json").stdout
        self.assertNotIn("done, unguarded", log)


if __name__ == "__main__":
    unittest.main()
