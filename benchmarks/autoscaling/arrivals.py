"""When requests arrived and how many tokens each cost, as a service's own log says it."""

import datetime
import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast


@dataclass(frozen=True)
class Arrival:
    """One request that was scored.

    Attributes:
        seconds: since the first one of its log.
        tokens: that were computed for it.
    """

    seconds: float
    tokens: int


def read_arrivals(log: Path) -> list[Arrival]:
    """In order of arrival, from JSON lines as the service logs them; `.gz` is unpacked.

    Raises:
        ValueError: no request of the log was scored.
    """
    opener = gzip.open if log.suffix == ".gz" else open
    with opener(log, "rt", encoding="utf-8") as lines:
        found = sorted(_scored(lines), key=lambda arrival: arrival.seconds)
    if not found:
        raise ValueError(f"no scored request in {log}: was --log-level info or debug?")
    first = found[0].seconds
    return [Arrival(arrival.seconds - first, arrival.tokens) for arrival in found]


def write_arrivals(arrivals: Sequence[Arrival], file: Path) -> None:
    """As lines that `read_arrivals` takes: of a log, the fields that it needs."""
    began = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
    with gzip.open(file, "wt", encoding="utf-8") as lines:
        for arrival in arrivals:
            time = began + datetime.timedelta(seconds=arrival.seconds)
            row = {
                "time": time.isoformat(timespec="milliseconds"),
                "computed_tokens": arrival.tokens,
            }
            lines.write(json.dumps({**row, "total_ms": 0}) + "\n")


def _scored(lines: Iterable[str]) -> Iterable[Arrival]:
    """With seconds of the epoch. A line is written when its request is answered."""
    for line in lines:
        row = cast(dict[str, str], json.loads(line)) if line.startswith("{") else {}
        if tokens := int(row.get("computed_tokens", 0)):
            answered = datetime.datetime.fromisoformat(row["time"]).timestamp()
            yield Arrival(answered - float(row["total_ms"]) / 1000, tokens)
