"""Logs one JSON object per line on standard error. No line ever holds a user's text.

A thread writes the lines, so that a reader that stops reading, or a slow disk, never holds up the
event loop. What does not fit into the queue is dropped and counted.
"""

import json
import logging
import os
import queue
import sys
import threading
import time
import traceback
from datetime import UTC, datetime

Facts = dict[str, str | int | float | None]

# Lines that wait to be written; at some 500 bytes a line, this is 2 MB.
_MAX_WAITING = 4096

# Seconds that the end of the process waits for a reader that takes no more lines.
_LAST_LINES_SECONDS = 1.0


class JsonLines(logging.Formatter):
    """Formats time, level, logger, message, and the `facts` that a call passes with `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "facts", {})
        if record.exc_info and record.exc_info[0]:
            # Type and place only: the message may quote the text that it failed on.
            line["exception"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])
            line["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(line, default=str)


class LineWriter:
    """Writes lines to a file descriptor from a thread of its own; `put` never waits.

    A line that says how many were lost stands before the next one that is written.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: queue.Queue[str] = queue.Queue(_MAX_WAITING)
        self._lost = 0
        # A daemon, because a write to a reader that never reads again cannot be interrupted.
        threading.Thread(target=self._run, name="log-writer", daemon=True).start()

    def put(self, line: str) -> None:
        """Queue a line, or count it as lost when too many wait."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._lost += 1

    def drain(self, seconds: float = _LAST_LINES_SECONDS) -> None:
        """Wait until every line is written, at most for this time."""
        deadline = time.monotonic() + seconds
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.002)

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            if lost := self._lost:
                self._lost -= lost
                message = "lines were lost, because nobody read them or the disk is full"
                record = logging.LogRecord(__name__, logging.WARNING, "", 0, message, (), None)
                record.__dict__ |= with_facts({"lines": lost})
                line = f"{JsonLines().format(record)}\n{line}"
            # Below Python's buffers: their locks would be held by this thread while it waits, and
            # the interpreter's end needs them.
            left = memoryview(f"{line}\n".encode(errors="backslashreplace"))
            try:
                while left:
                    left = left[os.write(self._descriptor, left) :]
            except OSError:
                self._lost += 1  # a full disk or a closed pipe; the next line may get through
            self._lines.task_done()


class _QueuedLines(logging.Handler):
    """Formats where the call is made, and leaves the writing to a `LineWriter`."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self._writer = LineWriter(descriptor)

    def emit(self, record: logging.LogRecord) -> None:
        self._writer.put(self.format(record))

    def flush(self) -> None:
        # `logging.shutdown` calls this at the end of the process.
        self._writer.drain()


def configure(level: str) -> None:
    """Send every logger of the process, and Python's warnings, to standard error as JSON."""
    handler = _QueuedLines(sys.stderr.fileno())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)


def with_facts(facts: Facts) -> dict[str, Facts]:
    """Return the `extra` of a logging call that adds these facts to its line."""
    return {"facts": facts}
