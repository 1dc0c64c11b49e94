"""One OpenAI-compatible endpoint: a question in, its answer or the reason why there is none out."""

import asyncio
import os
from dataclasses import dataclass
from typing import Self

import openai

from trainer.pipeline.stage import StageError
from trainer.synthesis.requests import (
    Completion,
    CompletionRequest,
    Failure,
    ModelIdentity,
    Outcome,
    Route,
)

_HOPELESS = (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError)
"""A wrong key, URL or model name: no other question would fare better."""


@dataclass(frozen=True)
class EndpointConfig:
    """Where a model is served, and how hard it is asked.

    Attributes:
        url: the API's base, such as `http://127.0.0.1:8000/v1`. Environment variables in it, as in
            `$STRONG_URL`, are filled in when it is used.
        revision: of the model's weights, as far as known; it is part of every question's id.
        key_variable: environment variable that holds the API key; empty where none is asked for.
        concurrency: requests under way at once, of each worker.
        retries: of one request after time-outs, lost connections and statuses 408, 409, 429 and
            5xx, with growing pauses or those that `Retry-After` asks for.
        attempt_seconds: without a byte from the endpoint, after which an attempt is given up.
        deadline_seconds: for one request, its retries included.
        max_consecutive_failures: after so many, with no answer between them, the stage stops.
        prompt_price, completion_price: of a million tokens, in any currency.
    """

    url: str
    model: str
    revision: str = ""
    route: Route = "chat"
    key_variable: str = ""
    concurrency: int = 64
    max_retries: int = 5
    attempt_seconds: float = 300.0
    deadline_seconds: float = 900.0
    max_consecutive_failures: int = 50
    prompt_price: float = 0.0
    completion_price: float = 0.0

    @property
    def asked(self) -> ModelIdentity:
        return ModelIdentity(self.model, self.revision, self.route)

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        price = prompt_tokens * self.prompt_price + completion_tokens * self.completion_price
        return price / 1e6


class Endpoint:
    """A client of one endpoint, for one event loop.

    Raises:
        StageError: the URL or the key is not to be had; said before anything is asked.
    """

    def __init__(self, config: EndpointConfig) -> None:
        self._config = config
        self._client = openai.AsyncOpenAI(
            base_url=_url(config.url),
            api_key=_key(config.key_variable),
            timeout=config.attempt_seconds,
            max_retries=config.max_retries,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(self, question: CompletionRequest) -> Outcome:
        """Never raises for what an endpoint or a network can do."""
        try:
            async with asyncio.timeout(self._config.deadline_seconds):
                return await self._answer(question)
        except TimeoutError:
            limit = f"no answer in {self._config.deadline_seconds:g} s"
            return Failure(question.id, "deadline", limit)
        except (openai.OpenAIError, ValueError) as error:
            return _failure(question.id, error)

    async def _answer(self, question: CompletionRequest) -> Completion:
        if self._config.route == "chat":
            return await self._chat(question)
        return await self._completion(question)

    async def _chat(self, question: CompletionRequest) -> Completion:
        reply = await self._client.chat.completions.create(
            model=self._config.model,
            messages=[{"role": "user", "content": question.prompt}],
            extra_body=question.body,
        )
        _check(reply, openai.types.chat.ChatCompletion)
        choice = reply.choices[0]
        return _row(question, choice.message.content, choice.finish_reason, reply.usage)

    async def _completion(self, question: CompletionRequest) -> Completion:
        reply = await self._client.completions.create(
            model=self._config.model, prompt=question.prompt, extra_body=question.body
        )
        _check(reply, openai.types.Completion)
        choice = reply.choices[0]
        return _row(question, choice.text, choice.finish_reason, reply.usage)


def _url(template: str) -> str:
    url = os.path.expandvars(template)
    if "$" in url:
        raise StageError(f"the endpoint's URL is {template}: set that environment variable")
    return url


def _key(variable: str) -> str:
    """The client insists on a key; endpoints that want none ignore it."""
    if not variable:
        return "none"
    key = os.environ.get(variable, "")
    if not key:
        raise StageError(f"the endpoint's API key is read from ${variable}, which is not set")
    return key


def _check(reply: object, kind: type[object]) -> None:
    """The client passes on whatever came with status 200, a proxy's error page too."""
    if not isinstance(reply, kind) or not getattr(reply, "choices", None):
        raise ValueError("the reply holds no answer")


def _row(
    question: CompletionRequest,
    text: str | None,
    finish_reason: str | None,
    usage: openai.types.CompletionUsage | None,
) -> Completion:
    return Completion(
        id=question.id,
        text=text or "",
        finish_reason=finish_reason or "",
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
    )


def _failure(identity: str, error: openai.OpenAIError | ValueError) -> Failure:
    match error:
        case openai.APIStatusError():
            reason = f"status {error.status_code}"
        case openai.APITimeoutError():
            reason = "time-out"
        case openai.APIConnectionError():
            reason = "no connection"
        case _:
            reason = "malformed reply"
    return Failure(identity, reason, str(error)[:300], hopeless=isinstance(error, _HOPELESS))
