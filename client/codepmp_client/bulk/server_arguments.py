"""Arguments about servers and how they score, with their checks."""

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from codepmp_client.bulk.exits import UsageError

KEY_VARIABLE = "CODEPMP_API_KEY"


def add_scoring_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of asking servers."""
    group = parser.add_argument_group("scoring")
    group.add_argument("--model", metavar="NAME", help="a served model, or NAME@VERSION")
    group.add_argument(
        "--api-key-file",
        type=Path,
        metavar="FILE",
        help=f"file with the server's API key; else the variable {KEY_VARIABLE} may hold it",
    )
    group.add_argument(
        "--over-length",
        choices=["error", "truncate_prompt"],
        default="error",
        help="conversations that are too long: an error of the candidate, or the middle of the "
        "prompt is cut (default: error)",
    )
    group.add_argument(
        "--criteria",
        metavar="NAME=WEIGHT,...",
        help="score by these criteria of the release or labels of the checkpoint; the score is the "
        "weighted sum, and names alone have the weights of the release",
    )
    group.add_argument(
        "--concurrency",
        type=int,
        default=16,
        metavar="N",
        help="maximum of requests in flight to each server; fewer while it is overloaded "
        "(default: 16)",
    )
    group.add_argument(
        "--patience",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long a request is tried again, such as while a server restarts (default: 600)",
    )
    group.add_argument(
        "--mixed-versions",
        action="store_true",
        help="go on when another version serves; each row says which one scored it",
    )


def read_api_key(file: Path | None) -> str | None:
    """The key of a file, or of the environment."""
    if file is None:
        return os.environ.get(KEY_VARIABLE) or None
    try:
        key = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the key file {file} cannot be read: {error}") from error
    if not key or not key.isprintable():
        raise UsageError(f"the key file {file} does not hold one line with a key")
    return key


def read_criteria(text: str | None) -> Mapping[str, float] | Sequence[str] | None:
    """Read `name=weight` entries that commas separate, or names alone.

    Raises:
        UsageError: some have a weight and others none, or a weight is no number.
    """
    if text is None:
        return None
    names = [entry.strip() for entry in text.split(",")]
    if not any("=" in name for name in names) and all(names):
        return names
    weights: dict[str, float] = {}
    for entry in names:
        name, _, weight = entry.rpartition("=")
        try:
            weights[name.strip()] = float(weight)
        except ValueError:
            weights[name.strip()] = math.nan
        if not name.strip() or not math.isfinite(weights[name.strip()]):
            raise UsageError(
                "--criteria takes names, or names that all have a weight, such as "
                "correctness=1.0,readability=0.5"
            )
    return weights


def require_urls(urls: Sequence[str]) -> None:
    """Refuse what is no URL of a server."""
    for url in urls:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise UsageError(f"{url} is no URL: {error}") from error
        # httpx takes these for names of hosts and for ports until it connects.
        odd = " " in url or (parsed.port or 0) > 65535
        if parsed.scheme not in ("http", "https") or not parsed.host or odd:
            raise UsageError(f"{url} is no URL of a server, such as http://127.0.0.1:8000")
