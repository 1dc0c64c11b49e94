"""Rewards for TRL's trainers (GRPO, RLOO) from a reward-model server. TRL is not imported."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from codepmp_client.async_client import AsyncRewardClient, client_of
from codepmp_client.errors import NoScore
from codepmp_client.inputs import BULK, Input, Message, Options
from codepmp_client.results import Score

TrlText = str | Sequence[Mapping[str, object]]
"""A prompt or a completion: plain, or messages of a conversation."""

TrlReward = Callable[..., Awaitable[list[float | None]]]
"""Called with `prompts`, `completions`, `completion_ids` and the dataset's columns, by name."""


def trl_reward(
    client: AsyncRewardClient | str,
    *,
    normalized: bool = False,
    options: Options = BULK,
    name: str = "reward_model",
) -> TrlReward:
    """A reward function for `reward_funcs`.

    All completions of one prompt are sent in one input. A completion has the reward None, by
    which TRL leaves it out, if the server has an error for it, or if its conversation is not text
    alone: a turn that calls tools, is empty or has parts. A call that fails as a whole raises.

    Args:
        client: or the URL of a server, for which a call then takes ten minutes at most.
        normalized: reward with the normalised score instead of the raw one.
        name: what TRL logs the rewards under.
    """
    server = client_of(client)

    async def reward(
        prompts: Sequence[TrlText], completions: Sequence[TrlText], **_columns: object
    ) -> list[float | None]:
        rows = [_row(*pair) for pair in zip(prompts, completions, strict=True)]
        groups = _groups(rows)
        inputs = [
            Input(_prompt(turns), [answer for _place, answer in group])
            for turns, group in groups.items()
        ]
        results = await server.score_many(inputs, options)
        rewards: list[float | None] = [None] * len(prompts)
        for group, result in zip(groups.values(), results, strict=True):
            for (place, _answer), score in zip(group, result.scores, strict=True):
                rewards[place] = _reward(score, normalized=normalized)
        return rewards

    reward.__name__ = name
    return reward


def _reward(score: Score, *, normalized: bool) -> float | None:
    if normalized and score.raw is not None and score.normalized is None:
        raise NoScore("this model has no calibration: leave out normalized=True")
    return score.normalized if normalized else score.raw


_Turns = tuple[tuple[str, str], ...]
"""Role and content of each."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One completion: what it answers, and the answer."""

    turns: _Turns
    answer: str


def _row(prompt: TrlText, completion: TrlText) -> _Row | None:
    """None if the server has no place for such a conversation."""
    messages = [*_messages(prompt, "user"), *_messages(completion, "assistant")]
    turns = [turn for turn in map(_turn, messages) if turn is not None]
    if len(turns) < len(messages) or turns[-1][0] != "assistant":
        return None
    answer = ""
    while turns and turns[-1][0] == "assistant":  # a prompt may begin the answer itself
        answer = turns.pop()[1] + answer
    return _Row(tuple(turns), answer) if turns else None


def _messages(text: TrlText, role: str) -> Sequence[Mapping[str, object]]:
    return [{"role": role, "content": text}] if isinstance(text, str) else text


def _turn(message: Mapping[str, object]) -> tuple[str, str] | None:
    role, content = message.get("role"), message.get("content")
    plain = isinstance(role, str) and isinstance(content, str) and not message.get("tool_calls")
    return (str(role), str(content)) if plain and content else None


def _groups(rows: Iterable[_Row | None]) -> dict[_Turns, list[tuple[int, str]]]:
    """Places and answers, by what they answer."""
    groups: dict[_Turns, list[tuple[int, str]]] = {}
    for place, row in enumerate(rows):
        if row is not None:
            groups.setdefault(row.turns, []).append((place, row.answer))
    return groups


def _prompt(turns: _Turns) -> list[Message]:
    return [{"role": role, "content": content} for role, content in turns]
