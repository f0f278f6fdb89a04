#!/usr/bin/env python3
"""The command `adieu` as people use it: exit codes, one clear line for each error, and JSON that is what was promised.

What does not live here: what the processes behind it do (tests/host), the story (src/cli/story*).

usage: command_test.py ADIEU
"""
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from own_network import enter_own_network, may_make_interfaces  # noqa: E402

ADIEU = sys.argv.pop(1)

# The members of one line of `adieu ls --json`.
MEMBERS = {"id", "incarnation", "plane", "kind", "pid", "local", "remote", "state", "reason", "holder", "standing",
           "wanted", "state_age_s", "heard_ago_s", "heard", "progress_in_ago_s", "progress_out_ago_s",
           "oldest_unacked_ago_s", "attempts", "probes", "unread", "unsent", "send_shut", "receive_shut",
           "peer_window_closed", "end_of_stream_read", "ended_by", "ends", "ends_short", "ends_in_s", "rule", "comm",
           "keepalive", "judged_ago_s", "control"}

# The members of one line of `adieu log --json`, whatever its kind.
ENTRY = {"number", "time", "wall_us", "at_ns", "kind", "verdict", "id", "plane", "incarnation", "local", "remote",
         "state", "before", "standing", "wanted", "ends", "cause", "what", "form", "detail"}


def adieu(*arguments, **more):
    return subprocess.run([ADIEU, *arguments], capture_output=True, text=True, timeout=20, **more)


