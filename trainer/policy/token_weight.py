"""Weights of an answer's tokens, which a stage writes and the DPO stage multiplies log-ratios with.

TIS-DPO (arXiv 2410.04350) estimates them from two policies; any other rule may write them too.
"""

from dataclasses import dataclass
from pathlib import Path

from trainer.pipeline.shards import read_shards

STEM = "token_weights"


@dataclass(frozen=True)
class TokenWeights:
    """The weights of one answer.

    Attributes:
        answer: id of the answer, which is that of its sample.
        weights: one for each of its token ids, the end token included.
    """

    answer: str
    weights: tuple[float, ...]


def read_token_weights(folder: Path) -> dict[str, tuple[float, ...]]:
    """All weights of a finished stage, by the id of their answer."""
    return {row.answer: row.weights for row in read_shards(folder, STEM, TokenWeights)}
