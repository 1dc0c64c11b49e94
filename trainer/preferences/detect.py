"""Tells the format of a preference file from its columns and its first rows.

Columns are matched by name, and what matches is tried: a format is the file's if its rows can be
read as that. Where several can, nobody guesses: the user is asked.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, get_args

from trainer.pipeline.stage import StageError
from trainer.preferences.formats.hh import Hh
from trainer.preferences.formats.labelled import Labelled
from trainer.preferences.formats.math_shepherd import MathShepherd
from trainer.preferences.formats.multiple_choice import MultipleChoice
from trainer.preferences.formats.stepwise import Stepwise
from trainer.preferences.formats.trl import Trl
from trainer.preferences.formats.ultrafeedback import UltraFeedback
from trainer.preferences.formats.unpaired import Unpaired
from trainer.preferences.source import AnyFormat, PreferenceSource, rate
from trainer.tables.files import find_files, read_file
from trainer.tables.record import Record, Unusable

# Rows that are looked at; a format that reads none of so many reads none of the others.
SAMPLE_ROWS = 200

KINDS: dict[str, type[AnyFormat]] = {
    each.__dataclass_fields__["kind"].default: each for each in get_args(AnyFormat)
}
"""The formats by the names that `--format` takes."""

# Names that data sets use for the same thing, the most usual ones first.
_PROMPTS = ("prompt", "instruction", "question", "query", "input", "problem")
_PAIRS = (
    ("chosen", "rejected"),
    ("chosen_response", "rejected_response"),
    ("response_chosen", "response_rejected"),
    ("preferred", "dispreferred"),
    ("better", "worse"),
    ("good", "bad"),
    ("accepted", "rejected"),
)
_LISTS = ("candidates", "completions", "responses", "answers", "outputs")
_TEXTS = ("text", "response", "completion", "content", "answer", "output", "solution")
_LABELS = ("correct", "is_correct", "label", "passed")
_SCORES = ("rating", "score", "fine-grained_score", "overall_score", "reward")
_OPTIONS = ("answers", "options", "choices")


@dataclass(frozen=True)
class Detected:
    """The format of a file.

    Attributes:
        reason: how it is known, for the terminal.
    """

    format: AnyFormat
    reason: str


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
    rows = sample(place, folder)
    name = Path(place).name
    columns = list(dict.fromkeys(column for row in rows for column in row))
    named = named or {}
    check_names(named, columns, name)
    if kind and kind not in KINDS:
        nearest = get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {nearest[0]}" if nearest else f"there are {', '.join(KINDS)}"
        raise StageError(f"--format {kind}: there is no such format; {hint}")
    found = list(candidates(rows[0], columns, named))
    if kind:
        # Without columns of the usual names, the ones that the format has by default are expected.
        found = [each for each in found if each.kind == kind] or [default_of(kind, named)]
    tried = [(each, *try_on(each, rows)) for each in found]
    readable = [each for each in tried if each[1]]
    if not readable:
        raise StageError(no_format(name, columns, tried, kind))
    best = max(count for _, count, _ in readable)
    kept = [(each, count) for each, count, _ in readable if 2 * count >= best]
    if len(kept) > 1:
        shown = " or ".join(f"{each.kind} ({', '.join(each.columns)})" for each, _ in kept)
        raise StageError(
            f"{name} can be read as {shown}, and nothing says which is meant: say --format "
            f"{kept[0][0].kind}, or --format {kept[1][0].kind}"
        )
    ((chosen, count),) = kept
    return Detected(chosen, reason_for(chosen, count, len(rows), asked_for=bool(kind)))


def sample(place: str, folder: Path) -> list[Record]:
    """The first rows that are objects.

    Raises:
        StageError: there are none.
    """
    read = read_file(find_files(place, folder)[0])
    first = list(islice(read, SAMPLE_ROWS))
    rows = [row for _, row in first if isinstance(row, dict)]
    if not rows:
        reason = next((str(row) for _, row in first if isinstance(row, Unusable)), "")
        what = f"its first row is {reason}" if reason else "it has no rows"
        raise StageError(
            f"{Path(place).name}: {what}; a preference file is JSON Lines, a JSON array, CSV or "
            "Parquet"
        )
    return rows


def check_names(named: Mapping[str, str], columns: list[str], name: str) -> None:
    """Raise StageError for a field that no format has, and for a column that the file lacks."""
    known = {each.name for kind in KINDS.values() for each in fields(kind)} - {"kind"}
    for field, column in named.items():
        if field not in known:
            nearest = get_close_matches(field, known, n=1)
            hint = f"did you mean {nearest[0]}" if nearest else f"there are {', '.join(known)}"
            raise StageError(f"--column {field}={column}: no format has a {field}; {hint}")
        if field in _NO_COLUMNS:
            continue
        # The members of a candidate are no columns of the file.
        if column not in columns and field not in _MEMBERS:
            raise StageError(
                f"--column {field}={column}: {name} has no column {column}, but "
                f"{', '.join(columns[:20])}"
            )


# Fields of formats that name a member of an object in a column, and those that name neither.
_MEMBERS = {"text", "correct", "rating", "model"}
_NO_COLUMNS = {"family", "step_tag", "separator"}


def candidates(row: Record, columns: list[str], named: Mapping[str, str]) -> Iterator[AnyFormat]:
    """Formats whose columns a file has, under their own or under other usual names."""

    def pick(field: str, names: Iterable[str]) -> str:
        return named.get(field) or next((each for each in names if each in columns), "")

    prompt = pick("prompt", _PROMPTS)
    pairs = [
        (named.get("chosen", better), named.get("rejected", worse)) for better, worse in _PAIRS
    ]
    for better, worse in pairs:
        if better in columns and worse in columns:
            yield with_names(Trl(prompt=prompt or "prompt", chosen=better, rejected=worse), named)
            yield Hh(chosen=better, rejected=worse)
            break
    if (steps := pick("completions", ["completions"])) and (labels := pick("labels", ["labels"])):
        stepwise = Stepwise(prompt=prompt or "prompt", completions=steps, labels=labels)
        yield with_names(stepwise, named)
    if (text := pick("input", ["input"])) and (label := pick("label", ["label"])):
        yield with_names(MathShepherd(input=text, label=label), named)
    passage = pick("passage", ["context", "passage", "text", "article"])
    options = pick("options", _OPTIONS)
    key = pick("answer", ["label", "answer", "answerKey"])
    if passage and options and key and (question := pick("question", ["question"])):
        yield MultipleChoice(passage=passage, question=question, options=options, answer=key)
    for column in dict.fromkeys(
        filter(None, (named.get("candidates"), named.get("completions"), *_LISTS))
    ):
        if found := list_format(row, column, prompt or "prompt", columns, named):
            yield found
    answer = pick("completion", ("completion", "response", "answer", "output", "candidate"))
    label = pick("label", (*_LABELS, *_SCORES))
    if answer and label and not isinstance(row.get(answer), list | type(None)) and prompt:
        yield with_names(Unpaired(prompt=prompt, completion=answer, label=label), named)


def list_format(
    row: Record, column: str, prompt: str, columns: list[str], named: Mapping[str, str]
) -> AnyFormat | None:
    """The format of a column that holds a list of answers, by the members of its first one."""
    values = row.get(column)
    if not isinstance(values, list) or not values:
        return None
    first = values[0]
    if isinstance(first, str):
        ratings = named.get("ratings") or next(
            (each for each in ("ratings", "scores", "rewards") if each in columns), ""
        )
        if not ratings:
            return None
        return UltraFeedback(prompt=prompt, completions=column, ratings=ratings)
    if not isinstance(first, dict):
        return None
    text = named.get("text") or next((each for each in _TEXTS if each in first), "")
    label = named.get("correct") or next((each for each in _LABELS if each in first), "")
    rating = named.get("rating") or next((each for each in _SCORES if each in first), "")
    if text and label:
        labelled = Labelled(prompt=prompt, candidates=column, text=text, correct=label)
        return with_names(labelled, named)
    if text and rating:
        rated = UltraFeedback(prompt=prompt, completions=column, text=text, rating=rating)
        return with_names(rated, named)
    return None


def with_names(found: AnyFormat, named: Mapping[str, str]) -> AnyFormat:
    """The format with the fields that the user has named."""
    own = {each.name for each in fields(found)}
    changed: dict[str, Any] = {field: name for field, name in named.items() if field in own}
    return replace(found, **changed)


def default_of(kind: str, named: Mapping[str, str]) -> AnyFormat:
    return with_names(KINDS[kind](), named)


def try_on(found: AnyFormat, rows: list[Record]) -> tuple[int, Counter[str]]:
    """How many rows can be read as this, and the reasons against the others."""
    source = PreferenceSource("sample", found)
    reasons: Counter[str] = Counter()
    for row in rows:
        try:
            rate(source, row)
        except Unusable as reason:
            reasons[str(reason)] += 1
    return len(rows) - reasons.total(), reasons


def reason_for(found: AnyFormat, count: int, sampled: int, *, asked_for: bool) -> str:
    """Say why a format was taken, and under which names its columns are."""
    renamed = [
        f"{value} is its {each.name}"
        for each in fields(found)
        if (value := getattr(found, each.name)) != each.default and each.name in _SAID
    ]
    how = "--format says so" if asked_for else f"it has the columns {', '.join(found.columns)}"
    also = f" ({'; '.join(renamed)})" if renamed else ""
    return f"{how}{also}, and {count:,} of its first {sampled:,} rows read so"


# Fields whose other names are worth a word.
_SAID = {"prompt", "chosen", "rejected", "completions", "completion", "candidates", "label"}


def no_format(
    name: str,
    columns: list[str],
    tried: list[tuple[AnyFormat, int, Counter[str]]],
    kind: str,
) -> str:
    """The message for a file that no format reads."""
    if tried:
        reasons = "; ".join(
            f"as {each.kind}: {reasons.most_common(1)[0][0]}" for each, _, reasons in tried
        )
        return f"{name}: none of its first rows can be read ({reasons})"
    return (
        f"{name} has the columns {', '.join(columns[:20])}, which are those of no format"
        f"{f' {kind}' if kind else ''}: say which column is what, as in --column prompt=QUESTION "
        "--column chosen=BETTER --column rejected=WORSE, or name the format with --format "
        f"{' | '.join(KINDS)}"
    )
