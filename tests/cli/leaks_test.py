#!/usr/bin/env python3
"""Real leaks, made by real programs, and what `adieu` and `adieu why` say of each: without a daemon, as a person types;
of peers that are no more, with one, since only a question can tell.

What lives here: the programs, each of which lets one kind of connection be for ever; whether the answer names its
cause, its holder and its end; answers about hostile names, a thousand heirs, and to a user who may see little. With
--write the answers become docs/leaks.md; without it they are compared with that page, numbers and times apart. What
does not live here: leaks on an engine, by `adieu up` (docs/why.py).

usage: leaks_test.py ADIEU [--write]
"""
import difflib
import inspect
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
from own_network import enter_own_network  # noqa: E402

ADIEU = os.path.abspath(sys.argv.pop(1))
WRITE = "--write" in sys.argv and not sys.argv.remove("--write")
PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/leaks.md")
IS_ROOT = os.getuid() == 0  # of the machine, not of a user namespace of our own
HERE, THERE, GONE = "10.79.0.1", "10.79.0.2", "10.79.0.3"
PATIENCE = 15  # seconds for the kernel to get where a story wants it
# Services live below 32768; a run at the same time has other ports.
ports = iter(range(10000 + os.getpid() % 700 * 30, 32000))

HEAD = """# Leaks that `adieu` finds

Connections that stay, each left behind by a small program that makes one mistake. `tests/cli/leaks_test.py` holds the
programs, runs them in a network namespace of its own, and compares what `adieu why` prints with this page, numbers and
times apart. No daemon runs, and nothing is configured, except where a peer is no more: of that an idle connection tells
nothing, and only a question can. The last ones are asked by `adieu up --plane kernel --policy FILE`, with these rules:

```toml
"""

# In haste, for a test: an operator's rules would take longer, docs/policy.md tells how.
POLICY = """[[rule]]
name = "ended"
match = "plane kernel and comm ended*"
ask = ["established", "fin-wait-2", "close-wait"]
interval = "1s"
probes = 4
proof_span = "3s"
when_gone = "reset"

[[rule]]
name = "wants more"                         # than the kernel's own keepalive may ask
match = "plane kernel and comm unsure"
ask = ["established"]
interval = "1s"
probes = 6
proof_span = "3s"
when_gone = "tell"

[[rule]]
name = "watched"
match = "plane kernel"
ask = ["established", "fin-wait-2", "close-wait"]
interval = "1s"
probes = 4
proof_span = "3s"
when_gone = "tell"
"""
HEAD_ENDS = "```\n"

# What every program begins with. Its first argument is its name, its second the port.
PRELUDE = """
import ctypes, json, os, select, socket, sys, threading
def call_me(name): ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)
def say(word): print(json.dumps(word), flush=True)
def tell(s): say(["%s:%d" % s.getsockname(), "%s:%d" % s.getpeername()])
def stay(): sys.stdin.read()
def wait(): sys.stdin.readline()
def listen():
    s = socket.create_server(("0.0.0.0", port), backlog=64)
    say("listening")
    return s
def read_all(s):
    while s.recv(4096): pass
call_me(sys.argv[1])
port = int(sys.argv[2])
"""

FORGETS = "l = listen(); c, _ = l.accept(); read_all(c); tell(c); stay()"
HANGS = "l = listen(); c, _ = l.accept(); tell(c); stay()"
SHUTS_DOWN = "l = listen(); c, _ = l.accept(); c.shutdown(socket.SHUT_WR); tell(c); stay()"
FORKS = """
l = listen(); c, _ = l.accept(); tell(c); wait()
child = os.fork()
if child == 0:
    l.close()
    call_me("heir")
    stay()
    os._exit(0)
if sys.argv[3] == "closes": c.close()
say(child); stay(); os.wait()
"""
SENDS_AWAY = """
l = listen(); c, _ = l.accept(); tell(c)
one, other = socket.socketpair()
socket.send_fds(one, [b"x"], [c.fileno()])
c.close(); say("sent"); stay()
"""
NEVER_ACCEPTS = "l = listen(); stay()"
CLOSES_MANY = """
many = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
tell(many[0])
for one in many: one.close()
say("closed"); stay()
"""
# Told what to do once the peer cannot hear any more.
ENDS_LATER = """
l = listen(); c, _ = l.accept(); tell(c); wait()
if sys.argv[3] == "close": read_all(c); c.close()
elif sys.argv[3] == "shut down": c.shutdown(socket.SHUT_WR)
say("done"); stay()
"""
PEER = """
s = socket.create_connection((sys.argv[3], port))
s.sendall(b"hello")
if sys.argv[4] == "ends": s.shutdown(socket.SHUT_WR)
say("connected"); stay()
"""
# What a program sees of a connection whose peer is no more, whenever it is told to look.
IDLES = """
import errno
def outcome(call):
    try: return call()
    except OSError as error: return errno.errorcode[error.errno]
l = listen(); c, _ = l.accept(); tell(c)
if sys.argv[3] == "shut down": c.shutdown(socket.SHUT_WR)
if sys.argv[3] == "read": read_all(c)
if sys.argv[3] == "keepalive": c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
if sys.argv[3] == "user timeout": c.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000)
say("idles"); wait(); c.setblocking(False)
say([outcome(lambda: c.recv(9) == b""), outcome(lambda: c.send(b"x"))]); stay()
"""
# Its machine keeps running. It is told which of its connections it has never heard of: TCP_REPAIR closes them without a
# segment.
PEERS = """
many = {}
for line in sys.stdin:
    word, address, to = json.loads(line)
    if word == "forget":
        many[to].setsockopt(socket.IPPROTO_TCP, 19, 1); many.pop(to).close()
    else:
        many[to] = socket.create_connection((sys.argv[3], to), source_address=(address, 0))
        if word == "ends": many[to].shutdown(socket.SHUT_WR)
    say("done")
"""
TALKS = """
l = listen(); c, _ = l.accept(); tell(c)
c.setblocking(False)
try:
    while True: c.send(b"x" * 4096)
except BlockingIOError: pass
c.shutdown(socket.SHUT_WR); say("said"); stay()
"""
# It relays both ways, and of an end of stream it tells nobody.
PROXY = """
def pump(a, b):
    while octets := a.recv(4096): b.sendall(octets)
l = listen(); down, _ = l.accept()
up = socket.create_connection(("127.0.0.1", int(sys.argv[3])))
tell(down); tell(up)
for pair in ((down, up), (up, down)): threading.Thread(target=pump, args=pair, daemon=True).start()
stay()
"""
THOUSAND = """
l = listen(); c, _ = l.accept(); tell(c)
reading, writing = os.pipe()
for _ in range(1000):
    if os.fork() == 0:
        os.close(writing); ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
        os.read(reading, 1); os._exit(0)
say("forked"); stay(); os.close(writing)
for _ in range(1000): os.wait()
say("all have ended")
"""


