"""Strong and weak responses -> pairs: who wrote it is the preference (arXiv 2410.02229)."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from trainer.pairs.accuracy import longer_is_chosen
from trainer.pairs.row import SPLITS, PreferenceRow, Rejected, write_pairs
from trainer.pairs.split import split_of
from trainer.pipeline.lineage import lineage
from trainer.pipeline.stage import writing_stage
from trainer.synthesis.code import code_of, similarity
from trainer.synthesis.describe import Description, read_descriptions
from trainer.synthesis.filters import AnswerLimits, unfit_code
from trainer.synthesis.respond import Response, read_responses

_STAGES = ("describe", "strong", "weak")


@dataclass(frozen=True)
class LlmPairsConfig:
    """Which responses become pairs.

    Attributes:
        similarity: of tokens, from which a weak answer is too near to the strong one to be worse.
        evaluation_share, calibration_share: of packages, held out whole; with the shares of
            another stage of pairs, the same packages.
    """

    limits: AnswerLimits = field(default_factory=AnswerLimits)
    similarity: float = 0.9
    evaluation_share: float = 0.10
    calibration_share: float = 0.03
    rows_per_shard: int = 10_000


def run(config: LlmPairsConfig, inputs: Path, output: Path) -> None:
    """Read `describe`, `strong` and `weak`; write shards of each split and all counts.

    Raises:
        StageError: a side answered other descriptions than are there now.
    """
    lineage(inputs, list(_STAGES))  # both sides answered the descriptions that are there now
    counts: Counter[str] = Counter()
    by_split: dict[str, list[PreferenceRow]] = {split: [] for split in SPLITS}
    for row in _rows(config, inputs, counts):
        by_split[split_of(row.group, config)].append(row)
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
    """A row for each distinct strong answer, against all weak ones that differ enough from it.

    Every response ends in exactly one count, and so does every pair of two that are fit.
    """
    losers = _codes("weak", description.language, weak, config.limits, counts)
    winners = _codes("strong", description.language, strong, config.limits, counts)
    for number, winner in enumerate(winners):
        rivals = [Rejected("weak", it) for it in losers if _differ(winner, it, config, counts)]
        counts["row: kept" if rivals else "row: nothing rejected"] += 1
        if rivals:
            identity = f"{description.id}-{number}"
            request, package = description.text, description.package
            yield PreferenceRow(identity, package, request, winner, tuple(rivals), source="llm")


def _rows(config: LlmPairsConfig, inputs: Path, counts: Counter[str]) -> Iterator[PreferenceRow]:
    strong = _by_description(read_responses(inputs / "strong"))
    weak = _by_description(read_responses(inputs / "weak"))
    for row in tqdm(read_descriptions(inputs / "describe"), desc="pairs"):
        yield from paired(row, strong[row.id], weak[row.id], config, counts)


def _by_description(responses: list[Response]) -> defaultdict[str, list[Response]]:
    found: defaultdict[str, list[Response]] = defaultdict(list)
    for response in responses:
        found[response.id].append(response)
    return found


def _codes(
    side: str, language: str, responses: list[Response], limits: AnswerLimits, counts: Counter[str]
) -> list[str]:
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


def _differ(winner: str, loser: str, config: LlmPairsConfig, counts: Counter[str]) -> bool:
    likeness = similarity(winner, loser)
    reason = "kept"
    if likeness == 1.0:
        reason = "identical"
    elif likeness >= config.similarity:
        reason = "near-identical"
    counts[f"pair: {reason}"] += 1
    return reason == "kept"
