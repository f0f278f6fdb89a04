#!/usr/bin/env python3
"""`adieu lab` as people use it: its words, its exit codes, its three forms, and the rows that need its control plane.

What does not live here: the experiments one by one (tests/lab/experiment_test.cc).

usage: lab_test.py ADIEU
"""
import json
import os
import subprocess
import sys
import unittest

ADIEU = sys.argv.pop(1)
MEMBERS = {"name", "said", "source", "verdict", "release", "kernel", "engine"}
CELL = {"course", "text", "as_said", "figures", "set", "seconds"}
ASKED = ["keepalive-form", "keepalive-dead-peer", "conntrack-half-closed"]  # by the control plane


def lab(*arguments):
    return subprocess.run([ADIEU, "lab", *arguments], capture_output=True, text=True, timeout=50)


def needs_worlds(test):
    allowed = os.getuid() == 0 and os.access("/dev/net/tun", os.R_OK | os.W_OK) and \
        subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode == 0
    return unittest.skipUnless(allowed, "NOTHING WAS TESTED: no namespaces or no /dev/net/tun here")(test)


class Words(unittest.TestCase):
    def test_the_list_has_every_name_once_and_fits_a_screen(self):
        done = lab("--list")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        names = [line.split()[0] for line in lines if not line.startswith(" ")]
        self.assertEqual(len(names), len(set(names)))
        self.assertIn("fin-wait-2-held", names)
        self.assertLessEqual(max(map(len, lines)), 100)

    def test_an_unknown_name_is_one_line_and_status_2(self):
        done = lab("no-such")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertRegex(done.stderr, r"^adieu: there is no experiment `no-such`; see `adieu lab --list`\n$")


@needs_worlds
class Rows(unittest.TestCase):
    def test_where_the_control_plane_asks_both_ends_are_measured(self):
        done = lab("--quick", "--json", *ASKED)
        rows = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
        self.assertEqual(set(rows), set(ASKED), done.stderr)
        for name, row in rows.items():
            self.assertEqual(set(row), MEMBERS, name)
            if row["kernel"]["course"] == "skipped":  # a kernel without conntrack
                continue
            self.assertIn(row["verdict"], ("as said", "not as said"), row["kernel"]["text"])
            for side in ("kernel", "engine"):
                self.assertEqual(set(row[side]), CELL, name)
                self.assertEqual(row[side]["course"], "measured", row[side]["text"])
                self.assertTrue(row[side]["figures"], name)
        # The claim of adieu itself, not of the kernel: asked, a half-closed connection stays of use behind a router.
        if rows["conntrack-half-closed"]["engine"]["course"] == "measured":
            self.assertEqual(rows["conntrack-half-closed"]["engine"]["figures"]["half_heard"], 1)

    def test_the_table_fits_and_says_how_many_were_as_said(self):
        done = lab("--quick", "shut-rd-silent", "close-unread")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 100)
        self.assertRegex(done.stdout, r"\d as said, \d not as said, 0 skipped, 0 failed; \d+ s\.\n$")

    def test_markdown_has_a_section_for_each(self):
        done = lab("--quick", "--markdown", "shut-rd-silent", "close-unread")
        self.assertEqual(done.returncode, 0)
        self.assertEqual([line for line in done.stdout.splitlines() if line.startswith("## ")],
                         ["## close-unread", "## shut-rd-silent"])


if __name__ == "__main__":
    unittest.main()
