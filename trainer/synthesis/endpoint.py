"""A client of one OpenAI-compatible endpoint: a request in, its completion or a failure out."""

import asyncio
import os
from dataclasses import dataclass
from typing import Self

import openai
from pydantic import BaseModel

from trainer.pipeline.stage import StageError
from trainer.synthesis.requests import (
    Completion,
    CompletionRequest,
    Failure,
    ModelIdentity,
    Prefilled,
    Prompt,
    RequestOutcome,
    Route,
)


@dataclass(frozen=True)
class EndpointConfig:
    """Where a model is served, and the limits of requests to it.

    Attributes:
        url: the API's base, such as `http://127.0.0.1:8000/v1`. Environment variables in it, as in
            `$STRONG_URL`, are filled in when it is used.
        revision: revision of the model's weights, as far as known; part of every request's id.
        key_variable: environment variable that holds the API key; empty when none is needed.
        concurrency: maximum of requests in flight, of each worker.
        max_retries: retries of one request after time-outs, lost connections and statuses 408,
            409, 429 and 5xx, with exponential backoff or the pause that `Retry-After` names.
        attempt_seconds: time without a byte from the endpoint after which an attempt fails.
        deadline_seconds: limit of one request, its retries included.
        max_consecutive_failures: after this many, with no completion between them, the stage stops.
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
    def identity(self) -> ModelIdentity:
        return ModelIdentity(self.model, self.revision, self.route)

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        price = prompt_tokens * self.prompt_price + completion_tokens * self.completion_price
        return price / 1e6


class Endpoint:
    """A client of one endpoint, for one event loop.

    Raises:
        StageError: the URL or the key is not set; raised before anything is requested.
    """

    def __init__(self, config: EndpointConfig) -> None:
        url = os.path.expandvars(config.url)
        if "$" in url:
            raise StageError(
                f"the endpoint's URL is {config.url}: set that environment variable to its address"
            )
        # The openai client insists on a key; endpoints that need none ignore it.
        key = os.environ.get(config.key_variable, "") if config.key_variable else "none"
        if not key:
            raise StageError(
                f"the endpoint's API key is read from ${config.key_variable}, which is not set"
            )
        self._config = config
        self._client = openai.AsyncOpenAI(
            base_url=url,
            api_key=key,
            timeout=config.attempt_seconds,
            max_retries=config.max_retries,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def complete(self, request: CompletionRequest) -> RequestOutcome:
        """Never raises for anything that an endpoint or a network can do."""
        try:
            # The client's own time-out is for one attempt; this one bounds them all.
            async with asyncio.timeout(self._config.deadline_seconds):
                return await self._send(request)
        except TimeoutError:
            limit = f"no answer in {self._config.deadline_seconds:g} s"
            return Failure(request.id, "deadline", limit)
        except (openai.OpenAIError, ValueError) as error:
            match error:
                case openai.APIStatusError():
                    reason = f"status {error.status_code}"
                case openai.APITimeoutError():  # it is a kind of APIConnectionError
                    reason = "time-out"
                case openai.APIConnectionError():
                    reason = "no connection"
                case _:
                    reason = "malformed reply"
            # With a wrong key, URL or model name no other request would fare better.
            wrong = (
                openai.AuthenticationError,
                openai.PermissionDeniedError,
                openai.NotFoundError,
            )
            return Failure(request.id, reason, str(error)[:300], fatal=isinstance(error, wrong))

    async def _send(self, request: CompletionRequest) -> Completion:
        model, body = self._config.model, request.body
        if self._config.route == "chat":
            chat = await self._client.chat.completions.create(
                model=model,
                messages=messages_of(request.prompt),
                extra_body=body | continuing(request.prompt),
            )
            require_choices(chat, openai.types.chat.ChatCompletion)
            reply: openai.types.chat.ChatCompletion | openai.types.Completion = chat
            text = chat.choices[0].message.content or ""
            usage = chat.usage
        else:
            plain = await self._client.completions.create(
                model=model, prompt=plain_prompt(request.prompt), extra_body=body
            )
            require_choices(plain, openai.types.Completion)
            reply, text = plain, plain.choices[0].text
            usage = plain.usage
        # Some servers send no reason or null, whatever the client's types say.
        end = getattr(reply.choices[0], "finish_reason", None)
        prompt_ids, token_ids, log_probs = tokens_of(reply)
        return Completion(
            id=request.id,
            # JSON can carry lone surrogates, which no UTF-8 file can; they become "?".
            text=text.encode(errors="replace").decode(),
            finish_reason=end or "",
            prompt_tokens=usage.prompt_tokens if usage else 0,
            completion_tokens=usage.completion_tokens if usage else 0,
            prompt_ids=prompt_ids,
            token_ids=token_ids,
            log_probs=log_probs,
        )


class _LogProb(BaseModel):
    logprob: float


class _LogProbs(BaseModel):
    """Log-probabilities in the two shapes of OpenAI's routes."""

    content: list[_LogProb] | None = None  # of chat
    token_logprobs: list[float] | None = None  # of plain completions


class _Choice(BaseModel):
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None  # beside the choice of a plain completion
    logprobs: _LogProbs | None = None


class _Tokens(BaseModel):
    """The token ids of a reply, as vLLM sends them when `return_token_ids` is asked for."""

    prompt_token_ids: list[int] | None = None
    choices: list[_Choice]


def tokens_of(reply: BaseModel) -> tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]:
    """Token ids of the prompt and of the answer, and the answer's log-probabilities.

    Each is empty where the server sent none, and log-probabilities also where their number is not
    that of the ids.
    """
    found = _Tokens.model_validate(reply.model_dump(warnings=False))
    choice = found.choices[0]
    prompt_ids = found.prompt_token_ids or choice.prompt_token_ids or []
    ids, probs = choice.token_ids or [], choice.logprobs
    log_probs = (
        [each.logprob for each in probs.content]
        if probs and probs.content
        else (probs.token_logprobs or [] if probs else [])
    )
    kept = log_probs if len(log_probs) == len(ids) else []
    return tuple(prompt_ids), tuple(ids), tuple(kept)


def messages_of(prompt: Prompt) -> list[openai.types.chat.ChatCompletionMessageParam]:
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [
        {"role": "user", "content": prompt.prompt},
        {"role": "assistant", "content": prompt.answer},
    ]


def continuing(prompt: Prompt) -> dict[str, object]:
    """Fields that keep a server from ending the last message and beginning another one."""
    if isinstance(prompt, str):
        return {}
    return {"add_generation_prompt": False, "continue_final_message": True}


def plain_prompt(prompt: Prompt) -> str | list[int]:
    """The prompt of the route `completions`, by its exact ids where they are known."""
    if isinstance(prompt, Prefilled):
        return list(prompt.ids) or prompt.prompt + prompt.answer
    return prompt


def require_choices(reply: object, reply_type: type[object]) -> None:
    """Refuse a reply without a choice.

    The openai client passes on whatever came with status 200, even a proxy's error page.
    """
    if not isinstance(reply, reply_type) or not getattr(reply, "choices", None):
        raise ValueError("the reply holds no answer")
