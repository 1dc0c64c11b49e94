"""Learned absolute positions: which numbers a text's tokens get, and how many there are."""

from collections.abc import Sequence as Many

from torch import nn
from transformers import PreTrainedModel


def longest_text(model: PreTrainedModel) -> int | None:
    """Tokens that the model has positions for; None when no table limits them.

    RoBERTa and its kin number tokens from the pad's position + 1, so a table of 514 takes 512.
    """
    table = _table(model)
    return table.num_embeddings - _before_first(table) if table else None


def positions_of(model: PreTrainedModel, ids: Many[int]) -> list[int]:
    """Positions of one text's tokens, as the model itself numbers them.

    RoBERTa and its kin count no pad: each keeps the pad's own position, wherever it stands.
    """
    table = _table(model)
    pad = table.padding_idx if table else None
    if pad is None:
        return list(range(len(ids)))
    positions, last = [], pad
    for token in ids:
        last += token != pad
        positions.append(pad if token == pad else last)
    return positions


def _table(model: PreTrainedModel) -> nn.Embedding | None:
    embeddings = getattr(model.base_model, "embeddings", None)
    table = getattr(embeddings, "position_embeddings", None)
    return table if isinstance(table, nn.Embedding) else None


def _before_first(table: nn.Embedding) -> int:
    return 0 if table.padding_idx is None else table.padding_idx + 1
