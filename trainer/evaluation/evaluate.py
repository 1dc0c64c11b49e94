"""Pairwise accuracy on held-out packages, by kind of rejected answer, beside its baselines."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.stats import bootstrap

from trainer.evaluation.scored import Scored, score_rows
from trainer.pairs.row import Pairs, read_pairs
from trainer.stage import StageError, read_manifest, writing_stage

Scorer = Callable[[Scored], tuple[float, list[float]]]
"""Score of the chosen answer, and of each rejected one."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Which checkpoint is evaluated; `resamples` of packages make the 95 % intervals."""

    checkpoint: str = "pretrain"
    resamples: int = 2000
    seed: int = 1


@dataclass(frozen=True)
class Accuracy:
    """Share of pairs ranked right, ties half, with a bootstrap interval over packages."""

    accuracy: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True)
class Report:
    """`report.json`: accuracies by kind of rejected answer, the first of them `overall`."""

    what: str
    packages: list[str]
    prompts: int
    model: dict[str, Accuracy]
    length_only: dict[str, Accuracy]
    random: dict[str, Accuracy]


@dataclass(frozen=True)
class Outcome:
    """One pair: which group it is from, its kind, and its credit (1, 0.5 for a tie, or 0)."""

    group: str
    kind: str
    credit: float


def run(config: EvaluateConfig, inputs: Path, output: Path) -> None:
    """Read the evaluation split of `pairs`; write `report.json` and `accuracy.svg`."""
    rows = read_pairs(inputs / "pairs", "evaluation")
    require_held_out(rows, inputs, config.checkpoint)
    counts: Counter[str] = Counter()
    scored = score_rows(inputs / config.checkpoint, rows, counts, desc="evaluation")
    report = Report(
        what="pairwise accuracy on packages no training stage has seen; ties count half",
        packages=sorted({row.group for row in rows}),
        prompts=len(rows),
        model=by_kind(outcomes(scored, model_scores), config),
        length_only=by_kind(outcomes(scored, length_scores), config),
        random=by_kind(outcomes(scored, random_scores(config.seed)), config),
    )
    with writing_stage(
        config, output, reads=[inputs / "pairs", inputs / config.checkpoint]
    ) as draft:
        (draft.path / "report.json").write_text(json.dumps(asdict(report), indent=1) + "\n")
        plot(report, draft.path / "accuracy.svg")
        draft.facts["left_out"] = dict(counts)


def require_held_out(rows: list[Pairs], inputs: Path, checkpoint: str) -> None:
    """No package of `rows` may have been trained on, in any stage that led to the checkpoint.

    Raises:
        StageError: one was, or there is nothing to evaluate on.
    """
    if not rows:
        raise StageError("the evaluation split is empty: raise evaluation_share or add packages")
    held_out = {row.group for row in rows}
    for stage in training_pairs(inputs, checkpoint):
        seen = {row.group for row in read_pairs(inputs / stage, "train")}
        if both := sorted(seen & held_out):
            raise StageError(
                f"{checkpoint} was trained on {', '.join(both)} ({stage}), which are to evaluate "
                "it: give both stages of pairs the same shares, and run them again"
            )


def training_pairs(inputs: Path, checkpoint: str) -> set[str]:
    """The stages of pairs that a checkpoint and those it started from were trained on."""
    config = read_manifest(inputs / checkpoint)["config"]
    if "start" not in config:
        return set()
    return {config.get("pairs", "pairs")} | training_pairs(inputs, config["start"])


def read(folder: Path) -> Report:
    """What `run` wrote."""
    return TypeAdapter(Report).validate_json((folder / "report.json").read_bytes())


def model_scores(scored: Scored) -> tuple[float, list[float]]:
    return scored.chosen, list(scored.rejected)


def length_scores(scored: Scored) -> tuple[float, list[float]]:
    """The longer answer, in characters, is preferred."""
    return len(scored.row.chosen), [float(len(c.text)) for c in scored.row.rejected]


def random_scores(seed: int) -> Scorer:
    rng = Random(seed)
    return lambda scored: (rng.random(), [rng.random() for _ in scored.row.rejected])


def outcomes(scored: list[Scored], scorer: Scorer) -> list[Outcome]:
    """One outcome for each pair of each row."""
    found: list[Outcome] = []
    for item in scored:
        chosen, rejected = scorer(item)
        for candidate, score in zip(item.row.rejected, rejected, strict=True):
            credit = 0.5 if score == chosen else float(chosen > score)
            found.append(Outcome(item.row.group, candidate.kind, credit))
    return found


def by_kind(found: list[Outcome], config: EvaluateConfig) -> dict[str, Accuracy]:
    """Accuracy of every kind, and `overall` over all pairs alike."""
    kinds = {kind: [o for o in found if o.kind == kind] for kind in sorted({o.kind for o in found})}
    return {name: accuracy(of, config) for name, of in ({"overall": found} | kinds).items()}


def accuracy(found: list[Outcome], config: EvaluateConfig) -> Accuracy:
    """Packages are resampled whole: pairs of one package resemble each other."""
    names = sorted({outcome.group for outcome in found})
    credit = np.array([sum(o.credit for o in found if o.group == name) for name in names])
    count = np.array([sum(o.group == name for o in found) for name in names], dtype=float)
    low, high = _interval(credit, count, config)
    return Accuracy(float(credit.sum() / count.sum()), low, high, len(found))


def _interval(
    credit: NDArray[np.float64], count: NDArray[np.float64], config: EvaluateConfig
) -> tuple[float, float]:
    if len(credit) < 2:
        return 0.0, 1.0  # one package says nothing about others
    drawn = bootstrap(
        (credit, count),
        lambda c, n, axis: c.sum(axis) / n.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=config.resamples,
        method="percentile",
        rng=np.random.default_rng(config.seed),
    ).confidence_interval
    return float(drawn.low), float(drawn.high)


def plot(report: Report, file: Path) -> None:
    """Bars of the model's accuracy with intervals; dots are the length-only baseline."""
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    values = np.array([row.accuracy for row in report.model.values()])
    low = values - [row.low for row in report.model.values()]
    high = [row.high for row in report.model.values()] - values
    axes.barh(list(report.model), values, xerr=[low, high], color="#4c78a8", label="model")
    lengths = [report.length_only[kind].accuracy for kind in report.model]
    axes.plot(lengths, list(report.model), "k.", label="length only")
    axes.axvline(0.5, color="grey", linewidth=1, label="chance")
    axes.set(xlim=(0, 1), xlabel="pairwise accuracy on held-out packages, 95 % interval")
    axes.invert_yaxis()
    axes.legend(loc="lower right")
    figure.savefig(file, metadata={"Date": None})
