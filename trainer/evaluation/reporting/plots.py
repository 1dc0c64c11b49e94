"""Draw tables as SVG."""

from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.evaluation.measures.estimate import Estimate
from trainer.evaluation.measures.table import Table

MODEL_COLOR = "#4c78a8"

# Lines of a curve, by contender; others take matplotlib's defaults.
LINES: dict[str, dict[str, Any]] = {
    "model": {"color": MODEL_COLOR, "marker": "o", "linewidth": 2},
    "weighted_majority": {"color": "#54a24b", "marker": "s"},
    "majority": {"color": "#e45756", "marker": "^"},
    "length_only": {"color": "black", "linestyle": ":", "marker": "."},
    "random": {"color": "grey", "linestyle": "--"},
    "oracle": {"color": "#b279a2", "linestyle": "--"},
}


def svg(table: Table) -> bytes:
    """The table's picture; bars if the table does not say which."""
    height = 3.6 if table.plot in {"curve", "reliability"} else 1.4 + 0.35 * len(table.rows)
    figure = Figure(figsize=(7, height), layout="constrained")
    axes = figure.subplots()
    match table.plot:
        case "curve":
            draw_curve(axes, table)
        case "reliability":
            draw_reliability(axes, table)
        case "bars" | "none":
            draw_bars(axes, table)
    # The legend stands above the picture, where it covers nothing.
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, ncols=3, fontsize="small"
    )
    stream = BytesIO()
    # The same table gives the same bytes: ids come from the salt, and there is no date.
    with rc_context({"svg.hashsalt": table.title}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def label(name: str) -> str:
    """A contender's or row's name for readers."""
    return name.replace("_", " ")


def draw_bars(axes: Axes, table: Table) -> None:
    """Draw the model's figures with intervals as bars, and each baseline as a mark."""
    names = [label(name) for name in table.rows]
    figures = [row["model"] for row in table.rows.values()]
    values, errors = with_errors(figures)
    axes.barh(names, values, xerr=errors, color=MODEL_COLOR, label="model")
    marks = iter(["k.", "kx", "k|", "k+"])
    for name in baselines(table):
        points = [(row[name].value, label(part)) for part, row in table.rows.items() if name in row]
        axes.plot([x for x, _ in points], [y for _, y in points], next(marks), label=label(name))
    # A correlation may be negative, and so may the lower end of its interval.
    lows = [min(each.value, each.low) for row in table.rows.values() for each in row.values()]
    axes.set(xlim=(min(0.0, *lows), 1), xlabel=f"{table.title}, 95 % interval")
    axes.invert_yaxis()


def draw_curve(axes: Axes, table: Table) -> None:
    """Draw a line over N for each contender, the model's with its interval."""
    sizes = [int(name) for name in table.rows]
    for name in ("model", *baselines(table)):
        values = [row[name].value for row in table.rows.values()]
        axes.plot(sizes, values, label=label(name), **LINES.get(name, {}))
    model = [row["model"] for row in table.rows.values()]
    axes.fill_between(sizes, [f.low for f in model], [f.high for f in model], alpha=0.2)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, labels=list(map(str, sizes)))
    axes.set(xlabel=table.axis, ylabel="share right")


def draw_reliability(axes: Axes, table: Table) -> None:
    """Draw accuracy over confidence; a calibrated model's points lie on the diagonal."""
    confidence = [row["confidence"].value for row in table.rows.values()]
    values, errors = with_errors([row["model"] for row in table.rows.values()])
    axes.plot([0.5, 1], [0.5, 1], color="grey", linestyle="--", label="calibrated")
    axes.errorbar(confidence, values, yerr=errors, color=MODEL_COLOR, marker="o", label="model")
    axes.set(xlim=(0.5, 1.01), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")


def with_errors(figures: list[Estimate]) -> tuple[list[float], list[list[float]]]:
    """Values, and their distances to the lower and upper ends of their intervals."""
    values = [figure.value for figure in figures]
    # Both ends of a percentile interval can lie on one side of the value.
    below = [max(0.0, figure.value - figure.low) for figure in figures]
    above = [max(0.0, figure.high - figure.value) for figure in figures]
    return values, np.nan_to_num([below, above]).tolist()


def baselines(table: Table) -> list[str]:
    """All contenders of any row except the model, in order of appearance."""
    names = dict.fromkeys(name for row in table.rows.values() for name in row)
    return [name for name in names if name != "model"]
