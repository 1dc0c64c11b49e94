"""Refuse to evaluate a checkpoint on anything that it was trained on."""

from collections.abc import Iterable
from pathlib import Path

from trainer.evaluation.question import Question
from trainer.pairs.group import request_key
from trainer.pairs.row import read_pairs
from trainer.pipeline.lineage import training_pairs
from trainer.pipeline.stage import StageError

# Groups that the error message names; it counts the others.
MAX_NAMED = 5


def require_held_out(
    questions: Iterable[Question], inputs: Path, checkpoint: str, *, by_request: bool
) -> None:
    """Raise if there is leakage: a group that any stage before the checkpoint was trained on.

    Args:
        by_request: also refuse requests that were trained on under another group's name. That is
            right for problems, which other data sets may hold, and wrong for functions of different
            packages, which may be asked for in the same words.

    Raises:
        StageError: there is leakage, or a stage has changed since another one read it.
    """
    asked = list(questions)
    for stage in training_pairs(inputs, checkpoint):
        rows = read_pairs(inputs / stage, "train")
        # The source does not matter: a package or problem is the same one in another data set.
        leaked = {question.group for question in asked} & {row.group for row in rows}
        if by_request:
            trained = {request_key(row.prompt) for row in rows}
            leaked |= {item.id for item in asked if request_key(item.prompt) in trained}
        if leaked:
            named = ", ".join(sorted(leaked)[:MAX_NAMED])
            if len(leaked) > MAX_NAMED:
                named += f" and {len(leaked) - MAX_NAMED} more"
            raise StageError(
                f"{checkpoint} was trained on {named} ({stage}), which must be held out: give all "
                "stages of pairs the same shares, or take these problems out of the training data, "
                "and run the stages again"
            )
