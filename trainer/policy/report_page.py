"""The report on policies as a Markdown page, and its curves as a picture."""

from io import BytesIO

from matplotlib import rc_context
from matplotlib.figure import Figure

from trainer.evaluation.measures.estimate import Estimate
from trainer.evaluation.measures.table import Table
from trainer.policy.comparison import ArmComparison, ComparedFigure
from trainer.policy.report_file import PolicyReport, Section

HEADINGS = {
    "programs": "Programs, graded by execution",
    "answers": "Answers, graded by what they end in",
}


def markdown(report: PolicyReport) -> str:
    """The whole page; pictures lie beside it."""
    start, *others = report.arms
    lines = [f"# {', '.join(map(_cell, others))} beside {_cell(start)}", ""]
    about = "Under every figure is its 95 % interval, by bootstrap over problems."
    if others:
        about += (
            f" A difference is to {_cell(start)} on the same problems, and its interval is that of "
            "the paired difference: where it does not hold 0, the difference is more than chance."
        )
    else:
        lines = [f"# {_cell(start)}", ""]
    lines.append(about)
    if report.scorer:
        lines += ["", f"Reward model: {_cell(report.scorer)}."]
    for note in report.notes:
        lines += ["", f"**Note:** {_cell(note)}."]
    for section in report.sections:
        lines += ["", f"## {HEADINGS[section.kind]}", ""]
        lines.append(f"{section.problems} problems. Samples, and the share cut at `max_tokens`: ")
        lines.append(
            "; ".join(
                f"{_cell(name)} {section.samples[name]}, {section.cut[name]:.1%}"
                for name in report.arms
            )
            + "."
        )
        lines += ["", f"![{section.comparisons[0].title} of all policies]({section.kind}.svg)"]
        for comparison in section.comparisons:
            lines += heading(comparison.title, comparison.what)
            lines += comparison_table(comparison, report.arms)
        for ranked in section.ranking:
            lines += heading(ranked.title, ranked.what)
            lines += ranking_table(ranked)
        lines += left_out("Left out", section.left_out)
    for name in (start, *others):
        lines += left_out(f"Samples of {_cell(name)}", report.left_out[name])
    return "\n".join(lines) + "\n"


def comparison_table(comparison: ArmComparison, arms: list[str]) -> list[str]:
    """A row for each k or N; a column for each policy, and one for its difference."""
    start, *others = arms
    head = [letter(comparison), _cell(start)]
    for name in others:
        head += [_cell(name), "difference"]
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for size, row in comparison.rows.items():
        cells = [size, _figure(row[start].value)]
        for name in others:
            cells += [_figure(row[name].value), _gain(row[name])]
        rows.append(cells)
    return ["| " + " | ".join(cells) + " |" for cells in rows]


def letter(comparison: ArmComparison) -> str:
    """The name of what a comparison's rows are numbers of."""
    return "k" if comparison.title == "pass@k" else "N"


def ranking_table(table: Table) -> list[str]:
    """A row for each policy or length; a column for the reward model, and one for each baseline."""
    names = list(next(iter(table.rows.values())))
    rows = [["", "pairs", *names], ["---", *["---:"] * (len(names) + 1)]]
    for part, row in table.rows.items():
        rows.append([_cell(part), str(row["model"].n), *(_figure(row[name]) for name in names)])
    return ["| " + " | ".join(cells) + " |" for cells in rows]


def heading(title: str, what: str) -> list[str]:
    """A heading, and the sentence that says how the figures below it are computed."""
    return [
        "",
        f"### {title[:1].upper()}{title[1:]}",
        "",
        f"{what[:1].upper()}{what[1:]}.",
        "",
    ]


def left_out(title: str, counts: dict[str, int]) -> list[str]:
    """A list of counts under a title; nothing if there are none."""
    if not counts:
        return []
    return ["", f"### {title}", "", *(f"- {reason}: {count}" for reason, count in counts.items())]


def curves(section: Section) -> bytes:
    """An SVG of the section's curves: pass@k, and beside it each way to choose one of N.

    Every policy is a line with its interval.
    """
    drawn = [each for each in section.comparisons if len(each.rows) > 1] or section.comparisons[:1]
    figure = Figure(figsize=(max(4.0, 3.2 * len(drawn)), 3.6), layout="constrained")
    columns = figure.subplots(1, len(drawn), squeeze=False, sharey=True)[0]
    for axes, comparison in zip(columns, drawn, strict=True):
        sizes = [int(size) for size in comparison.rows]
        for name in next(iter(comparison.rows.values())):
            figures = [row[name].value for row in comparison.rows.values()]
            axes.plot(sizes, [each.value for each in figures], marker="o", label=name)
            low, high = [each.low for each in figures], [each.high for each in figures]
            axes.fill_between(sizes, low, high, alpha=0.15)
        axes.set_xscale("log", base=2)
        axes.set(xlabel=letter(comparison), title=comparison.title)
        axes.set(xticks=sizes, xticklabels=[str(size) for size in sizes])
    columns[0].set_ylabel("share right")
    lines, names = columns[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside upper center", frameon=False, ncols=4)
    stream = BytesIO()
    # The same report gives the same bytes: ids come from the salt, and there is no date.
    with rc_context({"svg.hashsalt": section.kind}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def _figure(estimate: Estimate) -> str:
    return f"{estimate.value:.3f}<br>{estimate.low:.3f} to {estimate.high:.3f}"


def _gain(compared: ComparedFigure) -> str:
    gain = compared.gain
    assert gain is not None
    # Adding 0 makes a plus of the minus that a rounded -0.0001 would keep.
    value, low, high = (round(each, 3) + 0.0 for each in (gain.value, gain.low, gain.high))
    return f"{value:+.3f}<br>{low:+.3f} to {high:+.3f}"


def _cell(text: str) -> str:
    """A name that a user gave, which must not end a cell or open a tag."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
