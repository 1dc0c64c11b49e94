"""Keeps completions as they arrive, in an SQLite file that survives however the run ends."""

from dataclasses import astuple
from pathlib import Path
from typing import Self

from trainer.pipeline.ledger_file import LedgerFile
from trainer.synthesis.requests import Completion


class Ledger:
    """All completions of one stage, by the id of their request.

    An appended completion is committed when `append` returns, so killing the process loses none,
    and the first completion of a request is the one that counts. Only processes of one machine may
    write at the same time. Ray workers therefore return their completions to the process that runs
    the stage, which alone writes.

    Raises:
        StageError: the file is damaged, or is no ledger, or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        columns = (
            "id TEXT PRIMARY KEY",
            "text TEXT",
            "finish_reason TEXT",
            "prompt_tokens INT",
            "completion_tokens INT",
        )
        redo = "request all completions again"
        self._rows = LedgerFile(folder / "completions.sqlite", "completions", columns, redo)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def append(self, completion: Completion) -> None:
        """Keep a completion, unless its request has one already."""
        self._rows.append(astuple(completion))

    def completions(self) -> dict[str, Completion]:
        """All completions by request id, in the order of arrival, other processes' included."""
        found = self._rows.select("SELECT * FROM completions ORDER BY rowid")
        return {row[0]: Completion(*row) for row in found}
