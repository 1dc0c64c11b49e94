"""How sure the voters were, and how often pseudo labels are right, by the winner's share.

The accuracy needs reference outputs. A threshold on the share is worth what this table says.
"""

from collections.abc import Sequence
from io import BytesIO
from statistics import fmean

from matplotlib import rc_context
from matplotlib.figure import Figure

from trainer.evaluation.measures.estimate import Estimate, Resampling, share
from trainer.evaluation.reporting.plots import MODEL_COLOR, with_errors
from trainer.feedback.problem_votes import InputVote, ProblemVotes

# Upper ends of the bins of the winner's share. A vote without dissent is a bin of its own.
EDGES = (0.2, 0.4, 0.6, 0.8)
UNANIMOUS = "1.0"

Bins = dict[str, Estimate]
"""Accuracy of the pseudo label by the winner's share; a bin without a vote is not there."""


def accuracy_by_share(votes: Sequence[ProblemVotes], resampling: Resampling) -> Bins:
    """Share of winners that are the reference output, with intervals over groups of problems.

    Every vote that a reference output is known for counts, also one that was left out.
    """
    binned: dict[str, tuple[list[str], list[float]]] = {}
    for problem in votes:
        for vote in problem.inputs:
            if vote.is_right is not None:
                groups, right = binned.setdefault(bin_of(vote.winner), ([], []))
                groups.append(problem.group)
                right.append(float(vote.is_right))
    return {name: share(*binned[name], resampling) for name in sorted(binned)}


def bin_of(winner: float) -> str:
    """The name of the bin that a winner's share is in."""
    if winner >= 1:
        return UNANIMOUS
    low = 0.0
    for high in EDGES:
        if winner <= high + 1e-9:
            return f"{low:.1f} - {high:.1f}"
        low = high
    return f"{low:.1f} - 1.0"


def facts(votes: Sequence[ProblemVotes], resampling: Resampling) -> dict[str, object]:
    """Figures for the manifest."""
    labelled = [problem for problem in votes if not problem.left_out]
    tests = [(problem.group, problem.inputs[i]) for problem in labelled for i in problem.tests]
    judged = [(group, test) for group, test in tests if test.is_right is not None]
    every = [vote for problem in votes for vote in problem.inputs]
    found: dict[str, object] = {
        "problems": len(votes),
        "problems_with_labels": len(labelled),
        "inputs": len(every),
        "tests": len(tests),
        "means_over_tests": means([test for _, test in tests]),
    }
    if judged:
        groups, right = zip(*((group, float(bool(t.is_right))) for group, t in judged), strict=True)
        found["accuracy_of_tests"] = as_facts(share(groups, right, resampling))
        found["accuracy_by_share"] = {
            name: as_facts(figure) for name, figure in accuracy_by_share(votes, resampling).items()
        }
    return found


def means(tests: Sequence[InputVote]) -> dict[str, float]:
    """Means over tests of what a vote tells."""
    if not tests:
        return {}
    return {
        name: round(fmean(getattr(test, name) for test in tests), 4)
        for name in ("voters", "valid", "distinct", "winner", "runner_up")
    }


def as_facts(figure: Estimate) -> dict[str, float]:
    """A figure as JSON has it."""
    return {
        "value": round(figure.value, 4),
        "low": round(figure.low, 4),
        "high": round(figure.high, 4),
        "n": figure.n,
    }


def markdown(bins: Bins) -> str:
    """The table of accuracy by share."""
    lines = [
        "| share of the vote | accuracy of the pseudo label | 95 % interval | votes |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {figure.value:.3f} | {figure.low:.3f} - {figure.high:.3f} | {figure.n} |"
        for name, figure in bins.items()
    ]
    return "\n".join(lines) + "\n"


def svg(bins: Bins) -> bytes:
    """The table's picture: accuracy with intervals, and the number of votes as bars behind it."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    names = list(bins)
    behind = axes.twinx()
    behind.bar(names, [bins[name].n for name in names], color="lightgrey", label="votes")
    behind.set(ylabel="votes")
    values, errors = with_errors(list(bins.values()))
    axes.errorbar(names, values, yerr=errors, color=MODEL_COLOR, marker="o", label="accuracy")
    axes.set(ylim=(0, 1.02), xlabel="share of the vote", ylabel="accuracy of the pseudo label")
    # The later axes are drawn above the first ones, and the bars belong behind.
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
    stream = BytesIO()
    # The same table gives the same bytes: ids come from the salt, and there is no date.
    with rc_context({"svg.hashsalt": "votes"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
