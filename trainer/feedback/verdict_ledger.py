"""Keeps verdicts as they arrive, in a file that survives however the work ends."""

import hashlib
import json
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Self

from trainer.feedback.pass_count import Verdict
from trainer.feedback.problem import Problem
from trainer.pipeline.ledger_file import LedgerFile

FORM = 1
"""Number of the way in which programs are judged; another way makes earlier verdicts void."""


def verdicts_key(problem: Problem, code: str, settings: tuple[object, ...]) -> str:
    """The identity of a grading, the same in every process: whatever could change its verdicts."""
    tests = [asdict(test) for test in problem.tests]
    parts = [tests, problem.entry_point, problem.setup, problem.sequences_alike]
    text = json.dumps([FORM, *parts, code, *settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class VerdictLedger:
    """Verdicts by their keys. Any number of threads may use it.

    Raises:
        StageError: the file is damaged, is no ledger, or cannot be written.
    """

    def __init__(self, file: Path) -> None:
        columns = ("key TEXT PRIMARY KEY", "verdicts TEXT")
        self._rows = LedgerFile(file, "verdicts", columns, "grade all programs again")
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def append(self, key: str, verdicts: tuple[Verdict, ...]) -> None:
        """Keep verdicts, unless the sandbox failed: then they say nothing about the program."""
        if Verdict.INFRASTRUCTURE not in verdicts:
            with self._lock:
                self._rows.append((key, " ".join(verdicts)))

    def find(self, key: str) -> tuple[Verdict, ...] | None:
        """The verdicts of a grading; None if it has not been made yet."""
        with self._lock:
            for (text,) in self._rows.select("SELECT verdicts FROM verdicts WHERE key = ?", (key,)):
                return tuple(map(Verdict, text.split()))
        return None
