#!/usr/bin/env python3
"""`adieu why` of connections that a conntrack of this host knows: between the two ends in the ladder, and how long.

What lives here: a host of our own that routes and masquerades for a container, and what is said of a connection through
it from each of its ends, with a daemon, and to a user who may not ask. What does not: conntrack itself
(tests/kernel/conntrack_test.cc).

usage: conntrack_test.py ADIEU
"""
import ctypes
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from own_network import enter_own_network, may_make_interfaces  # noqa: E402
from running_adieu import Up  # noqa: E402

ADIEU = os.path.abspath(sys.argv.pop(1))
IS_ROOT = "--root" in sys.argv and not sys.argv.remove("--root")  # of the machine, not of a user namespace of our own
# Process 1 of the host that we make lives in its network, as in any: containers are looked into from there.
HOST = ["unshare", "--pid", "--fork", "--kill-child", "--net", "--mount-proc", sys.executable]
CLONE_NEWNET = 0x40000000
PATIENCE = 15  # seconds for the kernel, and a daemon, to get where a scene wants them

# A connection is tracked where a rule asks for it.
NAT = """
table ip nat {{ chain post {{
 type nat hook postrouting priority srcnat
 oifname "far" masquerade
}}
}}
table inet wall {{ chain in {{
 type filter hook input priority 0
 ct state invalid drop
}}
}}
"""
WALL = NAT[NAT.index("table inet"):]


def run(*arguments, **more):
    return subprocess.run(arguments, check=True, timeout=10, text=True, **more)


def rules(text, *inside):
    return subprocess.run([*inside, "nft", "-f", "-"], input=text.replace("{{ ", "{\n").replace("{{", "{")
                          .replace("}}", "}"), text=True, capture_output=True, timeout=10).returncode == 0


class Net:
    """A network in which somebody lives, a cable from ours into it, and the way back."""

    def __init__(self, name, number):
        self.process = subprocess.Popen(["unshare", "--net", "sleep", "600"])
        self.inside = ["nsenter", "-t", str(self.process.pid), "-n"]
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.process.pid}/ns/net") == own:
            time.sleep(0.01)
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(self.process.pid))
        for inside, end, last in (([], name, 2), (self.inside, "eth0", 1)):
            run(*inside, "ip", "address", "add", f"10.{number}.0.{last}/24", "dev", end)
            run(*inside, "ip", "address", "add", f"fd{number}::{last}/64", "dev", end, "nodad")
            run(*inside, "ip", "link", "set", end, "up")
        run(*self.inside, "ip", "link", "set", "lo", "up")
        run(*self.inside, "ip", "route", "add", "default", "via", f"10.{number}.0.2")

    def end(self):
        self.process.kill()
        self.process.wait()

    def does(self, action):
        """What `action` makes while this thread is in that network stays there."""
        home, there = (os.open(f"/proc/{who}/ns/net", os.O_RDONLY) for who in ("thread-self", self.process.pid))
        try:
            assert ctypes.CDLL(None).setns(there, CLONE_NEWNET) == 0
            return action()
        finally:
            ctypes.CDLL(None).setns(home, CLONE_NEWNET)
            os.close(home)
            os.close(there)


def name(pair):
    return f"[{pair[0]}]:{pair[1]}" if ":" in pair[0] else f"{pair[0]}:{pair[1]}"


def adieu(*arguments, **more):
    environment = {key: value for key, value in os.environ.items() if key != "ADIEU_RUN_DIR"}
    return subprocess.run([more.pop("program", ADIEU), *arguments], capture_output=True, text=True, timeout=30,
                          env=environment, **more)


