"""Arguments that the commands for files with scores share."""

import argparse
import tempfile
from pathlib import Path

from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.scored_file import ScoredFile
from codepmp_client.bulk.scored_prompt import ScoredColumns
from codepmp_client.bulk.tables import STANDARD_STREAM


def add_scored_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser of a command."""
    parser.add_argument(
        "input",
        metavar="IN",
        help="JSON Lines or Parquet with scores, as `codepmp-score rows` writes it: a row has all "
        "candidates of a prompt, or one of them, and then rows of one prompt may be anywhere in "
        "the file; - is standard input",
    )
    parser.add_argument(
        "output", metavar="OUT", help="JSON Lines, or Parquet if it ends in .parquet"
    )
    parser.add_argument(
        "--scores",
        metavar="COLUMN",
        help="column of the scores, for example normalized (default: scores, or score where a row "
        "has one candidate)",
    )
    parser.add_argument(
        "--keep",
        metavar="COLUMN",
        action="append",
        default=[],
        help="write this column of the row, too; may be given several times",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--quiet", action="store_true", help="print no summary for people")


def scored_file(
    options: argparse.Namespace, own_columns: tuple[str, ...], labels: str | None = None
) -> ScoredFile:
    """Return the file that the arguments name.

    Args:
        own_columns: those that the command writes, whose names no kept column may have.

    Raises:
        UsageError: arguments do not go together.
    """
    if taken := sorted(set(options.keep).intersection(own_columns)):
        raise UsageError(f"--keep {taken[0]}: the output has a column of that name")
    if options.output == STANDARD_STREAM:
        if options.json:
            raise UsageError("--json prints to standard output, so OUT must be a file")
        scratch = Path(tempfile.gettempdir())
    else:
        scratch = Path(options.output).resolve().parent
    columns = ScoredColumns(options.scores, labels)
    return ScoredFile(options.input, columns, tuple(options.keep), scratch)
