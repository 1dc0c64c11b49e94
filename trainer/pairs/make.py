"""Snippets -> prompts, each with a chosen and several rejected answers, held out by package."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trainer.corpus.snippet import Snippet, read_snippets
from trainer.pairs.embedded import RejectedConfig, can_mutate, rejected
from trainer.pairs.filter import usable
from trainer.pairs.prompts import describe
from trainer.pairs.row import SPLITS, PreferenceRow, write_pairs
from trainer.pairs.split import HoldOut
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.stage import writing_stage


@dataclass(frozen=True)
class PairsConfig(HoldOut):
    """How prompts become pairs. Packages are held out, and limits count prompts.

    Attributes:
        named: whether some requests name the function they want, as requests in a code base do.
            People who only describe a function do not name it, and a model that can match names
            learns little else.
        undescribed: share of functions without a usable docstring that are kept, with their
            signature as the prompt.
        methods: share of functions with a `self` or `cls` that are kept; their meaning depends on
            a class that the prompt does not show.
        neighbours: whether other functions and bodies come from the same package, whose style and
            topics are alike, rather than from any.
        max_characters: longer chosen and rejected texts are left out.
    """

    seed: int = 1
    named: bool = True
    generate: RejectedConfig = field(default_factory=RejectedConfig)
    undescribed: float = 0.35
    methods: float = 1.0
    neighbours: bool = False
    max_characters: int = 1400


def run(config: PairsConfig, inputs: Path, output: Path) -> None:
    """Read `corpus`; write shards of each split and the counts of everything left out."""
    by_split: dict[str, list[Snippet]] = {split: [] for split in SPLITS}
    counts: Counter[str] = Counter()
    for snippet in read_snippets(inputs / "corpus"):
        if can_mutate(snippet):
            by_split[config.split_of(snippet.package)].append(snippet)
        else:
            counts[f"prompt: not Python but {snippet.language}"] += 1
    with writing_stage(config, output, reads=[inputs / "corpus"]) as draft:
        for split, snippets in by_split.items():
            rows = list(make_rows(snippets, split, config, counts))
            counts[f"{split}: prompts"] = len(rows)
            counts[f"{split}: packages"] = len({row.group for row in rows})
            write_pairs(draft.path, split, rows, config.rows_per_shard)
        draft.facts["counts"] = dict(sorted(counts.items()))


def make_rows(
    snippets: list[Snippet], split: str, config: PairsConfig, counts: Counter[str]
) -> Iterator[PreferenceRow]:
    """A row for each snippet of a split that can be asked for and that has a wrong answer."""
    rng = random.Random(f"{config.seed} {split}")
    # Shuffled, because a limit of held-out prompts would otherwise take the first packages alone.
    rng.shuffle(snippets)
    # Rejected answers are made from the bodies of other functions, of the same package or of any.
    by_package: dict[str, list[Snippet]] = defaultdict(list)
    for snippet in snippets:
        by_package[snippet.package].append(snippet)
    made = 0
    for snippet in ProgressBar(snippets, desc=f"{split} pairs"):
        if config.is_full(split, made):
            counts[f"{split}: prompts over the limit"] += 1
            continue
        prompt = describe(snippet, config.seed, named=config.named)
        if not prompt.described and rng.random() >= config.undescribed:
            counts["prompt: undescribed"] += 1
            continue
        if snippet.is_method and rng.random() >= config.methods:
            counts["prompt: method"] += 1
            continue
        if len(snippet.source) > config.max_characters:
            counts["prompt: too long"] += 1
            continue
        others = by_package[snippet.package] if config.neighbours else snippets
        # A seed of its own keeps a snippet's answers the same whatever other snippets there are.
        seed = f"{config.seed} {snippet.id}"
        candidates = rejected(snippet, others, config.generate, seed, counts)
        kept = usable(snippet.source, candidates, config.max_characters, counts)
        if not kept:
            counts["prompt: nothing rejected"] += 1
            continue
        made += 1
        yield PreferenceRow(snippet.id, snippet.package, prompt.text, snippet.source, kept)