class Words(unittest.TestCase):
    def test_help_and_version_are_no_errors(self):
        self.assertRegex(adieu("--version").stdout, r"^adieu \d+\.\d+\.\d+\n$")
        for arguments in (["--help"], ["up", "--help"], ["ls", "--help"], ["why", "--help"], ["log", "--help"]):
            done = adieu(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("--help", done.stdout)

    def test_what_up_starts_is_not_offered_to_people(self):
        self.assertNotIn("-process", adieu("--help").stdout)

    def policy(self, text):
        file = tempfile.NamedTemporaryFile("w", suffix=".toml")
        self.addCleanup(file.close)
        file.write(text)
        file.flush()
        return file.name

    def test_a_policy_without_mistakes_is_said_to_have_none(self):
        done = adieu("policy", "check", self.policy('profile = "rfc9293"\n'))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r": no mistakes, 1 rule\n\Z")

    def test_a_rule_that_would_act_and_never_does_on_the_kernels_connections_is_noted(self):
        rule = '[[rule]]\nname = "{}"\nmatch = "{}state close-wait"\nprobing = {}\n{}\n'
        tells, ends = 'when_gone = "tell"', 'always = "finish"'
        file = self.policy(rule.format("asks", "", "true", tells) + rule.format("ends", "", "false", ends) +
                           rule.format("tells", "", "false", tells) +
                           rule.format("spares", "", "true", "exempt = true") +
                           rule.format("means it", "plane kernel and ", "true", ends))
        checked = adieu("policy", "check", file)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        self.assertEqual(checked.stdout.splitlines()[1:], [
            f'note: rule {number} ("{name}"): never asks or ends the kernel\'s connections: its match does not say '
            "`plane kernel`" for number, name in ((1, "asks"), (2, "ends"))])
        marked = [line.split("  ")[0] for line in adieu("policy", "show", file).stdout.splitlines()
                  if "; not the kernel's" in line]
        self.assertEqual(marked, ["asks", "ends", "default"])

    def test_show_says_where_more_answers_are_needed_than_the_kernel_is_asked_for(self):
        rule = '[[rule]]\nname = "{}"\nmatch = "{}"\nprobes = {}\n'
        file = self.policy(rule.format("many", "plane = kernel", 5) + rule.format("few", "plane kernel", 4) +
                           rule.format("ours", "comm 'plane kernel'", 5))
        noted = [line.split("  ")[0] for line in adieu("policy", "show", file).stdout.splitlines()
                 if "; by the kernel's keepalive alone never: N is above 4" in line]
        self.assertEqual(noted, ["many"])

    def test_every_mistake_of_a_policy_has_a_line_and_up_does_not_start_by_it(self):
        file = self.policy("[default]\nprobes = 1\ninterval = 3\nproof_spann = 1\n")
        done = adieu("policy", "check", file)
        self.assertEqual((done.returncode, done.stderr), (2, ""))
        self.assertEqual([line.removeprefix(file).split(" ")[0] for line in done.stdout.splitlines()],
                         [":2:10:", ":3:12:", ":4:1:"])
        up = adieu("up", "--policy", file)
        self.assertEqual((up.returncode, up.stdout), (2, ""))
        self.assertEqual(up.stderr, "adieu: the policy has mistakes\n" + done.stdout)

    def test_show_derives_what_follows_from_each_rule(self):
        file = self.policy('[[rule]]\nname = "web"\nmatch = "dport = :443"\n'
                           'loss = 0.1\nkeep_path = "learned"\n[default]\nprobes = 40\n')
        done = adieu("policy", "show", file)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        web, default = done.stdout.splitlines()[2:4]
        self.assertRegex(web, r"^web +dport = :443 .* 13  +7\.7 s  +1 min 40 s .* learned  +gone: reset")
        self.assertRegex(default, r"^default +everything .* 40 \(set\)  +2\.5 s  +1 min 40 s .* no  +gone: reset")

    def refused(self, *arguments, says, **more):
        done = adieu(*arguments, **more)
        self.assertEqual(done.returncode, 2, arguments)
        self.assertEqual(done.stdout, "", arguments)
        self.assertRegex(done.stderr, r"\Aadieu: [^\n]+\n\Z", arguments)
        self.assertIn(says, done.stderr, arguments)

    def test_malformed_flags_are_refused_with_one_line(self):
        for flags, says in (
                (["--policy", "/etc/hostname", "--interval", "3s"], "--policy"), (["--policy", "/none"], "/none"),
                (["--interval", "soon"], "25s"), (["--interval", "-1s"], "25s"), (["--interval", "10ms"], "interval"),
                (["--loss", "2"], "--loss"), (["--probes", "1"], "probes"),
                (["--probes", "5", "--loss", "0.1"], "--loss"),
                (["--mtu", "100"], "--mtu"), (["--mtu", "x"], "--mtu"), (["--address", "here"], "10.77.0.2/24"),
                (["--address", "10.0.0.1/33"], "10.77.0.2/24"), (["--address", "10.0.0.1/32"], "prefix length"),
                (["--address", "224.0.0.1/24"], "224.0.0.1"), (["--sweep", "1h"], "sweep"),
                (["--address", "10.0.0.2/24", "--gateway-address", "10.0.0.2/24"], "both ends"),
                (["--event-ring", "3"], "power of two"), (["--plane", "moon"], "--plane"),
                (["--no-such-flag"], "--help"), (["stray"], "--help")):
            with self.subTest(flags=flags):
                self.refused("up", "--run-dir", "/nonexistent/run", *flags, says=says)
        for flags, says in (
                (["--default-timers"], "--chapter 5"), (["--chapter", "4", "--default-timers"], "chapter 4"),
                (["--chapter", "5", "--chapter", "6", "--default-timers"], "chapter 6"),
                (["--chapter", "5", "--idle", "1min"], "--default-timers"),
                (["--chapter", "5", "--default-timers", "--idle", "soon"], "25s"), (["--chapter", "8"], "--chapter")):
            with self.subTest(story=flags):
                self.refused("story", *flags, says=says)
        self.refused("fly", says="--help")
        self.refused("why", says="--help")
        self.refused("log", "engine", says="PLANE/SLOT.GENERATION")
        self.refused("log", "10.0.0.1:80", "there", says="10.77.0.2:80")
        self.refused("log", "--kind", "moon", says="verdict")
        self.refused("log", "--since", "soon", says="25s")
        self.refused("log", "--limit", "0", says="--limit")
        self.refused("why", "engine", says="PLANE/SLOT.GENERATION")
        self.refused("why", "en\x1b[31mgine\n", says=r"`en\x1b[31mgine\x0a`")
        self.refused("f\x1bly", says=r"f\x1bly")
        self.refused("ls", "--run-dir", "/\x1b[31m", says=r"/\x1b[31m")
        self.refused("why", "10.0.0.1:80", "there", says="10.77.0.2:80")

    def test_a_filter_that_says_nothing_is_shown_with_the_place(self):
        for command in (["ls"], ["watch", "--once"]):
            done = adieu(*command, "state", "close-wait", "and", "dprot", "=", ":443")
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            says, text, caret = done.stderr.splitlines()
            self.assertTrue(says.startswith("adieu: filter: "), says)
            self.assertEqual(text[caret.index("^"):caret.rindex("^") + 1], "dprot")
        self.assertEqual(adieu("watch", stdin=subprocess.DEVNULL).returncode, 2)

    def test_who_finds_no_adieu_up_is_told_how_to_start_one_and_never_one_that_makes_a_network_device(self):
        with tempfile.TemporaryDirectory() as run_dir:
            kernel = "`adieu up --plane kernel`"
            for command in (["ls"], ["why", "kernel/1.1"], ["watch", "--once"], ["log"], ["probe", "kernel/1.1"],
                            ["end", "kernel/1.1"], ["end", "--yes", *(f"kernel/{slot}.1" for slot in range(2000))]):
                self.refused(*command, "--run-dir", run_dir, says="start one with " + kernel)
            # What a supervisor that was killed leaves behind: a lock that a living process holds.
            with open(run_dir + "/kernel.lock", "w") as lock:
                lock.write(f"{os.getpid()}\n")
                lock.flush()
                fcntl.flock(lock, fcntl.LOCK_EX)
                for command in (["ls"], ["end", "kernel/1.1"]):
                    self.refused(*command, "--run-dir", run_dir,
                                 says=f"go on: kernel (process {os.getpid()}); a new {kernel} with this run directory")
            environment = {**os.environ, "ADIEU_RUN_DIR": run_dir, "XDG_RUNTIME_DIR": run_dir}
            self.refused("ls", env=environment, says="no `adieu up` runs")
            self.assertNotIn("adieu up", adieu("ls", env={**environment, "ADIEU_RUN_DIR": ""}).stderr)

    def test_a_run_directory_that_cannot_be_used_is_said(self):
        self.refused("up", "--run-dir", "/proc/none/run", says="--run-dir")
        self.refused("up", "--run-dir", "/" + 120 * "long", says="--run-dir")
        with tempfile.TemporaryDirectory() as run_dir:
            os.chmod(run_dir, 0o777)
            self.refused("up", "--run-dir", run_dir, says="others")
        self.refused("log", "--run-dir", "/nonexistent", says="no ledger")
        for command in (["ls"], ["why", "engine/1.1"]):
            self.refused(*command, "--run-dir", "/nonexistent", says="no `adieu up` runs")

    @unittest.skipIf(os.getuid() != 0, "SKIPPED: only root can become somebody who may not")
    def test_who_may_not_make_an_interface_is_told(self):
        with tempfile.TemporaryDirectory() as run_dir:
            os.chown(run_dir, 65534, 65534)
            done = adieu("up", "--run-dir", run_dir, user=65534, group=65534, extra_groups=[])
            self.assertEqual(done.returncode, 2)
            # Beside it the kernel plane may say what it cannot see.
            lines = [line for line in done.stderr.splitlines() if " kernel: " not in line]
            self.assertIn("TUN", lines[0].upper())
            self.assertLessEqual(len(lines), 2, done.stderr)


