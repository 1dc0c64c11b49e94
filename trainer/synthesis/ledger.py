"""Keeps completions as they arrive, in an SQLite file that survives however the run ends."""

import json
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
            "tokens TEXT DEFAULT '[]'",
        )
        redo = "request all completions again"
        self._rows = LedgerFile(folder / "completions.sqlite", "completions", columns, redo)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def append(self, completion: Completion) -> None:
        """Keep a completion, unless its request has one already."""
        each = completion
        tokens = [each.prompt_ids, each.token_ids, each.log_probs]
        said = (each.id, each.text, each.finish_reason, each.prompt_tokens, each.completion_tokens)
        self._rows.append((*said, json.dumps(tokens if any(tokens) else [])))

    def completions(self) -> dict[str, Completion]:
        """All completions by request id, in the order of arrival, other processes' included."""
        found = self._rows.select("SELECT * FROM completions ORDER BY rowid")
        return {row[0]: Completion(*row[:-1], *map(tuple, json.loads(row[-1]))) for row in found}
