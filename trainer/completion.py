"""Completes the words of the command line when a shell asks for it, before anything is loaded.

Fields of `--set` are not completed: their names are those of a recipe, which needs torch.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import argcomplete
from argcomplete.completers import BaseCompleter, DirectoriesCompleter, FilesCompleter

from trainer.cli import parser
from trainer.pipeline.stages import STAGES
from trainer.recipes import RECIPES, SUFFIXES


class _StagesAndFiles(BaseCompleter):
    """The values of an option that has no choices of its own."""

    def __call__(self, *, prefix: str, action: argparse.Action, **_parsed: object) -> Iterable[str]:
        if action.dest in {"first", "last"}:
            return list(STAGES)
        files: list[str] = FilesCompleter()(prefix)
        if action.dest == "recipe":
            # A folder may hold a recipe, too.
            ours = [each for each in files if each.endswith("/") or Path(each).suffix in SUFFIXES]
            return [*RECIPES, *ours]
        if action.dest in {"work", "out"}:
            return list(DirectoriesCompleter()(prefix))
        return files


def complete() -> None:
    """Answer the shell that set `_ARGCOMPLETE`, and end the process."""
    argcomplete.autocomplete(parser(), default_completer=_StagesAndFiles())
