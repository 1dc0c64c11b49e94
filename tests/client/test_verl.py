"""As verl calls it: by name, one response a call, many at once on one loop."""

import asyncio
import inspect
import math

import numpy as np
import pytest

from codepmp_client import AsyncRewardClient, NoScore, verl_compute_score
from codepmp_client.verl import VerlReward
from tests.client.servers import service
from tests.service.fakes import CALIBRATION, MAX_TOKENS

MESSAGES = [{"role": "user", "content": "prompt"}]


async def ask(compute_score: VerlReward, response: str, **extra_info: object) -> dict[str, float]:
    return await compute_score(
        data_source="code",
        solution_str=response,
        ground_truth=None,
        extra_info={"num_turns": 2, **extra_info},
        reward_router_address="verl's own",
    )


def test_verl_sees_that_it_is_to_be_awaited() -> None:
    assert inspect.iscoroutinefunction(verl_compute_score("http://rm"))


async def test_it_gives_the_score_and_numbers_to_log() -> None:
    with service() as (url, _):
        async with AsyncRewardClient(url) as client:
            compute_score = verl_compute_score(client)
            prompts = ["prompt", MESSAGES, np.array(MESSAGES, dtype=object)]
            answers = await asyncio.gather(
                *(ask(compute_score, "abc", prompt=prompt) for prompt in prompts)
            )
    assert answers == [
        {
            "score": 9.0,
            "reward_normalized": CALIBRATION.apply(9.0),
            "reward_tokens": 9.0,
            "reward_error": 0.0,
        }
    ] * len(prompts)


async def test_a_response_without_a_score_has_the_one_that_was_set() -> None:
    with service() as (url, _):
        async with AsyncRewardClient(url) as client:
            strict = verl_compute_score(client)
            with pytest.raises(NoScore, match="error_score") as failure:
                await ask(strict, "x" * MAX_TOKENS, prompt="prompt")
            lenient = verl_compute_score(client, error_score=-5.0)
            answer = await ask(lenient, "x" * MAX_TOKENS, prompt="prompt")
    assert failure.value.code == "too_long"
    assert (answer["score"], answer["reward_error"]) == (-5.0, 1.0)
    assert math.isnan(answer["reward_normalized"])


async def test_a_row_without_its_prompt_is_an_error_that_says_where_it_belongs() -> None:
    compute_score = verl_compute_score("http://rm", prompt_key="question")
    with pytest.raises(ValueError, match="no prompt under 'question'"):
        await ask(compute_score, "abc", prompt="prompt")
