"""The three ways of scoring the same texts whose speed is compared."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel

from benchmarks.inputs.workloads import Ids, Workload, padded_tokens
from reward_model.network import RewardNetwork
from reward_model.packing import Sequence, new_tokens
from reward_model.release.checkpoint import load_model
from reward_model.release.release import open_release

PADDED, PACKED, SHARED = "padded", "packed, not shared", "packed, shared"
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2}


@dataclass(frozen=True)
class Arm:
    """A way of scoring one batch, the batches it gets, and the tokens it computes for them."""

    score: Callable[[list[Ids]], list[float]]
    batches: list[list[Ids]]
    tokens: int

    @property
    def text_tokens(self) -> int:
        """Tokens of all texts, a shared one as often as it occurs."""
        return sum(len(text) for texts in self.batches for text in texts)

    def score_all(self) -> list[float]:
        return [score for texts in self.batches for score in self.score(texts)]


@dataclass(frozen=True)
class Rivals:
    """One checkpoint as transformers runs it, and as we do, on one device and in one dtype."""

    padded: PreTrainedModel
    network: RewardNetwork
    tolerance: float

    @property
    def vocabulary(self) -> list[int]:
        """Every token but the one that pads."""
        pad = self.padded.config.pad_token_id
        return [token for token in range(self.padded.config.vocab_size) if token != pad]

    def arms(self, work: Workload) -> dict[str, Arm]:
        """Padding gets the texts with shared prompts: to it they cost what distinct ones would."""
        return {
            PADDED: Arm(self._score_padded, work.shared, padded_tokens(work.shared)),
            PACKED: Arm(self._score_packed, work.distinct, _tree_tokens(work.distinct)),
            SHARED: Arm(self._score_packed, work.shared, _tree_tokens(work.shared)),
        }

    def gap(self, work: Workload) -> float:
        """Largest difference between packed and padded scores of the same texts.

        Raises:
            RuntimeError: it is above the tolerance, so that comparing speeds would mean nothing.
        """
        gap = max(
            abs(left - right)
            for texts in (*work.shared, *work.distinct)
            for left, right in zip(
                self._score_padded(texts), self._score_packed(texts), strict=True
            )
        )
        if not gap <= self.tolerance:
            raise RuntimeError(f"{work}: packed and padded scores are {gap:.1e} apart")
        return gap

    @torch.inference_mode()
    def _score_padded(self, texts: list[Ids]) -> list[float]:
        """One batch, padded on the right to its longest text, with an attention mask."""
        longest, pad = max(map(len, texts)), self.padded.config.pad_token_id
        rows = [[*text, *[pad] * (longest - len(text))] for text in texts]
        ids = torch.tensor(rows, device=self.padded.device)
        logits: torch.Tensor = self.padded(input_ids=ids, attention_mask=(ids != pad).long()).logits
        scores: list[float] = logits[:, 0].tolist()
        return scores

    def _score_packed(self, texts: list[Ids]) -> list[float]:
        return [score for (score,) in self.network.score(_sequences(texts))]


def load_rivals(folder: Path, longest: int, device: str, dtype: str) -> Rivals:
    """Load a checkpoint for texts of up to `longest` tokens.

    Raises:
        RuntimeError: it does not take such texts, or is not packed.
    """
    release = open_release(folder)
    if release.max_tokens < longest:
        raise RuntimeError(f"{folder}: takes {release.max_tokens} tokens; {longest} are needed")
    network = RewardNetwork.load(release, device=device, dtype=dtype)
    if not network.shares_prefixes:
        raise RuntimeError(f"{folder}: is not packed: {network.fallback_reason}")
    padded = load_model(release, device=device, dtype=dtype).eval()
    assert padded.config._attn_implementation == "sdpa"
    if padded.config.pad_token_id is None:
        padded.config.pad_token_id = 0
    return Rivals(padded, network, TOLERANCE[dtype])


def _tree_tokens(batches: list[list[Ids]]) -> int:
    return sum(sum(new_tokens(_sequences(texts))) for texts in batches)


def _sequences(texts: list[Ids]) -> list[Sequence]:
    return [Sequence(text, (len(text) - 1,)) for text in texts]
