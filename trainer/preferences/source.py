"""One data set: where it is, how it is read, how much it counts; and what became of its rows."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from trainer.pairs.row import PreferenceRow, Request
from trainer.pipeline.stage import StageError
from trainer.preferences.files import Dataset, files_of
from trainer.preferences.formats.format import Format, RatedAnswers
from trainer.preferences.formats.hh import Hh
from trainer.preferences.formats.labelled import Labelled
from trainer.preferences.formats.math_shepherd import MathShepherd
from trainer.preferences.formats.multiple_choice import MultipleChoice
from trainer.preferences.formats.trl import Trl
from trainer.preferences.formats.ultrafeedback import UltraFeedback
from trainer.preferences.pairing import Pairing, rows_of
from trainer.tables.files import Found, read_file
from trainer.tables.record import Record, Unusable

_MOST_COLUMNS, _LONGEST_COLUMN = 20, 40
"""Shown of a file of another shape, whose keys may be anything."""


@dataclass(frozen=True)
class Source:
    """A data set of the mixture.

    Attributes:
        name: what its rows are called by in every report.
        paths: files or folders, seen from the work folder; or `dataset`, one of the two.
        group: column that names the unit of hold-out: a repository, a problem's id. Without, it
            is the request's opening, or the passage of a multiple-choice question.
        split: the one split all of it belongs to: data whose makers hold some of it out, or whose
            licence forbids training. Without, groups are held out by their hash.
        weight: of its pairs in the losses.
        share: of all training rows. Sources then keep as many rows as fit the shares of all, none
            twice; either every source that is trained on has one, or none has.
        max_rows: training rows kept. They are drawn by hash: fewer are a part of more.
    """

    name: str
    format: Trl | UltraFeedback | Hh | MathShepherd | MultipleChoice | Labelled
    paths: tuple[str, ...] = ()
    dataset: Dataset | None = None
    pairing: Pairing = field(default_factory=Pairing)
    group: str = ""
    split: Literal["", "train", "calibration", "evaluation"] = ""
    weight: float = 1.0
    share: float | None = None
    max_rows: int | None = None


@dataclass
class Account:
    """What became of a source.

    Attributes:
        read: rows read by their fate; each row counts once.
        first: for each reason against a row, where it was met first.
        answers: fates of answers and of pairs.
        made: pair rows by where they went; each row counts once.
    """

    read: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)

    def facts(self) -> dict[str, object]:
        """For the manifest."""
        counts = {"read": self.read, "answers": self.answers, "made": self.made}
        return {"first": self.first, **{name: dict(+count) for name, count in counts.items()}}

    def left_out(self, reason: Unusable, rows: list[str]) -> None:
        self.read[str(reason)] += len(rows)
        self.first.setdefault(str(reason), rows[0])


@dataclass
class _Request:
    """A judged request, and the rows it is from."""

    judged: RatedAnswers
    rows: list[str]


def convert(source: Source, work: Path, seed: int, account: Account) -> list[PreferenceRow]:
    """All pairs of a source.

    Raises:
        StageError: it cannot be read, has other columns, or yields nothing at all.
    """
    made: list[PreferenceRow] = []
    for request in _requests(source, work, account):
        try:
            made += rows_of(request.judged, source.pairing, seed, source.name, account.answers)
        except Unusable as reason:
            account.left_out(reason, request.rows)
        else:
            account.read["used"] += len(request.rows)
    if not made:
        raise StageError(_nothing(source, account))
    return [replace(row, weight=source.weight) for row in made]


def _requests(source: Source, work: Path, account: Account) -> list[_Request]:
    """Rows of one request are one, where the format says that they belong together."""
    merged: dict[Request, _Request] = {}
    found: list[_Request] = []
    for place, record in tqdm(_records(source, work), desc=source.name, unit=" rows"):
        try:
            judged = _judge(source, record)
        except Unusable as reason:
            account.left_out(reason, [place])
            continue
        known = merged.get(judged.prompt)
        if known is None:
            found.append(_Request(judged, [place]))
            if source.format.merges:
                merged[judged.prompt] = found[-1]
        else:
            answers = (*known.judged.answers, *judged.answers)
            known.judged = replace(known.judged, answers=answers)
            known.rows.append(place)
    return found


def _judge(source: Source, record: Record | Unusable) -> RatedAnswers:
    if isinstance(record, Unusable):
        raise record
    if absent := [column for column in _columns(source) if column not in record]:
        raise Unusable(f"no column {absent[0]}")
    how: Format = source.format
    judged = how.judge(record)
    if source.group:
        return replace(judged, group=f"{source.name}/{record[source.group]}")
    return judged


def _columns(source: Source) -> list[str]:
    return [*source.format.columns, *filter(None, [source.group])]


def _records(source: Source, work: Path) -> Iterator[tuple[str, Record | Unusable]]:
    if source.dataset is not None:
        yield from _placed(source, source.dataset.path, source.dataset.read())
    for path in source.paths:
        for file in files_of(work / path):
            yield from _placed(source, file.name, read_file(file))


def _placed(
    source: Source, name: str, rows: Iterator[Found]
) -> Iterator[tuple[str, Record | Unusable]]:
    """A file whose first row has other columns is another format, not a row left out."""
    for count, (number, record) in enumerate(rows):
        if count == 0:
            _require_columns(source, name, record)
        yield f"{name}:{number}", record


def _require_columns(source: Source, name: str, record: Record | Unusable) -> None:
    seen = {} if isinstance(record, Unusable) else record
    expected = _columns(source)
    if seen.keys() >= set(expected):
        return
    shown = ", ".join(column[:_LONGEST_COLUMN] for column in list(seen)[:_MOST_COLUMNS])
    raise StageError(
        f"{name}: the format {source.format.kind} expects the columns {', '.join(expected)}, and "
        f"the first row has {shown or 'none'}: name the columns in the source's format, or "
        "take another format"
    )


def _nothing(source: Source, account: Account) -> str:
    reasons = "; ".join(
        f"{reason} ({count}, first at {account.first[reason]})"
        for reason, count in account.read.most_common()
    )
    return (
        f"the source {source.name} yields no pair as {source.format.kind}: {reasons or 'no rows'}"
    )
