"""Nothing that a checkpoint was trained on may evaluate it."""

from collections.abc import Iterable
from pathlib import Path

from trainer.evaluation.question import Question
from trainer.pairs.group import request_key
from trainer.pairs.row import PreferenceRow, read_pairs
from trainer.pipeline.lineage import training_pairs
from trainer.pipeline.stage import StageError

_NAMED_AT_MOST = 5


def require_held_out(
    questions: Iterable[Question], inputs: Path, checkpoint: str, *, by_request: bool
) -> None:
    """No group of `questions` may have been trained on, in any stage that led to the checkpoint.

    Args:
        by_request: the request itself must be new as well: for problems, which other data sets may
            hold under other names. Not for functions of different packages that ask for the same.

    Raises:
        StageError: one was, or a stage has changed since another one read it.
    """
    asked = list(questions)
    for stage in training_pairs(inputs, checkpoint):
        rows = read_pairs(inputs / stage, "train")
        both = _groups(asked, rows) | (_requests(asked, rows) if by_request else set())
        if both:
            raise StageError(
                f"{checkpoint} was trained on {_some(both)} ({stage}), which are to be held out: "
                "give all stages of pairs the same shares, or take the problems out of what it is "
                "trained on, and run them again"
            )


def _groups(questions: list[Question], rows: list[PreferenceRow]) -> set[str]:
    """Whatever the source: a package or problem is the same one in another data set."""
    return {question.group for question in questions} & {row.group for row in rows}


def _requests(questions: list[Question], rows: list[PreferenceRow]) -> set[str]:
    seen = {request_key(row.prompt) for row in rows}
    return {question.id for question in questions if request_key(question.prompt) in seen}


def _some(names: set[str]) -> str:
    first = ", ".join(sorted(names)[:_NAMED_AT_MOST])
    more = len(names) - _NAMED_AT_MOST
    return f"{first} and {more} more" if more > 0 else first
