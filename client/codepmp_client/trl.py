"""Rewards for TRL's trainers (GRPO, RLOO) from a reward-model server. TRL is not imported."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from codepmp_client.client import AsyncRewardClient, training_client
from codepmp_client.errors import NoScore
from codepmp_client.inputs import BULK, Input, Options

TrlText = str | Sequence[Mapping[str, object]]
"""A prompt or a completion: plain text, or messages of a conversation."""

TrlReward = Callable[..., Awaitable[list[float | None]]]
"""Called with `prompts`, `completions`, `completion_ids` and the dataset's columns, by name."""

Turns = tuple[tuple[str, str], ...]
"""Role and content of each turn of a conversation."""


def trl_reward(
    client: AsyncRewardClient | str,
    *,
    normalized: bool = False,
    options: Options = BULK,
    name: str = "reward_model",
) -> TrlReward:
    """Make a reward function for `reward_funcs`.

    All completions of one prompt are sent in one input. The reward of a completion is None, which
    TRL leaves out, if the server has an error for it, or if its conversation is more than text: a
    turn that calls tools, is empty or has parts. A call that fails as a whole raises `RewardError`.

    Args:
        client: or the URL of a server; then a call times out after ten minutes.
        normalized: reward with the normalised score instead of the raw one.
        name: under which TRL logs the rewards.
    """
    server = training_client(client)

    async def reward(
        prompts: Sequence[TrlText], completions: Sequence[TrlText], **_columns: object
    ) -> list[float | None]:
        # Index and answer of the completions of each prompt.
        groups: dict[Turns, list[tuple[int, str]]] = {}
        for index, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            if (row := split_answer(prompt, completion)) is not None:
                turns, answer = row
                groups.setdefault(turns, []).append((index, answer))
        inputs = [
            Input(
                [{"role": role, "content": content} for role, content in turns],
                [answer for _, answer in group],
            )
            for turns, group in groups.items()
        ]
        results = await server.score_many(inputs, options)
        rewards: list[float | None] = [None] * len(prompts)
        for group, result in zip(groups.values(), results, strict=True):
            for (index, _), score in zip(group, result.scores, strict=True):
                if normalized and score.raw is not None and score.normalized is None:
                    raise NoScore("this model has no calibration: leave out normalized=True")
                # It stays None where the server has an error for the completion.
                rewards[index] = score.normalized if normalized else score.raw
        return rewards

    # TRL names a reward in its log after the function.
    reward.__name__ = name
    return reward


def split_answer(prompt: TrlText, completion: TrlText) -> tuple[Turns, str] | None:
    """Return the conversation before the assistant's last answer, and that answer.

    It is None if the server cannot score such a conversation.
    """
    messages: list[Mapping[str, object]] = []
    for text, role in ((prompt, "user"), (completion, "assistant")):
        messages += [{"role": role, "content": text}] if isinstance(text, str) else text
    turns: list[tuple[str, str]] = []
    for message in messages:
        match message:
            case {"role": str(role), "content": str(content)} if content:
                turns.append((role, content))
            case _:
                return None
        if message.get("tool_calls"):
            return None
    answer = ""
    # A prompt may begin the answer, so that the assistant has two turns in a row.
    while turns and turns[-1][0] == "assistant":
        answer = turns.pop()[1] + answer
    return (tuple(turns), answer) if turns and answer else None
