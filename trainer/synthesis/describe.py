"""Snippets -> descriptions: what a language model would have asked for to get each of them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trainer.corpus.snippet import Snippet, read_snippets
from trainer.pipeline.shards import read_shards, write_shards
from trainer.pipeline.stage import writing_stage
from trainer.synthesis.completions import LlmConfig, complete_all, ledger_path
from trainer.synthesis.filters import AnswerLimits, unfit_description
from trainer.synthesis.requests import Completion
from trainer.synthesis.templates import DESCRIBE, fill, require

_STEM = "descriptions"


@dataclass(frozen=True)
class DescribeConfig:
    """Who describes which snippets, and how.

    Attributes:
        template: names `{code}`, and `{language}` if it likes.
        max_snippets: of the corpus, drawn by their hashes: the same ones every time, and more of
            the same when more are asked for. None takes all.
    """

    llm: LlmConfig
    template: str = DESCRIBE
    max_snippets: int | None = None
    limits: AnswerLimits = field(default_factory=AnswerLimits)
    rows_per_shard: int = 10_000


@dataclass(frozen=True)
class Description:
    """What a snippet is for, as a request; `id` is the snippet's, and a sample's number."""

    id: str
    package: str
    language: str
    text: str


def run(config: DescribeConfig, inputs: Path, output: Path) -> None:
    """Read `corpus`; write descriptions by id. Answers are kept in `<output>-answers` as well."""
    require(config.template, "code")
    found = sorted(read_snippets(inputs / "corpus"), key=lambda snippet: snippet.id)
    snippets = found[: config.max_snippets]
    prompts = {snippet.id: _prompt(snippet, config) for snippet in snippets}
    replies = complete_all(prompts.values(), config.llm, ledger_path(output))
    counts: Counter[str] = Counter(snippets=len(found), asked=len(snippets))
    kept = [
        row
        for snippet in snippets
        for row in _described(snippet, replies.to(prompts[snippet.id]), config.limits, counts)
    ]
    with writing_stage(config, output, reads=[inputs / "corpus"]) as draft:
        rows = list(_distinct(kept, counts))
        write_shards(draft.path, _STEM, rows, config.rows_per_shard)
        draft.facts["counts"] = dict(sorted(counts.items()))
        draft.facts.update(replies.facts)


def read_descriptions(folder: Path) -> list[Description]:
    return read_shards(folder, _STEM, Description)


def _prompt(snippet: Snippet, config: DescribeConfig) -> str:
    return fill(config.template, code=snippet.source, language=snippet.language.lower())


def _described(
    snippet: Snippet, answers: list[Completion | None], limits: AnswerLimits, counts: Counter[str]
) -> Iterator[Description]:
    """Every sample ends in exactly one count."""
    for number, answer in enumerate(answers):
        if answer is None:
            counts["description: not answered yet"] += 1
            continue
        text = answer.text.strip()
        reason = unfit_description(text, answer.finish_reason, limits)
        counts[f"description: {reason or 'fit'}"] += 1
        if reason is None:
            identity = f"{snippet.id}-{number}"
            yield Description(identity, snippet.package, snippet.language.lower(), text)


def _distinct(rows: list[Description], counts: Counter[str]) -> Iterator[Description]:
    """Each request once: a second one could meet the first across the hold-out."""
    seen: set[tuple[str, str]] = set()
    for row in rows:
        key = (row.language, " ".join(row.text.lower().split()))
        counts["kept" if key not in seen else "same request as another"] += 1
        if key not in seen:
            seen.add(key)
            yield row
