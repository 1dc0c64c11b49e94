"""Finds out on a GPU all that only a GPU can tell, in the few minutes for which one is lent.

    python -m benchmarks.gpu_day --out DIR [--minutes 9] [--data DIR] [--work DIR]
    python -m benchmarks.gpu_day --out DIR --dry-run        toy sizes on a CPU, in half a minute

DIR gets page.md and figures.json, written again after every row. The exit code is 0 if every part
ended well or was skipped and every check held, and 1 otherwise.
"""

import argparse
import datetime
import os
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.gpu_day.day import Setting, run_parts
from benchmarks.gpu_day.page import PAGE, Circumstances, write
from benchmarks.gpu_day.parts import MODULES, PARTS
from benchmarks.gpu_day.scale import FULL, TOY
from benchmarks.harness.machine import command, gpu_name, hardware, versions


def main() -> int:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    usual = [part.name for part in PARTS if not (options.dry_run and part.repeats)]
    chosen = [part for part in PARTS if part.name in (options.parts or usual)]
    setting = Setting(
        scale=TOY if options.dry_run else FULL,
        out=options.out,
        ends_at=time.monotonic() + 60 * options.minutes,
        data=options.data,
        work=options.work,
        recipe=options.recipe,
    )
    circumstances = Circumstances(
        datetime.date.today().isoformat(), command(), hardware(), versions(), os.getloadavg()[0]
    )
    outcomes = run_parts(chosen, setting, partial(write, options.out, circumstances), MODULES)
    print((options.out / PAGE).read_text("utf-8"))
    return 0 if all(outcome.held for outcome in outcomes) else 1


def _options() -> argparse.Namespace:
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_day",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets the results")
    parser.add_argument("--minutes", type=float, default=9.0, help="that all parts may take")
    parser.add_argument("--data", type=Path, help="folder with candidates/; default: own texts")
    parser.add_argument("--work", type=Path, help="a recipe's work folder, with its data in it")
    parser.add_argument("--recipe", default="codepmp_smollm2", help="what is trained in --work")
    parser.add_argument(
        "--parts", nargs="+", choices=names, metavar="NAME", help=f"only these: {', '.join(names)}"
    )
    parser.add_argument("--dry-run", action="store_true", help="toy sizes on the CPU")
    options = parser.parse_args()
    if not options.dry_run and gpu_name() is None:
        parser.error("PyTorch finds no GPU that it can use; --dry-run tries the program on a CPU")
    return options


if __name__ == "__main__":
    sys.exit(main())
