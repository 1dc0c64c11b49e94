"""Questions from labelled candidate sets and multiple choice, read by the preference formats."""

from collections.abc import Callable
from pathlib import Path

from trainer.evaluation.question import Question
from trainer.evaluation.records import source_name
from trainer.pipeline.stage import StageError
from trainer.preferences.formats.format import Format
from trainer.preferences.formats.labelled import Labelled
from trainer.preferences.formats.multiple_choice import MultipleChoice
from trainer.tables.files import read_file
from trainer.tables.record import Record, Unusable

# Names that ReClor, LogiQA 2.0 and AR-LSAT give to the same column.
ALIASES = {
    "id": ("id", "id_string"),
    "passage": ("context", "text", "passage"),
    "options": ("options", "answers", "choices"),
    "answer": ("answer", "label"),
}


def read_candidates(file: Path) -> list[Question]:
    """Read rows `{id, prompt, candidates: [{text, correct, model}]}`; a problem is a group."""
    return read_questions(file, source_name(file), lambda _: Labelled())


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


def read_questions(
    file: Path, source: str, format_of: Callable[[Record], Format]
) -> list[Question]:
    """Read questions in the format that each row has; an answer is right if its rating is 1.

    Raises:
        StageError: the file cannot be read, or one of its rows is unusable.
    """
    questions = []
    for number, record in read_file(file):
        try:
            if isinstance(record, Unusable):
                raise record
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
