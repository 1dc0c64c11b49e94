"""One JSON object a line on standard error. No line ever holds a user's text.

Exceptions are logged by type and place only, because their messages may quote what they failed on.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType

Facts = dict[str, str | int | float | None]


class JsonLines(logging.Formatter):
    """Time, level, logger, message, and whatever `facts` the call gave with `extra`."""

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
            line["exception"] = record.exc_info[0].__name__
            line["frames"] = _frames(record.exc_info[2])
        return json.dumps(line, default=str)


def configure(level: str) -> None:
    """Send every logger of the process, and Python's warnings, through `JsonLines`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)


def with_facts(facts: Facts) -> dict[str, Facts]:
    """For a logging call's `extra`."""
    return {"facts": facts}


def _frames(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
