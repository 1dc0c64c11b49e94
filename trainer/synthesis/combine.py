"""Strong and weak responses -> pairs: which model wrote it is the preference (arXiv 2410.02229)."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trainer.pairs.accuracy import longer_is_chosen
from trainer.pairs.row import SPLITS, PreferenceRow, Rejected, write_pairs
from trainer.pairs.split import HoldOut
from trainer.pipeline.lineage import lineage
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.stage import writing_stage
from trainer.synthesis.code import code_of, similarity
from trainer.synthesis.describe import Description, read_descriptions
from trainer.synthesis.filters import AnswerLimits, unfit_code
from trainer.synthesis.respond import Response, read_responses

_STAGES = ("describe", "strong", "weak")


@dataclass(frozen=True)
class LlmPairsConfig(HoldOut):
    """The filters that decide which responses become pairs.

    Attributes:
        similarity: share of common tokens from which a weak answer is too near to the strong one
            to be worse.
    """

    limits: AnswerLimits = field(default_factory=AnswerLimits)
    similarity: float = 0.9
    max_held_out: int | None = field(default=None, kw_only=True)


def run(config: LlmPairsConfig, inputs: Path, output: Path) -> None:
    """Read `describe`, `strong` and `weak`; write shards of each split and all counts.

    Raises:
        StageError: a side answered other descriptions than are there now.
    """
    lineage(inputs, list(_STAGES))  # raises when a side answered earlier descriptions
    responses: dict[str, defaultdict[str, list[Response]]] = {}
    for side in ("strong", "weak"):
        responses[side] = defaultdict(list)
        for response in read_responses(inputs / side):
            responses[side][response.id].append(response)
    counts: Counter[str] = Counter()
    by_split: dict[str, list[PreferenceRow]] = {split: [] for split in SPLITS}
    for asked in ProgressBar(read_descriptions(inputs / "describe"), desc="pairs"):
        strong, weak = responses["strong"][asked.id], responses["weak"][asked.id]
        for row in paired(asked, strong, weak, config, counts):
            split = config.split_of(row.group)
            if config.is_full(split, len(by_split[split])):
                counts[f"{split}: rows over the limit"] += 1
            else:
                by_split[split].append(row)
    with writing_stage(config, output, reads=[inputs / stage for stage in _STAGES]) as draft:
        for split, rows in by_split.items():
            write_pairs(draft.path, split, rows, config.rows_per_shard)
            counts[f"{split}: rows"] = len(rows)
            counts[f"{split}: packages"] = len({row.group for row in rows})
        draft.facts["counts"] = dict(sorted(counts.items()))
        draft.facts["longer_is_chosen"] = {
            split: longer_is_chosen(rows) for split, rows in by_split.items()
        }


def paired(
    description: Description,
    strong: list[Response],
    weak: list[Response],
    config: LlmPairsConfig,
    counts: Counter[str],
) -> Iterator[PreferenceRow]:
    """A row for each distinct strong answer, with all weak answers that differ enough from it.

    Every response ends in exactly one count, and so does every pair of two that are fit.
    """
    rejected = fit_codes("weak", description.language, weak, config.limits, counts)
    chosen = fit_codes("strong", description.language, strong, config.limits, counts)
    for number, winner in enumerate(chosen):
        kept: list[Rejected] = []
        for loser in rejected:
            # Near-equal answers differ by chance, not by the ability of their authors.
            share = similarity(winner, loser)
            if share == 1.0:
                counts["pair: identical"] += 1
            elif share >= config.similarity:
                counts["pair: near-identical"] += 1
            else:
                counts["pair: kept"] += 1
                kept.append(Rejected("weak", loser))
        counts["row: kept" if kept else "row: nothing rejected"] += 1
        if kept:
            identity = f"{description.id}-{number}"
            request, package = description.text, description.package
            yield PreferenceRow(identity, package, request, winner, tuple(kept), source="llm")


def fit_codes(
    side: str,
    language: str,
    responses: list[Response],
    limits: AnswerLimits,
    counts: Counter[str],
) -> list[str]:
    """The distinct codes of one side that pass its filters."""
    kept: list[str] = []
    for response in responses:
        text, end = response.text, response.finish_reason
        reason = unfit_code(text, end, limits, language=language, chosen=side == "strong")
        code = code_of(text)
        if reason is None and code in kept:
            reason = "duplicate"
        counts[f"{side}: {reason or 'fit'}"] += 1
        if reason is None:
            kept.append(code)
    return kept
