"""Estimate how much each token of an answer counts, by two contrasted policies: TIS-DPO.

A policy that was trained on the pairs and one that was trained on them with sides swapped disagree
where a token decides which side an answer is on. With delta = log pi_reverse - log pi_forward, a
token counts more in a rejected answer where delta is high, and in a chosen answer where it is low
(arXiv 2410.04350, section 4; the paper's weights are exp(+-delta) of clipped deltas, and its code
scales clipped deltas linearly, as here).
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from transformers import PreTrainedModel

from trainer.feedback.serving import find_policy, identify
from trainer.pairs.policy_row import read_policy_rows
from trainer.pipeline.lineage import is_stage
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import StageError, writing_stage
from trainer.policy.encoded import EncodedPolicyRow, fitting_rows
from trainer.policy.reference import ReferenceFile, text_key, texts_of
from trainer.policy.start import PolicyStart, load_policy
from trainer.policy.token_weight import STEM, TokenWeights

LogProbs = Mapping[str, "array[float]"]
"""Log-probs of each answer's tokens, by `text_key`."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TokenWeightsConfig:
    """The two policies, and how their contrast becomes weights.

    Attributes:
        forward: stage, directory or hub id of the policy that was trained on the pairs.
        reverse: of the one that was trained on them with `swap_sides`.
        pairs, replay: stages of policy rows whose answers get weights.
        scale: `clip` scales clipped contrasts linearly; `rank` spreads an answer's tokens evenly by
            their rank, which ignores how large the contrasts are.
        max_delta: contrasts are clipped to this absolute value, in nats, for `clip`.
        min_weight, max_weight: the range of the weights.
        max_length: tokens of a prompt with its answer, as in training.
        end_token: token that ends an answer, in place of the tokenizer's own.
        bf16: compute in bfloat16 where that is fast.
    """

    forward: str = "dpo"
    reverse: str = "dpo_reversed"
    pairs: str = "policy_pairs"
    replay: tuple[str, ...] = ()
    scale: Literal["clip", "rank"] = "clip"
    max_delta: float = 1.5
    min_weight: float = 0.7
    max_weight: float = 1.3
    max_length: int | None = None
    end_token: str | None = None
    bf16: bool = False
    rows_per_shard: int = 10_000

    def __post_init__(self) -> None:
        """Raise StageError for a range that is none."""
        if not 0 <= self.min_weight <= self.max_weight:
            raise StageError("min_weight must be from 0 to max_weight")
        if not self.max_delta > 0:
            raise StageError(f"max_delta is {self.max_delta}: it must be above 0")


def run(config: TokenWeightsConfig, inputs: Path, output: Path) -> None:
    """Write the weights of every answer. Log-probs are kept in `reference-log-probs` beside it.

    Raises:
        StageError: there are no rows that fit, or the policies have different tokenizers.
    """
    stages = (config.pairs, *config.replay)
    rows = [row for name in stages for row in read_policy_rows(inputs / name)]
    if not rows:
        raise StageError(f"there are no pairs to weigh the tokens of: {config.pairs} is empty")
    counts: Counter[str] = Counter()
    encoded: list[EncodedPolicyRow] = []
    vocabulary: dict[str, int] = {}
    found: list[LogProbs] = []
    # One policy is in memory at a time.
    for name in (config.forward, config.reverse):
        folder = find_policy(name, inputs)
        policy = load_policy(folder, max_length=config.max_length, end_token=config.end_token)
        if not found:
            vocabulary = policy.tokenizer.get_vocab()
            encoded = fitting_rows(policy.encoder.encode(rows, "pairs"), policy.max_length, counts)
        elif policy.tokenizer.get_vocab() != vocabulary:
            raise StageError(
                f"{config.forward} and {name} have different tokenizers: train both from one start"
            )
        file = ReferenceFile(
            output.with_name("reference-log-probs"),
            identify(folder).digest,
            "bfloat16" if config.bf16 else "float32",
        )
        own = partial(_network, policy)
        found.append(file.complete(texts_of(encoded), own, bf16=config.bf16))
    forward, reverse = found
    named = (*stages, config.forward, config.reverse)
    reads = [inputs / name for name in dict.fromkeys(named) if is_stage(inputs, name)]
    with writing_stage(config, output, reads=reads) as draft:
        weights = list(weigh(config, encoded, forward, reverse, counts))
        write_shards(draft.path, STEM, weights, config.rows_per_shard)
        draft.facts["counts"] = dict(sorted(counts.items()))
        draft.facts["contrast"] = contrast(config, encoded, forward, reverse)


