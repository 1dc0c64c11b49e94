"""Held-out rows with raw scores, made by the very network that serves."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from reward_model.encoding import Encoder, TooLong
from reward_model.network import RewardNetwork
from reward_model.packing import Sequence
from reward_model.release import open_release
from trainer.pairs.row import Pairs, conversation

_ROWS_AT_ONCE = 16


@dataclass(frozen=True)
class Scored:
    """Raw scores of a row: of its chosen answer, and of each rejected one in order."""

    row: Pairs
    chosen: float
    rejected: tuple[float, ...]


Encoded = tuple[Pairs, list[Sequence]]
"""A row, and the sequences of its chosen answer and of each rejected one."""


def score_rows(
    checkpoint: Path, rows: list[Pairs], counts: Counter[str], desc: str = "scoring"
) -> list[Scored]:
    """Score every answer of every row with a stage's checkpoint, on CPU in float32.

    Answers too long for the model are left out of their rows, and rows whose chosen answer is:
    `counts` says how many of each kind.
    """
    release = open_release(checkpoint)
    network = RewardNetwork.load(release, device="cpu", dtype="float32")
    encoder = Encoder(network.tokenizer, max_tokens=network.max_tokens, pad_id=release.pad_id)
    chunks = [rows[i : i + _ROWS_AT_ONCE] for i in range(0, len(rows), _ROWS_AT_ONCE)]
    return [
        scored
        for chunk in tqdm(chunks, desc=desc)
        for scored in _score(network, _encode_rows(encoder, chunk, counts))
    ]


def _encode_rows(encoder: Encoder, rows: list[Pairs], counts: Counter[str]) -> list[Encoded]:
    found = (_encode_row(encoder, row, counts) for row in rows)
    return [encoded for encoded in found if encoded]


def _encode_row(encoder: Encoder, row: Pairs, counts: Counter[str]) -> Encoded | None:
    def encode(kind: str, text: str) -> Sequence | None:
        try:
            return encoder.encode(conversation(row.prompt, text))
        except TooLong:
            counts[f"{kind}: too long"] += 1
            return None

    chosen = encode("chosen", row.chosen)
    rejected = [(rival, encode(rival.kind, rival.text)) for rival in row.rejected]
    kept = [(rival, sequence) for rival, sequence in rejected if sequence]
    if chosen is None or not kept:
        return None
    fitting = replace(row, rejected=tuple(rival for rival, _ in kept))
    return fitting, [chosen, *(sequence for _, sequence in kept)]


def _score(network: RewardNetwork, encoded: list[Encoded]) -> list[Scored]:
    batch = [sequence for _, sequences in encoded for sequence in sequences]
    flat = iter(score for (score,) in network.score(batch)) if batch else iter(())
    return [Scored(row, next(flat), tuple(next(flat) for _ in row.rejected)) for row, _ in encoded]
