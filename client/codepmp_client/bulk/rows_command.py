"""The command `codepmp-score rows`: scores the rows of a file."""

import argparse
import asyncio
import json
import shlex
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from codepmp_client.bulk import exits
from codepmp_client.bulk.columns import detect
from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.ledger import Ledger
from codepmp_client.bulk.local_server import local_server
from codepmp_client.bulk.progress import Progress, rate_text
from codepmp_client.bulk.rows import ledger_path, require_places, score_file
from codepmp_client.bulk.score_job import ScoreJob, Totals
from codepmp_client.bulk.server_arguments import (
    add_scoring_options,
    read_api_key,
    read_criteria,
    require_urls,
)
from codepmp_client.bulk.shared_arguments import add_output_options, add_row_options
from codepmp_client.inputs import Options

if TYPE_CHECKING:
    from codepmp_client.bulk.shared_arguments import Commands

_DESCRIPTION = """\
Scores each row of IN by a reward-model server and writes the same rows, in order, to OUT.

A row with a list in `candidates` gets lists in `scores`, `normalized` and `errors`; a row with one
`candidate`, `response` or `completion` gets `score`, `normalized` and `error`. Both get `model` and
`version`, or `reward_model` and `reward_version` where a row has a column of such a name already.
The prompt is in `prompt`, a text, or in `messages`, a conversation.

A run that was interrupted or killed goes on when the same command is run again.
"""


def add_parser(commands: "Commands") -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "rows",
        help="score each row's candidates; the same rows out",
        description=_DESCRIPTION,
        epilog=exits.table(
            failed="what was scored is kept for the next run",
            interrupted="the same command goes on",
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", metavar="IN", help="JSON Lines (also .gz) or Parquet; - is stdin")
    parser.add_argument("output", metavar="OUT", help="the same rows, by the name's ending")
    group = parser.add_argument_group("servers")
    servers = group.add_mutually_exclusive_group(required=True)
    servers.add_argument(
        "--url",
        action="append",
        metavar="URL",
        help="address of a server; if it is given several times, the servers share the work",
    )
    servers.add_argument(
        "--serve",
        metavar="MODEL",
        help="a release, a checkpoint or a hub id, which a server on this machine serves for the "
        "length of the job; the server must be installed beside this client",
    )
    group.add_argument(
        "--serve-args",
        type=shlex.split,
        default=[],
        metavar="ARGS",
        help="arguments of that server, as one text: --serve-args='--device cpu --max-tokens 4096'",
    )
    add_scoring_options(parser)
    rows = add_row_options(parser)
    rows.add_argument(
        "--overwrite", action="store_true", help="replace columns of the new columns' names"
    )
    rows.add_argument(
        "--bad-rows",
        choices=["error", "skip"],
        default="error",
        help="lines that are no rows: `error` scores all others and then fails, so that the lines "
        "can be mended and the run goes on; `skip` leaves them out (default: error)",
    )
    rows.add_argument("--force", action="store_true", help="replace OUT if it exists")
    rows.add_argument(
        "--restart", action="store_true", help="forget what an interrupted run has scored"
    )
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Score a file, and tell what came of it."""
    job = _job(options)
    progress = Progress("rows", options.quiet)
    try:
        with ExitStack() as stack:
            if options.serve:
                # Before a model is loaded for minutes.
                target = require_places(job)
                log = target.with_name(f"{target.name}.server.log")
                server = local_server(options.serve, options.serve_args, log, progress.note)
                job = replace(job, urls=(stack.enter_context(server),))
            totals = asyncio.run(score_file(job, progress))
    except KeyboardInterrupt:
        progress.close()
        sys.stderr.write(f"codepmp-score rows: {_interrupted(job)}\n")
        return exits.INTERRUPTED
    finally:
        progress.close()
    progress.note(_sentence(totals, progress, job.target))
    if options.json:
        sys.stdout.write(json.dumps(_summary(totals, progress, job.target)) + "\n")
    clean = not totals.errors and not totals.bad_rows
    return exits.DONE if clean else exits.WITH_ERRORS


def _job(options: argparse.Namespace) -> ScoreJob:
    urls = options.url or ()
    if options.serve_args and not options.serve:
        raise UsageError("--serve-args is for the server that --serve starts")
    require_urls(urls)
    if options.concurrency < 1 or not 0 < options.patience <= 24 * 60 * 60:
        raise UsageError(
            "--concurrency must be at least 1, and --patience more than 0 and at most 86400 (a day)"
        )
    return ScoreJob(
        source=options.input,
        target=options.output,
        urls=tuple(urls),
        columns=partial(
            detect,
            prompt=options.prompt_column,
            candidates=options.candidates_column,
            field=options.candidate_field,
        ),
        options=Options(
            options.model, "bulk", options.over_length, criteria=read_criteria(options.criteria)
        ),
        api_key=read_api_key(options.api_key_file),
        concurrency=options.concurrency,
        patience=options.patience,
        overwrite=options.overwrite,
        replace=options.force,
        bad_rows=options.bad_rows,
        mixed_versions=options.mixed_versions,
        restart=options.restart,
    )


def _interrupted(job: ScoreJob) -> str:
    file = ledger_path(Path(job.target).resolve())
    if not file.exists():
        return "interrupted before anything was scored"
    with Ledger(file) as ledger:
        kept = ledger.rows()
    return f"interrupted; the scores of {kept:,} rows are kept in {file}, the same command goes on"


def _sentence(totals: Totals, progress: Progress, target: str) -> str:
    rate = totals.rows / max(progress.seconds, 1e-9)
    parts = [f"{totals.rows:,} rows in {progress.seconds:.1f} s ({rate_text(rate)})"]
    if totals.reused:
        parts.append(f"{totals.reused:,} with the scores of an earlier run")
    if totals.duplicates:
        parts.append(f"{totals.duplicates:,} equal to another row and scored with it")
    for code, count in totals.errors.most_common():
        parts.append(f"{count:,} {code}")
    if totals.bad_rows:
        parts.append(f"{totals.bad_rows:,} bad lines left out")
    return f"{target}: {', '.join(parts)}"


def _summary(totals: Totals, progress: Progress, target: str) -> dict[str, object]:
    names = totals.models[-1] if totals.models else (None, None)
    return {
        "output": target,
        "rows": totals.rows,
        "scored": totals.scored,
        "candidates": totals.candidates,
        "errors": dict(totals.errors),
        "bad_rows": totals.bad_rows,
        "reused": totals.reused,
        "duplicates": totals.duplicates,
        "seconds": round(progress.seconds, 3),
        "rows_per_second": round(totals.rows / max(progress.seconds, 1e-9), 1),
        "model": names[0],
        "version": names[1],
    }