def _network(policy: PolicyStart) -> PreTrainedModel:
    return policy.network


def weigh(
    config: TokenWeightsConfig,
    rows: Iterable[EncodedPolicyRow],
    forward: LogProbs,
    reverse: LogProbs,
    counts: Counter[str],
) -> Iterator[TokenWeights]:
    """The weights of each answer once.

    An answer that is chosen in one row and rejected in another gets none, and its tokens count 1:
    that is the mean of its weights on the two sides.

    Raises:
        StageError: two different answers have one id.
    """
    keys: dict[str, str] = {}
    sides: dict[str, set[bool]] = {}
    for row in rows:
        for answer in row.answers:
            key = text_key(row.prompt_ids, answer.ids)
            if keys.setdefault(answer.id, key) != key:
                raise StageError(
                    f"two different answers have the id {answer.id!r}, and weights are kept by "
                    "id: give each answer an id of its own"
                )
            sides.setdefault(answer.id, set()).add(answer is row.chosen)
    for answer_id, key in keys.items():
        if len(sides[answer_id]) == 2:
            counts["answer: chosen and rejected, so that its tokens count 1"] += 1
            continue
        (is_chosen,) = sides[answer_id]
        counts["answer: chosen" if is_chosen else "answer: rejected"] += 1
        deltas = np.subtract(reverse[key], forward[key], dtype=np.float64)
        weights = scaled(config, -deltas if is_chosen else deltas)
        yield TokenWeights(answer_id, tuple(np.round(weights, 4).tolist()))


def scaled(config: TokenWeightsConfig, contrasts: Floats) -> Floats:
    """Weights of an answer's tokens, the larger the higher a token's contrast.

    Without any contrast, each weight is the middle of the range.
    """
    if config.scale == "rank":
        # From 0 to 1. Equal contrasts share their ranks; a single token is in the middle.
        ranks = rankdata(contrasts) - 1
        places = ranks / (len(contrasts) - 1) if len(contrasts) > 1 else np.array([0.5])
    else:
        places = np.clip(contrasts / config.max_delta, -1, 1) / 2 + 0.5
    weights: Floats = config.min_weight + places * (config.max_weight - config.min_weight)
    return weights


def contrast(
    config: TokenWeightsConfig,
    rows: Sequence[EncodedPolicyRow],
    forward: LogProbs,
    reverse: LogProbs,
) -> dict[str, float]:
    """Whether the two policies disagree as they should: means of delta over tokens, in nats.

    On chosen answers it should be below that on rejected ones. `clipped` is the share of tokens
    beyond `max_delta`.
    """
    chosen, rejected = (
        np.concatenate(
            [
                np.subtract(reverse[key], forward[key], dtype=np.float64)
                for row in rows
                for answer in (row.rejected if is_rejected else (row.chosen,))
                for key in [text_key(row.prompt_ids, answer.ids)]
            ]
        )
        for is_rejected in (False, True)
    )
    every = np.concatenate([chosen, rejected])
    return {
        "mean_on_chosen": round(float(chosen.mean()), 6),
        "mean_on_rejected": round(float(rejected.mean()), 6),
        "clipped": round(float((np.abs(every) > config.max_delta).mean()), 6),
    }
