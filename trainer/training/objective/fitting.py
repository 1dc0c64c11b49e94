"""The length filter: which answers of which rows are trained on.

Over-long rows are filtered and counted before training starts, so that a resumed run and every
process of a distributed run report the same numbers.
"""

from collections import Counter
from dataclasses import replace

from trainer.pairs.encoded import EncodedRow
from trainer.pipeline.stage import StageError


def fitting(rows: list[EncodedRow], counts: Counter[str], *, pairs_only: bool) -> list[EncodedRow]:
    """Rows without the answers that are too long, which are counted by kind; nothing is cut.

    Args:
        pairs_only: leave out rows of which no rejected answer fits. A language-model loss learns
            from their chosen answers all the same.

    Raises:
        StageError: the chat template refuses a row, or no row is left.
    """
    kept = []
    for row in rows:
        if row.refused:
            raise StageError(f"row {row.id} cannot be trained on: {row.refused}")
        if not row.chosen.fits:
            counts["chosen: too long"] += 1
            continue
        for rival in row.rejected:
            counts[f"{rival.kind}: too long"] += not rival.text.fits
        rejected = tuple(rival for rival in row.rejected if rival.text.fits)
        if pairs_only and not rejected:
            counts["row: nothing rejected"] += 1
            continue
        kept.append(replace(row, rejected=rejected))
    if rows and not kept:
        shortest = min(row.chosen.tokens for row in rows)
        raise StageError(
            f"none of the {len(rows)} rows fits with its answers, and the shortest chosen one has "
            f"{shortest} tokens: raise max_length or filter the pairs"
        )
    return kept
