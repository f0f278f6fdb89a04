#!/usr/bin/env python3
"""What the command line says of itself: help, shell completion and man pages, all made from one description.

usage: told_test.py ADIEU
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ADIEU = sys.argv.pop(1)


def run(*arguments, **more):
    return subprocess.run(arguments, capture_output=True, text=True, timeout=20, **more)


def words_of(help_text, section):
    """(name, help) of each entry of a section of --help; what is longer than a line is joined."""
    entries, inside = [], False
    for line in help_text.splitlines():
        if not line.startswith(" "):
            inside = line == section + ":"
        elif inside and line[2] != " ":
            name, _, text = line[2:].partition("  ")
            entries.append([name.strip(), text.strip()])
        elif inside:
            entries[-1][1] += " " + line.strip()
    return entries


def paths():
    """Every command, as the words that call it."""
    def below(path):
        yield path
        for name, _ in words_of(run(ADIEU, *path, "--help").stdout, "Commands"):
            yield from below([*path, name])
    return list(below([]))


class Help(unittest.TestCase):
    def test_every_command_and_every_option_has_help(self):
        self.assertGreater(len(paths()), 6)
        for path in paths():
            text = run(ADIEU, *path, "--help").stdout
            entries = [e for s in ("Arguments", "Options", "Commands") for e in words_of(text, s)]
            self.assertTrue(entries)
            for name, says in entries:
                self.assertGreater(len(says.strip()), 4, (path, name))
            for residue in ("{", "}", "TEXT:", "UINT", "Excludes", " in ["):
                self.assertNotIn(residue, text, path)
            self.assertLessEqual(max(map(len, text.splitlines())), 100, path)


class Completion(unittest.TestCase):
    def complete(self, *words):
        """What bash offers after these words, the last of them unfinished."""
        script = run(ADIEU, "completion", "bash").stdout + """
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
$(complete -p adieu | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""
        path = os.path.dirname(ADIEU) + ":" + os.environ["PATH"]
        done = run("bash", "-c", script, "bash", *words, env={"PATH": path})
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_scripts_are_sound(self):
        for shell in ("bash", "zsh", "fish"):
            script = run(ADIEU, "completion", shell)
            self.assertEqual(script.returncode, 0)
            if shutil.which(shell):
                done = run(shell, "-n", "/dev/stdin", input=script.stdout)
                self.assertEqual((done.returncode, done.stderr), (0, ""), shell)
            for path in paths():
                for name, _ in words_of(run(ADIEU, *path, "--help").stdout, "Options"):
                    option = name.split(",")[-1].split()[0].lstrip("-")
                    self.assertIn(option, script.stdout, (shell, path))

    def test_bash_completes_commands_options_and_values(self):
        self.assertEqual(self.complete("adieu", "l"), ["ls", "log", "lab"])
        self.assertEqual(self.complete("adieu", "ls", "--so"), ["--sort"])
        self.assertEqual(self.complete("adieu", "ls", "--sort", "st"), ["state", "standing"])
        self.assertEqual(self.complete("adieu", "completion", "z"), ["zsh"])
        self.assertEqual(self.complete("adieu", "ls", "--no-such"), [])

    def test_bash_completes_filters_by_the_words_that_the_parser_knows(self):
        refusal = run(ADIEU, "ls", "moon").stderr.splitlines()[0]
        known = set(re.split(r",\s*|\s+or\s+", refusal.split("write ")[1]))
        self.assertGreater(len(known), 15)
        for command in ("ls", "watch", "end"):
            self.assertLessEqual(known, set(self.complete("adieu", command, "")))
            self.assertEqual(self.complete("adieu", command, "state", "close"), ["closed", "close-wait"])
            self.assertEqual(self.complete("adieu", command, "state", "closed", "or", "standing", "=", "g"), ["gone"])
            for word in ("state", "standing", "held", "holder", "eof", "family"):
                for value in self.complete("adieu", command, word, ""):
                    done = run(ADIEU, "ls", "--run-dir", "/nonexistent", word, value)
                    self.assertNotIn("filter:", done.stderr, (word, value))
        self.assertNotIn("standing", self.complete("adieu", "why", ""))


class Man(unittest.TestCase):
    def test_every_command_has_a_page_without_a_warning(self):
        with tempfile.TemporaryDirectory() as directory:
            self.assertEqual(run(ADIEU, "man", "--into", directory).returncode, 0)
            names = {"adieu.1"} | {f"adieu-{path[0]}.1" for path in paths() if path}
            self.assertEqual(set(os.listdir(directory)), names)
            for name in sorted(names):
                done = run("groff", "-ww", "-man", "-Tutf8", os.path.join(directory, name))
                self.assertEqual((done.returncode, done.stderr), (0, ""), name)
                plain = re.sub("\x1b\\[[0-9;]*m|.\x08", "", done.stdout)
                for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SEE ALSO"):
                    self.assertIn("\n" + section + "\n", plain, name)

    def test_a_page_tells_each_option(self):
        for path in paths():
            page = run(ADIEU, "man", *path[:1]).stdout.replace("\\-", "-")
            for name, _ in words_of(run(ADIEU, *path, "--help").stdout, "Options"):
                self.assertIn(name.split(",")[-1].split()[0], page, path)

    def test_an_unknown_page_is_refused(self):
        done = run(ADIEU, "man", "moon")
        self.assertEqual((done.returncode, done.stdout), (2, ""))


if __name__ == "__main__":
    unittest.main()
