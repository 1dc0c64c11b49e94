"""The server's JSON, read. What is not named here is left alone: newer servers send more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import httpx

from codepmp_client.errors import (
    BadAnswer,
    DeadlineExceeded,
    Refused,
    RewardError,
    ServerFault,
    Unavailable,
)
from codepmp_client.results import RAW, ItemError, Score, StepScore


class _Error(TypedDict):
    code: str
    message: str


class _Step(TypedDict):
    end: int
    score: float


class _Score(TypedDict):
    score: float | None
    normalized: float | None
    tokens: int
    tokens_dropped: int
    steps: list[_Step] | None
    error: _Error | None


class _Result(TypedDict):
    scores: list[_Score]


class _Answer(TypedDict):
    model: str
    version: str
    score_type: str
    results: list[_Result]


@dataclass(frozen=True, slots=True)
class ScoreResponse:
    """Of one request: per input and candidate, in order."""

    model: str
    version: str
    scores: tuple[tuple[Score, ...], ...]
    score_type: str = RAW


def read_answer(response: httpx.Response, sizes: Sequence[int]) -> ScoreResponse:
    """Args:
        sizes: candidates of each input that was sent.

    Raises:
        BadAnswer: it is none, or not one to that.
    """
    try:
        body: _Answer = response.json()
        scores = tuple(tuple(map(_score, result["scores"])) for result in body["results"])
        # Servers from before scores could be of several models name no type.
        kind = body.get("score_type", RAW)
        answer = ScoreResponse(body["model"], body["version"], scores, kind)
    except (ValueError, KeyError, TypeError):
        raise _unlike_ours(response) from None
    if [len(entry) for entry in answer.scores] != list(sizes):
        raise _unlike_ours(response)
    return answer


def _score(item: _Score) -> Score:
    error = item["error"]
    return Score(
        raw=item["score"],
        normalized=item["normalized"],
        tokens=item["tokens"],
        error=ItemError(error["code"], error["message"]) if error else None,
        tokens_dropped=item.get("tokens_dropped", 0),
        steps=tuple(StepScore(s["end"], s["score"]) for s in item.get("steps") or ()),
    )


def _unlike_ours(response: httpx.Response) -> BadAnswer:
    return BadAnswer(
        f"{response.url} answered with something else than scores: is it a reward-model server?",
        status=response.status_code,
        request_id=response.headers.get("x-request-id"),
    )


_TRY_AGAIN = frozenset({429, 502, 503, 504})


def read_error(response: httpx.Response) -> RewardError:
    """What an answer without scores means; `Unavailable` if the same request may fare better."""
    detail = _detail(response)
    status, code = response.status_code, detail.get("code")
    kind: type[RewardError]
    if code == "deadline_exceeded":
        kind = DeadlineExceeded  # the server's own 504; a proxy's says nothing of the kind
    elif status in _TRY_AGAIN:
        kind = Unavailable
    else:
        kind = Refused if status < _SERVERS_FAULT else ServerFault
    return kind(
        detail.get("message") or f"{response.url} answered {status} {response.reason_phrase}",
        status=status,
        code=code,
        param=detail.get("param"),
        request_id=response.headers.get("x-request-id"),
    )


_SERVERS_FAULT = 500


class _Detail(TypedDict, total=False):
    message: str
    code: str
    param: str | None


def _detail(response: httpx.Response) -> _Detail:
    """Of OpenAI's shape of an error; empty if a proxy or another server wrote it."""
    try:
        detail = response.json()["error"]
        return _Detail(message=detail["message"], code=detail["code"], param=detail.get("param"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
