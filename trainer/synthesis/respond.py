"""Descriptions -> responses: one model, the strong or the weak one, writes code for each."""

from dataclasses import dataclass
from pathlib import Path

from trainer.pipeline.shards import read_shards, write_shards
from trainer.pipeline.stage import writing_stage
from trainer.synthesis.completions import LlmConfig, complete_all, ledger_path
from trainer.synthesis.describe import read_descriptions
from trainer.synthesis.templates import ANSWER, render, require_placeholder

_STEM = "responses"


@dataclass(frozen=True)
class RespondConfig:
    """The answering model and its prompt; `llm.sampling.samples` responses to each description.

    Attributes:
        template: contains `{request}`, and may contain `{language}`.
    """

    llm: LlmConfig
    template: str = ANSWER
    rows_per_shard: int = 10_000


@dataclass(frozen=True)
class Response:
    """A model's whole answer to the description with this id, with its fences and unfiltered."""

    id: str
    sample: int
    text: str
    finish_reason: str


def run(config: RespondConfig, inputs: Path, output: Path) -> None:
    """Read `describe`; write responses by id. Completions are kept in `<output>-answers` too."""
    require_placeholder(config.template, "request")
    descriptions = read_descriptions(inputs / "describe")
    prompts = {
        row.id: render(config.template, request=row.text, language=row.language)
        for row in descriptions
    }
    completions = complete_all(prompts.values(), config.llm, ledger_path(output))
    # Nothing is filtered here: the limits belong to `combine`, and can be changed without asking
    # any model again.
    responses = [
        Response(row.id, sample, completion.text, completion.finish_reason)
        for row in descriptions
        for sample, completion in enumerate(completions.of(prompts[row.id]))
        if completion
    ]
    wanted = len(descriptions) * config.llm.sampling.samples
    with writing_stage(config, output, reads=[inputs / "describe"]) as draft:
        write_shards(draft.path, _STEM, responses, config.rows_per_shard)
        draft.facts["counts"] = {
            "responses": len(responses),
            "not answered yet": wanted - len(responses),
        }
        draft.facts.update(completions.facts)


def read_responses(folder: Path) -> list[Response]:
    return read_shards(folder, _STEM, Response)
