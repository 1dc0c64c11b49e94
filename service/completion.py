"""Completes the words of the command line when a shell asks for it, before anything is loaded."""

import sys

from pydantic_settings import CliSettingsSource

from service.settings import Settings


def complete() -> None:
    """Answer the shell that set `_ARGCOMPLETE`, and end the process.

    Without argcomplete, which only this needs, the shell gets no answer and completes file names.
    """
    try:
        import argcomplete
    except ModuleNotFoundError:
        sys.exit(1)
    argcomplete.autocomplete(CliSettingsSource[object](Settings).root_parser)
