#!/usr/bin/env python3
"""What the unit (data/adieu.service.in) tells a service manager to do, done as it says: the command line starts, says
that it is ready, reads its policy again, keeps its ledger in the state directory, and ends.

What does not live here: what systemd itself enforces (capabilities, system calls), which takes a systemd.

usage: service_test.py ADIEU UNIT POLICY
"""
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from own_network import enter_own_network  # noqa: E402

ADIEU, UNIT, POLICY = (os.path.abspath(path) for path in sys.argv[1:4])
del sys.argv[1:]
PERMITTED = enter_own_network()


def settings():
    """Each setting of the unit, as often as it is given."""
    found = {}
    for line in Path(UNIT).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    return found


@unittest.skipUnless(PERMITTED, "SKIPPED, NOT TESTED: no network namespace is permitted here")
class Service(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        for made in ("run/adieu", "state/adieu", "etc"):
            (self.root / made).mkdir(parents=True, mode=0o700)
        self.run_dir = self.root / "run/adieu"
        self.policy = self.root / "etc/policy.toml"
        shutil.copy(POLICY, self.policy)
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notified.close)
        self.notified.bind(str(self.root / "notify"))
        self.notified.settimeout(20)

    def words(self, command):
        """Of a command of the unit, as systemd would run it with the directories of this test."""
        words = command.replace("%t", str(self.root / "run")).replace("%S", str(self.root / "state")).split()
        words = [str(self.policy) if word.endswith("/adieu/policy.toml") else word for word in words]
        return [ADIEU] + words[1:] if words[0].endswith("/adieu") else words

    def start(self):
        up = subprocess.Popen(self.words(settings()["ExecStart"][0]), stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, start_new_session=True,
                              env={**os.environ, "NOTIFY_SOCKET": str(self.root / "notify")})
        self.addCleanup(up.stderr.close)
        self.addCleanup(lambda: up.poll() is None and (up.terminate(), up.wait(20)))
        return up

    def log(self):
        return subprocess.run([ADIEU, "log", "--run-dir", self.run_dir], capture_output=True, text=True).stdout

    def test_it_starts_as_the_unit_says_and_keeps_its_ledger_where_a_reboot_leaves_it(self):
        up = self.start()
        self.assertEqual(b"READY=1\nSTATUS=planes: kernel", self.notified.recv(4096))
        kept = self.root / "state/adieu/ledger.db"
        deadline = time.monotonic() + 20
        while "a control plane started" not in self.log() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertIn("a control plane started", self.log())
        self.assertTrue((self.run_dir / "ledger.db").samefile(kept))
        self.assertTrue((self.run_dir / "ledger.db").is_symlink())

        self.policy.write_text(self.policy.read_text() + "\ndry_run = true\n")
        check, reload = settings()["ExecReload"]
        self.assertEqual(0, subprocess.run(self.words(check), stdout=subprocess.DEVNULL).returncode)
        subprocess.run(shlex.split(reload.replace("${MAINPID}", str(up.pid))), check=True)
        while "another policy is in force" not in self.log() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertIn("another policy is in force", self.log())
        up.terminate()
        self.assertEqual(0, up.wait(20))
        shutil.rmtree(self.run_dir)  # as a reboot does
        after = subprocess.run([ADIEU, "log", "--run-dir", kept.parent], capture_output=True, text=True).stdout
        self.assertIn("another policy is in force", after)

    def test_a_policy_with_mistakes_is_told_and_is_no_reason_to_try_again(self):
        self.policy.write_text('[[rule]]\nmatch = "state close-weight"\n')
        up = self.start()
        errors = up.communicate(timeout=20)[1]
        self.assertIn(f"{self.policy}:1:", errors)
        self.assertIn(f"{self.policy}:2:", errors)
        self.assertIn(str(up.returncode), settings()["RestartPreventExitStatus"])
        check = subprocess.run(self.words(settings()["ExecReload"][0]), capture_output=True)
        self.assertEqual(2, check.returncode)

    def test_a_ledger_that_stood_in_the_run_directory_is_kept_beside_the_link(self):
        (self.run_dir / "ledger.db").write_bytes(b"of an earlier adieu")
        up = self.start()
        self.assertTrue(self.notified.recv(4096).startswith(b"READY=1\n"))
        self.assertEqual(b"of an earlier adieu", (self.run_dir / "ledger.db.before").read_bytes())
        self.assertEqual(str(self.root / "state/adieu/ledger.db"), os.readlink(self.run_dir / "ledger.db"))
        up.terminate()
        self.assertIn("ledger.db.before", up.communicate(timeout=20)[1])

    def test_a_state_directory_that_is_not_there_is_told_at_the_start(self):
        shutil.rmtree(self.root / "state/adieu")
        up = self.start()
        self.assertIn(f"keeping the ledger in {self.root}/state/adieu/", up.communicate(timeout=20)[1])
        self.assertEqual(2, up.returncode)


if __name__ == "__main__":
    unittest.main()
