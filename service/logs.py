"""Logs one JSON object per line on standard error. No line ever holds a user's text."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

Facts = dict[str, str | int | float | None]


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


def configure(level: str) -> None:
    """Send every logger of the process, and Python's warnings, through `JsonLines`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)


def with_facts(facts: Facts) -> dict[str, Facts]:
    """Return the `extra` of a logging call that adds these facts to its line."""
    return {"facts": facts}
