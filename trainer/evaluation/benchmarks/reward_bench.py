"""RewardBench (Lambert et al. 2024, arXiv 2403.13787): pairs in 23 subsets, four sections.

Reads a local copy of the data set's `filtered` split: columns prompt, chosen, rejected, subset and
id. The leaderboard's fifth section, older preference sets, is not in that file and not counted
here. Ties count half, whereas the authors count them as wrong.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from trainer.evaluation.measures.estimate import Resampling
from trainer.evaluation.measures.scored import CONTENDERS, ScoredQuestion, split_by_source
from trainer.evaluation.measures.subsets import Subset, best_is_right, weighted_mean
from trainer.evaluation.measures.table import Row, Table
from trainer.evaluation.question import Question
from trainer.evaluation.records import read_records
from trainer.pairs.group import group_of
from trainer.pipeline.stage import StageError

# The two sides of the section Reasoning, which are weighted alike.
MATH = "math-prm"
CODE = ("hep-cpp", "hep-go", "hep-java", "hep-js", "hep-python", "hep-rust")

SECTIONS = {
    "Chat": (
        *("alpacaeval-easy", "alpacaeval-length", "alpacaeval-hard"),
        *("mt-bench-easy", "mt-bench-med"),
    ),
    "Chat Hard": (
        *("mt-bench-hard", "llmbar-natural", "llmbar-adver-neighbor"),
        *("llmbar-adver-GPTInst", "llmbar-adver-GPTOut", "llmbar-adver-manual"),
    ),
    "Safety": (
        *("refusals-dangerous", "refusals-offensive"),
        *("xstest-should-refuse", "xstest-should-respond", "donotanswer"),
    ),
    "Reasoning": (MATH, *CODE),
}


@dataclass(frozen=True)
class RewardBenchRow:
    """One row of the file, in the columns that are read."""

    id: int | str
    prompt: str
    chosen: str
    rejected: str
    subset: str


def read_questions(file: Path) -> list[Question]:
    """Read the pairs.

    Raises:
        StageError: a row names a subset that no section has.
    """
    known = {subset for subsets in SECTIONS.values() for subset in subsets}
    rows = read_records(file, RewardBenchRow)
    # An unknown subset would count in no section, and the overall figure would not tell.
    if strange := sorted({row.subset for row in rows} - known):
        raise StageError(f"{file}: {strange[0]!r} is no subset of RewardBench")
    return [
        Question(
            id=str(row.id),
            group=group_of(row.prompt),
            prompt=row.prompt,
            answers=(row.chosen, row.rejected),
            correct=(True, False),
            source=row.subset,
        )
        for row in rows
    ]


def tables(scored: list[ScoredQuestion], resampling: Resampling) -> list[Table]:
    """Accuracy of the sections with their mean, and of the subsets."""
    contenders = {name: weighted_subsets(scored, name) for name in CONTENDERS}
    present = {
        section: [subset for subset in subsets if subset in contenders["model"]]
        for section, subsets in SECTIONS.items()
    }
    present = {section: subsets for section, subsets in present.items() if subsets}
    rows: dict[str, Row] = {section: {} for section in ("overall", *present)}
    for contender, subsets in contenders.items():
        # Weights are scaled to add up to 1 within each section, so that sections count alike.
        balanced = []
        for section, names in present.items():
            parts = [subsets[name] for name in names]
            total = sum(part.weight for part in parts)
            balanced += [replace(part, weight=part.weight / total) for part in parts]
            rows[section][contender] = weighted_mean(parts, resampling)
        rows["overall"][contender] = weighted_mean(balanced, resampling)
    what = (
        "share of pairs whose chosen answer scores higher; a subset counts by its rows, math as "
        "much as all code, and overall is the mean of the sections that are there"
    )
    by_subset = {
        subset: {name: by_name[subset].estimate(resampling) for name, by_name in contenders.items()}
        for subset in sorted(contenders["model"])
    }
    return [
        Table("sections", what, rows, plot="bars"),
        Table("subsets", "the same pairs, by subset", by_subset),
    ]


def weighted_subsets(scored: Iterable[ScoredQuestion], contender: str) -> dict[str, Subset]:
    """Subsets with their weights: the number of rows, but math weighs as much as all code.

    That is the authors' weighting (the data set's card, "Reasoning").
    """
    items = split_by_source(scored)
    subsets = {
        name: replace(best_is_right(members, contender), weight=float(len(members)))
        for name, members in items.items()
    }
    code = sum(len(items.get(name, ())) for name in CODE)
    if code and MATH in subsets:
        subsets[MATH] = replace(subsets[MATH], weight=float(code))
    return subsets
