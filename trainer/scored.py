"""Held-out rows with raw scores, made by the very network that serves."""

from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from reward_model.encoding import Encoder
from reward_model.network import RewardNetwork
from reward_model.release import open_release
from trainer.batches import conversation
from trainer.pairs import Pairs

_ROWS_AT_ONCE = 16


@dataclass(frozen=True)
class Scored:
    """Raw scores of a row: of its chosen answer, and of each rejected one in order."""

    row: Pairs
    chosen: float
    rejected: tuple[float, ...]


def score_rows(checkpoint: Path, rows: list[Pairs], desc: str = "scoring") -> list[Scored]:
    """Score every answer of every row with a stage's checkpoint, on CPU in float32."""
    release = open_release(checkpoint)
    network = RewardNetwork.load(release, device="cpu", dtype="float32")
    encoder = Encoder(network.tokenizer, max_tokens=network.max_tokens, pad_id=release.pad_id)
    chunks = [rows[i : i + _ROWS_AT_ONCE] for i in range(0, len(rows), _ROWS_AT_ONCE)]
    return [
        scored for chunk in tqdm(chunks, desc=desc) for scored in _score(network, encoder, chunk)
    ]


def _score(network: RewardNetwork, encoder: Encoder, rows: list[Pairs]) -> list[Scored]:
    texts = [(row.prompt, text) for row in rows for text in _answers(row)]
    batch = [encoder.encode(conversation(prompt, text)) for prompt, text in texts]
    flat = iter(score for (score,) in network.score(batch))
    return [Scored(row, next(flat), tuple(next(flat) for _ in row.rejected)) for row in rows]


def _answers(row: Pairs) -> list[str]:
    return [row.chosen, *(candidate.text for candidate in row.rejected)]
