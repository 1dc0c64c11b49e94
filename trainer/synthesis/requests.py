"""Requests to a language model and what comes back, tied together by the request's id."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Literal

Route = Literal["chat", "completions"]


@dataclass(frozen=True)
class Sampling:
    """How a model samples. A field that is None is left out, so the endpoint's default applies.

    Attributes:
        samples: number of completions of each prompt; the n-th is drawn with `seed + n`.
        max_tokens: limit of one completion. None for endpoints that name it otherwise; `extra`
            holds it then.
        extra: further fields of the request's body, such as vLLM's `top_k` or
            `chat_template_kwargs`.
    """

    temperature: float | None = 0.7
    top_p: float | None = 1.0
    max_tokens: int | None = 1024
    seed: int | None = 1
    samples: int = 1
    stop: tuple[str, ...] = ()
    extra: dict[str, object] = field(default_factory=dict)

    def body(self, seed: int | None) -> dict[str, object]:
        """The request's fields beside model and prompt."""
        fields = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "seed": seed,
            "stop": list(self.stop) or None,
        }
        return {name: value for name, value in fields.items() if value is not None} | self.extra


@dataclass(frozen=True)
class ModelIdentity:
    """The model that completes, without where it is served."""

    model: str
    revision: str
    route: Route


@dataclass(frozen=True)
class Prefilled:
    """A prompt with the beginning of its answer, which the model goes on with.

    The route `chat` sends the beginning as a message of the assistant's that is continued, as vLLM
    and SGLang do it. The route `completions` sends the exact ids, or else both texts in a row.

    Attributes:
        ids: exact token ids of everything, the chat template included; empty where not known.
    """

    prompt: str
    answer: str
    ids: tuple[int, ...] = ()


Prompt = str | Prefilled


@dataclass(frozen=True)
class CompletionRequest:
    """A request for one completion. Equal requests have equal ids, in every run."""

    id: str
    prompt: Prompt
    body: dict[str, object]


def completion_requests(
    prompt: Prompt, model: ModelIdentity, sampling: Sampling
) -> list[CompletionRequest]:
    """One request for each of `sampling.samples`."""
    requests = []
    asked = prompt if isinstance(prompt, str) else dataclasses.asdict(prompt)
    for sample in range(sampling.samples):
        seed = None if sampling.seed is None else sampling.seed + sample
        body = sampling.body(seed)
        # Without a seed nothing but its number tells two samples of one prompt apart. With one,
        # the number must not count, or another number of samples would change the ids.
        unseeded = sample if seed is None else 0
        text = json.dumps([dataclasses.asdict(model), asked, body, unseeded], sort_keys=True)
        identity = hashlib.sha256(text.encode()).hexdigest()[:32]
        requests.append(CompletionRequest(identity, prompt, body))
    return requests


@dataclass(frozen=True)
class Completion:
    """The model's text; `id` is the request's.

    Attributes:
        finish_reason: "length" when `max_tokens` cut the text short.
        prompt_ids, token_ids: exact token ids; empty where the server gives none.
        log_probs: of each of `token_ids`; empty where the server gives none.
    """

    id: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    prompt_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A request without a completion after all retries.

    Attributes:
        reason: a few words to count by.
        detail: the endpoint's own message.
        fatal: whether every other request would fail as well.
    """

    id: str
    reason: str
    detail: str
    fatal: bool = False


RequestOutcome = Completion | Failure
