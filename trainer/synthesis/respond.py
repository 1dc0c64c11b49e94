"""Descriptions -> responses: one model's code for each, be it the strong or the weak one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.pipeline.shards import read_shards, write_shards
from trainer.pipeline.stage import writing_stage
from trainer.synthesis.completions import LlmConfig, complete_all, ledger_path
from trainer.synthesis.describe import Description, read_descriptions
from trainer.synthesis.requests import Completion
from trainer.synthesis.templates import ANSWER, fill, require

_STEM = "responses"


@dataclass(frozen=True)
class RespondConfig:
    """Who answers, and how; `ask.sampling.samples` is how many candidates each request gets.

    Attributes:
        template: names `{request}`, and `{language}` if it likes.
    """

    llm: LlmConfig
    template: str = ANSWER
    rows_per_shard: int = 10_000


@dataclass(frozen=True)
class Response:
    """A model's whole answer to the description with this id, fences and all; nothing filtered."""

    id: str
    sample: int
    text: str
    finish_reason: str


def run(config: RespondConfig, inputs: Path, output: Path) -> None:
    """Read `describe`; write responses by id. Answers are kept in `<output>-answers` as well."""
    require(config.template, "request")
    descriptions = read_descriptions(inputs / "describe")
    prompts = {row.id: _prompt(row, config) for row in descriptions}
    replies = complete_all(prompts.values(), config.llm, ledger_path(output))
    with writing_stage(config, output, reads=[inputs / "describe"]) as draft:
        rows = [r for row in descriptions for r in _responses(row.id, replies.to(prompts[row.id]))]
        write_shards(draft.path, _STEM, rows, config.rows_per_shard)
        wanted = len(descriptions) * config.llm.sampling.samples
        draft.facts["counts"] = {"responses": len(rows), "not answered yet": wanted - len(rows)}
        draft.facts.update(replies.facts)


def read_responses(folder: Path) -> list[Response]:
    return read_shards(folder, _STEM, Response)


def _prompt(row: Description, config: RespondConfig) -> str:
    return fill(config.template, request=row.text, language=row.language)


def _responses(description: str, answers: list[Completion | None]) -> Iterator[Response]:
    for sample, answer in enumerate(answers):
        if answer:
            yield Response(description, sample, answer.text, answer.finish_reason)
