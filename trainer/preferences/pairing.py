"""RatedAnswers answers -> pairs: the best ones over those that are worse."""

import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trainer.pairs.group import squeezed
from trainer.pairs.row import PreferenceRow, Rejected
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.tables.record import Unusable


@dataclass(frozen=True)
class Pairing:
    """Which answers of one request are compared.

    Attributes:
        max_pairs: of one request, so that a problem with hundreds of solutions does not dominate.
        max_rejected: answers beside one chosen, in one row: they share the prompt's computation.
        same_model: compare answers of one model (or family) alone. Across models the longer answer
            is often right because the better model writes at length, and that is what is learnt.
        min_margin: leave out pairs whose ratings differ by less.
    """

    max_pairs: int = 16
    max_rejected: int = 8
    same_model: bool = False
    min_margin: float = 0.0


_Contest = tuple[RatedAnswer, list[RatedAnswer]]
"""A chosen answer and all it may be compared with."""


def rows_of(
    judged: RatedAnswers, pairing: Pairing, seed: int, source: str, counts: Counter[str]
) -> list[PreferenceRow]:
    """Rows of one request, each with other answers than the next; `counts` has every answer's
    and every pair's fate.

    Raises:
        Unusable: there is nothing to compare.
    """
    contests = _contests(judged, pairing, counts)
    # Seeded by what is asked, so that a request's pairs do not depend on the rows around it.
    rng = random.Random(f"{seed} {judged.prompt}")
    rng.shuffle(contests)
    rows: list[PreferenceRow] = []
    left = pairing.max_pairs
    for chosen, worse in contests:
        taken = rng.sample(worse, min(len(worse), pairing.max_rejected, left))
        left -= len(taken)
        counts["pairs"] += len(taken)
        counts["pairs over the request's limit"] += len(worse) - len(taken)
        if taken:
            rows.append(_row(judged, chosen, taken, source))
    return rows


def _contests(judged: RatedAnswers, pairing: Pairing, counts: Counter[str]) -> list[_Contest]:
    if _alike(judged.answers):
        raise Unusable("no answer is better than another")
    answers = _distinct(judged.answers, counts)
    if _alike(answers):
        raise Unusable("the answers are empty or the same text")
    rivals = _by_model(answers) if pairing.same_model else [answers]
    contests = [contest for some in rivals for contest in _of_best(some)]
    if not contests:
        raise Unusable("no model has a better and a worse answer")
    far_apart = [
        (chosen, [rival for rival in worse if chosen.rating - rival.rating >= pairing.min_margin])
        for chosen, worse in contests
    ]
    counts["pairs below the minimum margin"] += _size(contests) - _size(far_apart)
    if not _size(far_apart):
        raise Unusable("ratings differ by less than the minimum margin")
    return far_apart


def _alike(answers: Sequence[RatedAnswer]) -> bool:
    return len({answer.rating for answer in answers}) < 2


def _distinct(answers: Iterable[RatedAnswer], counts: Counter[str]) -> list[RatedAnswer]:
    """Each text once, and none that is empty or was judged in two ways."""
    ratings: dict[str, set[float]] = defaultdict(set)
    first: dict[str, RatedAnswer] = {}
    for answer in answers:
        text = squeezed(answer.text)
        ratings[text].add(answer.rating)
        if first.setdefault(text, answer) is not answer:
            counts["answers twice"] += 1
    kept = []
    for text, answer in first.items():
        fate = _fate(text, ratings[text])
        counts[f"answers {fate}"] += 1
        if fate == "kept":
            kept.append(answer)
    return kept


def _fate(text: str, ratings: set[float]) -> str:
    if not text:
        return "empty"
    return "kept" if len(ratings) == 1 else "judged both ways"


def _by_model(answers: Iterable[RatedAnswer]) -> list[list[RatedAnswer]]:
    by_model: dict[str, list[RatedAnswer]] = defaultdict(list)
    for answer in answers:
        by_model[answer.model].append(answer)
    return list(by_model.values())


def _of_best(answers: list[RatedAnswer]) -> list[_Contest]:
    best = max(answer.rating for answer in answers)
    worse = [answer for answer in answers if answer.rating < best]
    return [(chosen, worse) for chosen in answers if chosen.rating == best and worse]


def _size(contests: list[_Contest]) -> int:
    return sum(len(worse) for _, worse in contests)


def _row(
    judged: RatedAnswers, chosen: RatedAnswer, worse: list[RatedAnswer], source: str
) -> PreferenceRow:
    rejected = tuple(
        Rejected(answer.kind, answer.text, chosen.rating - answer.rating if judged.rated else 0.0)
        for answer in worse
    )
    content = json.dumps([judged.prompt, chosen.text, [each.text for each in rejected]])
    identity = hashlib.sha256(content.encode()).hexdigest()[:16]
    return PreferenceRow(identity, judged.group, judged.prompt, chosen.text, rejected, source)
