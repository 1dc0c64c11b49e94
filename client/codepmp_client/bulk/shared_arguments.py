"""Arguments that all commands have: which columns are read, and what is printed."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_row_options(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """Add the options that name columns; return their group, which takes more options of rows."""
    rows = parser.add_argument_group("rows")
    rows.add_argument(
        "--prompt-column", metavar="NAME", help="column with a text or a conversation"
    )
    rows.add_argument(
        "--candidates-column",
        "--candidate-column",
        metavar="NAME",
        help="column with a list of candidates, or with one candidate",
    )
    rows.add_argument(
        "--candidate-field",
        metavar="NAME",
        help="where candidates are objects: the member that holds the text",
    )
    return rows


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of what is printed."""
    group = parser.add_argument_group("messages")
    group.add_argument("--quiet", action="store_true", help="print failures only")
    group.add_argument("--json", action="store_true", help="a summary as JSON on standard output")
