# PYTHON_ARGCOMPLETE_OK: shells complete the words of programs that say this.
"""The command line `codepmp-score`. Each command is a module with `add_parser` and a function."""

import argparse
import sys
from collections.abc import Callable, Sequence

from codepmp_client.bulk import exits
from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.tables import TableError
from codepmp_client.errors import RewardError

try:
    import argcomplete

    from codepmp_client.bulk import best_command, pairs_command, rows_command
except ModuleNotFoundError as missing:
    if (missing.name or "").startswith("codepmp_client"):
        raise  # a mistake in this code, not in the installation
    sys.exit(f"codepmp-score needs {missing.name}: pip install 'codepmp-client[bulk]'")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = parser()
    argcomplete.autocomplete(options)
    chosen = options.parse_args(argv)
    run: Callable[[argparse.Namespace], int] = chosen.run
    try:
        return run(chosen)
    except UsageError as error:
        message, code = str(error), exits.WRONG_USE
    except (TableError, RewardError) as error:
        message, code = str(error), exits.FAILED
    except KeyboardInterrupt:
        message, code = "interrupted", exits.INTERRUPTED
    sys.stderr.write(f"codepmp-score {chosen.command}: {message}\n")
    return code


def parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    root = argparse.ArgumentParser(
        prog="codepmp-score",
        description="Score files of any size by a reward-model server.",
        epilog=exits.table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    rows_command.add_parser(commands)
    pairs_command.add_parser(commands)
    best_command.add_parser(commands)
    return root
