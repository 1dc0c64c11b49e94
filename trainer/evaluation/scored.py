"""Held-out pairs with raw scores, and what was left out of them."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from trainer.evaluation.question import Question, Reading
from trainer.evaluation.scorers.network import NetworkScorer
from trainer.pairs.row import Pairs


@dataclass(frozen=True)
class Scored:
    """Raw scores of a row: of its chosen answer, and of each rejected one in order."""

    row: Pairs
    chosen: float
    rejected: tuple[float, ...]


def score_rows(
    checkpoint: Path, rows: list[Pairs], counts: Counter[str], desc: str = "scoring"
) -> list[Scored]:
    """Score every answer of every row with a stage's checkpoint, on CPU in float32.

    Answers without a score are left out of their rows, and rows whose chosen answer has none:
    `counts` says how many of each kind, and why.
    """
    readings = NetworkScorer(checkpoint).score([question_of(row) for row in rows])
    progress = tqdm(zip(rows, readings, strict=True), total=len(rows), desc=desc)
    found = [_scored(row, read, counts) for row, read in progress]
    return [scored for scored in found if scored]


def question_of(row: Pairs) -> Question:
    """Its chosen answer first, the only one that is right."""
    return Question(
        id=row.id,
        group=row.group,
        prompt=row.prompt,
        answers=(row.chosen, *(rival.text for rival in row.rejected)),
        correct=(True, *(False for _ in row.rejected)),
        kinds=("chosen", *(rival.kind for rival in row.rejected)),
        source=row.source,
    )


def _scored(row: Pairs, readings: list[Reading], counts: Counter[str]) -> Scored | None:
    kinds = ("chosen", *(rival.kind for rival in row.rejected))
    counts.update(left_out(kind, r) for kind, r in zip(kinds, readings, strict=True) if r.error)
    chosen, rejected = readings[0], zip(row.rejected, readings[1:], strict=True)
    kept = [(rival, reading) for rival, reading in rejected if not reading.error]
    if chosen.error or not kept:
        return None
    fitting = replace(row, rejected=tuple(rival for rival, _ in kept))
    return Scored(fitting, chosen.scores[-1], tuple(r.scores[-1] for _, r in kept))


def left_out(kind: str, reading: Reading) -> str:
    """The reason under which an answer without a score is counted."""
    reason = reading.error.replace("_", " ")
    return f"{kind}: {reason}" if kind else reason
