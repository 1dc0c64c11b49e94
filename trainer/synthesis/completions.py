"""Completes many prompts with a language model, in as many runs as it takes.

The descriptions and both sides of the pairs are requested this way. This module knows neither.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from trainer.pipeline.stage import StageError
from trainer.synthesis import asyncio_engine, ray_engine
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.ledger import Ledger
from trainer.synthesis.progress import Progress
from trainer.synthesis.requests import (
    Completion,
    CompletionRequest,
    Prompt,
    Sampling,
    completion_requests,
)


@dataclass(frozen=True)
class EngineConfig:
    """The engine that sends the requests.

    Attributes:
        kind: `asyncio` in this process, or `ray` on a cluster.
        workers: number of Ray workers; each has up to `concurrency` requests in flight.
        address: address of a running Ray cluster; empty starts one on this machine for the stage.
    """

    kind: Literal["asyncio", "ray"] = "asyncio"
    workers: int = 2
    address: str = ""


@dataclass(frozen=True)
class LlmConfig:
    """A language model's endpoint, how it samples, and the engine that sends requests to it."""

    endpoint: EndpointConfig
    sampling: Sampling = field(default_factory=Sampling)
    engine: EngineConfig = field(default_factory=EngineConfig)

    def requests(self, prompt: Prompt) -> list[CompletionRequest]:
        """One request for each sample."""
        return completion_requests(prompt, self.endpoint.identity, self.sampling)


@dataclass(frozen=True)
class Completions:
    """All completions of this run and of earlier ones, by request id."""

    config: LlmConfig
    completions: dict[str, Completion]
    failures: Counter[str]
    facts: dict[str, object]

    def of(self, prompt: Prompt) -> list[Completion | None]:
        """A completion for each sample of the prompt; None for one that failed."""
        return [self.completions.get(request.id) for request in self.config.requests(prompt)]


def ledger_path(stage: Path) -> Path:
    """The folder of a stage's completions. It stands beside the stage's own folder, which is
    replaced as a whole whenever the stage runs."""
    return stage.with_name(f"{stage.name}-answers")


def is_answered(prompts: Iterable[Prompt], config: LlmConfig, ledger: Path) -> bool:
    """Whether `ledger` holds every completion, so that nothing would be requested."""
    wanted = {request.id for prompt in prompts for request in config.requests(prompt)}
    with Ledger(ledger) as kept:
        return wanted <= kept.completions().keys()


def complete_all(prompts: Iterable[Prompt], config: LlmConfig, ledger: Path) -> Completions:
    """Request all completions that `ledger` does not hold yet, and return all of them.

    Raises:
        StageError: the endpoint fails for every request; completions so far are kept.
    """
    endpoint, engine = config.endpoint, config.engine
    wanted = {request.id: request for prompt in prompts for request in config.requests(prompt)}
    with Ledger(ledger) as kept:
        known = kept.completions()
        missing = [request for id_, request in wanted.items() if id_ not in known]
        done = len(wanted) - len(missing)
        with Progress(kept, endpoint, done, len(wanted)) as progress:
            if missing and engine.kind == "ray":
                workers, address = engine.workers, engine.address
                ray_engine.send_all(
                    missing, endpoint, progress.record, workers=workers, address=address
                )
            elif missing:
                asyncio_engine.send_all(missing, endpoint, progress.record)
        # The ledger decides, not this run: another process may have been first with a completion.
        known = kept.completions()
    completions = {id_: known[id_] for id_ in wanted if id_ in known}
    if not completions:
        raise StageError(
            f"none of {len(wanted)} requests was answered ({dict(progress.failures)}): check the "
            "endpoint, then run this stage again"
        )
    read = sum(each.prompt_tokens for each in completions.values())
    written = sum(each.completion_tokens for each in completions.values())
    # For the manifest: the same facts, however many runs the completions took.
    facts: dict[str, object] = {
        "answered": len(completions),
        "left_for_the_next_run": dict(sorted(progress.failures.items())),
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "cost": endpoint.cost(read, written),
        },
    }
    return Completions(config, completions, progress.failures, facts)
