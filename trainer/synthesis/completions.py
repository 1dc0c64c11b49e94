"""Asking a language model many questions, in as many runs as it takes.

This piece is the same for descriptions and for both sides of the pairs, and knows nothing of them.
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
from trainer.synthesis.requests import Completion, CompletionRequest, Sampling, completion_requests


@dataclass(frozen=True)
class EngineConfig:
    """What asks.

    Attributes:
        kind: `asyncio` in this process, or `ray` on a cluster.
        workers: of Ray; each has `concurrency` requests under way.
        address: of a running Ray cluster; empty for one on this machine, while the stage runs.
    """

    kind: Literal["asyncio", "ray"] = "asyncio"
    workers: int = 2
    address: str = ""


@dataclass(frozen=True)
class LlmConfig:
    """Whom to ask, how it is to sample, and what does the asking."""

    endpoint: EndpointConfig
    sampling: Sampling = field(default_factory=Sampling)
    engine: EngineConfig = field(default_factory=EngineConfig)

    def questions(self, prompt: str) -> list[CompletionRequest]:
        """One for each sample."""
        return completion_requests(prompt, self.endpoint.asked, self.sampling)


@dataclass(frozen=True)
class Completions:
    """All there is, of this run and of earlier ones: answers by question id."""

    config: LlmConfig
    answers: dict[str, Completion]
    failures: Counter[str]
    facts: dict[str, object]

    def to(self, prompt: str) -> list[Completion | None]:
        """An answer for each sample, None for one that is not answered yet."""
        return [self.answers.get(question.id) for question in self.config.questions(prompt)]


def ledger_path(stage: Path) -> Path:
    """Where a stage's answers are kept: beside its folder, which is whole or not there."""
    return stage.with_name(f"{stage.name}-answers")


def complete_all(prompts: Iterable[str], config: LlmConfig, ledger: Path) -> Completions:
    """Ask what `ledger` does not answer yet; afterwards it answers all but `failures`.

    Raises:
        StageError: the endpoint answers nobody; what it answered before is kept.
    """
    wanted = {question.id: question for prompt in prompts for question in config.questions(prompt)}
    with Ledger(ledger) as kept:
        missing = [question for id_, question in wanted.items() if id_ not in kept.answers]
        done = len(wanted) - len(missing)
        with Progress(kept, config.endpoint, done, len(wanted)) as progress:
            if missing:
                _ask(missing, config, progress)
        answers = {id_: kept.answers[id_] for id_ in wanted if id_ in kept.answers}
    if not answers:
        raise StageError(f"none of {len(wanted)} questions has an answer: {progress.failures}")
    facts = _facts(config.endpoint, list(answers.values()), progress.failures)
    return Completions(config, answers, progress.failures, facts)


def _ask(missing: list[CompletionRequest], config: LlmConfig, progress: Progress) -> None:
    engine, endpoint = config.engine, config.endpoint
    match engine.kind:
        case "asyncio":
            asyncio_engine.ask(missing, endpoint, progress.record)
        case "ray":
            workers, address = engine.workers, engine.address
            ray_engine.ask(missing, endpoint, progress.record, workers=workers, address=address)


def _facts(
    endpoint: EndpointConfig, answers: list[Completion], failures: Counter[str]
) -> dict[str, object]:
    """For the manifest: the same in whatever number of runs the answers came."""
    read = sum(answer.prompt_tokens for answer in answers)
    written = sum(answer.completion_tokens for answer in answers)
    return {
        "answered": len(answers),
        "left_for_the_next_run": dict(sorted(failures.items())),
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "cost": endpoint.cost(read, written),
        },
    }
