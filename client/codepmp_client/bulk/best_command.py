"""The command `codepmp-score best`: best of N of candidates with scores, and what it is worth."""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codepmp_client.bulk import exits
from codepmp_client.bulk.columns import PROMPTS
from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.expected_accuracy import AccuracyCurve, CurvePoint, Share
from codepmp_client.bulk.progress import Progress
from codepmp_client.bulk.scored_arguments import (
    add_scored_arguments,
    scored_file,
    write_records,
)
from codepmp_client.bulk.scored_prompt import ScoredPrompt
from codepmp_client.bulk.shared_arguments import add_output_options
from codepmp_client.bulk.tables import ColumnType, Record
from codepmp_client.bulk.tally import Tally

if TYPE_CHECKING:
    from codepmp_client.bulk.shared_arguments import Commands

_TYPES: dict[str, ColumnType] = {
    "best": "text",
    "best_index": "integer",
    "score": "number",
    "correct": "number",
    "top": "texts",
    "top_indices": "integers",
    "top_scores": "numbers",
}

COLUMNS = ("best", "best_index", "score", "correct", "top", "top_indices", "top_scores")


_DESCRIPTION = """\
Picks the candidate with the highest score of each prompt; ties are broken by index. A row of OUT
has the prompt, `best`, `best_index` and `score`; they are null if no candidate has a score. Where
the best candidate has a label, `correct` holds it.

Where labels say which candidates are right, the expected accuracy of the best of n is printed for
n = 1, 2, 4 and so on, computed over all draws of n, beside that of a random candidate and of an
oracle.
"""


def add_parser(commands: "Commands") -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "best",
        help="pick the best candidate of each prompt",
        description=_DESCRIPTION,
        epilog=exits.table(
            with_errors="some rows were left out, or some prompts have no scored candidate"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_scored_arguments(parser)
    group = parser.add_argument_group("picks")
    group.add_argument(
        "--top",
        type=int,
        metavar="K",
        help="also write the K best candidates: top, top_indices and top_scores",
    )
    group.add_argument(
        "--labels-column",
        "--label-column",
        metavar="NAME",
        help="which candidates are right, true or false or from 0 to 1: a list, or one value "
        "(default: `correct` of candidates that are objects, or of rows with one candidate)",
    )
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Pick the best candidates, and estimate how often they are right where labels tell."""
    if options.top is not None and options.top < 1:
        raise UsageError("--top must be 1 or more")
    file = scored_file(options, (*COLUMNS, *PROMPTS), options.labels_column)
    summary = BestSummary()
    tally = Tally()
    progress = Progress("best", options.quiet)
    records = _records(file.prompts(tally, progress), options.top, summary, tally)
    write_records(options, _TYPES, records, progress, summary, tally)
    return exits.WITH_ERRORS if tally.rows_left_out or summary.without_best else exits.DONE


def _records(
    prompts: Iterable[ScoredPrompt], top: int | None, summary: "BestSummary", tally: Tally
) -> Iterator[Record]:
    """Yield a row for each prompt, also for one of whose candidates none has a score."""
    for prompt in prompts:
        tally.prompts += 1
        summary.add(prompt)
        ranked = sorted(prompt.candidates, key=lambda each: (-each.score, each.index))
        best = ranked[0] if ranked else None
        columns: Record = {
            "prompt" if isinstance(prompt.prompt, str) else "messages": prompt.prompt,
            **(best.kept if best else prompt.kept),
            "best": best and best.answer,
            "best_index": best and best.index,
            "score": best and best.score,
        }
        if best and best.label is not None:
            columns["correct"] = best.label
        if top is not None:
            columns["top"] = [each.answer for each in ranked[:top]]
            columns["top_indices"] = [each.index for each in ranked[:top]]
            columns["top_scores"] = [each.score for each in ranked[:top]]
        yield columns


@dataclass
class BestSummary:
    """Counts of prompts with a best candidate, and its expected accuracy."""

    without_best: int = 0
    without_labels: int = 0
    curve: AccuracyCurve = field(default_factory=AccuracyCurve)

    def add(self, prompt: ScoredPrompt) -> None:
        """Count a prompt."""
        scores = [each.score for each in prompt.candidates]
        labels = [each.label for each in prompt.candidates if each.label is not None]
        if not scores:
            self.without_best += 1
        elif len(labels) < len(scores):
            self.without_labels += 1
        else:
            self.curve.add(scores, labels)

    def facts(self) -> dict[str, object]:
        """Return the figures as JSON has them; intervals are [low, high]."""
        points, too_few = self.curve.points()
        return {
            "prompts_without_best": self.without_best,
            "prompts_without_labels": self.without_labels,
            "prompts_with_too_few_candidates": too_few,
            "prompts_in_accuracy": self.curve.prompts - too_few,
            "accuracy": [
                {"n": point.n or "all"}
                | {
                    name: {"value": share.value, "interval": [share.low, share.high]}
                    for name, share in _shares(point).items()
                }
                for point in points
            ],
        }

    def sentences(self, tally: Tally) -> list[str]:
        """Return sentences for people, and a table where there are labels."""
        found = tally.prompts - self.without_best
        sentences = [f"a best candidate for {found:,} of {tally.prompts:,} prompts"]
        points, too_few = self.curve.points()
        if not points:
            return sentences
        kept = self.curve.prompts - too_few
        table = [
            f"accuracy over {kept:,} prompts, with intervals of 95 %: of the best-scored of n "
            "candidates, expected over all draws of n; of a random candidate; and of an oracle",
            f"{'n':>6}  {'best of n':>23}  {'mean':>23}  {'oracle':>23}",
        ]
        for point in points:
            cells = (
                f"{share.value:7.4f} [{share.low:.4f}, {share.high:.4f}]"
                for share in _shares(point).values()
            )
            table.append(f"{point.n or 'all':>6}  {'  '.join(cells)}")
        sentences.append("\n".join(table))
        for count, reason in (
            (too_few, "have too few candidates for this table"),
            (self.without_labels, "have candidates without a label"),
        ):
            if count:
                sentences.append(f"{count:,} prompts {reason}")
        return sentences


def _shares(point: CurvePoint) -> dict[str, Share]:
    return {"best_of_n": point.best, "mean": point.mean, "oracle": point.oracle}
