"""One data set of a mixture: where it is, how it is read, how much it counts."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from reward_model.text.chat import TemplateInputs
from trainer.pairs.row import PreferenceRow, Request
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.stage import StageError
from trainer.preferences.formats.compared import Compared
from trainer.preferences.formats.format import Format, RatedAnswers
from trainer.preferences.formats.hh import Hh
from trainer.preferences.formats.labelled import Labelled
from trainer.preferences.formats.math_shepherd import MathShepherd
from trainer.preferences.formats.messages import SHARED_COLUMNS
from trainer.preferences.formats.multiple_choice import MultipleChoice
from trainer.preferences.formats.stepwise import Stepwise
from trainer.preferences.formats.trl import Trl
from trainer.preferences.formats.ultrafeedback import UltraFeedback
from trainer.preferences.formats.unpaired import Unpaired
from trainer.preferences.pairing import Pairing, rows_of
from trainer.tables.files import NumberedRow, find_files, read_file
from trainer.tables.record import Record, Unusable
from trainer.tables.streamed import streamed

ASPECT = "aspect"
"""The column of a row's criterion, where a source names no other."""

# Limits of the columns that an error message lists: the keys of a file may be anything.
_MAX_COLUMNS, _MAX_COLUMN_LENGTH = 20, 40


AnyFormat = (
    Trl
    | UltraFeedback
    | Hh
    | MathShepherd
    | Stepwise
    | MultipleChoice
    | Labelled
    | Unpaired
    | Compared
)
"""Each format; the field `kind` tells them apart in a recipe's file."""


@dataclass(frozen=True)
class Dataset:
    """The arguments of `datasets.load_dataset`: a name on the hub, or a folder.

    Attributes:
        subset: name of one of its configurations, if it has several.
        revision: commit or tag; without one the newest is read, which may be another one tomorrow.
    """

    path: str
    subset: str | None = None
    split: str = "train"
    revision: str | None = None

    def read(self) -> Iterator[NumberedRow]:
        rows = streamed(self.path, self.subset, split=self.split, revision=self.revision)
        yield from enumerate(rows, start=1)


@dataclass(frozen=True)
class PreferenceSource:
    """A data set of the mixture.

    Attributes:
        name: name of its rows in every report.
        paths: files or folders, relative to the work folder. A source has either these or
            `dataset`.
        group: column that names the unit of hold-out: a repository, a problem's id. Without it,
            the unit is the request's opening, or the passage of a multiple-choice question.
        aspect: column that names the criterion of a row, such as readability. The usual one may be
            absent, and a row without a value is of no criterion; empty reads none.
        split: the one split that all rows belong to, for data whose makers hold some of it out, or
            whose license forbids training. Without it, groups are held out by their hash.
        weight: weight of its pairs in the losses.
        share: share of all training rows. Every source keeps as many rows as the shares allow, and
            none comes twice; either every source that is trained on has a share, or none has.
        max_rows: training rows that are kept. They are drawn by hash, so that the rows of a lower
            limit are among those of a higher one.
    """

    name: str
    format: AnyFormat
    paths: tuple[str, ...] = ()
    dataset: Dataset | None = None
    pairing: Pairing = field(default_factory=Pairing)
    group: str = ""
    aspect: str = ASPECT
    split: Literal["", "train", "calibration", "evaluation"] = ""
    weight: float = 1.0
    share: float | None = None
    max_rows: int | None = None

    @property
    def columns(self) -> list[str]:
        """Columns that every row must have."""
        named = self.aspect if self.aspect != ASPECT else ""
        return [*self.format.columns, *filter(None, [self.group, named])]

    @property
    def known(self) -> set[str]:
        """Columns that are read where a row has them."""
        named = {value for value in vars(self.format).values() if isinstance(value, str)}
        return named | {self.group, self.aspect} | SHARED_COLUMNS


@dataclass
class ReadingReport:
    """The fates of a source's rows.

    Attributes:
        read: rows read by their fate; each row counts once.
        first: for each reason against a row, where it was met first.
        answers: fates of answers and of pairs.
        made: pair rows by where they went; each row counts once.
        ignored: columns that hold something and are not read, with the number of such rows.
    """

    read: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)

    def facts(self) -> dict[str, object]:
        """The report as it goes into a stage's manifest."""
        most = Counter(dict(self.ignored.most_common(_MAX_COLUMNS)))
        counts = {"read": self.read, "answers": self.answers, "made": self.made, "ignored": most}
        return {"first": self.first, **{name: dict(+count) for name, count in counts.items()}}

    def leave_out(self, reason: Unusable, places: list[str]) -> None:
        self.read[str(reason)] += len(places)
        self.first.setdefault(str(reason), places[0])


