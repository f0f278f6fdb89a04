#!/usr/bin/env python3
"""`adieu` without a daemon: into which groups it puts connections, and in what words.

What lives here: groups that need no leak of a kind of its own. What does not: leaks, each with its cause
(leaks_test.py).

usage: overview_test.py ADIEU
"""
import json
import os
import re
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from own_network import enter_own_network  # noqa: E402

ADIEU = os.path.abspath(sys.argv.pop(1))
PATIENCE = 15
# In a network of its own, below what is the host's to whoever lives there too.
ELSEWHERE = """
import socket, subprocess
subprocess.run(["ip", "link", "set", "lo", "up"])
l = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(l.getsockname()); s, _ = l.accept()
s.shutdown(socket.SHUT_WR)
print("%s:%d %s:%d" % (c.getsockname() + c.getpeername()), flush=True); input()
"""
HOST = f"""
import subprocess, sys
there = subprocess.Popen(["unshare", "-n", sys.executable, "-c", {ELSEWHERE!r}], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
ends = there.stdout.readline().split()
for words in ([], ["why", *ends]): print(subprocess.run([sys.argv[1], *words], capture_output=True, text=True).stdout)
there.communicate("")
"""
CLIENT = """
import ctypes, socket, sys
ctypes.CDLL(None).prctl(15, b"billing-api", 0, 0, 0)
many = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(int(sys.argv[2]))]
for one in many: one.recv(1)
sys.stdin.read()
"""


def adieu(*arguments):
    environment = {name: value for name, value in os.environ.items() if name != "ADIEU_RUN_DIR"}
    return subprocess.run([ADIEU, *arguments], capture_output=True, text=True, timeout=30, env=environment)


class Overview(unittest.TestCase):
    def pair(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        self.addCleanup(client.close)
        self.addCleanup(server.close)
        return client, server

    def forgetful_processes(self, processes, each):
        """Clients of one service, all called billing-api, whose connections the service has closed."""
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        self.addCleanup(listener.close)
        for _ in range(processes):
            program = subprocess.Popen([sys.executable, "-c", CLIENT, str(port), str(each)], stdin=subprocess.PIPE)
            self.addCleanup(program.wait, 10)
            self.addCleanup(program.stdin.close)
        for _ in range(processes * each):
            connection, _ = listener.accept()
            connection.shutdown(socket.SHUT_WR)
            self.addCleanup(connection.close)
        return port

    def finds(self, fits):
        """The one group that fits, once there is one."""
        late = time.monotonic() + PATIENCE
        while True:
            answer = adieu("--json").stdout
            rows = [row for row in map(json.loads, answer.splitlines()) if fits(row)]
            if len(rows) == 1:
                return rows[0]
            self.assertLess(time.monotonic(), late, answer)
            time.sleep(0.05)

    def fills(self, sender):
        sender.setblocking(False)
        try:
            while True:
                sender.send(b"x" * 65536)
        except BlockingIOError:
            pass

    def test_an_open_connection_whose_peer_does_not_read_is_a_group_of_its_own(self):
        client, server = self.pair()
        self.pair()  # beside it, one of which nothing has to be said
        self.fills(client)
        row = self.finds(lambda row: "does not read" in row["cause"])
        self.assertEqual((row["connections"], row["state"], row["never_ends"]), (1, "ESTABLISHED", False))
        self.assertEqual(row["cause"], f"the peer does not read: its window is closed, and {row['unsent']} octets wait")
        self.assertGreater(row["unsent"], 0)
        self.assertIn("why the peer's program does not read", row["next_step"])
        self.assertEqual(row["example"]["local"], "%s:%d" % client.getsockname())

    def test_an_age_that_is_not_known_is_told_as_a_bound(self):
        client, server = self.pair()
        server.shutdown(socket.SHUT_WR)
        row = self.finds(lambda row: row["state"] == "CLOSE-WAIT")
        self.assertTrue(row["oldest_is_bound"], row)  # no daemon has seen it come to its state
        self.assertRegex(adieu().stdout, r"CLOSE-WAIT .* oldest at least \d")

    def test_of_several_processes_none_is_named_as_the_one_to_blame(self):
        port = self.forgetful_processes(2, each=3)
        row = self.finds(lambda row: row["state"] == "CLOSE-WAIT" and row["connections"] == 6)
        self.assertEqual((row["pid"], row["process_count"]), (0, 2))
        self.assertEqual([one["connections"] for one in row["processes"]], [3, 3])
        filter_ = f"state CLOSE-WAIT comm billing-api dst 127.0.0.1:{port}"
        self.assertEqual(row["next_step"],
                         f"fix or restart billing-api, or end them: adieu end '{filter_}' (by `adieu up`)")
        self.assertEqual(len(adieu("ls", filter_).stdout.splitlines()), 1 + 6)
        self.assertRegex(adieu().stdout, r"6 CLOSE-WAIT +billing-api in 2 processes, e\.g\. \d+  -> ")

    def test_of_several_connections_of_one_process_none_is_named_as_the_one_to_close(self):
        self.forgetful_processes(1, each=2)
        row = self.finds(lambda row: row["state"] == "CLOSE-WAIT" and row["connections"] == 2)
        self.assertEqual(row["processes"], [{"pid": row["pid"], "connections": 2}])
        self.assertEqual(row["next_step"], f"have process {row['pid']} close them, or restart it")

    def test_where_the_own_network_alone_is_looked_at_it_says_so(self):
        self.assertIn("Only this network namespace is looked at.\n", adieu().stdout)

    def test_of_a_connection_in_another_network_it_says_where(self):
        done = subprocess.run(["unshare", "--pid", "--fork", "--net", "--mount-proc",
                               sys.executable, "-c", HOST, ADIEU], capture_output=True, text=True, timeout=30)
        if "unshare" in done.stderr:
            self.skipTest(done.stderr)
        where = r"(network namespace \d+|the network of \S+)"
        self.assertRegex(done.stdout, rf"CLOSE-WAIT .* in {where}  ends never", done.stderr)
        self.assertRegex(done.stdout, rf"\nin +{where}\n")
        self.assertNotIn("Only this network namespace", done.stdout)

    def test_in_close_wait_too_the_peers_window_comes_first(self):
        client, server = self.pair()
        server.shutdown(socket.SHUT_WR)  # and reads no more
        self.fills(client)
        row = self.finds(lambda row: "does not read" in row["cause"])
        self.assertEqual((row["state"], row["unsent"] > 0), ("CLOSE-WAIT", True))


if __name__ == "__main__":
    if not enter_own_network():
        print("skipped: no network namespace can be had", file=sys.stderr)
        sys.exit(77)
    unittest.main()
