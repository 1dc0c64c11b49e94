"""Snippets -> prompts, each with a chosen and several rejected answers, held out by package."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from trainer.corpus.snippet import Snippet, read_snippets
from trainer.pairs.embedded import GenerateConfig, can_mutate, rejected
from trainer.pairs.filter import usable
from trainer.pairs.prompts import Prompt, describe
from trainer.pairs.row import SPLITS, PreferenceRow, write_pairs
from trainer.pairs.split import split_of
from trainer.pipeline.stage import writing_stage


@dataclass(frozen=True)
class PairsConfig:
    """How prompts become pairs.

    Attributes:
        named: whether some requests name the function they want, as they would in a code base;
            people who only describe it do not, and a model that may match names learns little else.
        undescribed: share of functions without a usable docstring that are kept, with their
            signature as the prompt.
        methods: share of functions with a `self` or `cls` that are kept; what they do depends on
            a class that the prompt does not show.
        neighbours: whether other functions and bodies come from the same package, whose style and
            topics are alike, rather than from any.
        max_characters: longer chosen and rejected texts are left out.
        evaluation_share, calibration_share: of packages, held out whole.
        max_held_out: prompts kept in each held-out split.
        rows_per_shard: prompts in one file.
    """

    seed: int = 1
    named: bool = True
    generate: GenerateConfig = field(default_factory=GenerateConfig)
    undescribed: float = 0.35
    methods: float = 1.0
    neighbours: bool = False
    max_characters: int = 1400
    evaluation_share: float = 0.10
    calibration_share: float = 0.03
    max_held_out: int = 1500
    rows_per_shard: int = 10_000


def run(config: PairsConfig, inputs: Path, output: Path) -> None:
    """Read `corpus`; write shards of each split and the counts of everything left out."""
    by_split: dict[str, list[Snippet]] = {split: [] for split in SPLITS}
    counts: Counter[str] = Counter()
    for snippet in read_snippets(inputs / "corpus"):
        if can_mutate(snippet):
            by_split[split_of(snippet.package, config)].append(snippet)
        else:
            counts[f"prompt: not Python but {snippet.language}"] += 1
    with writing_stage(config, output, reads=[inputs / "corpus"]) as draft:
        for split, snippets in by_split.items():
            rows = list(_pairs(snippets, split, config, counts))
            counts[f"{split}: prompts"] = len(rows)
            counts[f"{split}: packages"] = len({row.group for row in rows})
            write_pairs(draft.path, split, rows, config.rows_per_shard)
        draft.facts["counts"] = dict(sorted(counts.items()))


def _pairs(
    snippets: list[Snippet], split: str, config: PairsConfig, counts: Counter[str]
) -> Iterator[PreferenceRow]:
    rng = random.Random(f"{config.seed} {split}")
    rng.shuffle(snippets)
    lenders = _lenders(snippets, config.neighbours)
    made = 0
    for snippet in tqdm(snippets, desc=f"{split} pairs"):
        if split != "train" and made == config.max_held_out:
            counts[f"{split}: prompts over the limit"] += 1
            continue
        row = _row(snippet, lenders[snippet.package], config, rng, counts)
        if row:
            made += 1
            yield row


def _lenders(snippets: list[Snippet], neighbours: bool) -> dict[str, list[Snippet]]:
    """For each package, the functions that lend their bodies to its rejected answers."""
    if not neighbours:
        return dict.fromkeys((snippet.package for snippet in snippets), snippets)
    by_package: dict[str, list[Snippet]] = defaultdict(list)
    for snippet in snippets:
        by_package[snippet.package].append(snippet)
    return by_package


def _row(
    snippet: Snippet,
    lenders: list[Snippet],
    config: PairsConfig,
    rng: random.Random,
    counts: Counter[str],
) -> PreferenceRow | None:
    prompt = describe(snippet, config.seed, named=config.named)
    if reason := _unwanted(snippet, prompt, config, rng):
        counts[f"prompt: {reason}"] += 1
        return None
    seed = f"{config.seed} {snippet.id}"
    candidates = rejected(snippet, lenders, config.generate, seed, counts)
    kept = usable(snippet.source, candidates, config.max_characters, counts)
    if not kept:
        counts["prompt: nothing rejected"] += 1
        return None
    return PreferenceRow(snippet.id, snippet.package, prompt.text, snippet.source, kept)


def _unwanted(
    snippet: Snippet, prompt: Prompt, config: PairsConfig, rng: random.Random
) -> str | None:
    if not prompt.described and rng.random() >= config.undescribed:
        return "undescribed"
    if snippet.is_method and rng.random() >= config.methods:
        return "method"
    return "too long" if len(snippet.source) > config.max_characters else None
