"""Snippets -> descriptions: a language model writes the request that each snippet would answer."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from trainer.corpus.snippet import read_snippets
from trainer.pairs.group import request_key
from trainer.pipeline.shards import read_shards, write_shards
from trainer.pipeline.stage import writing_stage
from trainer.synthesis.completions import LlmConfig, complete_all, ledger_path
from trainer.synthesis.filters import AnswerLimits, unfit_description
from trainer.synthesis.templates import DESCRIBE, render, require_placeholder

_STEM = "descriptions"


@dataclass(frozen=True)
class DescribeConfig:
    """The describing model, its prompt, and the snippets to describe.

    Attributes:
        template: contains `{code}`, and may contain `{language}`.
        max_snippets: snippets drawn from the corpus by their hashes, so that a larger number adds
            to the same ones. None takes all.
    """

    llm: LlmConfig
    template: str = DESCRIBE
    max_snippets: int | None = None
    limits: AnswerLimits = field(default_factory=AnswerLimits)
    rows_per_shard: int = 10_000


@dataclass(frozen=True)
class Description:
    """A snippet's purpose, worded as a request; `id` is the snippet's with the sample's number."""

    id: str
    package: str
    language: str
    text: str


def run(config: DescribeConfig, inputs: Path, output: Path) -> None:
    """Read `corpus`; write descriptions by id. Completions are kept in `<output>-answers` too."""
    require_placeholder(config.template, "code")
    # A snippet's id is a hash, so the first ones by id are a random sample that never changes.
    found = sorted(read_snippets(inputs / "corpus"), key=lambda snippet: snippet.id)
    snippets = found[: config.max_snippets]
    prompts = {
        snippet.id: render(config.template, code=snippet.source, language=snippet.language.lower())
        for snippet in snippets
    }
    completions = complete_all(prompts.values(), config.llm, ledger_path(output))
    counts: Counter[str] = Counter(snippets=len(found), asked=len(snippets))
    kept: list[Description] = []
    seen: set[tuple[str, str]] = set()
    for snippet in snippets:
        language = snippet.language.lower()
        for number, completion in enumerate(completions.of(prompts[snippet.id])):
            # Every sample ends in exactly one count, and every fit one in a second.
            if completion is None:
                counts["description: not answered yet"] += 1
                continue
            text = completion.text.strip()  # models like to begin with an empty line
            reason = unfit_description(text, completion.finish_reason, config.limits)
            counts[f"description: {reason or 'fit'}"] += 1
            if reason:
                continue
            # A request that occurs twice could stand on both sides of the hold-out.
            request = (language, request_key(text))
            if request in seen:
                counts["same request as another"] += 1
                continue
            seen.add(request)
            counts["kept"] += 1
            kept.append(Description(f"{snippet.id}-{number}", snippet.package, language, text))
    with writing_stage(config, output, reads=[inputs / "corpus"]) as draft:
        write_shards(draft.path, _STEM, kept, config.rows_per_shard)
        draft.facts["counts"] = dict(sorted(counts.items()))
        draft.facts.update(completions.facts)


def read_descriptions(folder: Path) -> list[Description]:
    return read_shards(folder, _STEM, Description)
