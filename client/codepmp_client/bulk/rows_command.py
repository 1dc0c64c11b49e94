"""The command `codepmp-score rows`: scores the rows of a file."""

import argparse
from typing import TYPE_CHECKING

from codepmp_client.bulk.exits import UsageError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(commands: "Commands") -> None:
    parser = commands.add_parser("rows", help="score each row's candidates; the same rows out")
    parser.add_argument("input", metavar="IN", help="JSON Lines or Parquet; - is standard input")
    parser.add_argument("output", metavar="OUT", help="file of the same rows with their scores")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    raise UsageError(f"{options.input} cannot be scored yet")