class MiddleOfAConnection(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
            file.write("1")
        if not rules(NAT) or not os.path.exists("/proc/sys/net/netfilter/nf_conntrack_count"):
            raise unittest.SkipTest("SKIPPED, NOT TESTED: this kernel tracks and masquerades no connections")
        cls.container, cls.far = Net("near", 11), Net("far", 12)
        cls.listener = cls.far.does(lambda: socket.create_server(("10.12.0.1", 80)))
        cls.listener6 = cls.far.does(lambda: socket.create_server(("fd12::1", 80), family=socket.AF_INET6))

    @classmethod
    def tearDownClass(cls):
        for one in (cls.listener, cls.listener6):
            one.close()
        for network in (cls.container, cls.far):
            network.end()

    def connects(self, network, listener=None):
        listener = listener or self.listener
        client = socket.socket(listener.family) if network is None else \
            network.does(lambda: socket.socket(listener.family))
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        self.addCleanup(client.close)
        self.addCleanup(server.close)
        return client, server

    def why(self, end, *more, says=(), until=lambda found: True, **how):
        ends = [name(end.getsockname()), name(end.getpeername())]
        late = time.monotonic() + PATIENCE
        while True:
            done, spoken = adieu("why", *ends, "--json", *more, **how), adieu("why", *ends, *more, **how)
            found = json.loads(done.stdout) if done.stdout else {}
            missing = [line for line in says if not re.search(line, spoken.stdout)]
            if found and until(found) and not missing:
                return found["conntrack"], spoken.stdout
            self.assertLess(time.monotonic(), late, (missing, done.stderr, done.stdout, spoken.stdout))
            time.sleep(0.1)

    def test_behind_a_nat_of_this_host(self):
        client, server = self.connects(self.container)
        client.shutdown(socket.SHUT_WR)
        inside, outside = name(client.getsockname()), name(server.getpeername())
        seen, text = self.why(client, until=lambda found: found["state"] == "FIN-WAIT-2", says=[
            r"\nother end  CLOSE-WAIT on this host, held, end of stream unread, python3 pid \d+\n",
            r"\nconntrack  CLOSE_WAIT, NAT, in the host's network; forgets it in (\d+\.\d s|1 min 0 s) unless a packet "
            r"passes\n",
            rf"\n +{re.escape(inside)} -> 10.12.0.1:80, answered to {re.escape(outside)}\n",
            r"\n +once forgotten, a packet from here makes it anew; if the peer speaks first, it gets a reset\n",
            r"\n +now +│ +host's NAT: CLOSE_WAIT, [^│]* left +│\n",
            r"\n +in [^│]* │ +host's NAT forgets, in silence +│\n"])
        self.assertLess(text.index("host's NAT"), text.index("now ──"))
        self.assertEqual([entry["in"] for entry in seen["entries"]], ["the host's network"])
        entry = seen["entries"][0]
        self.assertEqual(entry["original"], {"source": inside, "destination": "10.12.0.1:80"})
        self.assertEqual(entry["reply"], {"source": "10.12.0.1:80", "destination": outside})
        self.assertEqual((entry["state"], entry["nat"], entry["kept_by"], seen["unseen"]),
                         ("CLOSE_WAIT", True, None, None))
        self.assertLessEqual(entry["expires_in_s"], 60)

    def test_the_keepalive_of_the_kernel_comes_first(self):
        client, _ = self.connects(self.container)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.shutdown(socket.SHUT_WR)
        self.why(client, says=["unless a packet passes; the kernel's keepalive comes in [0-9.]+ s, before that\n"])

    def test_from_outside_the_nat(self):
        client, server = self.connects(self.container)
        seen, _ = self.why(server, says=[
            r"\nother end  ESTABLISHED on this host, ",
            r"\nconntrack  ESTABLISHED, NAT, in the host's network; forgets it in 4 d 23 h unless a packet passes\n",
            r"once forgotten, only the peer's packets make it anew \(it connected\); one from here gets a reset\n",
            r"│ +host's NAT: ESTABLISHED, 4 d 23 h left +│"])
        self.assertEqual(seen["entries"][0]["original"]["source"], name(client.getsockname()))

    def test_a_firewall_in_the_container_and_the_nat_around_it(self):
        network = Net("walled", 13)
        self.addCleanup(network.end)
        self.assertTrue(rules(WALL, *network.inside))
        client, _ = self.connects(network)
        seen, _ = self.why(client, says=[r"│ +its conntrack: ESTABLISHED", r"│ +host's NAT: ESTABLISHED",
                                         r"\nconntrack  ESTABLISHED in its own network; ",
                                         "once forgotten, the next packet is picked up in mid-stream, if the rules"])
        self.assertEqual([entry["in"] for entry in seen["entries"]], ["its own network", "the host's network"])

    def test_a_connection_of_our_own_of_both_families(self):
        for listener in (self.listener, self.listener6):
            client, _ = self.connects(None, listener)
            seen, _ = self.why(client, says=[r"\nconntrack  ESTABLISHED in this network; forgets it in 4 d 23 h",
                                             "│ +conntrack: ESTABLISHED"])
            self.assertEqual([(entry["in"], entry["nat"]) for entry in seen["entries"]], [("this network", False)])
            self.assertEqual(seen["entries"][0]["original"]["destination"], name(client.getpeername()))

    def test_no_entry_no_word(self):
        network = Net("plain", 14)
        self.addCleanup(network.end)
        own = network.does(lambda: socket.create_server(("10.14.0.1", 81)))
        self.addCleanup(own.close)
        client, _ = self.connects(network, own)  # within it, past us
        seen, text = self.why(client)
        self.assertEqual(seen, {"entries": [], "unseen": None})
        self.assertNotIn("conntrack", text)

    def test_a_rule_that_asks_keeps_it(self):
        client, _ = self.connects(self.container)
        client.shutdown(socket.SHUT_WR)
        with tempfile.TemporaryDirectory() as directory:
            with open(directory + "/policy.toml", "w") as file:
                file.write('[[rule]]\nname = "asks"\nmatch = "plane kernel"\ninterval = "2s"\n')
            with Up(ADIEU, "--plane", "kernel", "--policy", directory + "/policy.toml") as up:
                self.why(client, *up.around, says=["; the rule asks every 2s: it stays\n"])

    @unittest.skipUnless(may_make_interfaces(), "SKIPPED, NOT TESTED: no TUN device is permitted here")
    def test_an_engine_behind_conntrack(self):
        with Up(ADIEU, "--plane", "engine") as up:
            client = socket.create_connection(("10.77.0.2", 7))
            self.addCleanup(client.close)
            late = time.monotonic() + PATIENCE
            engines = []
            while not engines:
                self.assertLess(time.monotonic(), late)
                engines = up.adieu("ls", "--json").stdout.splitlines()
            found = json.loads(up.adieu("why", json.loads(engines[0])["id"], "--json").stdout)
            self.assertEqual(found["kind"], "engine")
            self.assertEqual([(entry["in"], entry["original"]["destination"]) for entry in
                              found["conntrack"]["entries"]], [("this network", "10.77.0.2:7")])

    @unittest.skipUnless(IS_ROOT, "SKIPPED, NOT TESTED: only root can become somebody else")
    def test_who_may_not_ask_is_told_what_root_would_add(self):
        client, _ = self.connects(None)
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            program = shutil.copy(ADIEU, directory)
            seen, text = self.why(client, program=program, user=65534, group=65534, extra_groups=[], says=[
                r"\nconntrack  not seen: root would also ask what this network keeps of it \(NAT, firewalls\)\n"])
        self.assertEqual(seen["entries"], [])
        self.assertEqual(text.count("conntrack"), 1)


if __name__ == "__main__":
    if "--inside" not in sys.argv:
        is_root = os.getuid() == 0
        if not enter_own_network() or subprocess.run([*HOST, "-c", ""], capture_output=True).returncode != 0:
            print("SKIPPED: this machine permits no network namespace of our own")
            raise SystemExit(77)
        raise SystemExit(subprocess.run([*HOST, __file__, ADIEU, *sys.argv[1:], "--inside",
                                         *(["--root"] if is_root else [])]).returncode)
    sys.argv.remove("--inside")
    run("ip", "link", "set", "lo", "up")
    unittest.main()
