"""As TRL's trainers call it. `test_grpo.py` has a real one do so."""

import asyncio
import json
from collections.abc import Sequence

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codepmp_client import AsyncRewardClient, NoScore, trl_reward
from codepmp_client.trl import TrlText
from tests.client.servers import service
from tests.service.fakes import CALIBRATION, MAX_TOKENS


def user(content: str) -> list[dict[str, object]]:
    return [{"role": "user", "content": content}]


def assistant(content: object, **more: object) -> list[dict[str, object]]:
    return [{"role": "assistant", "content": content, **more}]


async def rewards(
    prompts: Sequence[TrlText], completions: Sequence[TrlText], *, normalized: bool = False
) -> list[float | None]:
    with service() as (url, _):
        async with AsyncRewardClient(url) as client:
            reward = trl_reward(client, normalized=normalized)
            return await reward(
                prompts=prompts,
                completions=completions,
                completion_ids=[[1]] * len(prompts),
                answer=["a column"] * len(prompts),
                trainer_state=None,
            )


async def test_plain_and_conversational_rows_get_the_raw_score() -> None:
    assert await rewards(["prompt", "p"], ["abc", "abc"]) == [9.0, 4.0]
    assert await rewards([user("prompt"), user("p")], [assistant("abc")] * 2) == [9.0, 4.0]


async def test_the_normalised_score_is_there_for_who_asks() -> None:
    assert await rewards(["prompt"], ["abc"], normalized=True) == [CALIBRATION.apply(9.0)]


async def test_a_model_without_calibration_is_said_and_not_taken_for_rows_without_a_score() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        results = [{"scores": [scored("abc") | {"index": 0}], "ranking": [0], "best": 0}]
        return httpx.Response(200, json={"model": "rm", "version": "1", "results": results})

    async with AsyncRewardClient("http://rm", transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(NoScore, match="no calibration"):
            await trl_reward(client, normalized=True)(prompts=["prompt"], completions=["abc"])


async def test_what_cannot_be_scored_is_none_and_costs_the_others_nothing() -> None:
    calls = assistant("", tool_calls=[{"name": "f"}])
    tool: list[dict[str, object]] = [{"role": "tool", "content": "42"}]
    rows: dict[str, list[dict[str, object]]] = {
        "fine": assistant("abc"),
        "too long": assistant("x" * MAX_TOKENS),
        "empty": assistant(""),
        "without content": [{}],
        "nothing": [],
        "parts": assistant([{"type": "text", "text": "abc"}]),
        "calls a tool": [*calls, *tool, *assistant("abc")],
        "ends on a tool": [*assistant("abc"), *tool],
    }
    found = await rewards([user("p")] * len(rows), list(rows.values()))
    assert dict(zip(rows, found, strict=True)) == dict.fromkeys(rows, None) | {"fine": 4.0}


async def test_earlier_turns_of_a_completion_belong_to_the_conversation() -> None:
    completion = [*assistant("ab"), *user("cd"), *assistant("e")]
    assert await rewards([user("p")], [completion]) == [6.0]


async def test_an_answer_that_the_prompt_begins_is_scored_whole() -> None:
    assert await rewards([[*user("p"), *assistant("ab")]], [assistant("c")]) == [4.0]


async def test_rows_that_are_all_unfit_ask_nothing() -> None:
    assert await rewards([user("p")], [assistant("")]) == [None]


def test_it_is_logged_under_its_name() -> None:
    assert trl_reward("http://rm").__name__ == "reward_model"
    assert trl_reward("http://rm", name="helpful").__name__ == "helpful"


words = st.sampled_from(["a", "b", "cc", "ddd"])


@given(st.lists(st.tuples(words, words), max_size=30), st.integers(1, 7))
def test_every_row_has_its_own_reward_and_equal_prompts_are_one_input(
    rows: list[tuple[str, str]], most: int
) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        entries = json.loads(request.content)["inputs"]
        asked.extend(entry["messages"][0]["content"] for entry in entries)
        results = [
            {"scores": [scored(entry["messages"][0]["content"] + c) for c in entry["candidates"]]}
            for entry in entries
        ]
        return httpx.Response(200, json={"model": "rm", "version": "1", "results": results})

    async def call() -> list[float | None]:
        transport = httpx.MockTransport(answer)
        async with AsyncRewardClient(
            "http://rm", transport=transport, candidates_per_request=most
        ) as client:
            return await trl_reward(client)(
                prompts=[prompt for prompt, _ in rows], completions=[text for _, text in rows]
            )

    assert asyncio.run(call()) == [value(prompt + text) for prompt, text in rows]
    counts = {prompt: [row[0] for row in rows].count(prompt) for prompt, _ in rows}
    assert len(asked) == sum(-(-count // most) for count in counts.values())


def value(text: str) -> float:
    return float(int.from_bytes(text.encode()))


def scored(text: str) -> dict[str, object]:
    return {"score": value(text), "normalized": None, "tokens": 1, "error": None}
