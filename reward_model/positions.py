"""Position encodings: how a model numbers tokens, how many it takes, and whether they are exact.

Rotary frequencies that depend on the longest text of a batch make scores depend on the batch.
"""

from torch import nn
from transformers import PreTrainedModel


def max_positions(model: PreTrainedModel) -> int | None:
    """Tokens that a model with learned absolute positions takes; None where no table limits them.

    RoBERTa and its relatives number tokens from the pad's position + 1: 514 rows take 512 tokens.
    """
    table = _position_table(model)
    if table is None:
        return None
    return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)


def positions_of(model: PreTrainedModel, ids: tuple[int, ...]) -> list[int]:
    """Positions of one text's tokens, as the model itself numbers them."""
    table = _position_table(model)
    pad = table.padding_idx if table else None
    if pad is None:
        return list(range(len(ids)))
    # RoBERTa and its relatives do not count pads: each keeps the pad's own position.
    positions, last = [], pad
    for token in ids:
        last += token != pad
        positions.append(pad if token == pad else last)
    return positions


def _position_table(model: PreTrainedModel) -> nn.Embedding | None:
    """The embedding of learned absolute positions; None for a model that has none."""
    embeddings = getattr(model.base_model, "embeddings", None)
    table = getattr(embeddings, "position_embeddings", None)
    return table if isinstance(table, nn.Embedding) else None


def rope_depends_on_length(rope_parameters: object) -> bool:
    """Whether rotary frequencies are chosen by the longest position of a batch.

    Dynamic NTK and LongRoPE do that in transformers, so a text's score would depend on its batch.

    Args:
        rope_parameters: the entry of a transformers config; may be nested by layer type.
    """
    if not isinstance(rope_parameters, dict):
        return False
    if rope_parameters.get("rope_type") in ("dynamic", "longrope"):
        return True
    return any(map(rope_depends_on_length, rope_parameters.values()))
