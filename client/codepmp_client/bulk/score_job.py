"""The job of a run over a file, its totals, and the observer that is told of its progress."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from codepmp_client.bulk.columns import Columns, detect
from codepmp_client.bulk.servers import Model
from codepmp_client.bulk.tables import Record
from codepmp_client.inputs import BULK, Options


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """The arguments of one call of `codepmp-score rows`.

    Attributes:
        columns: finds the columns by the first row; it may raise UsageError.
        concurrency: the maximum of requests in flight to one server.
        patience: seconds for which a request is tried again, while a server restarts for example.
        overwrite: whether columns of the new ones' names are replaced.
        replace: whether a file at `target` is replaced.
        bad_rows: what lines that are no rows do: fail the run at its end, or stay out of it.
        mixed_versions: whether rows may be scored by different versions.
        restart: whether the scores of an earlier run are forgotten.
    """

    source: str
    target: str
    urls: tuple[str, ...]
    columns: Callable[[Record], Columns] = detect
    options: Options = BULK
    api_key: str | None = field(default=None, repr=False)
    concurrency: int = 16
    patience: float = 600.0
    overwrite: bool = False
    replace: bool = False
    bad_rows: Literal["error", "skip"] = "error"
    mixed_versions: bool = False
    restart: bool = False


@dataclass(slots=True)
class Totals:
    """Counts of one run.

    Attributes:
        rows: that were written.
        scored: of them, rows all of whose candidates have a score.
        errors: candidates, and rows that are invalid, by the error's code.
        reused: rows whose scores an earlier run had left.
        duplicates: rows with the content of an earlier one of this run.
        bad_rows: lines that are no rows.
        models: names and versions that gave the scores.
    """

    rows: int = 0
    scored: int = 0
    candidates: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    reused: int = 0
    duplicates: int = 0
    bad_rows: int = 0
    models: list[Model] = field(default_factory=list)


class Observer(Protocol):
    """Is told how a run goes on."""

    def note(self, text: str) -> None:
        """Something that a person should know."""

    def expect(self, rows: int | None) -> None:
        """The input has about so many rows; None where its length is not known."""

    def advance(self, rows: int) -> None:
        """Count rows that have their scores."""
