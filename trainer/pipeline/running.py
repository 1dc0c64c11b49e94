"""Runs a recipe's stages: one of them, or all that are not up to date."""

import ctypes
import gc
import time
from datetime import timedelta
from pathlib import Path

import psutil

from trainer.pipeline.freshness import folder_of, reason_to_run
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.shards import require_rows

# Bytes that a stage may leave behind. To give memory back takes seconds in a large process.
MAX_GROWTH = 512 << 20


def run_stage(stage: str, recipe: Recipe, work: Path) -> None:
    """Run a stage: it reads finished stages below `work` and writes its own folder there."""
    entry, output = recipe[stage], folder_of(stage, work)
    began = time.monotonic()  # the wall clock may be set while a stage runs for days
    print(f"{stage}: started {time.strftime('%H:%M:%S')}, writes {output}", flush=True)
    resident = psutil.Process().memory_info().rss
    entry.run(entry.config, work, output)
    if psutil.Process().memory_info().rss - resident > MAX_GROWTH:
        return_memory()
    took = timedelta(seconds=round(time.monotonic() - began))
    print(f"{stage}: done {time.strftime('%H:%M:%S')}, took {took}", flush=True)


def return_memory() -> None:
    """Give what a stage has left behind back to the system.

    After training that is gigabytes, in cycles of objects and in free lists of glibc's malloc, and
    the next stage may start a server that needs as much.
    """
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def run_recipe(recipe: Recipe, work: Path, first: str | None, last: str | None) -> None:
    """Run the stages from `first` to `last` that are not up to date, and print why each ran."""
    for stage in recipe.between(first, last):
        if check := recipe[stage].check:
            check(recipe[stage].config, work)
    # Freshness is asked when a stage's turn comes, because an earlier one may change its input.
    for stage in recipe.between(first, last):
        reason = reason_to_run(stage, recipe[stage].config, work)
        if reason is None:
            print(f"{stage}: skipped, it is up to date", flush=True)
        else:
            print(f"{stage}: runs, because {reason}", flush=True)
            run_stage(stage, recipe, work)
        # Asked here and not by the later stage: training comes between, and with other splits it
        # would begin anew.
        for later in recipe.between(stage, last)[1:]:
            for split in recipe[later].splits(stage):
                require_rows(work / stage, split)
