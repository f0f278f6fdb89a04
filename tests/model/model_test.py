#!/usr/bin/env python3
# The model of docs/model, checked: nothing forbidden can happen in it, each guard is needed, and transitions.txt is
# what it does.
#
# What lives here: runs of spin, and what must come of them. What does not: the model (docs/model/adieu.pml), the
# comparison with the simulation (tests/sim/model_test.cc, which reads transitions.txt).
#
# usage: model_test.py [--write]      --write: transitions.txt anew, after a change of the model that was meant
import argparse
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

MODEL = Path(__file__).resolve().parents[2] / "docs" / "model"
MEGABYTES = 2000
SECONDS = 600  # of one run, on a busy machine; 65 s of one core

# A guard that the model can do without, the faults it takes to show that, and what spin must then say.
GUARDS = {
    "NO_HEARD_CHECK": (1, "heard_since"),
    "NO_GENERATION_CHECK": (1, ".gen==gen"),
    "NO_EPOCH_CHECK": (1, "old_epoch"),
    "NO_EXPIRY_CHECK": (1, "late"),
    "NO_RECEIPT_ROOM": (1, "kept"),
    "RING_BEFORE_LEDGER": (1, "recorded"),
    "FORGET_BEFORE_LEDGER": (1, "kept"),
    "FEWER_QUESTIONS": (1, "peer!=0"),
    "NO_SPAN": (1, "span>=3"),
    "NEVER_AGAIN": (1, "acceptance cycle"),
    "SPOILED_COUNTS": (1, "peer!=0"),
    "BURIED_ONCE": (2, "kept"),
}


def spin(switches, faults, folder, with_ends=False):
    """What a search of all states says. `with_ends`: for states that nobody can leave, and not for what must happen."""
    defines = [f"-D{switch}" for switch in switches] + [f"-DFAULTS={faults}"]
    steps = [
        ["spin", "-a", *defines, str(MODEL / "adieu.pml")],
        ["gcc", "-O0" if switches else "-O2", "-w", f"-I{MODEL}", "-DNOREDUCE", "-DNOFAIR", f"-DMEMLIM={MEGABYTES}"]
        + (["-DSAFETY", "-DNOCLAIM"] if with_ends else []) + ["-o", "pan", "pan.c"],
        ["./pan", "-m200000", "-w24"] + ([] if with_ends else ["-a"]),
    ]
    for step in steps:
        done = subprocess.run(step, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
        if done.returncode != 0:
            raise RuntimeError(f"{step[0]} failed: {done.stdout}{done.stderr}")
    # Out of memory or depth, pan goes on with a part of the states, and would call that a success.
    for word in ("Search not completed", "max search depth too small", "out of memory"):
        if word in done.stdout and "errors: 0" in done.stdout:
            raise RuntimeError(f"the search is not whole: {word}")
    return done.stdout


def transitions(text):
    return sorted(line for line in text.splitlines() if line.startswith(("verdict: ", "eviction: ", "receipt: ")))


class TheModel(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def test_holds_in_every_state_and_its_transitions_are_those_of_the_file(self):
        said = spin([], 2, self.folder.name)
        self.assertIn("errors: 0", said)
        kept = [line for line in (MODEL / "transitions.txt").read_text().splitlines() if not line.startswith("#")]
        self.assertEqual(transitions(said), kept)

    def test_never_stands_still(self):
        self.assertIn("errors: 0", spin([], 1, self.folder.name, with_ends=True))

    def test_needs_each_guard(self):
        for guard, (faults, word) in GUARDS.items():
            with self.subTest(guard):
                said = spin([guard], faults, self.folder.name)
                self.assertIn("errors: 1", said)
                blame = next(line for line in said.splitlines() if line.startswith("pan:1:"))
                self.assertIn(word, blame)


def write():
    with tempfile.TemporaryDirectory() as folder:
        said = spin([], 2, folder)
    if "errors: 0" not in said:
        sys.exit(said)
    head = ["# Every transition of adieu.pml; tests/model/model_test.py --write makes this file.",
            "# verdict: BEFORE, heard since the last recorded verdict -> AFTER, COMMAND.",
            "# eviction (over budget): STANDING.  receipt: COMMAND -> OUTCOME."]
    (MODEL / "transitions.txt").write_text("\n".join(head + transitions(said)) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    known, rest = parser.parse_known_args()
    if known.write:
        write()
    else:
        unittest.main(argv=[sys.argv[0], *rest])
