"""The command `codepmp-score best`: best of N of candidates with scores, and what it is worth."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from codepmp_client.bulk import exits
from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.expected_accuracy import AccuracyCurve, CurvePoint, Share
from codepmp_client.bulk.scored_arguments import add_scored_arguments, scored_file
from codepmp_client.bulk.scored_file import ScoredFile
from codepmp_client.bulk.scored_prompt import PROMPT_COLUMNS, ScoredPrompt
from codepmp_client.bulk.tables import CHUNK_ROWS, ColumnType, Record, writing
from codepmp_client.bulk.tally import Tally

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

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


def add_parser(commands: "Commands") -> None:
    parser = commands.add_parser("best", help="pick the best candidate of each prompt")
    add_scored_arguments(parser)
    parser.add_argument("--top", type=int, metavar="K", help="write the K best candidates, too")
    parser.add_argument(
        "--labels",
        metavar="COLUMN",
        help="column that says which candidates are right, true or false or from 0 to 1: a list, "
        "or one value where a row has one candidate (default: `correct` of a candidate or of such "
        "a row, where there is one)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Pick the best candidates, and estimate how often they are right where labels tell."""
    file = scored_file(options, (*COLUMNS, *PROMPT_COLUMNS), options.labels)
    if options.top is not None and options.top < 1:
        raise UsageError("--top must be 1 or more")
    summary = BestSummary()
    tally = Tally()
    records = _records(file, options.top, summary, tally)
    with writing(options.output, _TYPES, replace=options.force) as writer:
        while chunk := list(islice(records, CHUNK_ROWS)):
            writer.write_records(chunk)
    if not options.quiet:
        lines = [*summary.lines(tally), *tally.lines()]
        sys.stderr.write("".join(f"{line}\n" for line in lines))
    if options.json:
        sys.stdout.write(json.dumps(summary.facts() | tally.facts()) + "\n")
    return exits.WITH_ERRORS if tally.rows_left_out or summary.without_best else exits.DONE


def _records(
    file: ScoredFile, top: int | None, summary: "BestSummary", tally: Tally
) -> Iterator[Record]:
    """Yield a row for each prompt, also for one of whose candidates none has a score."""
    for prompt in file.prompts(tally):
        tally.prompts += 1
        summary.add(prompt)
        ranked = sorted(prompt.candidates, key=lambda each: (-each.score, each.index))
        best = ranked[0] if ranked else None
        row = best.row if best else prompt.row.record
        name = "prompt" if isinstance(prompt.prompt, str) else "messages"
        columns: Record = {
            name: prompt.prompt,
            **{name: row.get(name) for name in file.keep},
            "best": best and best.text,
            "best_index": best and best.index,
            "score": best and best.score,
        }
        if best and best.label is not None:
            columns["correct"] = best.label
        if top is not None:
            columns["top"] = [each.text for each in ranked[:top]]
            columns["top_indices"] = [each.index for each in ranked[:top]]
            columns["top_scores"] = [each.score for each in ranked[:top]]
        yield columns


@dataclass
class BestSummary:
    """How many prompts have a best candidate, and how often it is right."""

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

    def lines(self, tally: Tally) -> list[str]:
        """Return sentences for people, and a table where there are labels."""
        lines = [
            f"a best candidate for {tally.prompts - self.without_best} of {tally.prompts} prompts"
        ]
        points, too_few = self.curve.points()
        if not points:
            return lines
        kept = self.curve.prompts - too_few
        lines.append(
            f"share of right answers over {kept} prompts, with intervals of 95 %: the best-scored "
            "of n candidates, expected over all draws of n; any one of them; and the best possible"
        )
        lines.append(f"{'n':>6}  {'best of n':>21}  {'mean':>21}  {'oracle':>21}")
        for point in points:
            cells = (
                f"{share.value:7.4f} [{share.low:.4f}, {share.high:.4f}]"
                for share in _shares(point).values()
            )
            lines.append(f"{point.n or 'all':>6}  {'  '.join(cells)}")
        for count, reason in (
            (too_few, "have too few candidates for this table"),
            (self.without_labels, "have candidates without a label"),
        ):
            if count:
                lines.append(f"{count} prompts {reason}")
        return lines


def _shares(point: CurvePoint) -> dict[str, Share]:
    return {"best_of_n": point.best, "mean": point.mean, "oracle": point.oracle}
