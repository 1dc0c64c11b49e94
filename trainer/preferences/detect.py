"""Tells the format of a preference file from its columns and its first rows.

Columns are matched by name, and what matches is tried: a format is the file's if its rows can be
read as that. Where several can, nobody guesses: the user is asked.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import get_args

from trainer.pipeline.stage import StageError
from trainer.preferences.columns import FileColumns
from trainer.preferences.source import ASPECT, AnyFormat, PreferenceSource, rate
from trainer.tables.files import find_files, read_file
from trainer.tables.record import Record, Unusable

# Rows that are looked at; a format that reads none of so many reads none of the others.
SAMPLE_ROWS = 200

KINDS: dict[str, type[AnyFormat]] = {
    each.__dataclass_fields__["kind"].default: each for each in get_args(AnyFormat)
}
"""The formats by the names that `--format` takes."""

# Fields that name a member of an object in a column, and those that name neither.
_MEMBERS = {"text", "correct", "rating", "model"}
_NO_COLUMNS = {"family", "step_tag", "separator"}

# Columns that a message lists: the keys of a file may be anything.
_MAX_COLUMNS = 20


@dataclass(frozen=True)
class Detected:
    """The format of a file.

    Attributes:
        reason: how it is known, for the terminal.
        aspect: the column of a row's criterion.
    """

    format: AnyFormat
    reason: str
    aspect: str = ASPECT


def detect(
    place: str, folder: Path, kind: str = "", named: Mapping[str, str] | None = None
) -> Detected:
    """The format of the files at a place.

    Args:
        place: as `PreferenceSource.paths` has it, relative to `folder`.
        kind: name of the format, where the user has said it.
        named: columns by the fields of the format that they are, where the user has said it.

    Raises:
        StageError: the rows are of no format, or may be of several; the message says what to do.
    """
    if kind and kind not in KINDS:
        raise StageError(f"--format {kind}: there is no such format; {nearest(kind, KINDS)}")
    name, columns = Path(place).name, FileColumns(sample(place, folder), named or {})
    check_names(columns, name)
    suggested = list(columns.suggest())
    if kind:
        # Without columns of the usual names, those that the format has by default are expected.
        suggested = [each for each in suggested if each.kind == kind]
        suggested = suggested or [columns.with_names(KINDS[kind]())]
    aspect = columns.named.get("aspect", ASPECT)
    tried = {each: try_on(each, columns.rows, aspect) for each in suggested}
    best = max((count for count, _ in tried.values()), default=0)
    if not best:
        raise StageError(no_format(name, columns, tried))
    kept = [each for each, (count, _) in tried.items() if 2 * count >= best]
    if len(kept) > 1:
        shown = " or as ".join(f"{each.kind} ({', '.join(each.columns)})" for each in kept)
        options = " or ".join(f"--format {each.kind}" for each in kept)
        raise StageError(f"{name} can be read as {shown}: say which is meant with {options}")
    found = kept[0]
    renamed = [
        f"{value} is its {each.name}"
        for each in fields(found)
        if isinstance(value := getattr(found, each.name), str)
        and value != each.default
        and value in columns.names
    ]
    reason = f"it has the columns {', '.join(found.columns)}"
    reason += f" ({'; '.join(renamed)})" if renamed else ""
    reason += f", and {best:,} of its first {len(columns.rows):,} rows can be read so"
    reason = f"--format says so, {reason}" if kind else reason
    return Detected(found, reason, aspect)


def sample(place: str, folder: Path) -> list[Record]:
    """The first rows that are objects.

    Raises:
        StageError: there are none.
    """
    first = list(islice(read_file(find_files(place, folder)[0]), SAMPLE_ROWS))
    rows = [row for _, row in first if isinstance(row, dict)]
    if not rows:
        reason = next((str(row) for _, row in first if isinstance(row, Unusable)), "")
        what = f"its first row is {reason}" if reason else "it has no rows"
        raise StageError(
            f"{Path(place).name}: {what}; a preference file is JSON Lines, a JSON array, CSV or "
            "Parquet"
        )
    return rows


def check_names(columns: FileColumns, file: str) -> None:
    """Raise StageError for a field that no format has, and for a column that the file lacks."""
    known = {each.name for kind in KINDS.values() for each in fields(kind)} - {"kind"} | {"aspect"}
    for field, column in columns.named.items():
        if field not in known:
            hint = nearest(field, known)
            raise StageError(f"--column {field}={column}: no format has a {field}; {hint}")
        if column not in columns.names and field not in _MEMBERS | _NO_COLUMNS:
            raise StageError(
                f"--column {field}={column}: {file} has no column {column}; "
                f"{nearest(column, columns.names)}"
            )


def nearest(word: str, known: Mapping[str, object] | set[str] | list[str]) -> str:
    """The known word that is meant, or all of them."""
    found = get_close_matches(word, known, n=1)
    some = sorted(known)[:_MAX_COLUMNS]
    return f"did you mean {found[0]}" if found else f"there are {', '.join(some)}"


def try_on(found: AnyFormat, rows: list[Record], aspect: str = ASPECT) -> tuple[int, Counter[str]]:
    """Count the rows that can be read as this format, and the reasons against the others."""
    source = PreferenceSource("sample", found, aspect=aspect)
    reasons: Counter[str] = Counter()
    for row in rows:
        try:
            rate(source, row)
        except Unusable as reason:
            reasons[str(reason)] += 1
    return len(rows) - reasons.total(), reasons


def no_format(
    name: str, columns: FileColumns, tried: dict[AnyFormat, tuple[int, Counter[str]]]
) -> str:
    """The message for a file that no format reads."""
    if tried:
        reasons = "; ".join(
            f"as {each.kind}: {reasons.most_common(1)[0][0]}"
            for each, (_, reasons) in tried.items()
        )
        return f"{name}: none of its first rows can be read ({reasons})"
    return (
        f"{name} has the columns {', '.join(columns.names[:_MAX_COLUMNS])}, which are those of no "
        "format: say which column is what, as in --column prompt=QUESTION --column chosen=BETTER "
        f"--column rejected=WORSE, or name the format: --format {' | '.join(KINDS)}"
    )