class Running(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not (may_make_interfaces() and enter_own_network()):
            raise unittest.SkipTest("SKIPPED: this machine permits no network namespace of our own")

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.up = self.start("--pcap", "/dev/full")
        self.addCleanup(self.end)

    def start(self, *flags):
        up = subprocess.Popen([ADIEU, "up", "--run-dir", self.directory.name, *flags], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.said = up.stdout.readline()
        return up

    def end(self):
        self.up.send_signal(signal.SIGTERM)
        self.errors = self.up.communicate(timeout=15)[1]
        self.assertEqual(self.up.returncode, 0)

    def ls(self):
        done = adieu("ls", "--all", "--json", "--run-dir", self.directory.name)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(done.returncode, 1 if rows else 0, done.stderr)
        return sorted(rows, key=lambda row: row["id"])

    def look_at(self, engine, run_dir):
        """One connection, by filter, by why, by watch."""
        def ls(*words):
            done = adieu("ls", "--run-dir", run_dir, *words)
            return done.returncode, done.stdout
        status, text = ls()
        self.assertEqual(status, 1)
        self.assertEqual(text.split()[:9], "State Recv-Q Send-Q Local:Port Peer:Port Process Standing Age Ends".split())
        self.assertEqual(ls("sport", "=", ":7", "and", "plane", "engine")[1].count("\n"), 2)
        self.assertEqual(ls("pid", str(engine["pid"]))[0], 1)
        self.assertEqual(ls("comm", "adieu-engine", "--sort", "age")[0], 1)
        self.assertEqual(ls("state", "time-wait"), (0, "no connections\n"))
        self.assertEqual(ls("--never", "plane", "engine")[1].splitlines()[1].split()[-1], engine["id"])
        # This test holds the other end, as the next look at all processes finds.
        late = time.monotonic() + 20
        while (there := ls("pid", str(os.getpid()), "and", "plane", "kernel")[0]) != 1 and time.monotonic() < late:
            time.sleep(0.05)
        self.assertEqual(there, 1)
        self.assertEqual(ls("pid", "4711")[0], 0)
        why = adieu("why", engine["id"], "--run-dir", run_dir)
        self.assertEqual(why.returncode, 1)
        lines = why.stdout.splitlines()
        self.assertLessEqual(len(lines), 24)
        self.assertLessEqual(max(map(len, lines)), 100)
        for label in ("waits for", "ends", "rule", "evidence"):
            self.assertTrue(any(line.startswith(label + " ") for line in lines), label)
        self.assertTrue(any(line.lstrip().startswith("now ") for line in lines), why.stdout)
        self.assertNotIn("\x1b", why.stdout)
        once = adieu("watch", "--once", "--run-dir", run_dir, "plane", "engine")
        self.assertEqual(once.returncode, 1)
        self.assertIn(engine["id"], once.stdout)
        self.assertLessEqual(len(once.stdout.splitlines()), 24)
        self.live(run_dir, engine)

    def live(self, run_dir, engine):
        """watch in a terminal: opens one, goes back, quits, and leaves the terminal as it was."""
        pid, terminal = pty.fork()
        if pid == 0:
            termios.tcsetwinsize(0, (24, 120))
            os.execv(ADIEU, ["adieu", "watch", "--run-dir", run_dir, "--interval", "100ms"])
        self.addCleanup(os.close, terminal)
        before = termios.tcgetattr(terminal)
        seen = b""

        def until(text):
            nonlocal seen
            deadline = time.monotonic() + 5
            while text not in seen:
                self.assertLess(time.monotonic(), deadline, (text, seen[-2000:]))
                if select.select([terminal], [], [], 0.1)[0]:
                    seen += os.read(terminal, 65536)
            seen = b""

        until(b"Local:Port")
        os.write(terminal, b"\r")
        until(b"waits for")
        os.write(terminal, b"q")
        until(b"Local:Port")
        os.write(terminal, b"/state time-wair\x7ft\r")
        until(b"adieu: 0 connections, by ends, state time-wait")
        os.write(terminal, b"/")
        until(b"filter: state time-wait_")
        os.write(terminal, b"\x15")
        until(b"filter: _")
        os.write(terminal, b"plane engine\r")
        until(b"adieu: 1 connection, by ends, plane engine")
        # Ends and ID are there at any width, and everything where there is room.
        wide = f"Local:Port.*Peer:Port.*Process.*Ends.*{engine['id']}".encode()
        narrow = f"\\APeer:Port +Ends +ID.*{engine['id']}".encode()
        for columns, pattern in ((200, wide), (60, narrow)):
            termios.tcsetwinsize(terminal, (24, columns))
            os.kill(pid, signal.SIGWINCH)
            deadline = time.monotonic() + 5
            frame = b""
            while not re.search(pattern, frame, re.DOTALL):
                self.assertLess(time.monotonic(), deadline, (columns, frame))
                if select.select([terminal], [], [], 0.1)[0]:
                    seen = (seen + os.read(terminal, 65536))[-8192:]
                    frames = re.sub(rb"\x1b\[[0-9;]*m", b"", seen).split(b"\x1b[H")
                    frame = frames[-2].split(b"\r\n", 1)[-1] if len(frames) > 2 else b""
            self.assertLessEqual(max(map(len, re.sub(rb"\x1b\[[A-Z]", b"", frame).split(b"\r\n"))), columns)
        os.write(terminal, b"q")
        until(b"\x1b[?1049l")
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assertEqual(termios.tcgetattr(terminal), before)

    def test_one_connection_from_up_to_its_end(self):
        run_dir = self.directory.name
        self.assertEqual(self.said, f"adieu: up, run-dir {run_dir}, planes: engine (adieu0), kernel\n")
        self.assertEqual(adieu("ls", "--run-dir", run_dir).returncode, 0)
        self.assertEqual(adieu("watch", "--once", "--run-dir", run_dir).returncode, 0)
        peer = socket.create_connection(("10.77.0.2", 7), timeout=5)
        peer.sendall(b"hello")
        self.assertEqual(peer.recv(100), b"hello")

        deadline = time.monotonic() + 5
        while len(rows := self.ls()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual([row["kind"] for row in rows], ["engine", "kernel"])
        for row in rows:
            self.assertEqual(set(row), MEMBERS)
            self.assertEqual((row["state"], row["standing"], row["control"]), ("ESTABLISHED", "alive", "running"))
            for member, value in row.items():
                if member.endswith("ago_s") and value is not None:
                    self.assertGreaterEqual(value, 0, member)
        engine = rows[0]
        self.assertEqual((engine["local"], engine["reason"], engine["holder"]), ("10.77.0.2:7", "none", "held"))
        by_name = json.loads(adieu("why", engine["id"], "--json", "--run-dir", run_dir).stdout)
        by_ends = json.loads(adieu("why", engine["local"], engine["remote"], "--json", "--run-dir", run_dir).stdout)
        self.assertEqual(by_name["id"], by_ends["id"])
        self.assertTrue(by_name["evidence"])
        self.assertIn(engine["id"], adieu("ls", "--run-dir", run_dir).stdout)
        self.look_at(engine, run_dir)
        kernel = adieu("why", rows[1]["id"], "--run-dir", run_dir).stdout
        self.assertRegex(kernel, r"\nrule +[^\n]*it does not say `plane kernel`; `adieu probe` and `adieu end` do\n")
        self.assertIn("it is not asked, and nothing is done", kernel)
        self.assertNotIn("at the earliest", kernel)
        unknown = adieu("why", "engine/999.1", "--run-dir", run_dir)
        self.assertEqual((unknown.returncode, unknown.stdout), (0, ""))
        self.assertIn("there is no such connection", unknown.stderr)

        second = adieu("up", "--run-dir", run_dir)
        self.assertEqual(second.returncode, 2)
        self.assertIn("runs there already", second.stderr)

        peer.shutdown(socket.SHUT_WR)
        self.assertEqual(peer.recv(100), b"")
        peer.close()
        deadline = time.monotonic() + 5
        while self.ls()[0]["reason"] == "none" and time.monotonic() < deadline:  # our ACK of its FIN is under way
            time.sleep(0.05)
        ended = json.loads(adieu("why", engine["id"], "--json", "--run-dir", run_dir).stdout)
        self.assertEqual((ended["reason"], ended["standing"]), ("both closed", "ended"))
        self.check_log(engine)
        self.end()
        self.assertEqual(self.errors.count("the capture ends here"), 1, self.errors)
        self.up = self.start()

    def log(self, *flags, status=1):
        done = adieu("log", "--json", "--run-dir", self.directory.name, *flags)
        self.assertEqual((done.returncode, done.stderr), (status, ""), flags)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def check_log(self, engine):
        rows = self.log()
        for row in rows:
            self.assertEqual(set(row), ENTRY)
        numbers = [row["number"] for row in rows]
        self.assertEqual(numbers, sorted(numbers))
        self.assertEqual(rows[0]["kind"], "start")
        ended = self.log(engine["id"])
        self.assertEqual([(row["kind"], row["what"]) for row in ended], [("end", "both closed")])
        self.assertEqual(self.log(engine["local"], engine["remote"], "--kind", "verdict,end"), ended)
        self.assertEqual(self.log("--limit", "1"), rows[-1:])
        self.assertEqual(self.log("--since", "1h", "--kind", "end"), [row for row in rows if row["kind"] == "end"])
        self.assertEqual(self.log("engine/999.1", status=0), [])
        text = adieu("log", engine["id"], "--run-dir", self.directory.name).stdout
        self.assertRegex(text, r"\A\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  end +engine/[^\n]+ both closed[^\n]*\n\Z")

    def test_a_log_that_leaves_older_entries_out_says_so(self):
        def log(*flags):
            return adieu("log", "--run-dir", self.directory.name, *flags)
        self.assertEqual(log().stderr, "")
        for _ in range(101):
            with socket.create_connection(("10.77.0.2", 7), timeout=5) as peer:
                peer.sendall(b"x")
                self.assertEqual(peer.recv(100), b"x")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # no TIME-WAIT stays
        deadline = time.monotonic() + 10
        while len(self.log("--limit", "200", "--kind", "end")) < 101 and time.monotonic() < deadline:
            time.sleep(0.05)
        done = log()
        self.assertEqual(done.stderr, "(the newest 100; there are older ones: --limit N prints so many)\n")
        self.assertEqual(done.stdout.splitlines(), log("--limit", "200").stdout.splitlines()[-100:])
        self.assertEqual((len(self.log()), log("--limit", "100").stderr), (100, ""))

    def test_the_log_is_followed_and_outlives_who_wrote_it(self):
        follower = subprocess.Popen([ADIEU, "log", "--follow", "--json", "--kind", "end", "--run-dir",
                                     self.directory.name], text=True, stdout=subprocess.PIPE)
        self.addCleanup(lambda: (follower.kill(), follower.communicate()))
        peer = socket.create_connection(("10.77.0.2", 7), timeout=5)
        local = "10.77.0.1:%d" % peer.getsockname()[1]
        peer.shutdown(socket.SHUT_WR)
        self.assertEqual(peer.recv(100), b"")
        peer.close()
        told = json.loads(follower.stdout.readline())
        self.assertEqual((told["what"], told["remote"]), ("both closed", local))
        self.end()
        self.assertIn(told, self.log("--kind", "end"))
        self.up = self.start()


if __name__ == "__main__":
    unittest.main()
