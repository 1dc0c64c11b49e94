"""The page that judges releases: for each set what comes first, the curve, and the aims."""

import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.harness.page import Cell, Page, verdict
from benchmarks.inputs.labelled import is_mixed
from benchmarks.real_samples.ranking import RULES, Ranked
from benchmarks.real_samples.sets import SampleSet
from reward_model.release.lora import open_checkpoint
from trainer.evaluation.question import Question

MORE_THAN_RANDOM = 0.10
PAIRWISE = 0.75
"""Aims of the default release: how much more often it is right than a random pick, and the share of
pairs that it ranks right."""


@dataclass(frozen=True)
class Judged:
    """A set with its figures.

    Attributes:
        questions: those of the set that are ranked.
        ranked: by release, and then by rule.
        unscored: for each release, answers that it could not score, which rank last.
    """

    sample_set: SampleSet
    questions: list[Question]
    ranked: dict[str, Ranked]
    unscored: dict[str, int]

    @property
    def max_n(self) -> int:
        """The N of its best of N."""
        return max(self.ranked[RULES[0]].curve)


def introduce(page: Page, names: dict[str, Path]) -> None:
    released = {name: open_checkpoint(folder) for name, folder in names.items()}
    described = ", ".join(
        f"{name} ({release.version}, {release.dtype})" for name, release in released.items()
    )
    page.say(
        f"{described}, each scoring in one process with its own encoder and network, as it is "
        "served. Best of N is the exact expectation over all draws of N answers from those there "
        "are; ties share. In brackets 95 % intervals from a bootstrap over problems; differences "
        "are taken problem by problem."
    )


def report(page: Page, judged: list[Judged], releases: list[str]) -> None:
    """Tables of every set, then the aims of every release."""
    for each in judged:
        _say_set(page, each, releases)
    _aims(page, judged, releases)
    page.figure = plot(judged)
    page.facts["sets"] = {
        each.sample_set.name: {
            "problems": len(each.questions),
            "unscored": each.unscored,
            "ranked": {
                name: {
                    "best_of": {n: asdict(found) for n, found in ranked.curve.items()},
                    "pairwise": asdict(ranked.pairs),
                }
                for name, ranked in each.ranked.items()
            },
        }
        for each in judged
    }


def _say_set(page: Page, each: Judged, releases: list[str]) -> None:
    mixed = sum(is_mixed(question) for question in each.questions)
    right = statistics.mean(statistics.mean(question.correct) for question in each.questions)
    best = statistics.mean(any(question.correct) for question in each.questions)
    page.say(
        f"## {each.sample_set.name}\n\n{len(each.questions)} problems: {each.sample_set.what}. "
        f"{right:.0%} of the answers are right, {best:.0%} of the problems have a right one, and "
        f"{mixed} have both kinds: pairs are of those alone."
    )
    random, length = each.ranked["random pick"], better_length(each)
    rows: list[list[Cell]] = []
    for name, ranked in each.ranked.items():
        ours = name in releases
        rows.append(
            [
                name,
                *(f"{found.mean:.3f}" for n, found in ranked.curve.items() if n < each.max_n),
                str(ranked.first),
                _signed(ranked, random) if name != "random pick" else "",
                _signed(ranked, each.ranked[length]) if ours else "",
                str(ranked.pairs),
            ]
        )
    columns = [f"best of {n}" for n in each.ranked[releases[0]].curve]
    page.table(["ranked by", *columns, "above random pick", f"above {length}", "pairwise"], rows)
    if lost := {name: count for name, count in each.unscored.items() if count}:
        page.say(f"Answers that could not be scored, and rank last: {lost}.")


def better_length(each: Judged) -> str:
    """The better of the two length rules on this set."""
    return max(("longest", "shortest"), key=lambda rule: each.ranked[rule].first.mean)


def _signed(ours: Ranked, other: Ranked) -> str:
    more = ours.above(other)
    return f"{more.mean:+.3f} [{more.low:+.2f}, {more.high:+.2f}]"


def _aims(page: Page, judged: list[Judged], releases: list[str]) -> None:
    rows: list[list[Cell]] = []
    for name in releases:
        for each in judged:
            ranked, random = each.ranked[name], each.ranked["random pick"]
            reach = each.ranked["oracle"].first.mean - random.first.mean
            if each.sample_set.ranks_pairs:
                met = ranked.pairs.mean >= PAIRWISE
                aim, found = f"pairwise at least {PAIRWISE}", f"{ranked.pairs.mean:.3f}"
            else:
                more = ranked.above(random).mean
                length = each.ranked[better_length(each)]
                over = ranked.first.mean - length.first.mean
                met = more >= MORE_THAN_RANDOM and over > 0
                aim = f"best of {each.max_n} {MORE_THAN_RANDOM:.2f} above random, and above length"
                found = f"{more:+.3f} and {over:+.3f}"
            possible = each.sample_set.ranks_pairs or reach >= MORE_THAN_RANDOM
            answer = verdict(met) if possible else f"no ranking could: at most {reach:+.3f}"
            rows.append([name, each.sample_set.name, aim, found, answer])
    page.say("## Aims")
    page.table(["release", "set", "aim", "found", "met"], rows)


def plot(judged: list[Judged]) -> Figure:
    """A panel for each set: the best of N over N, for every way of ranking."""
    figure = Figure(figsize=(3.4 * len(judged), 3.6), layout="constrained")
    panels = figure.subplots(1, len(judged), squeeze=False)[0]
    for axes, each in zip(panels, judged, strict=True):
        for name, ranked in each.ranked.items():
            sizes = list(ranked.curve)
            means = [found.mean for found in ranked.curve.values()]
            if name in RULES:
                axes.plot(sizes, means, linestyle=":", label=name)
                continue
            (line,) = axes.plot(sizes, means, marker="o", label=name)
            low = [found.low for found in ranked.curve.values()]
            high = [found.high for found in ranked.curve.values()]
            axes.fill_between(sizes, low, high, alpha=0.15, color=line.get_color())
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [str(n) for n in sizes])
        axes.set(title=each.sample_set.name, xlabel="N", ylabel="best of N is right")
    panels[0].legend(fontsize="small")
    return figure
