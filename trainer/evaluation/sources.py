"""Questions from labelled candidate sets and multiple choice, read by the preference formats."""

from collections.abc import Callable
from pathlib import Path

from trainer.evaluation.question import Question
from trainer.evaluation.records import source_name
from trainer.pipeline.stage import StageError
from trainer.preferences.formats.format import Format
from trainer.preferences.formats.labelled import Labelled
from trainer.preferences.formats.multiple_choice import MultipleChoice
from trainer.preferences.source import ASPECT
from trainer.tables.files import read_file
from trainer.tables.record import Record, Unusable, list_of, number_of, record_of

# Names that ReClor, LogiQA 2.0 and AR-LSAT give to the same column.
ALIASES = {
    "id": ("id", "id_string"),
    "passage": ("context", "text", "passage"),
    "options": ("options", "answers", "choices"),
    "answer": ("answer", "label"),
}


def read_candidates(file: Path) -> list[Question]:
    """Read rows `{id, prompt, candidates: [{text, correct, model}]}`; a problem is a group.

    Candidates may have the number of tests that they pass, as `passed` and `total`, or the share,
    as `pass_rate`. Without `correct`, one that passes all of them is right.
    """
    return read_questions(file, source_name(file), lambda _: Labelled(), pass_rates)


def read_choices(file: Path) -> list[Question]:
    """Read multiple choice: passage and question are the request; a passage is a group."""

    def format_of(record: Record) -> MultipleChoice:
        return MultipleChoice(
            passage=column(record, "passage"),
            options=column(record, "options"),
            answer=column(record, "answer"),
        )

    # The parts of a data set often have the same file names in different folders.
    return read_questions(file, f"{file.parent.name}/{source_name(file)}", format_of)


def pass_rates(record: Record) -> tuple[float, ...]:
    """The share of tests that each candidate of a row passes; empty if one of them has none.

    A candidate that is not labelled as correct or wrong is labelled by its share.
    """
    rates = []
    for each in list_of(record, Labelled.candidates):
        candidate = record_of(each, "a candidate")
        if "pass_rate" in candidate:
            rate = number_of(candidate, "pass_rate")
        elif "total" in candidate:
            passed, total = (number_of(candidate, name) for name in ("passed", "total"))
            rate = passed / total if passed is not None and total else None
        else:
            continue
        if rate is None or not 0 <= rate <= 1:
            raise Unusable("a candidate has no pass_rate of 0 to 1, or no passed of its total")
        candidate.setdefault(Labelled.correct, rate == 1)
        rates.append(rate)
    return tuple(rates) if len(rates) == len(list_of(record, Labelled.candidates)) else ()


def read_questions(
    file: Path,
    source: str,
    format_of: Callable[[Record], Format],
    rates_of: Callable[[Record], tuple[float, ...]] = lambda _: (),
) -> list[Question]:
    """Read questions in the format that each row has; an answer is right if its rating is 1.

    Args:
        rates_of: reads pass rates before the row is rated.

    Raises:
        StageError: the file cannot be read, or one of its rows is unusable.
    """
    questions = []
    for number, record in read_file(file):
        try:
            if isinstance(record, Unusable):
                raise record
            rates = rates_of(record)
            rated = format_of(record).rate(record)
            questions.append(
                Question(
                    # Some files number their rows, others name them.
                    id=str(record[column(record, "id")]),
                    group=rated.group,
                    prompt=rated.prompt,
                    answers=tuple(answer.text for answer in rated.answers),
                    correct=tuple(answer.rating == 1 for answer in rated.answers),
                    kinds=tuple(answer.model for answer in rated.answers),
                    source=source,
                    answer_turns=tuple(answer.turns for answer in rated.answers),
                    inputs=rated.inputs,
                    aspect=aspect if isinstance(aspect := record.get(ASPECT), str) else "",
                    pass_rates=rates,
                )
            )
        except Unusable as reason:
            raise StageError(f"{file}, row {number}: {reason}") from None
    return questions


def column(record: Record, name: str) -> str:
    """The record's own name for a column."""
    for alias in ALIASES[name]:
        if alias in record:
            return alias
    raise Unusable(f"no column {' or '.join(ALIASES[name])}; it has: {', '.join(sorted(record))}")
