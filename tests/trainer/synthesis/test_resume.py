"""A run that was killed or interrupted is continued by the next one."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.trainer.synthesis.corpus import asking, make_corpus, snippet
from tests.trainer.synthesis.server import Server, serving
from trainer.synthesis.describe import DescribeConfig, Description, read_descriptions, run
from trainer.synthesis.ledger import Ledger

SCRIPT = """
import signal
import sys
from pathlib import Path
from tests.trainer.synthesis.corpus import asking
from trainer.synthesis.describe import DescribeConfig, run

# A shell that starts its commands in the background has them ignore it, and children with them.
signal.signal(signal.SIGINT, signal.default_int_handler)
work = Path(sys.argv[2])
run(DescribeConfig(asking(sys.argv[1])), work, work / "describe")
"""
SNIPPETS = 150


class Stopping:
    """Answers a number of requests, then keeps the next ones waiting until `release`."""

    def __init__(self, answers: int) -> None:
        self._answers = threading.Semaphore(answers)
        self._open = threading.Event()
        self.stuck = threading.Event()

    def __call__(self, prompt: str, seed: int | None) -> str:
        if not self._open.is_set() and not self._answers.acquire(blocking=False):
            self.stuck.set()
            self._open.wait(60)
        name = prompt.split("def ")[1].split("(")[0]
        return f"Write a function called {name}."

    def release(self) -> None:
        self._open.set()


def kept(work: Path) -> int:
    with Ledger(work / "describe-answers") as ledger:
        return len(ledger.completions())


def described(server: Server, work: Path) -> list[Description]:
    run(DescribeConfig(asking(server.url)), work, work / "describe")
    return read_descriptions(work / "describe")


def test_killed_in_the_middle_it_goes_on_where_it_was(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        make_corpus(tmp_path / name, [snippet(number) for number in range(SNIPPETS)])
    answers = Stopping(100)
    with serving(answers) as server:
        command = [sys.executable, "-c", SCRIPT, server.url, str(tmp_path / "killed")]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            assert answers.stuck.wait(60)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert not (tmp_path / "killed" / "describe").exists()
        answers.release()
        written = kept(tmp_path / "killed")
        assert 96 <= written <= 100, "only the four requests in flight may be lost"
        asked = len(server.bodies)
        rows = described(server, tmp_path / "killed")
        assert len(server.bodies) - asked == SNIPPETS - written
        assert len(rows) == SNIPPETS
        assert rows == described(server, tmp_path / "whole")


def test_interrupted_by_hand_it_keeps_every_answer(tmp_path: Path) -> None:
    make_corpus(tmp_path, [snippet(number) for number in range(SNIPPETS)])
    answers = Stopping(70)
    with serving(answers) as server:
        command = [sys.executable, "-c", SCRIPT, server.url, str(tmp_path)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=dict(os.environ))
        assert answers.stuck.wait(60)
        process.send_signal(signal.SIGINT)
        process.wait(60)
        answers.release()
        assert 66 <= kept(tmp_path) <= 70
        assert len(described(server, tmp_path)) == SNIPPETS
