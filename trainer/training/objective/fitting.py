"""Which rows can be trained on, known and counted before the first step.

Counted up front rather than as batches come, so that a run that was killed and resumed reports
what an undisturbed one does, and every process of a distributed run knows all of it.
"""

from collections import Counter
from dataclasses import replace

from tqdm import tqdm

from reward_model.text.chat import Conversation
from reward_model.text.encoding import Encoder
from trainer.pairs.row import PreferenceRow, conversation
from trainer.pipeline.stage import StageError


def fitting(
    rows: list[PreferenceRow],
    encoder: Encoder,
    counts: Counter[str],
    *,
    pairs_only: bool,
    desc: str = "measuring",
) -> list[PreferenceRow]:
    """Rows without the answers that are too long, which `counts` tells by kind; nothing is cut.

    Args:
        pairs_only: leave out rows of which no rejected answer fits; a language-model loss learns
            from their chosen answers all the same.

    Raises:
        StageError: nothing is left.
    """
    kept = []
    for row in tqdm(rows, desc=desc, disable=None):
        fits = _without_too_long(row, encoder, counts)
        if fits is None:
            continue
        if pairs_only and not fits.rejected:
            counts["row: nothing rejected"] += 1
            continue
        kept.append(fits)
    if rows and not kept:
        raise StageError(
            f"no row of {len(rows)} fits into {encoder.max_tokens} tokens with a rejected answer: "
            "raise max_length or filter the pairs"
        )
    return kept


def _without_too_long(
    row: PreferenceRow, encoder: Encoder, counts: Counter[str]
) -> PreferenceRow | None:
    if not _fits(encoder, conversation(row.prompt, row.chosen)):
        counts["chosen: too long"] += 1
        return None
    fits = [_fits(encoder, conversation(row.prompt, rival.text)) for rival in row.rejected]
    for rival, fit in zip(row.rejected, fits, strict=True):
        counts[f"{rival.kind}: too long"] += not fit
    kept = (rival for rival, fit in zip(row.rejected, fits, strict=True) if fit)
    return replace(row, rejected=tuple(kept))


def _fits(encoder: Encoder, talk: Conversation) -> bool:
    return encoder.count(talk) <= encoder.max_tokens