def convert(
    source: PreferenceSource,
    work: Path,
    seed: int,
    report: ReadingReport,
    *,
    quiet: bool = False,
) -> list[PreferenceRow]:
    """All pairs of a source; every row's fate is added to the report.

    Args:
        quiet: show no progress bar.

    Raises:
        StageError: it cannot be read, has other columns, or yields nothing at all.
    """
    requests: list[tuple[RatedAnswers, list[str]]] = []
    # What answers are compared under -> its index, where rows of one request belong together.
    merged: dict[tuple[Request, TemplateInputs, str], int] = {}
    read_columns = source.known
    for place, record in ProgressBar(
        read_records(source, work), desc=source.name, unit=" rows", disable=quiet
    ):
        if isinstance(record, dict):
            held = (column for column, value in record.items() if value not in (None, "", [], {}))
            report.ignored.update(
                each[:_MAX_COLUMN_LENGTH] for each in held if each not in read_columns
            )
        try:
            rated = rate(source, record)
        except Unusable as reason:
            report.leave_out(reason, [place])
            continue
        index = merged.get((rated.prompt, rated.inputs, rated.aspect))
        if index is not None:
            known, places = requests[index]
            answers = (*known.answers, *rated.answers)
            requests[index] = replace(known, answers=answers), [*places, place]
            continue
        if source.format.merges:
            merged[rated.prompt, rated.inputs, rated.aspect] = len(requests)
        requests.append((rated, [place]))

    # Pairs are made once all rows are read, because a later row may hold the better answer.
    rows: list[PreferenceRow] = []
    for rated, places in requests:
        try:
            rows += rows_of(rated, source.pairing, seed, source.name, report.answers)
        except Unusable as reason:
            report.leave_out(reason, places)
        else:
            report.read["used"] += len(places)
    if not rows:
        reasons = "; ".join(
            f"{reason} ({count}, first at {report.first[reason]})"
            for reason, count in report.read.most_common()
        )
        raise StageError(
            f"the source {source.name} yields no pair as {source.format.kind}: "
            f"{reasons or 'no rows'}"
        )
    return [replace(row, weight=source.weight) for row in rows]


def rate(source: PreferenceSource, record: Record | Unusable) -> RatedAnswers:
    """A row's request with its rated answers. Raises Unusable with the reason against the row."""
    if isinstance(record, Unusable):
        raise record
    if absent := [column for column in source.columns if column not in record]:
        raise Unusable(f"no column {absent[0]}")
    reader: Format = source.format  # mypy checks here that every class of the union is a Format
    rated = replace(reader.rate(record), aspect=aspect_of(record, source.aspect))
    if source.group:
        return replace(rated, group=f"{source.name}/{record[source.group]}")
    return rated


def aspect_of(record: Record, column: str) -> str:
    """The criterion that a row names; empty for none. Raises Unusable if it is not text."""
    value = record.get(column) if column else None
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unusable(f"{column} is not the name of a criterion: name another column as `aspect`")
    return value.strip()


def read_records(source: PreferenceSource, work: Path) -> Iterator[tuple[str, Record | Unusable]]:
    """All rows of a source, each with its file and number.

    Raises:
        StageError: the first row of a file is not readable, or has other columns. Such a file is in
            another format; a later row of that kind is left out by itself.
    """
    tables: list[tuple[str, Iterator[NumberedRow]]] = []
    if source.dataset is not None:
        tables.append((source.dataset.path, source.dataset.read()))
    for path in source.paths:
        tables += [(Path(file.path).name, read_file(file)) for file in find_files(path, work)]
    for name, rows in tables:
        for count, (number, record) in enumerate(rows):
            if count == 0:
                if isinstance(record, Unusable):
                    raise StageError(
                        f"{name}: expected JSON Lines, a JSON array or Parquet, and the first row "
                        f"is {record}"
                    )
                if not record.keys() >= set(source.columns):
                    shown = [each[:_MAX_COLUMN_LENGTH] for each in list(record)[:_MAX_COLUMNS]]
                    raise StageError(
                        f"{name}: the format {source.format.kind} expects the columns "
                        f"{', '.join(source.columns)}, and the first row has "
                        f"{', '.join(shown) or 'none'}: name the columns in the source's format, "
                        "or take another format"
                    )
            yield f"{name}:{number}", record
