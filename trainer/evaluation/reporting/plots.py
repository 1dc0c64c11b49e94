"""Pictures of tables, as SVG."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.evaluation.measures.estimate import Estimate
from trainer.evaluation.measures.table import Row, Table

_MODEL = "#4c78a8"

_LINES: dict[str, dict[str, Any]] = {
    "model": {"color": _MODEL, "marker": "o", "linewidth": 2},
    "weighted_majority": {"color": "#54a24b", "marker": "s"},
    "majority": {"color": "#e45756", "marker": "^"},
    "length_only": {"color": "black", "linestyle": ":", "marker": "."},
    "random": {"color": "grey", "linestyle": "--"},
    "oracle": {"color": "#b279a2", "linestyle": "--"},
}


def svg(table: Table) -> bytes:
    """The table's picture; bars where it does not say which."""
    draw = _PLOTS.get(table.plot, _bars)
    height = 3.6 if table.plot in {"curve", "reliability"} else 1.4 + 0.35 * len(table.rows)
    figure = Figure(figsize=(7, height), layout="constrained")
    draw(figure.subplots(), table)
    stream = BytesIO()
    # The same table gives the same bytes.
    with rc_context({"svg.hashsalt": table.title}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def label(name: str) -> str:
    """A contender's or row's name as people read it."""
    return name.replace("_", " ")


def _bars(axes: Axes, table: Table) -> None:
    """The model's figures with intervals; each baseline is a mark of its own."""
    names = [label(name) for name in table.rows]
    figures = [row["model"] for row in table.rows.values()]
    values, errors = _with_errors(figures)
    axes.barh(names, values, xerr=errors, color=_MODEL, label="model")
    marks = iter(["k.", "kx", "k|", "k+"])
    for name in _others(table):
        there = [(label(part), row[name].value) for part, row in table.rows.items() if name in row]
        axes.plot([v for _, v in there], [p for p, _ in there], next(marks), label=label(name))
    axes.set(xlim=(min(0.0, *values), 1), xlabel=f"{table.title}, 95 % interval")
    axes.invert_yaxis()
    _legend(axes)


def _curve(axes: Axes, table: Table) -> None:
    """A line for each contender over N, the model's with its interval."""
    sizes = [int(name) for name in table.rows]
    for name in ("model", *_others(table)):
        figures = [row[name] for row in table.rows.values()]
        axes.plot(sizes, [f.value for f in figures], label=label(name), **_LINES.get(name, {}))
    model = [row["model"] for row in table.rows.values()]
    axes.fill_between(sizes, [f.low for f in model], [f.high for f in model], alpha=0.2)
    axes.set_xscale("log", base=2)
    axes.set(xlabel="N", ylabel="share right", xticks=sizes, xticklabels=[str(n) for n in sizes])
    _legend(axes)


def _reliability(axes: Axes, table: Table) -> None:
    """Accuracy over confidence; on the diagonal they are equal."""
    confidence = [row["confidence"].value for row in table.rows.values()]
    values, errors = _with_errors([row["model"] for row in table.rows.values()])
    axes.plot([0.5, 1], [0.5, 1], color="grey", linestyle="--", label="calibrated")
    axes.errorbar(confidence, values, yerr=errors, color=_MODEL, marker="o", label="model")
    axes.set(xlim=(0.5, 1.01), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Above the picture, where it covers nothing."""
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, ncols=3, fontsize="small"
    )


def _with_errors(figures: list[Estimate]) -> tuple[list[float], list[list[float]]]:
    """Distances to the interval's ends; a percentile can lie on the other side of the value."""
    values = [figure.value for figure in figures]
    below = [max(0.0, figure.value - figure.low) for figure in figures]
    above = [max(0.0, figure.high - figure.value) for figure in figures]
    return values, np.nan_to_num([below, above]).tolist()


def _others(table: Table) -> list[str]:
    rows: list[Row] = list(table.rows.values())
    return [name for name in dict.fromkeys(n for row in rows for n in row) if name != "model"]


_PLOTS: dict[str, Callable[[Axes, Table], None]] = {"curve": _curve, "reliability": _reliability}
