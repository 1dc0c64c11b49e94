"""A scorer behind HTTP: `codepmp_client` asks any service that answers `POST /v1/score`."""

import itertools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

import httpx

from codepmp_client import (
    BadAnswer,
    DeadlineExceeded,
    Input,
    Options,
    Result,
    RewardClient,
    RewardError,
    Score,
    Unavailable,
    VersionChanged,
)
from reward_model.text.chat import NO_INPUTS
from trainer.evaluation.question import STEP, Question, Reading, text_of, unaskable
from trainer.pairs.criteria import Criteria, asked_by
from trainer.pipeline.stage import StageError

# One request stays far below a service's limits, and is large enough to fill its batches.
MAX_CANDIDATES = 256
MAX_CHARACTERS = 500_000


@dataclass(frozen=True)
class ServiceConfig:
    """Where the service is.

    Attributes:
        model: one of its models; empty for its first.
        key_variable: the environment variable that holds an API key, if the service wants one.
        connections: requests in flight at a time.
        patience: seconds for which a request is retried after a lost connection or a status of 429,
            502, 503 or 504. A 500 is a fault that would repeat, and ends the stage.
    """

    url: str
    model: str = ""
    key_variable: str = ""
    connections: int = 4
    patience: float = 600.0


class HttpScorer:
    """Scores with a running service; close it when done.

    Args:
        criteria: those of the model that is served, whose prompts are sent as system turns.

    Raises:
        StageError: the service cannot be reached, has no such model, or refuses the request.
    """

    def __init__(self, config: ServiceConfig, criteria: Criteria = MappingProxyType({})) -> None:
        key = os.environ.get(config.key_variable) if config.key_variable else None
        if config.key_variable and not key:
            raise StageError(f"set {config.key_variable}: it names the service's API key")
        self._config = config
        try:
            self._client = RewardClient(
                config.url,
                api_key=key,
                timeout=config.patience,
                concurrency=config.connections,
                candidates_per_request=MAX_CANDIDATES,
                # A transport of our own ignores the proxies that environment variables name: an
                # evaluation asks a service on its own network.
                transport=httpx.HTTPTransport(),
            )
        except ValueError as error:
            raise StageError(f"the service's config is wrong: {error}") from error
        self.name = ""
        self.criteria = criteria
        # Whatever answers this first request must answer all others.
        (probe,) = self._ask([Question("probe", "", "probe", ("probe",), (True,))])
        self.name = f"{probe.model} {probe.version}"

    def close(self) -> None:
        self._client.close()

    def score(self, questions: Sequence[Question]) -> Iterator[list[Reading]]:
        askable = [question for question in questions if not _unsendable(question)]
        # The client's own threads serve the parts of one call; these keep several calls in flight.
        executor = ThreadPoolExecutor(self._config.connections)
        try:
            results = itertools.chain.from_iterable(executor.map(self._ask, _requests(askable)))
            for question in questions:
                if reason := _unsendable(question):
                    yield [Reading(error=reason) for _ in question.answers]
                else:
                    yield [_reading(score) for score in next(results).scores]
        finally:
            # The generator may be closed half-way: what has not been sent by then never is.
            executor.shutdown(cancel_futures=True)

    def _ask(self, questions: list[Question]) -> list[Result]:
        """Score questions that are all in steps, or all not."""
        inputs = []
        for question in questions:
            prompt = question.prompt
            if criterion := self.criteria.get(question.aspect):
                prompt = asked_by(prompt, criterion)
            # The client's type knows role and content; it sends what else a turn has as it is.
            sent = (
                prompt
                if isinstance(prompt, str)
                else cast("list[dict[str, str]]", [turn.turn() for turn in prompt])
            )
            inputs.append(Input(sent, question.answers))
        options = Options(
            model=self._config.model or None,
            priority="bulk",
            steps=STEP if questions[0].stepped else None,
            # The prompts are sent already; a model's default would be put before them once more.
            # Servers of earlier versions know neither defaults nor the field.
            criteria={} if any(each.by_default for each in self.criteria.values()) else None,
        )
        url = self._config.url
        try:
            results = self._client.score_many(inputs, options)
        except VersionChanged as error:
            raise StageError(f"{error}: run this stage again") from error
        except (Unavailable, DeadlineExceeded) as error:
            raise StageError(f"{url} does not answer: {error}") from error
        except BadAnswer as error:
            raise StageError(f"{url} does not speak `POST /v1/score`: {error}") from error
        except RewardError as error:
            raise StageError(f"{url} refuses: {error}") from error
        for result in results:
            if result.score_type != "raw_logit":
                raise StageError(f"{url} answers with {result.score_type}, not raw_logit")
            name = f"{result.model} {result.version}"
            if name != (self.name or name):
                raise StageError(
                    f"the service changed from {self.name} to {name} while it was evaluated: run "
                    "this stage again"
                )
        return results


def _unsendable(question: Question) -> str:
    """The reason why a question cannot be sent; empty if it can be."""
    # A service takes candidates as texts, and the client sends no tools. In this process they are
    # scored, so the report of a service must say that they are missing.
    if any(question.answer_turns) or question.inputs != NO_INPUTS:
        return "tools or calls are scored in the trainer's process alone"
    return unaskable(question.prompt)


def _reading(score: Score) -> Reading:
    if score.raw is None:
        return Reading(error=score.error.code if score.error else "no score")
    return Reading((*(step.raw for step in score.steps), score.raw))


def _requests(questions: Sequence[Question]) -> Iterator[list[Question]]:
    """Cut questions into calls that one request holds; a call is in steps as a whole, or not.

    A question with more candidates than a request holds is a call of its own, which the client
    splits.
    """
    request: list[Question] = []
    candidates, characters = 0, 0
    for question in questions:
        more = len(question.answers)
        size = sum(len(text_of(answer)) for answer in question.answers)
        full = candidates + more > MAX_CANDIDATES or characters + size > MAX_CHARACTERS
        if request and (full or request[0].stepped != question.stepped):
            yield request
            request, candidates, characters = [], 0, 0
        request.append(question)
        candidates, characters = candidates + more, characters + size
    if request:
        yield request
