"""What is asked of a language model, what comes back, and the id that ties both together."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Literal

Route = Literal["chat", "completions"]


@dataclass(frozen=True)
class Sampling:
    """How a model samples; whatever is None is left to the endpoint's own default.

    Attributes:
        samples: answers to each prompt, the n-th of them with `seed + n`.
        max_tokens: of an answer. None for endpoints that know it by another name; `extra` holds it.
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
    """The model that is asked, apart from where it is served."""

    model: str
    revision: str
    route: Route


@dataclass(frozen=True)
class CompletionRequest:
    """A request for one completion. Equal requests have equal ids, in every run."""

    id: str
    prompt: str
    body: dict[str, object]


def completion_requests(
    prompt: str, asked: ModelIdentity, sampling: Sampling
) -> list[CompletionRequest]:
    """One for each of `sampling.samples`."""
    return [_question(prompt, asked, sampling, sample) for sample in range(sampling.samples)]


def _question(
    prompt: str, asked: ModelIdentity, sampling: Sampling, sample: int
) -> CompletionRequest:
    seed = None if sampling.seed is None else sampling.seed + sample
    body = sampling.body(seed)
    # Without a seed nothing else would tell two samples of one prompt apart.
    unseeded = sample if seed is None else 0
    identity = [dataclasses.asdict(asked), prompt, body, unseeded]
    text = json.dumps(identity, sort_keys=True)
    return CompletionRequest(hashlib.sha256(text.encode()).hexdigest()[:32], prompt, body)


@dataclass(frozen=True)
class Completion:
    """What the model said; `id` is the question's. `finish_reason` "length" means cut short."""

    id: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Failure:
    """No answer, all retries included.

    Attributes:
        reason: a few words to count by.
        detail: the endpoint's own message.
        hopeless: whether every other question would fail as well.
    """

    id: str
    reason: str
    detail: str
    hopeless: bool = False


Outcome = Completion | Failure
