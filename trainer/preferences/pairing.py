"""Rated answers -> pairs: the best answers over those that are worse."""

import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from reward_model.text.chat import NO_INPUTS
from trainer.pairs.group import trimmed
from trainer.pairs.row import PreferenceRow, Rejected
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.tables.record import Unusable


@dataclass(frozen=True)
class Pairing:
    """Which answers of one request are compared.

    Attributes:
        max_pairs: pairs of one request, so that a problem with hundreds of solutions does not
            dominate.
        max_rejected: answers beside one chosen, in one row: they share the prompt's computation.
        same_model: compare answers of one model (or family) only. Across models the longer answer
            is often right because the better model writes at length, and that would be learnt.
        min_margin: leave out pairs whose ratings differ by less.
    """

    max_pairs: int = 16
    max_rejected: int = 8
    same_model: bool = False
    min_margin: float = 0.0


Comparison = tuple[RatedAnswer, list[RatedAnswer]]
"""A chosen answer and all answers that it may be compared with."""


def rows_of(
    rated: RatedAnswers, pairing: Pairing, seed: int, source: str, counts: Counter[str]
) -> list[PreferenceRow]:
    """Rows of one request, no two with the same chosen answer.

    `counts` gets the fate of every answer and of every pair.

    Raises:
        Unusable: there is nothing to compare.
    """
    comparisons = comparisons_of(rated, pairing, counts)
    # Seeded by the request, so that its pairs do not depend on the rows around it.
    rng = random.Random(f"{seed} {rated.prompt}")
    rng.shuffle(comparisons)
    rows: list[PreferenceRow] = []
    left = pairing.max_pairs
    for chosen, worse in comparisons:
        taken = rng.sample(worse, min(len(worse), pairing.max_rejected, left))
        left -= len(taken)
        counts["pairs"] += len(taken)
        counts["pairs over the request's limit"] += len(worse) - len(taken)
        if not taken:
            continue
        rejected = tuple(
            # Without ratings the numbers only say which answer is better, not by how much.
            Rejected(
                rival.kind,
                rival.text,
                chosen.rating - rival.rating if rated.rated else 0.0,
                rival.turns,
            )
            for rival in taken
        )
        compared: list[object] = [rated.prompt, chosen.text, [rival.text for rival in rejected]]
        if rated.inputs != NO_INPUTS:
            compared.append(astuple(rated.inputs))
        if rated.aspect:
            # The same pair by two criteria is two rows.
            compared.append({"aspect": rated.aspect})
        rows.append(
            PreferenceRow(
                id=hashlib.sha256(json.dumps(compared).encode()).hexdigest()[:16],
                group=rated.group,
                prompt=rated.prompt,
                chosen=chosen.text,
                rejected=rejected,
                source=source,
                chosen_turns=chosen.turns,
                inputs=rated.inputs,
                aspect=rated.aspect,
            )
        )
    return rows


def comparisons_of(rated: RatedAnswers, pairing: Pairing, counts: Counter[str]) -> list[Comparison]:
    """The best answers, of the request or of each model, with those that are worse by enough.

    Raises:
        Unusable: no pair is left, with the reason.
    """
    if len({answer.rating for answer in rated.answers}) < 2:
        raise Unusable("no answer is better than another")
    answers = distinct_answers(rated.answers, counts)
    if len({answer.rating for answer in answers}) < 2:
        raise Unusable("the answers are empty or the same text")
    by_model: dict[str, list[RatedAnswer]] = defaultdict(list)
    for answer in answers:
        by_model[answer.model if pairing.same_model else ""].append(answer)
    comparisons: list[Comparison] = []
    below = 0
    for group in by_model.values():
        top = max(answer.rating for answer in group)
        best = [answer for answer in group if answer.rating == top]
        worse = [answer for answer in group if answer.rating < top]
        far_apart = [answer for answer in worse if top - answer.rating >= pairing.min_margin]
        if worse:
            comparisons += [(chosen, far_apart) for chosen in best]
            below += len(best) * (len(worse) - len(far_apart))
    if not comparisons:
        raise Unusable("no model has a better and a worse answer")
    counts["pairs below the minimum margin"] += below
    if not any(worse for _, worse in comparisons):
        raise Unusable("ratings differ by less than the minimum margin")
    return comparisons


def distinct_answers(answers: Iterable[RatedAnswer], counts: Counter[str]) -> list[RatedAnswer]:
    """Each text once; texts that are empty or were rated in two ways are left out."""
    ratings: dict[str, set[float]] = defaultdict(set)
    first: dict[str, RatedAnswer] = {}
    for answer in answers:
        # White space at the ends of lines is no difference that a reward model should learn.
        text = trimmed(answer.text)
        ratings[text].add(answer.rating)
        if first.setdefault(text, answer) is not answer:
            counts["answers twice"] += 1
    kept = []
    for text, answer in first.items():
        if not text:
            counts["answers empty"] += 1
        elif len(ratings[text]) > 1:
            counts["answers judged both ways"] += 1
        else:
            counts["answers kept"] += 1
            kept.append(answer)
    return kept
