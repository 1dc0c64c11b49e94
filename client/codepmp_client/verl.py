"""Rewards for verl from a reward-model server. verl is not imported."""

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping

from codepmp_client.client import AsyncRewardClient, training_client
from codepmp_client.errors import NoScore
from codepmp_client.inputs import BULK, Options, Prompt

VerlReward = Callable[..., Awaitable[dict[str, float]]]
"""Called with `data_source`, `solution_str`, `ground_truth`, `extra_info` and more, by name."""


def verl_compute_score(
    client: AsyncRewardClient | str,
    *,
    prompt_key: str = "prompt",
    error_score: float | None = None,
    options: Options = BULK,
) -> VerlReward:
    """Make a `compute_score` for verl's custom reward function.

    verl does not pass the prompt, so the dataset must hold it in `extra_info`, as a text or as
    messages. The function returns `score`, the raw score, and for verl's log `reward_normalized`
    (NaN for a model without calibration), `reward_tokens`, and `reward_error` (1 if the response
    could not be scored).

    Args:
        client: or the URL of a server; then a call times out after ten minutes.
        prompt_key: the key of the prompt in `extra_info`.
        error_score: the score of a response that cannot be scored, for example because it is too
            long. If None, such a response raises `NoScore`, because no number suits every run.
    """
    server = training_client(client)

    async def compute_score(
        data_source: str,  # noqa: ARG001 - verl's signature
        solution_str: str,
        ground_truth: object,  # noqa: ARG001
        extra_info: Mapping[str, object] | None = None,
        **_more: object,
    ) -> dict[str, float]:
        prompt = prompt_of(extra_info or {}, prompt_key)
        (score,) = (await server.score(prompt, [solution_str], options)).scores
        raw = score.raw
        if raw is None:
            assert score.error
            if error_score is None:
                raise NoScore(
                    f"a response has no score: {score.error.message}. To go on, choose a score for "
                    "such responses (error_score)",
                    code=score.error.code,
                )
            raw = error_score
        # verl logs every entry besides `score`. Each response has the same entries, all numbers.
        return {
            "score": raw,
            "reward_normalized": math.nan if score.normalized is None else score.normalized,
            "reward_tokens": float(score.tokens),
            "reward_error": float(score.error is not None),
        }

    return compute_score


def prompt_of(extra_info: Mapping[str, object], key: str) -> Prompt:
    """Return the prompt that a row of the dataset holds.

    Raises:
        ValueError: the row holds none under this key.
    """
    match extra_info.get(key):
        case str(prompt):
            return prompt
        # Any iterable, because a Parquet file returns messages as an array.
        case Iterable() as messages:
            return [{"role": turn["role"], "content": turn["content"]} for turn in messages]
    raise ValueError(
        f"extra_info has no prompt under {key!r}: put each row's prompt there when you prepare "
        "the dataset, or name the key that has it (prompt_key)"
    )
