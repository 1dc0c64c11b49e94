"""Trains a recipe for the minutes that are left, in a work folder that holds its data."""

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

from benchmarks.gpu_day.day import Row, Setting, Skipped

_MARGIN_SECONDS = 25.0
"""Kept for stopping the run and for packing its weights."""

_LARGEST = 15_000_000
"""Bytes of a file that is worth carrying back from a machine that is lent."""


def run(setting: Setting) -> Iterator[Row]:
    """Run `python -m trainer run`, which goes on from the stages that the folder holds already."""
    if setting.work is None:
        raise Skipped("no work folder was named with --work")
    if not setting.work.is_dir():
        raise Skipped(f"{setting.work.name} is no folder: the recipe's data does not lie there")
    seconds = setting.seconds_left - _MARGIN_SECONDS
    if seconds <= 0:
        raise Skipped("no time was left to train")
    command = [sys.executable, "-m", "trainer", "run", "--recipe", setting.recipe]
    command += ["--work", str(setting.work), "--quiet"]
    log, began, ended = setting.out / "recipe.log", monotonic(), "stopped when the time was over"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            code = process.wait(timeout=seconds)
            ended = "done" if code == 0 else f"failed with {code}"
        except subprocess.TimeoutExpired:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            process.kill()
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    yield {
        "recipe": setting.recipe,
        "seconds": monotonic() - began,
        "ended": ended,
        "last line": lines[-1][-200:].replace("|", "/") if lines else "",
        "weights": keep_weights(setting.work, setting.out),
    }


def keep_weights(work: Path, out: Path) -> str:
    """Copy the newest small weight files, which are adapters, into one archive; say which."""
    files = [f for f in work.rglob("*.safetensors") if f.stat().st_size < _LARGEST]
    if not files:
        return "none that are small enough to carry"
    newest = max(files, key=lambda file: file.stat().st_mtime)
    with tarfile.open(out / "weights.tar", "w") as archive:
        for file in sorted(newest.parent.iterdir()):
            if file.is_file() and file.stat().st_size < _LARGEST:
                archive.add(file, file.name)
    return str(newest.parent.relative_to(work))
