"""`adieu up` as long as a test wants it.

What lives here: its start, until it is up; questions to it; its end. What does not: what it is asked.
"""
import signal
import subprocess
import tempfile


class Up:
    """`adieu up` with these words, up, as long as a `with` lasts; in a run directory of its own. `through`: a command
    that starts it."""

    def __init__(self, program, *words, through=()):
        self.program = program
        self.command = [*through, program, "up", *words]

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory()
        self.run_dir = self.directory.name + "/run"
        self.around = ("--run-dir", self.run_dir)
        self.errors = open(self.directory.name + "/errors", "w+", encoding="utf-8")
        self.process = subprocess.Popen([*self.command, *self.around], stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True)
        if not self.process.stdout.readline().startswith("adieu: up"):
            self.process.wait(20)
            raise AssertionError(self.said())
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.process.stdout.close()
        self.errors.close()
        self.directory.cleanup()

    def said(self):
        """On stderr, until now."""
        self.errors.seek(0)
        return self.errors.read()

    def adieu(self, *words, **more):
        return subprocess.run([self.program, *words, *self.around], capture_output=True, text=True, timeout=30, **more)
