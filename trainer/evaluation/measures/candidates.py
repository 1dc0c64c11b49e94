"""Best-of-N curves of labelled candidate sets."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from trainer.evaluation.measures import votes
from trainer.evaluation.measures.best_of_n import best_of, oracle
from trainer.evaluation.measures.estimate import Resampling, share
from trainer.evaluation.measures.scored import CONTENDERS, ScoredQuestion
from trainer.evaluation.measures.table import Row, Table
from trainer.evaluation.question import Question

# The curve goes as far as this share of the questions have N candidates. The others are left out,
# so that the whole curve is over the same questions.
MIN_SHARE = 0.9


def split_by_family(questions: Sequence[Question]) -> list[Question]:
    """Questions whose candidates are all of one model family (`family/name`).

    Across families the style of the stronger model gives the right answer away.
    """
    parts = []
    for question in questions:
        families = [kind.split("/")[0] for kind in question.kinds]
        for family in sorted(set(families)):
            kept = [index for index, name in enumerate(families) if name == family]
            parts.append(replace(question.only(kept), id=f"{question.id} {family}"))
    return parts


def curve_sizes(counts: Sequence[int], max_n: int) -> list[int]:
    """Powers of two up to `max_n`, as far as enough questions have so many candidates.

    Args:
        counts: number of candidates of each question.
    """
    sizes = [2**k for k in range(max_n.bit_length()) if 2**k <= max_n]
    return [n for n in sizes if sum(c >= n for c in counts) >= MIN_SHARE * len(counts)]


def curves(
    scored: list[ScoredQuestion],
    classes: list[tuple[int, ...]] | None,
    max_n: int,
    resampling: Resampling,
    counts: Counter[str],
) -> Table:
    """A row for each N: the model's choice beside those of all other contenders.

    Args:
        classes: for each question, its candidates' classes of equal final answers; None without
            votes.
    """
    sizes = curve_sizes([len(item.scores) for item in scored], max_n)
    kept = [index for index, item in enumerate(scored) if len(item.scores) >= max(sizes)]
    counts[f"fewer than {max(sizes)} candidates"] += len(scored) - len(kept)
    items = [scored[index] for index in kept]
    groups = [item.question.group for item in items]
    rows: dict[str, Row] = {}
    for n in sizes:
        row = {}
        for name, contender in CONTENDERS.items():
            won = [best_of(contender(item), item.question.correct, n) for item in items]
            row[name] = share(groups, won, resampling)
        found = [oracle(item.question.correct, n) for item in items]
        row["oracle"] = share(groups, found, resampling)
        rows[str(n)] = row
    what = (
        "probability that the chosen one of N candidates is right: the expectation over all draws "
        "of N, ties shared; random is also the share of right candidates, oracle that N hold one"
    )
    if classes is not None:
        labelled = [(scored[index], classes[index]) for index in kept]
        # Counting gives the plain vote for all N at once; the weighted one needs draws of each N.
        plain = [votes.majority(labels, i.question.correct, sizes) for i, labels in labelled]
        for n in sizes:
            heavy = [
                votes.weighted(labels, i.scores, i.question.correct, n) for i, labels in labelled
            ]
            rows[str(n)]["majority"] = share(groups, [won[n] for won in plain], resampling)
            rows[str(n)]["weighted_majority"] = share(groups, heavy, resampling)
        what += "; weighted_majority adds up exp(score) by final answer"
        largest = max(len(item.scores) for item in items)
        if sampled := [str(n) for n in sizes if not votes.is_exact(largest, n)]:
            what += f", estimated from {votes.DRAWS} fixed draws where N is {', '.join(sampled)}"
    return Table("best of N", what, rows, plot="curve")
