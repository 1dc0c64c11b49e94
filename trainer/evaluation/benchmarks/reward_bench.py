"""RewardBench (Lambert et al. 2024): pairs in 23 subsets, four sections.

Reads a local copy of the data set's `filtered` split: columns prompt, chosen, rejected, subset and
id. The leaderboard's fifth section, older preference sets, is not in that file and not counted
here. Ties count half, where the authors count them as wrong.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from trainer.evaluation.measures.estimate import Resampling
from trainer.evaluation.measures.judged import CONTENDERS, ScoredQuestion, sources
from trainer.evaluation.measures.parts import Part, best_right, combined
from trainer.evaluation.measures.table import Table
from trainer.evaluation.question import Question
from trainer.evaluation.records import read_records
from trainer.pairs.group import group_of
from trainer.pipeline.stage import StageError

_MATH = "math-prm"
_CODE = ("hep-cpp", "hep-go", "hep-java", "hep-js", "hep-python", "hep-rust")

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
    "Reasoning": (_MATH, *_CODE),
}


@dataclass(frozen=True)
class _Row:
    id: int | str
    prompt: str
    chosen: str
    rejected: str
    subset: str


def read_questions(file: Path) -> list[Question]:
    """Raises StageError for a subset that no section has."""
    known = {subset for subsets in SECTIONS.values() for subset in subsets}
    rows = read_records(file, _Row)
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


def tables(judged: list[ScoredQuestion], how: Resampling) -> list[Table]:
    """Sections with their mean, and subsets."""
    by_contender = {name: subset_parts(judged, name) for name in CONTENDERS}
    return [_sections(by_contender, how), _subsets(by_contender, how)]


def subset_parts(judged: Iterable[ScoredQuestion], contender: str) -> dict[str, Part]:
    """Each subset weighs as many as its rows, and math as many as all code together."""
    items = sources(judged)
    parts = {
        subset: replace(best_right(of, contender), weight=float(len(of)))
        for subset, of in items.items()
    }
    code = sum(len(items.get(subset, ())) for subset in _CODE)
    if code and _MATH in parts:
        parts[_MATH] = replace(parts[_MATH], weight=float(code))
    return parts


def _sections(by_contender: dict[str, dict[str, Part]], how: Resampling) -> Table:
    present = {
        section: [subset for subset in subsets if subset in by_contender["model"]]
        for section, subsets in SECTIONS.items()
    }
    present = {section: subsets for section, subsets in present.items() if subsets}
    rows = {"overall": {n: combined(_alike(p, present), how) for n, p in by_contender.items()}}
    for section, subsets in present.items():
        rows[section] = {
            name: combined([parts[subset] for subset in subsets], how)
            for name, parts in by_contender.items()
        }
    what = (
        "share of pairs whose chosen answer scores higher; a subset counts by its rows, math as "
        "much as all code, and overall is the mean of the sections that are there"
    )
    return Table("sections", what, rows, plot="bars")


def _alike(parts: dict[str, Part], present: dict[str, list[str]]) -> list[Part]:
    """Weights within each section adding up to 1, so that sections count alike."""
    found = []
    for subsets in present.values():
        total = sum(parts[subset].weight for subset in subsets)
        found += [replace(parts[s], weight=parts[s].weight / total) for s in subsets]
    return found


def _subsets(by_contender: dict[str, dict[str, Part]], how: Resampling) -> Table:
    rows = {
        subset: {name: parts[subset].alone(how) for name, parts in by_contender.items()}
        for subset in sorted(by_contender["model"])
    }
    return Table("subsets", "the same pairs, by subset", rows)
