"""Best-of-N curves of labelled candidate sets."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from trainer.evaluation.measures import votes
from trainer.evaluation.measures.best_of_n import best_of, oracle
from trainer.evaluation.measures.estimate import Resampling, share
from trainer.evaluation.measures.judged import CONTENDERS, ScoredQuestion
from trainer.evaluation.measures.table import Row, Table
from trainer.evaluation.question import Question

LEAST_SHARE = 0.9
"""Of the questions must have N candidates for the curve to reach N; the others are left out, so
that the whole curve is over the same questions."""


def by_family(questions: Sequence[Question]) -> list[Question]:
    """Candidates of one model family at a time: across them the better model's style decides."""
    return [
        part
        for question in questions
        for family in sorted({_family(kind) for kind in question.kinds})
        for part in [_of_family(question, family)]
    ]


def sizes_of(judged: Sequence[ScoredQuestion], most: int) -> list[int]:
    """1, 2, 4 ... as far as enough questions have candidates."""
    counts = [len(item.scores) for item in judged]
    sizes = [2**k for k in range(most.bit_length()) if 2**k <= most]
    return [n for n in sizes if sum(c >= n for c in counts) >= LEAST_SHARE * len(counts)]


def curves(
    judged: list[ScoredQuestion],
    classes: list[tuple[int, ...]] | None,
    most: int,
    how: Resampling,
    counts: Counter[str],
) -> Table:
    """A row for each N: the model's choice beside all others.

    Args:
        classes: of each question's candidates by final answer; None where there is no vote.
        most: the largest N.
    """
    sizes = sizes_of(judged, most)
    kept = [index for index, item in enumerate(judged) if len(item.scores) >= max(sizes)]
    counts[f"fewer than {max(sizes)} candidates"] += len(judged) - len(kept)
    items = [judged[index] for index in kept]
    rows = {str(n): _row(items, n, how) for n in sizes}
    if classes is not None:
        _add_votes(rows, items, [classes[index] for index in kept], how)
    return Table("best of N", _what(items, sizes, classes is not None), rows, plot="curve")


def _row(judged: list[ScoredQuestion], n: int, how: Resampling) -> Row:
    groups = [item.question.group for item in judged]
    row = {
        name: share(groups, [best_of(contender(i), i.question.correct, n) for i in judged], how)
        for name, contender in CONTENDERS.items()
    }
    row["oracle"] = share(groups, [oracle(i.question.correct, n) for i in judged], how)
    return row


def _add_votes(
    rows: dict[str, Row],
    judged: list[ScoredQuestion],
    classes: list[tuple[int, ...]],
    how: Resampling,
) -> None:
    groups = [item.question.group for item in judged]
    sizes = [int(n) for n in rows]
    labelled = list(zip(judged, classes, strict=True))
    plain = [votes.majority(of, item.question.correct, sizes) for item, of in labelled]
    for n in sizes:
        heavy = [votes.weighted(of, i.scores, i.question.correct, n) for i, of in labelled]
        rows[str(n)]["majority"] = share(groups, [won[n] for won in plain], how)
        rows[str(n)]["weighted_majority"] = share(groups, heavy, how)


def _what(judged: list[ScoredQuestion], sizes: list[int], voted: bool) -> str:
    text = (
        "probability that the chosen one of N candidates is right: the expectation over all draws "
        "of N, ties shared; random is also the share of right candidates, oracle that N hold one"
    )
    most = max(len(item.scores) for item in judged)
    drawn = [n for n in sizes if not votes.is_exact(most, n)]
    if voted:
        text += "; weighted_majority adds up exp(score) by final answer"
    if voted and drawn:
        names = ", ".join(map(str, drawn))
        text += f", estimated from {votes.DRAWS} fixed draws where N is {names}"
    return text


def _family(kind: str) -> str:
    return kind.split("/")[0]


def _of_family(question: Question, family: str) -> Question:
    kept = [index for index, kind in enumerate(question.kinds) if _family(kind) == family]
    return replace(question.only(kept), id=f"{question.id} {family}")
