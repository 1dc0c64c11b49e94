"""Arguments that the commands for files with scores share."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

from codepmp_client.bulk.columns import detect
from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.progress import Progress
from codepmp_client.bulk.scored_file import ScoredFile
from codepmp_client.bulk.scored_prompt import ScoredColumns
from codepmp_client.bulk.shared_arguments import add_row_options
from codepmp_client.bulk.tables import (
    CHUNK_ROWS,
    STANDARD_STREAM,
    ColumnType,
    Record,
    resolved,
    writing,
)
from codepmp_client.bulk.tally import Tally


def add_scored_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser of a command."""
    parser.add_argument(
        "input",
        metavar="IN",
        help="what `codepmp-score rows` wrote: a row has all candidates of a prompt, or one of "
        "them, and then the rows of a prompt may be anywhere in the file; - is stdin",
    )
    parser.add_argument(
        "output", metavar="OUT", help="JSON Lines (also .gz), or Parquet; - is stdout"
    )
    rows = add_row_options(parser)
    rows.add_argument(
        "--scores-column",
        "--score-column",
        metavar="NAME",
        help="column with a list of scores, or with one score; for example normalized "
        "(default: scores or score)",
    )
    rows.add_argument(
        "--keep",
        metavar="NAME",
        action="append",
        default=[],
        help="a further column of IN that OUT has, too; may be given several times",
    )
    rows.add_argument("--force", action="store_true", help="replace OUT if it exists")


def scored_file(
    options: argparse.Namespace, own_columns: Iterable[str], labels: str | None = None
) -> ScoredFile:
    """Return the file that the arguments name.

    Args:
        own_columns: those that the command writes, whose names no kept column may have.
        labels: column of the labels.

    Raises:
        UsageError: arguments do not go together.
    """
    if taken := sorted(set(options.keep).intersection(own_columns)):
        raise UsageError(f"--keep {taken[0]}: OUT has a column of its own with that name")
    if options.output == STANDARD_STREAM:
        if options.json:
            raise UsageError("--json prints to standard output: name a file as OUT")
        scratch = Path(tempfile.gettempdir())
    else:
        target = resolved(options.output)
        if options.input != STANDARD_STREAM and resolved(options.input) == target:
            raise UsageError("IN and OUT are the same file: name another OUT")
        scratch = target.parent
    return ScoredFile(options.input, partial(_columns, options, labels), scratch)


def _columns(options: argparse.Namespace, labels: str | None, record: Record) -> ScoredColumns:
    """Find the columns by the first row."""
    inputs = detect(
        record,
        prompt=options.prompt_column,
        candidates=options.candidates_column,
        field=options.candidate_field,
    )
    scores = options.scores_column or ("scores" if inputs.listed else "score")
    if scores not in record:
        raise UsageError(
            f"there is no column {scores}: score the file with `codepmp-score rows` first, or name "
            "the column with --scores-column"
        )
    if labels is not None and labels not in record:
        raise UsageError(f"there is no column {labels}: --labels-column names one of the file")
    return ScoredColumns(inputs, scores, labels, tuple(dict.fromkeys(options.keep)))


class Summary(Protocol):
    """The figures of a command over the rows that it made."""

    def facts(self) -> dict[str, object]:
        """Return the figures as JSON has them."""

    def sentences(self, tally: Tally) -> list[str]:
        """Return the figures for people."""


def write_records(
    options: argparse.Namespace,
    types: Mapping[str, ColumnType],
    records: Iterator[Record],
    progress: Progress,
    summary: Summary,
    tally: Tally,
) -> None:
    """Write the rows of OUT, a chunk at a time, and print what came of them.

    Args:
        records: are made while they are written, and fill `summary` and `tally`.
    """
    try:
        with writing(options.output, types, replace=options.force) as table:
            while chunk := list(islice(records, CHUNK_ROWS)):
                table.write_records(chunk)
    finally:
        progress.close()
    for sentence in [*summary.sentences(tally), *tally.sentences()]:
        progress.note(sentence)
    if options.json:
        sys.stdout.write(json.dumps(summary.facts() | tally.facts()) + "\n")