def run(*arguments):
    subprocess.run(arguments, check=True, timeout=10)


class Program:
    """A Python program under a name of its own, that says one line of JSON at each step."""

    def __init__(self, name, text, *arguments, port=None, inside=()):
        self.name, self.port = name, port or next(ports)
        self.process = subprocess.Popen(
            [*inside, sys.executable, "-u", "-c", PRELUDE + text, name, str(self.port), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def says(self):
        return json.loads(self.process.stdout.readline())

    def go_on(self, word=""):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def end(self):
        if self.process.poll() is None:
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def adieu(*arguments, **more):
    environment = {name: value for name, value in os.environ.items() if name != "ADIEU_RUN_DIR"}
    return subprocess.run([more.pop("program", ADIEU), *arguments], capture_output=True, text=True, timeout=30,
                          env=environment, **more)


def groups(**more):
    return [json.loads(line) for line in adieu("--json", **more).stdout.splitlines()]


pages = {}  # title -> what adieu says


class Story(unittest.TestCase):
    around = ()  # more words for adieu: of whom it asks

    def program(self, name, text, *arguments, **more):
        program = Program(name, text, *arguments, **more)
        self.addCleanup(program.end)
        return program

    def listens(self, name, text, *arguments, **more):
        program = self.program(name, text, *arguments, **more)
        self.assertEqual(program.says(), "listening")
        return program

    def connects(self, port):
        client = socket.create_connection(("127.0.0.1", port))
        self.addCleanup(client.close)
        return client

    def explains(self, ends, title=None, state=None, wanted=None, cause=None, holder=None, says=()):
        """What `adieu why` says of a connection, as JSON; its text holds what it has to."""
        late = time.monotonic() + PATIENCE
        while True:
            done = adieu("why", *ends, *self.around, "--json")
            self.assertIn(done.returncode, (0, 1), done.stderr)
            found = json.loads(done.stdout) if done.stdout else {}
            if (found.get("state"), found.get("wanted")) == (state, wanted) and cause in found["cause"]:
                break
            self.assertLess(time.monotonic(), late, (done.stdout, done.stderr))
            time.sleep(0.05)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        text = self.text_of(ends, says)
        self.assertIn(shape(found["cause"]), shape(text))
        if holder is None:
            self.assertEqual((found["comm"], found["open_in"]), (None, []))
        else:
            self.assertEqual((found["comm"], found["open_in"][0]["pid"]), (holder.name, holder.pid))
            self.assertRegex(text, rf"(open in|listener) +{re.escape(holder.name)} pid {holder.pid}, descriptor \d+")
        if title:
            pages[title] = (inspect.cleandoc(self._testMethodDoc), text)
        return found, text

    def text_of(self, ends, says):
        late = time.monotonic() + PATIENCE
        while True:
            done = adieu("why", *ends, *self.around)
            self.assertEqual((done.returncode, done.stderr), (1, ""))
            missing = [line for line in says if not re.search(line, done.stdout)]
            # An acknowledgment of the peer's FIN may take its time.
            if not missing and not re.search("other end +FIN-WAIT-1", done.stdout):
                return done.stdout
            self.assertLess(time.monotonic(), late, (missing, done.stdout))
            time.sleep(0.05)

    def counted(self, state, program, port, connections=1, never=True, more=None):
        """The one group of a state, of a program, about a port; what `adieu` answers with is 1 if it never
        ends."""
        done = adieu("--json", *self.around)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        rows = [row for row in rows if row["service"].endswith(f":{port}") and row["state"] == state
                and row["program"] == program and (more is None or row["wanted"] == more)]
        self.assertEqual(len(rows), 1, (state, program, port, done.stdout))
        self.assertEqual((rows[0]["connections"], rows[0]["never_ends"]), (connections, never), rows)
        if never:
            self.assertEqual(done.returncode, 1)
        return rows[0]


class Leaks(Story):
    def test_forgot_to_close_after_the_end_of_the_stream(self):
        """The program has read all that the peer sent, its end included, and goes on to other things."""
        server = self.listens("web-forgets", FORGETS)
        client = self.connects(server.port)
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        found, text = self.explains(
            server.says(), "Forgot to close", "CLOSE-WAIT", "held, nothing left to read, not closed",
            "the program has not closed", server,
            [r"ends +never by itself; only the application's close", r"other end +FIN-WAIT-2 on this host"])
        self.assertEqual((found["unread"], found["ends_short"]), (0, "never (app must close)"))
        self.assertRegex(found["next_step"], rf"^have process {server.pid} \(descriptor \d+\) close it$")
        row = self.counted("CLOSE-WAIT", server.name, server.port)
        self.assertEqual((row["pid"], row["cause"], row["service_is_ours"]), (server.pid, found["cause"], True))

    def test_hung_before_it_read_the_rest(self):
        """The peer has sent its last octets and closed; the program waits for something else and reads
        nothing."""
        server = self.listens("worker-hangs", HANGS)
        client = self.connects(server.port)
        ends = server.says()
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        found, _ = self.explains(ends, "Hung before the end", "CLOSE-WAIT", "held, end of stream unread",
                                 "does not read on", server, [r"Recv-Q 5\b", r"gdb -p"])
        self.assertEqual((found["unread"], found["end_of_stream_read"]), (5, "no"))
        self.assertEqual(self.counted("CLOSE-WAIT", server.name, server.port)["unread"], 5)

    def test_an_end_of_stream_alone_is_unread_too(self):
        server = self.listens("reads-nothing", HANGS)
        client = self.connects(server.port)
        ends = server.says()
        client.shutdown(socket.SHUT_WR)
        found, _ = self.explains(ends, None, "CLOSE-WAIT", "held, end of stream unread", "does not read on", server)
        self.assertEqual(found["unread"], 0)

    def test_shut_down_without_close(self):
        """The program has closed its direction with shutdown(), and keeps the descriptor while the peer
        talks on, or does not."""
        server = self.listens("half-closes", SHUTS_DOWN)
        self.connects(server.port)
        found, _ = self.explains(
            server.says(), "Shut down, not closed", "FIN-WAIT-2", "held and reading", "shut down here and not closed",
            server, [r"never by itself; only the peer's FIN", r"no timer is armed"])
        self.assertEqual(found["ends_short"], "never (peer must close)")
        self.counted("FIN-WAIT-2", server.name, server.port)

    def forks(self, name, parent_does):
        server = self.listens(name, FORKS, parent_does)
        client = self.connects(server.port)
        ends = server.says()
        time.sleep(0.15)  # who is to be called younger than a connection is so by more than both their clocks' ticks
        server.go_on()
        heir = server.says()
        client.shutdown(socket.SHUT_WR)
        return server, ends, heir

    def test_a_child_inherited_the_descriptor_and_the_parent_has_closed(self):
        """The program has closed its descriptor. A child that it forked meanwhile has a copy, and does not
        know."""
        server, ends, heir = self.forks("forks", "closes")
        found, text = self.explains(
            ends, "Inherited by a child", "CLOSE-WAIT", "held only by who inherited it", "younger than it: inherited",
            says=[rf"open in +heir pid {heir}, descriptor \d+\n", rf"have process {heir} close it.*SOCK_CLOEXEC"],
            holder=type("Heir", (), {"name": "heir", "pid": heir}))
        self.assertNotIn(f"pid {server.pid}", text)
        self.assertEqual(self.counted("CLOSE-WAIT", "heir", server.port)["pid"], heir)

    def test_parent_and_child_both_hold_it(self):
        """Neither of two processes closes: a close by one of them alone would change nothing."""
        server, ends, heir = self.forks("keeps", "keeps")
        found, _ = self.explains(ends, "Open in two processes", "CLOSE-WAIT", "held, end of stream unread",
                                 "does not read on", server, [rf"\n +heir pid {heir}, descriptor", "2 processes"])
        self.assertEqual([one["pid"] for one in found["open_in"]], [server.pid, heir])
        self.counted("CLOSE-WAIT", server.name, server.port)

    def test_a_descriptor_in_flight(self):
        """Sent through a Unix socket and closed: until somebody receives it, it is in no process at all."""
        server = self.listens("sends-away", SENDS_AWAY)
        client = self.connects(server.port)
        ends = server.says()
        self.assertEqual(server.says(), "sent")
        client.shutdown(socket.SHUT_WR)
        sees_all = not re.search("^Not seen: (what|processes)", adieu().stdout, re.M)
        wanted = "open in no process: in flight, or io_uring's" if sees_all else "held by nobody who was found"
        found, _ = self.explains(ends, "In flight" if sees_all else None, "CLOSE-WAIT", wanted,
                                 "in flight (SCM_RIGHTS)")
        self.assertEqual(found["holder"], "held")
        self.counted("CLOSE-WAIT", "", server.port, more=wanted)

    def test_an_accept_queue_that_is_never_drained(self):
        """A listener that does not call accept(). The kernel completes the handshakes, and acknowledges what
        arrives."""
        server = self.listens("never-accepts", NEVER_ACCEPTS)
        stays, leaves = self.connects(server.port), self.connects(server.port)
        local = f"127.0.0.1:{server.port}"
        open_ends = (local, "%s:%d" % stays.getsockname())
        left_ends = (local, "%s:%d" % leaves.getsockname())
        leaves.sendall(b"hello")
        leaves.close()
        queued = "in an accept queue"
        found, _ = self.explains(left_ends, "Never accepted, and the peer has left", "CLOSE-WAIT", queued,
                                 "the peer has left, and the listener has never accepted it", server)
        self.assertEqual((found["holder"], found["unread"]), ("accept queue", 5))
        found, _ = self.explains(open_ends, "Never accepted", "ESTABLISHED", queued,
                                 "its accept queue is not drained", server)
        self.assertIn(f"ss -ltn sport = :{server.port}", found["next_step"])
        self.counted("CLOSE-WAIT", server.name, server.port)
        self.counted("ESTABLISHED", server.name, server.port, never=False)

    def test_a_pile_of_orphans_ends_by_the_kernels_timer(self):
        """Twenty connections closed by their program, and not by its peer. These end by themselves: the kernel
        has a timer for them."""
        port = next(ports)
        listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.addCleanup(listener.close)
        client = self.program("closes-many", CLOSES_MANY, port=port)
        ends = client.says()
        for _ in range(20):
            self.addCleanup(listener.accept()[0].close)
        self.assertEqual(client.says(), "closed")
        found, _ = self.explains(ends, "A pile of orphans", "FIN-WAIT-2", "orphan", "closed here",
                                 says=[r"ends +in \d+(\.\d)? s: its kernel's own timer for an orphan"])
        self.assertTrue(0 < found["ends_in_s"] <= 60, found["ends_in_s"])
        row = self.counted("FIN-WAIT-2", "", port, connections=20, never=False)
        self.assertEqual(row["wanted"], "orphan")

    def test_a_peer_that_does_not_read_keeps_our_fin_waiting(self):
        """The peer is there and answers, and has no room. Our FIN has to wait until it reads."""
        server = self.listens("talks-on", TALKS)
        client = socket.socket()
        self.addCleanup(client.close)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        ends = server.says()
        self.assertEqual(server.says(), "said")
        found, _ = self.explains(ends, "The peer does not read", "FIN-WAIT-1", "held and reading",
                                 "the peer lives and does not read: our FIN waits", server,
                                 [r"the peer to read: its window is closed", r"see why the peer does not read"])
        self.assertTrue(found["peer_window_closed"])
        self.assertGreater(found["unsent"], 0)
        self.counted("FIN-WAIT-1", server.name, server.port)

    def test_a_proxy_that_does_not_pass_the_half_close_on(self):
        """The upstream server has closed. The proxy has read that, and tells nobody downstream, where a client
        waits for the end."""
        upstream = socket.create_server(("127.0.0.1", next(ports)))
        self.addCleanup(upstream.close)
        proxy = self.listens("proxy", PROXY, str(upstream.getsockname()[1]))
        client = self.connects(proxy.port)
        served, _ = upstream.accept()
        down, up = proxy.says(), proxy.says()
        served.sendall(b"answer")
        self.assertEqual(client.recv(100), b"answer")
        served.close()
        self.explains(up, "A proxy that keeps the end to itself", "CLOSE-WAIT",
                      "held, nothing left to read, not closed", "the program has not closed", proxy,
                      [rf"a proxy\? +its process has another connection open and unshut \({down[0]} -> {down[1]}\)"])
        self.counted("CLOSE-WAIT", proxy.name, upstream.getsockname()[1])
        self.assertFalse([row for row in groups() if row["program"] == proxy.name and row["state"] == "ESTABLISHED"])


class OtherNetwork(Story):
    """Here, and a network of the peers' own."""

    @classmethod
    def setUpClass(cls):
        cls.other = Program("other-network", "say(ctypes.CDLL(None).unshare(0x40000000)); stay()")
        cls.addClassCleanup(cls.other.end)
        assert cls.other.says() == 0
        cls.inside = ("nsenter", "-t", str(cls.other.pid), "-n")
        run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(cls.other.pid))
        cls.addClassCleanup(run, "ip", "link", "del", "here")
        for name, own, inside in (("here", HERE, ()), ("there", THERE, cls.inside), ("there", GONE, cls.inside)):
            run(*inside, "ip", "address", "add", own + "/24", "dev", name)
            run(*inside, "ip", "link", "set", name, "up")
        # Whom nobody hears is known as a neighbour still: he is beyond a router, for all that this end can tell.
        for name, own, inside, back in (("here", HERE, (), cls.inside), ("there", THERE, cls.inside, ()),
                                        ("there", GONE, cls.inside, ())):
            shown = subprocess.run([*inside, "ip", "-j", "link", "show", name], stdout=subprocess.PIPE, timeout=10)
            run(*back, "ip", "neighbour", "replace", own, "lladdr", json.loads(shown.stdout)[0]["address"],
                "dev", "there" if name == "here" else "here", "nud", "permanent")


class UnansweredPeer(OtherNetwork):
    """A peer whose host goes deaf at the moment that hurts."""

    def unheard(self, name, does, peer_does):
        """A program here that does something when its peer cannot be heard any more."""
        server = self.listens(name, ENDS_LATER, does)
        peer = self.program("peer", PEER, HERE, peer_does, port=server.port, inside=self.inside)
        self.assertEqual(peer.says(), "connected")
        ends = server.says()
        if peer_does == "ends":
            self.explains(ends, None, "CLOSE-WAIT", "held, end of stream unread", "", server)
        # A link without a carrier would refuse what is sent here: that is no silence.
        run(*self.inside, "ip", "address", "del", THERE + "/24", "dev", "there")
        self.addCleanup(run, *self.inside, "ip", "address", "add", THERE + "/24", "dev", "there")
        server.go_on()
        self.assertEqual(server.says(), "done")
        return server, ends

    def test_last_ack_is_not_answered(self):
        """The peer closed first and went deaf before it heard our FIN."""
        server, ends = self.unheard("last-word", "close", "ends")
        found, _ = self.explains(ends, "LAST-ACK, unanswered", "LAST-ACK", "orphan",
                                 "our FIN is not acknowledged, sent",
                                 says=[r"ends +in about .*: its kernel giving up its retransmissions, if nobody",
                                       r"kernel +\d+ retransmissions? so far, the next in .*, after \d+ more",
                                       r"tcp_orphan_retries = 0, which means 8: 1 min 42 s from the first on"])
        self.assertEqual(found["own_limits"]["limit"]["by"], "tcp_orphan_retries")
        self.assertTrue(0 < found["own_limits"]["ends_about_in_s"] < 140, found["own_limits"])
        self.assertGreater(found["attempts"], 1)
        self.counted("LAST-ACK", "", server.port, never=False)

    def test_fin_wait_1_is_not_answered(self):
        """We close first, and the peer does not hear it."""
        server, ends = self.unheard("first-word", "shut down", "stays")
        found, _ = self.explains(ends, "FIN-WAIT-1, unanswered", "FIN-WAIT-1", "held and reading",
                                 "our FIN is not acknowledged, sent", server,
                                 [r"the peer's acknowledgement of our FIN"])
        self.assertEqual(found["ends_short"], "unknown: the kernel gives up")
        self.assertEqual(found["own_limits"]["limit"]["by"], "tcp_retries2")
        self.assertTrue(800 < found["own_limits"]["ends_about_in_s"] < 1100, found["own_limits"])
        self.counted("FIN-WAIT-1", server.name, server.port, never=False)

    def test_silence_alone_proves_nothing_of_an_idle_connection(self):
        server, ends = self.unheard("idles", "nothing", "stays")
        found, _ = self.explains(ends, None, "ESTABLISHED", "held and reading", "open", server,
                                 [r"an acceptable segment was heard \S+ m?s ago", "a close by either side"])
        self.assertIn(found["standing"], ("alive", "silent"))
        self.assertGreater(found["heard_ago_s"], 0)
        self.assertFalse([row for row in groups() if row["program"] == server.name])


class AskedPeer(OtherNetwork):
    """A peer of a connection on which nobody has anything to say; asked by `adieu up`. All scenes at once, since a
    proof takes its time."""

    SCENES = {}
    UP = ()  # flags

    @classmethod
    def setUpClass(cls):
        if not IS_ROOT:
            raise unittest.SkipTest("SKIPPED, NOT TESTED: only root may use bpf_sock_destroy")
        super().setUpClass()
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        policy = os.path.join(directory.name, "policy.toml")
        with open(policy, "w") as file:
            file.write(POLICY)
        cls.around = ("--run-dir", directory.name + "/run")
        up = subprocess.Popen([ADIEU, "up", "--plane", "kernel", "--sweep", "200ms", "--policy", policy, *cls.UP,
                               *cls.around],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        cls.addClassCleanup(lambda: (up.terminate(), up.wait(10), up.stdout.close()))
        assert up.stdout.readline().startswith("adieu: up"), "adieu up"
        cls.programs, cls.ends = {}, {}
        peers = Program("peers", PEERS, HERE, inside=cls.inside)
        cls.addClassCleanup(peers.end)

        def have(*words):
            peers.go_on(json.dumps(words))
            assert peers.says() == "done"
        for name, (does, _, _) in cls.SCENES.items():
            cls.programs[name] = Program(name, IDLES, does)
            cls.addClassCleanup(cls.programs[name].end)
        for name, (_, peer_does, address) in cls.SCENES.items():
            program = cls.programs[name]
            assert program.says() == "listening"
            have(peer_does, address, program.port)
            cls.ends[name] = program.says()
            assert program.says() == "idles"
        late = time.monotonic() + PATIENCE
        cls.ids = {}
        while len(cls.ids) < len(cls.SCENES) and time.monotonic() < late:
            rows = [json.loads(line) for line in adieu("ls", "--json", *cls.around).stdout.splitlines()]
            cls.ids = {row["comm"]: row["id"] for row in rows if row["comm"] in cls.SCENES}
            time.sleep(0.05)
        run(*cls.inside, "ip", "address", "del", GONE + "/24", "dev", "there")
        for name, (_, _, address) in cls.SCENES.items():
            if address == THERE:
                have("forget", address, cls.programs[name].port)

    def sees(self, name):
        self.programs[name].go_on()
        return self.programs[name].says()

    def explained(self, name, title, state, wanted, cause, says):
        found, text = self.explains(self.ends[name], title, state, wanted, cause, self.programs[name], says)
        self.assertEqual(found["id"], self.ids[name])
        return found, text

    def ended(self, name, title):
        """What is said of one that has ended, and what its program sees."""
        late = time.monotonic() + PATIENCE
        while True:
            done = adieu("why", self.ids[name], *self.around, "--json")
            self.assertEqual((done.returncode, done.stderr), (1, ""))
            found = json.loads(done.stdout)
            done = adieu("why", self.ids[name], *self.around)
            if found["reason"] != "none" and re.search(r"\d  ended: ", done.stdout):
                break
            self.assertLess(time.monotonic(), late, done.stdout)
            time.sleep(0.05)
        if title:
            pages[title] = (inspect.cleandoc(self._testMethodDoc), done.stdout)
        self.programs[name].go_on()
        return found, done.stdout, self.programs[name].says()


class LostPeer(AskedPeer):
    """A peer that is no more."""

    SCENES = {  # name -> what it does, what its peer did before, what became of that
        "watched": ("nothing", "stays", GONE),
        "ended": ("nothing", "stays", GONE),
        "unsure": ("nothing", "stays", GONE),
        "half-closed": ("shut down", "stays", GONE),
        "ended-half": ("shut down", "stays", GONE),
        "left-behind": ("read", "ends", GONE),
        "keeps-alive": ("keepalive", "stays", GONE),
        "ended-limits": ("user timeout", "stays", GONE),
        "rebooted": ("nothing", "stays", THERE),
        "rebooted-2": ("read", "ends", THERE),
    }

    def test_a_peer_that_has_vanished_is_told(self):
        """The peer's machine is gone, and nobody had anything to say. Its rule wants four questions that stay
        unanswered, and only watches."""
        found, text = self.explained(
            "watched", "The peer has vanished", "ESTABLISHED", "held and reading", "the peer is gone",
            [r"state +ESTABLISHED .*; peer gone\n", r"\d+ questions unanswered, over \S+ s of attended time",
             r"ends +never"])
        self.assertRegex(found["next_step"], r"^have process \d+ \(descriptor \d+\) close it")
        self.assertEqual((found["standing"], found["rule"]), ("gone", "watched"))
        self.assertIn("asks the peer after 1s of silence; only says that it is gone", text)
        row = self.counted("ESTABLISHED", "watched", self.programs["watched"].port)
        self.assertEqual(row["cause"], found["cause"])
        self.assertEqual(self.sees("watched"), ["EAGAIN", 1])

    def test_a_peer_that_has_vanished_is_reset_by_a_rule(self):
        """The same, where the rule says what is to become of it. The program's next call fails: ECONNABORTED."""
        found, text, sees = self.ended("ended", "The peer has vanished, and a rule ends the connection")
        self.assertEqual((found["reason"], sees), ("commanded", ["ECONNABORTED", "EPIPE"]))
        self.assertRegex(text, r"gone in ESTABLISHED; end -> done\n")
        self.assertRegex(text, r"- 4 questions unanswered, over \S+ s of attended time\n")

    def test_a_peer_that_has_vanished_under_a_half_closed_connection(self):
        """We have shut down, the peer's machine is gone. The program holds its descriptor, so that no timer of the
        kernel's is armed: its FIN would be waited for for ever."""
        found, _ = self.explained(
            "half-closed", "FIN-WAIT-2, and the peer has vanished", "FIN-WAIT-2", "held and reading",
            "the peer is gone, and its FIN will not come",
            [r"; peer gone\n", r"ends +never", "close it: nobody is there any more"])
        self.assertEqual(found["standing"], "gone")
        found, _, sees = self.ended("ended-half", None)
        self.assertEqual((found["reason"], sees), ("commanded", ["ECONNABORTED", "EPIPE"]))

    def test_a_peer_that_has_vanished_after_it_had_closed(self):
        """The peer closed first, and its machine is gone since: nobody waits for our FIN any more, and the program
        has not closed."""
        found, _ = self.explained(
            "left-behind", "CLOSE-WAIT, and the peer has vanished", "CLOSE-WAIT",
            "held, end of stream read, not closed", "has read the end of the stream",
            [r"; peer gone\n", r"ends +never"])
        self.assertEqual(found["standing"], "gone")
        self.assertEqual(self.sees("left-behind"), [True, 1])

    def test_a_rule_that_wants_more_questions_than_the_kernels_keepalive_may_ask(self):
        found, _ = self.explained("unsure", None, "ESTABLISHED", "held and reading", "the peer is gone",
                                  [r"; peer gone\n", r"([6-9]|\d\d) questions unanswered, over"])
        self.assertEqual(found["standing"], "gone")

    def test_whose_program_has_keepalive_on_is_asked_beside_it(self):
        found, _ = self.explained("keeps-alive", None, "ESTABLISHED", "held and reading", "the peer is gone",
                                  [r"; peer gone\n", r"kernel +no keepalives? so far|keepalive"])
        self.assertEqual((found["standing"], found["ends_short"]), ("gone", "unknown: keepalive"))
        self.assertEqual(self.sees("keeps-alive"), ["EAGAIN", 1])

    def test_whose_program_has_set_a_user_timeout_is_asked_and_that_ends_nothing(self):
        """The program has set TCP_USER_TIMEOUT: a question of the kernel's own that stays unanswered would end its
        connection at once. It is asked by a segment that the socket does not know of, and ended once it is proven that
        nobody is there."""
        found, text, sees = self.ended("ended-limits", "The peer of a program with a user timeout has vanished")
        self.assertEqual((found["reason"], sees), ("commanded", ["ECONNABORTED", "EPIPE"]))
        self.assertRegex(text, r"- 4 questions unanswered, over \S+ s of attended time\n")

    def test_a_peer_that_has_rebooted(self):
        """The peer's machine is up again, and knows nothing of the connection: it answers the first question with a
        reset. The program's next call fails: ECONNRESET."""
        found, text, sees = self.ended("rebooted", "The peer has rebooted")
        self.assertEqual(sees, ["ECONNRESET", "EPIPE"])
        self.assertRegex(text, r"ends +it has ended: ")
        self.assertEqual(found["reason"], "reset by path or peer")
        self.assertIn("the reset came after 1 question: its answer", text)
        # In CLOSE-WAIT reading says no more than before: end of stream.
        found, _, sees = self.ended("rebooted-2", None)
        self.assertEqual(sees, [True, "EPIPE"])
        self.assertEqual(found["reason"], "reset by path or peer")
        log = adieu("log", *self.around).stdout
        self.assertRegex(log, rf"end +{self.ids['rebooted']} .* in ESTABLISHED, after 1 question of ours\n")


class AskedByKeepaliveAlone(AskedPeer):
    """The same, where adieu sends no segments of its own."""

    SCENES = {name: LostPeer.SCENES[name] for name in ("unsure", "keeps-alive", "ended-limits")}
    UP = ("--no-bpf", "probe")

    def test_a_rule_that_wants_more_questions_proves_nothing(self):
        """Where adieu may send no segments of its own (no BPF, no CAP_NET_RAW), peers are asked by the kernel's own
        keepalive, four times in a row at the most. A rule that wants six questions proves nobody gone then, and that is
        said, with what to write."""
        found, text = self.explained(
            "unsure", "A proof that cannot be reached", "ESTABLISHED", "held and reading",
            "open, and the peer does not answer",
            [r"; peer suspect\n", "has asked the peer; .* 4 times in a row at the most, and N is 6: never",
             r"\b4 questions unanswered, over", r"write `probes = 4` in its rule",
             "ends +never by itself; only a close by either side"])
        self.assertEqual(found["standing"], "suspect")
        self.assertIn("4 can count: never proven gone", json.dumps(found["evidence"]))
        self.assertNotIn("at the earliest", text)

    def test_whose_program_has_keepalive_on_is_left_to_it(self):
        found, text = self.explained("keeps-alive", None, "ESTABLISHED", "held and reading", "open",
                                     [r"; peer silent\n", "its application has its kernel's own keepalive on"])
        self.assertEqual(found["ends_short"], "unknown: keepalive")
        self.assertNotIn("next question", text)
        self.assertNotIn(self.ids["keeps-alive"], adieu("log", *self.around).stdout)

    def test_whose_program_has_set_a_user_timeout_is_not_asked_since_a_question_would_end_it(self):
        found, text = self.explained("ended-limits", None, "ESTABLISHED", "held and reading", "open",
                                     [r"; peer silent\n", "cannot ask the peer now", "its data plane has no question"])
        self.assertNotIn("next question", text)
        self.assertEqual(self.sees("ended-limits"), ["EAGAIN", 1])


class Hostile(Story):
    def test_a_name_cannot_speak_to_a_terminal(self):
        name = "a)\n\x1b[2J(\x9b1m(b"
        server = self.listens(name, FORGETS)
        client = self.connects(server.port)
        client.shutdown(socket.SHUT_WR)
        ends = server.says()
        kept = name.encode()[:15].decode(errors="ignore")
        row = self.counted("CLOSE-WAIT", kept, server.port)
        self.assertEqual((row["program"], row["pid"]), (kept, server.pid))
        shown = r"a)\n\x1b[2J(".replace(r"\n", r"\x0a")
        for done in (adieu("--all"), adieu("why", *ends), adieu("ls", "state", "close-wait")):
            self.assertEqual(done.stderr, "")
            self.assertIn(shown, done.stdout)
            self.assertFalse(set(done.stdout) & {"\x1b", "\x9b"})
        line = next(line for line in adieu("--all").stdout.splitlines() if shown in line)
        self.assertRegex(line, rf"^ +1 CLOSE-WAIT .*\[{server.pid}\] +clients of :{server.port} ")
        for arguments in (["--json"], ["why", *ends, "--json"], ["ls", "--json"]):
            self.assertTrue(adieu(*arguments).stdout.isascii(), arguments)

    def test_a_thousand_heirs_are_one_line(self):
        server = self.listens("many-heirs", THOUSAND)
        client = self.connects(server.port)
        ends = server.says()
        self.assertEqual(server.says(), "forked")
        client.shutdown(socket.SHUT_WR)
        found, text = self.explains(ends, None, "CLOSE-WAIT", "held, end of stream unread", "does not read on", server,
                                    [r"1001 processes have it open", r"and 998 processes more"])
        self.assertEqual(len(found["open_in"]), 1001)
        self.assertLessEqual(len(text.splitlines()), 24)
        self.counted("CLOSE-WAIT", server.name, server.port)
        server.process.stdin.close()
        self.assertEqual(server.says(), "all have ended")

    def test_what_has_vanished_since_is_said_to_be_gone(self):
        server = self.listens("short-lived", FORGETS)
        client = self.connects(server.port)
        client.shutdown(socket.SHUT_WR)
        server.says()
        example = self.counted("CLOSE-WAIT", server.name, server.port)["example"]
        server.end()
        client.close()
        for more in ([], ["--json"]):
            done = adieu("why", example["local"], example["remote"], *more)
            self.assertEqual((done.returncode, done.stdout), (0, ""), more)
            self.assertEqual(done.stderr, "adieu: there is no such connection, neither in a table nor in the ledger\n")


class WhoSeesLittle(Story):
    def setUp(self):
        if not IS_ROOT:
            self.skipTest("SKIPPED, NOT TESTED: only root can become somebody else")
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        os.chmod(directory.name, 0o755)
        self.copy = shutil.copy(ADIEU, directory.name)  # where nobody may read it

    def test_a_user_is_told_what_could_not_be_seen(self):
        server = self.listens("not-yours", FORGETS)
        client = self.connects(server.port)
        client.shutdown(socket.SHUT_WR)
        ends = server.says()
        nobody = {"program": self.copy, "user": 65534, "group": 65534, "extra_groups": []}
        done = adieu("--all", **nobody)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertRegex(done.stdout, r"\nNot seen: what \d+ of \d+ processes have open\. Root sees more\.\n")
        row = next(row for row in groups(**nobody) if row["service"].endswith(f":{server.port}"))
        self.assertEqual((row["program"], row["wanted"], row["never_ends"]), ("", "held by nobody who was found", True))
        why = adieu("why", *ends, **nobody)
        self.assertEqual((why.returncode, why.stderr), (1, ""))
        self.assertIn("open, by nobody who was found", why.stdout)
        self.assertIn("not every process could be looked into", why.stdout)
        self.assertNotIn(server.name, why.stdout)


class ExitCodes(Story):
    # As in a container: processes and networks of its own, and no others to be seen.
    CONTAINER = ["unshare", "--pid", "--fork", "--kill-child", "--net", "--mount-proc"]

    def inside(self, text, *arguments):
        return subprocess.run([*self.CONTAINER, sys.executable, "-c", text, ADIEU, *arguments], capture_output=True,
                              text=True, timeout=30)

    def test_0_where_nothing_stays_for_ever(self):
        done = self.inside("import os, sys; os.execv(sys.argv[1], sys.argv[1:])")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.splitlines()[0],
                         "Nothing here stays for ever: every connection is open, or ends by itself.")
        self.assertIn("Not seen: processes outside this container.", done.stdout)
        self.assertEqual(self.inside("import os, sys; os.execv(sys.argv[1], sys.argv[1:])", "--json").stdout, "")

    def test_1_where_something_does(self):
        done = self.inside("""
import os, socket, subprocess, sys
os.system("ip link set lo up")
l = socket.create_server(("127.0.0.1", 5000)); c = socket.create_connection(("127.0.0.1", 5000)); s, _ = l.accept()
c.shutdown(socket.SHUT_WR)
raise SystemExit(subprocess.run(sys.argv[1:]).returncode)
""")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertRegex(done.stdout, r"\A2 connections in 2 groups will never end by themselves:\n")

    def test_2_where_it_cannot_be_told(self):
        for arguments in (["--run-dir", "/nonexistent/run"], ["why", "10.0.0.1:80", "there"], ["why", "kernel/1.1"]):
            done = adieu(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertRegex(done.stderr, r"\Aadieu: [^\n]+\n\Z")


def shape(text):
    """What remains of it when numbers, times and what follows from their widths are taken away."""
    text = re.sub(r"FIN-WAIT-(\d)", lambda m: "FIN-WAIT-" + "IV"[int(m[1]) - 1], text)
    text = re.sub(r"\d+(\.\d+)? (us|ms|s|min \d+ s|h \d+ min|d \d+ h)\b", "TIME", text)
    text = re.sub(r"\d+(\.\d+)?", "N", text)
    text = re.sub(r"\b(question|octet|retransmission)s?\b", r"\1s", text)
    return re.sub(r"[─╌ ]+", " ", text)


def settled(text):
    """Where a daemon runs, without what depends on when it swept: how near two instants of the ladder are to each
    other, whether a verdict came together with the next question, and whether the latest may still be answered."""
    if not text.startswith("kernel/"):
        return text
    text = re.sub(r"\n +lacking [^\n]* may still be answered", "", text)
    return re.sub(r"; probe, bare( -> \w+)?|\n +here │.*", "", text, flags=re.S)


class Page(unittest.TestCase):
    """Last: what the others have gathered is what the page says."""

    def test_the_page_says_what_adieu_says(self):
        known = ""
        if os.path.exists(PAGE):
            with open(PAGE) as file:
                known = file.read()
        head = HEAD + POLICY + HEAD_ENDS
        page = head + "".join(f"\n## {title}\n\n{about}\n\n```\n{text}```\n" for title, (about, text) in pages.items())
        if WRITE:
            with open(PAGE, "w") as file:
                file.write(page)
            return
        texts = dict(re.findall(r"\n## ([^\n]*)\n\n[^`]*?\n\n```\n(.*?)```\n", known, re.S))
        self.assertTrue(known.startswith(head))
        for title, (_, text) in pages.items():
            difference = [line for line in difflib.ndiff(shape(settled(texts.get(title, ""))).splitlines(),
                                                         shape(settled(text)).splitlines()) if line[0] in "+-"]
            self.assertEqual(difference, [], f"{title}: look, and then run this with --write")
        if IS_ROOT:
            self.assertLessEqual(set(texts) - set(pages), {"In flight"})  # told only to who sees everybody


CASES = Leaks, UnansweredPeer, LostPeer, AskedByKeepaliveAlone, Hostile, WhoSeesLittle, ExitCodes, Page

if __name__ == "__main__":
    if not enter_own_network():
        print("SKIPPED: this machine permits no network namespace of our own")
        raise SystemExit(77)
    # As they stand here.
    suite = unittest.TestSuite(case(name) for case in CASES for name in vars(case) if name.startswith("test_"))
    raise SystemExit(not unittest.TextTestRunner(verbosity=2 if "-v" in sys.argv else 1).run(suite).wasSuccessful())
