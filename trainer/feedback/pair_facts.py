"""Facts about pairs for a manifest: whether given tests confirm them, and how long they are."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean

from trainer.feedback.pass_count import PassCount
from trainer.pairs.accuracy import longer_is_chosen
from trainer.pairs.policy_row import PolicyRow
from trainer.pairs.row import PreferenceRow


def confirm(rows: Iterable[PolicyRow], truth: Iterable[PassCount], counts: Counter[str]) -> None:
    """Count the pairs that given tests confirm, reverse, or cannot tell apart."""
    shares = {each.sample: each.passed / each.total for each in truth if each.total}
    for row in rows:
        for rival in row.rejected:
            better, worse = shares.get(row.chosen.id), shares.get(rival.id)
            if better is None or worse is None:
                counts["pairs by given tests: not known"] += 1
            elif better == worse:
                counts["pairs by given tests: equally good"] += 1
            else:
                counts[f"pairs by given tests: {'right' if better > worse else 'reversed'}"] += 1


def length_facts(rows: Sequence[PreferenceRow]) -> dict[str, float]:
    """How much longer chosen answers are: a rule must not teach length."""
    ratios = [math.log(len(row.chosen) / len(rival.text)) for row in rows for rival in row.rejected]
    share = longer_is_chosen(list(rows))
    if share is None:
        return {}
    return {
        "mean_log_ratio": round(fmean(ratios), 4),
        # Ties count half, as in an accuracy of ranking by length.
        "longer_is_chosen": round(share, 4),
    }
