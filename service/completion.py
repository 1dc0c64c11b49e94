"""Completes the words of the command line when a shell asks for it, before anything is loaded.

Only this module imports argcomplete, which a server without a shell needs not have.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import get_args, get_origin

import argcomplete
from argcomplete.completers import BaseCompleter, FilesCompleter
from pydantic_settings import CliSettingsSource

from service.settings import Settings


class _Values(BaseCompleter):
    """The values of a flag: its choices, or files where it takes a path or a model."""

    def __call__(self, *, prefix: str, action: argparse.Action, **_parsed: object) -> Iterable[str]:
        field = Settings.model_fields[action.dest]
        kinds = get_args(field.annotation)
        if get_origin(field.annotation) is tuple:
            kinds = get_args(kinds[0])
        if action.dest in {"model", "also_serve"} or Path in kinds:
            found: list[str] = FilesCompleter()(prefix)
            return found
        # In a list the last word is completed, and the words before it stay.
        before, comma, _word = prefix.rpartition(",")
        return [f"{before}{comma}{choice}" for choice in kinds if isinstance(choice, str)]


def complete() -> None:
    """Answer the shell that set `_ARGCOMPLETE`, and end the process."""
    source = CliSettingsSource[argparse.ArgumentParser](Settings)
    argcomplete.autocomplete(source.root_parser, default_completer=_Values())
