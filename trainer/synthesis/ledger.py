"""Answers as they come in: append-only files that survive whatever ends the run."""

import fcntl
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Self

from pydantic import TypeAdapter, ValidationError

from trainer.pipeline.stage import StageError
from trainer.synthesis.requests import Completion

_ROWS_PER_SYNC = 32
_ADAPTER = TypeAdapter(Completion)


class Ledger:
    """All answers of a folder by their question's id. One process at a time writes to it.

    Each run appends to a file of its own, so a line torn by the end of an earlier run stays the
    last of its file, where it is passed over and its question counts as not asked. Of two answers
    to one question the first is the answer.

    Raises:
        StageError: another run has the folder open, or a file is damaged before its last line.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        files = sorted(folder.glob("answers-*.jsonl"))
        try:
            self.answers = _first_of_each(files)
        except StageError:
            self._lock.close()
            raise
        last = int(files[-1].stem.rpartition("-")[2]) if files else -1
        self._file = folder / f"answers-{last + 1:05d}.jsonl"
        self._stream: BinaryIO | None = None
        self._unsynced = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream:
            self._sync(self._stream)
            self._stream.close()
        self._lock.close()

    def append(self, answer: Completion) -> None:
        """Keep it. It is safe from a crash of the machine at the latest when the block ends."""
        if answer.id in self.answers:
            return
        self.answers[answer.id] = answer
        self._stream = self._stream or self._file.open("xb")
        self._stream.write(json.dumps(asdict(answer)).encode() + b"\n")
        self._unsynced += 1
        if self._unsynced >= _ROWS_PER_SYNC:
            self._sync(self._stream)

    def _sync(self, stream: BinaryIO) -> None:
        stream.flush()
        os.fsync(stream.fileno())
        self._unsynced = 0


def _locked(folder: Path) -> BinaryIO:
    """The lock goes with the process that holds it, however that ends."""
    stream = (folder / "lock").open("wb")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        raise StageError(f"another run is writing to {folder}: wait for it to end") from None
    return stream


def _first_of_each(files: list[Path]) -> dict[str, Completion]:
    answers: dict[str, Completion] = {}
    for file in files:
        for answer in _read(file):
            answers.setdefault(answer.id, answer)
    return answers


def _read(file: Path) -> list[Completion]:
    *whole, _torn = file.read_bytes().split(b"\n")
    return [_parse(line, file, number) for number, line in enumerate(whole, start=1)]


def _parse(line: bytes, file: Path, number: int) -> Completion:
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        raise StageError(
            f"{file}, line {number} is no answer: the file was damaged; delete that line, and "
            "its question is asked again"
        ) from None
