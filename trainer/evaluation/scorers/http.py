"""A scorer behind HTTP: any service that answers `POST /v1/score`, docs/scoring.md."""

import itertools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
from pydantic import TypeAdapter, ValidationError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay
from tenacity.wait import wait_random_exponential

from trainer.evaluation.question import STEP, Question, Reading, text_of, unaskable
from trainer.pipeline.stage import StageError

_MOST_ANSWERS = 256
_MOST_CHARACTERS = 500_000
"""Of one request: far below a service's limits, and enough to fill its batches."""

_BUSY = {429, 500, 502, 503, 504}


@dataclass(frozen=True)
class ServiceConfig:
    """Where the service is.

    Attributes:
        model: one of its models; empty is its first.
        key_variable: the environment variable that holds an API key, where it wants one.
        connections: requests at a time.
        patience: seconds for which a request is tried again while the service cannot answer.
    """

    url: str
    model: str = ""
    key_variable: str = ""
    connections: int = 4
    patience: float = 600.0


@dataclass(frozen=True)
class _Error:
    code: str


@dataclass(frozen=True)
class _Step:
    score: float


@dataclass(frozen=True)
class _Score:
    score: float | None
    steps: list[_Step] | None
    error: _Error | None

    def reading(self) -> Reading:
        if self.score is None:
            return Reading(error=self.error.code if self.error else "no score")
        return Reading((*(step.score for step in self.steps or ()), self.score))


@dataclass(frozen=True)
class _Result:
    scores: list[_Score]


@dataclass(frozen=True)
class _Response:
    model: str
    version: str
    score_type: str
    results: list[_Result]


class _Busy(Exception):
    """Worth another try, after at least so many seconds."""

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class HttpScorer:
    """Scores with a running service; close it when done.

    Raises:
        StageError: it cannot be reached, has no such model, or refuses what is asked.
    """

    def __init__(self, config: ServiceConfig) -> None:
        self._config = config
        # Straight to the service: a proxy would only stand between.
        self._client = httpx.Client(
            base_url=config.url, headers=_headers(config), timeout=120.0, trust_env=False
        )
        probe = self._post([Question("probe", "", "probe", ("probe",), (True,))])
        self.name = f"{probe.model} {probe.version}"

    def close(self) -> None:
        self._client.close()

    def score(self, questions: Sequence[Question]) -> Iterator[list[Reading]]:
        askable = [question for question in questions if not unaskable(question.prompt)]
        executor = ThreadPoolExecutor(self._config.connections)
        try:
            answers = executor.map(self._ask, _requests(askable))
            readings = itertools.chain.from_iterable(answers)
            for question in questions:
                reason = unaskable(question.prompt)
                count = range(len(question.answers))
                yield [Reading(error=reason) if reason else next(readings) for _ in count]
        finally:
            executor.shutdown(cancel_futures=True)

    def _ask(self, pieces: list[Question]) -> list[Reading]:
        response = self._post(pieces)
        if f"{response.model} {response.version}" != self.name:
            raise StageError(
                f"the service changed from {self.name} to {response.model} {response.version} "
                "while it was evaluated: run this stage again"
            )
        return [score.reading() for result in response.results for score in result.scores]

    def _post(self, pieces: list[Question]) -> _Response:
        retrying = Retrying(
            retry=retry_if_exception_type(_Busy),
            wait=_pause,
            stop=stop_after_delay(self._config.patience),
            reraise=True,
        )
        try:
            return retrying(self._try, _body(pieces, self._config.model))
        except _Busy as error:
            raise StageError(f"{self._config.url} does not answer: {error}") from error

    def _try(self, body: dict[str, object]) -> _Response:
        try:
            response = self._client.post("/v1/score", json=body)
        except httpx.TransportError as error:
            raise _Busy(str(error) or type(error).__name__) from error
        if response.status_code in _BUSY:
            raise _Busy(f"status {response.status_code}", _seconds(response))
        if not response.is_success:
            raise StageError(f"{self._config.url} refuses: {response.text[:500]}")
        return self._checked(response)

    def _checked(self, response: httpx.Response) -> _Response:
        try:
            answer = TypeAdapter(_Response).validate_json(response.content)
        except ValidationError as error:
            raise StageError(f"{self._config.url} does not speak `POST /v1/score`") from error
        if answer.score_type != "raw_logit":
            raise StageError(f"{self._config.url} answers with {answer.score_type}, not raw_logit")
        return answer


def _headers(config: ServiceConfig) -> dict[str, str]:
    if not config.key_variable:
        return {}
    key = os.environ.get(config.key_variable)
    if not key:
        raise StageError(f"set {config.key_variable}: it names the service's API key")
    return {"Authorization": f"Bearer {key}"}


def _pause(state: RetryCallState) -> float:
    """What the service asked for, and some more, so that requests do not come back together."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.seconds if isinstance(error, _Busy) else 0.0
    return asked + wait_random_exponential(multiplier=0.25, max=10)(state)


def _seconds(response: httpx.Response) -> float:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0


def _body(pieces: list[Question], model: str) -> dict[str, object]:
    body: dict[str, object] = {"inputs": [*map(_input, pieces)], "priority": "bulk"}
    if model:
        body["model"] = model
    if pieces[0].stepped:
        body["steps"] = {"delimiter": STEP}
    return body


def _input(piece: Question) -> dict[str, object]:
    candidates = [c if isinstance(c, str) else list(c) for c in piece.answers]
    return {**_prompt(piece), "candidates": candidates}


def _prompt(question: Question) -> dict[str, object]:
    if isinstance(question.prompt, str):
        return {"prompt": question.prompt}
    return {"messages": [message._asdict() for message in question.prompt]}


def _requests(questions: Sequence[Question]) -> Iterator[list[Question]]:
    """Pieces of questions, as many as go into one request; steps and texts do not mix."""
    request: list[Question] = []
    answers, characters = 0, 0
    for piece in itertools.chain.from_iterable(map(_pieces, questions)):
        size = sum(len(text_of(answer)) for answer in piece.answers)
        full = answers + len(piece.answers) > _MOST_ANSWERS or characters + size > _MOST_CHARACTERS
        if request and (full or request[0].stepped != piece.stepped):
            yield request
            request, answers, characters = [], 0, 0
        request.append(piece)
        answers, characters = answers + len(piece.answers), characters + size
    if request:
        yield request


def _pieces(question: Question) -> Iterator[Question]:
    places = range(len(question.answers))
    for start in places[::_MOST_ANSWERS]:
        yield question.only(places[start : start + _MOST_ANSWERS])
