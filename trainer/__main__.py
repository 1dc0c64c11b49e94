# PYTHON_ARGCOMPLETE_OK: shells complete the words of programs that say this (docs/README.md).
"""`python -m trainer`; see `trainer/cli.py`."""

import os
import sys

from trainer.cli import main

if __name__ == "__main__":
    if "_ARGCOMPLETE" in os.environ:
        from trainer.completion import complete

        complete()
    if not sys.stderr.isatty():
        # Bars of downloads and of loaded weights, whose carriage returns make a log unreadable.
        # Their libraries read this when they are imported, which the command does.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    sys.exit(main(sys.argv[1:]))
