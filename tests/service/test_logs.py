import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from service.logs import JsonLines, LineWriter, with_facts

ROOT = Path(__file__).resolve().parents[2]


def formatted(record: logging.LogRecord) -> dict[str, object]:
    line = JsonLines().format(record)
    assert "\n" not in line
    parsed: dict[str, object] = json.loads(line)
    return parsed


def test_facts_stand_beside_the_message() -> None:
    record = logging.LogRecord("here", logging.INFO, "f.py", 1, "did %d", (3,), None)
    record.__dict__ |= with_facts({"tokens": 7, "priority": "bulk"})
    line = formatted(record)
    assert line.pop("time")
    assert line == {
        "level": "info",
        "logger": "here",
        "message": "did 3",
        "tokens": 7,
        "priority": "bulk",
    }


def test_an_exception_is_logged_by_type_and_place_and_not_by_its_message() -> None:
    try:
        raise ValueError("quotes a user")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f.py", 1, "fault", (), sys.exc_info())
    line = formatted(record)
    assert line["exception"] == "ValueError"
    assert "test_an_exception_is_logged" in str(line["frames"])
    assert "quotes" not in json.dumps(line)


def test_one_configuration_holds_for_every_logger() -> None:
    """In a process of its own: this one's loggers are pytest's."""
    script = (
        "import logging; from service.logs import configure; configure('warning')\n"
        "logging.getLogger('uvicorn.error').info('quiet')\n"
        "logging.getLogger('uvicorn.error').warning('loud')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE, check=True, text=True
    )
    (line,) = run.stderr.splitlines()
    assert json.loads(line)["message"] == "loud"


def test_lines_that_nobody_reads_are_dropped_counted_and_hold_up_nobody() -> None:
    reading, writing = os.pipe()
    writer = LineWriter(writing)
    line = "x" * 1000
    # Neither the pipe nor the queue has room for so many, and `put` returns all the same.
    for _ in range(10_000):
        writer.put(line)
    with os.fdopen(reading) as reader:
        lines = [reader.readline().strip()]
        while lines[-1] != "end":
            if lines[-1] == line and len(lines) % 1000 == 0:
                writer.put("end")  # there is room again
            lines.append(reader.readline().strip())
    losses = [json.loads(each) for each in lines if each[:1] == "{"]
    assert sum(loss["lines"] for loss in losses) >= 10_000 - len(lines)
    assert {loss["level"] for loss in losses} == {"warning"}


def test_a_reader_that_is_gone_stops_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = LineWriter(writing)
    writer.put("lost")
    writer.drain()
    writer.put("lost as well")
    writer.drain()
