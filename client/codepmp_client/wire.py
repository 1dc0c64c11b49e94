"""Reads the server's JSON. Fields that are not named here are ignored: newer servers send more."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
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
from codepmp_client.results import RAW, ItemError, PartScore, Score, StepScore

# Statuses after which the same request may succeed.
_RETRYABLE = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


# The server's JSON, for the type checker alone: `read_response` catches what is missing.
class _Error(TypedDict):
    code: str
    message: str


class _Step(TypedDict):
    end: int
    score: float


class _Part(TypedDict):
    weight: float
    score: float | None
    normalized: float | None


class _Score(TypedDict):
    score: float | None
    normalized: float | None
    tokens: int
    tokens_dropped: int
    steps: list[_Step] | None
    parts: dict[str, _Part] | None
    error: _Error | None


class _Result(TypedDict):
    scores: list[_Score]


class _Response(TypedDict):
    model: str
    version: str
    score_type: str
    results: list[_Result]


class _ErrorDetail(TypedDict, total=False):
    message: str
    code: str
    param: str | None


@dataclass(frozen=True, slots=True)
class ScoreResponse:
    """The scores of one request, by input and then by candidate, both in order."""

    model: str
    version: str
    scores: tuple[tuple[Score, ...], ...]
    score_type: str = RAW


def read_response(response: httpx.Response, sizes: Sequence[int]) -> ScoreResponse:
    """Read a successful response.

    Args:
        sizes: the number of candidates of each input that was sent.

    Raises:
        BadAnswer: it is not a reward-model server's, or not the answer to these inputs.
    """
    try:
        body: _Response = response.json()
        scores = tuple(tuple(map(read_score, result["scores"])) for result in body["results"])
        # Scores are matched to candidates by their order, so there must be one for each.
        if [len(entry) for entry in scores] != list(sizes):
            raise ValueError("it does not answer these inputs")
        # Older servers name no score type.
        score_type = body.get("score_type", RAW)
        return ScoreResponse(body["model"], body["version"], scores, score_type)
    except (ValueError, KeyError, TypeError):
        raise BadAnswer(
            f"{response.url} answered with something else than scores: is it a reward-model "
            "server?",
            status=response.status_code,
            request_id=response.headers.get("x-request-id"),
        ) from None


def read_score(item: _Score) -> Score:
    """Read the score of one candidate.

    Raises:
        ValueError, TypeError: it is no number; another kind of server may send that.
    """
    error = item["error"]
    for value in (item["score"], item["normalized"]):
        if value is not None and not math.isfinite(value):
            raise ValueError("a score is no number")
    return Score(
        raw=item["score"],
        normalized=item["normalized"],
        tokens=item["tokens"],
        error=ItemError(error["code"], error["message"]) if error else None,
        tokens_dropped=item.get("tokens_dropped", 0),
        steps=tuple(StepScore(s["end"], s["score"]) for s in item.get("steps") or ()),
        parts={
            name: PartScore(part["weight"], part["score"], part["normalized"])
            for name, part in (item.get("parts") or {}).items()
        },
    )


def read_error(response: httpx.Response) -> RewardError:
    """Return the error that a response means; `Unavailable` if a later try may succeed."""
    detail: _ErrorDetail = {}
    try:
        error = response.json()["error"]
        detail = {"message": error["message"], "code": error["code"], "param": error.get("param")}
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # not in OpenAI's shape of an error: a proxy or another server wrote it
    status, code = response.status_code, detail.get("code")
    kind: type[RewardError]
    if code == "deadline_exceeded":
        # The server's own 504. A proxy's 504 says nothing about the deadline.
        kind = DeadlineExceeded
    elif status in _RETRYABLE:
        kind = Unavailable
    else:
        kind = ServerFault if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Refused
    return kind(
        detail.get("message") or f"{response.url} answered {status} {response.reason_phrase}",
        status=status,
        code=code,
        param=detail.get("param"),
        request_id=response.headers.get("x-request-id"),
    )
