"""Keeps the outcome of every run as it arrives, in a file that survives however the stage ends."""

import hashlib
import json
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Self

from trainer.feedback.programs import OUTPUT_FORM, ProgramJob
from trainer.feedback.sandbox.types import Input, Limits, Status
from trainer.pipeline.ledger_file import LedgerFile


@dataclass(frozen=True)
class RecordedRun:
    """The recorded outcome of one run.

    Attributes:
        output: the canonical text of what came out, or its hash; empty unless it ended `OK`.
        error: the type of the exception, or another few words for people.
    """

    status: Status
    output: str = ""
    error: str = ""
    cpu_seconds: float = 0.0
    peak_memory: int = 0


def run_key(job: ProgramJob, input_: Input, limits: Limits, repeat: int, isolation: str) -> str:
    """The identity of a run, the same in every process: whatever could change its outcome."""
    parts = [asdict(part) for part in (input_, limits, job.comparison)]
    text = json.dumps([job.program_hash, *parts, repeat, isolation, OUTPUT_FORM], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class RunLedger:
    """All runs of one stage by their keys, for one thread at a time.

    The first outcome of a run is the one that counts. A run that the sandbox could not make has no
    outcome, and is made again by the next run of the stage.

    Raises:
        StageError: the file is damaged, is no ledger, or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        columns = (
            "key TEXT PRIMARY KEY",
            "status TEXT",
            "output TEXT",
            "error TEXT",
            "cpu_seconds REAL",
            "peak_memory INT",
        )
        self._rows = LedgerFile(folder / "runs.sqlite", "runs", columns, "run all programs again")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def append(self, key: str, run: RecordedRun) -> None:
        """Keep an outcome, unless its run has one already."""
        assert run.status is not Status.INFRASTRUCTURE, "it says nothing about the program"
        self._rows.append((key, *astuple(run)))

    def find(self, key: str) -> RecordedRun | None:
        """The outcome of a run; None if it has not been made yet."""
        # One look-up at a time: the runs of a large stage do not fit into memory.
        query = "SELECT status, output, error, cpu_seconds, peak_memory FROM runs WHERE key = ?"
        for status, *rest in self._rows.select(query, (key,)):
            return RecordedRun(Status(status), *rest)
        return None


def ledger_path(stage: Path) -> Path:
    """The folder of a stage's runs. It stands beside the stage's own folder, which is replaced as a
    whole whenever the stage runs."""
    return stage.with_name(f"{stage.name}-ledger")
