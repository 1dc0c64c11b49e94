"""Rewards for verl from a reward-model server. verl is not imported."""

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping

from codepmp_client.async_client import AsyncRewardClient, client_of
from codepmp_client.errors import NoScore
from codepmp_client.inputs import BULK, Message, Options, Prompt
from codepmp_client.results import Score

VerlReward = Callable[..., Awaitable[dict[str, float]]]
"""Called with `data_source`, `solution_str`, `ground_truth`, `extra_info` and more, by name."""


def verl_compute_score(
    client: AsyncRewardClient | str,
    *,
    prompt_key: str = "prompt",
    error_score: float | None = None,
    options: Options = BULK,
) -> VerlReward:
    """A `compute_score` for verl's custom reward function.

    verl does not hand it the prompt, so the dataset must: in `extra_info`, as a text or as
    messages. It gives `score`, the raw score, and to log `reward_normalized` (NaN for a model
    without calibration), `reward_tokens` and `reward_error` (1 if there was no score).

    Args:
        client: or the URL of a server, for which a call then takes ten minutes at most.
        prompt_key: of `extra_info`, where the prompt is.
        error_score: of a response that cannot be scored, for example one that is too long. If
            None, such a response raises `NoScore`: no number is right for every run.
    """
    server = client_of(client)

    async def compute_score(
        data_source: str,  # noqa: ARG001 - verl's signature
        solution_str: str,
        ground_truth: object,  # noqa: ARG001
        extra_info: Mapping[str, object] | None = None,
        **_more: object,
    ) -> dict[str, float]:
        prompt = _prompt(extra_info or {}, prompt_key)
        result = await server.score(prompt, [solution_str], options)
        return _logged(result.scores[0], error_score)

    return compute_score


def _prompt(extra_info: Mapping[str, object], key: str) -> Prompt:
    """Messages may come in an array: that is how a parquet file gives them back."""
    match extra_info.get(key):
        case str(prompt):
            return prompt
        case Iterable() as messages:
            return [_message(message) for message in messages]
    raise ValueError(
        f"extra_info has no prompt under {key!r}: put each row's prompt there when you prepare "
        "the dataset, or name the key that has it (prompt_key)"
    )


def _message(message: Mapping[str, str]) -> Message:
    return {"role": message["role"], "content": message["content"]}


def _logged(score: Score, error_score: float | None) -> dict[str, float]:
    raw = score.raw
    if raw is None:
        assert score.error
        if error_score is None:
            raise NoScore(
                f"a response has no score: {score.error.message}. To go on, say what such a "
                "response is worth (error_score)",
                code=score.error.code,
            )
        raw = error_score
    return {
        "score": raw,
        "reward_normalized": math.nan if score.normalized is None else score.normalized,
        "reward_tokens": float(score.tokens),
        "reward_error": float(score.error is not None),
    }
