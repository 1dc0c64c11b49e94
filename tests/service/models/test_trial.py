"""Models are tried in a process of their own, and whatever happens there is a reason."""

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from service.errors import CannotLoad
from service.models.trial import try_in_process
from service.settings import Settings
from tests.checkpoints import TEMPLATE, make_checkpoint, make_pair_tokenizer

_LOOP = "{% for i in range(99999) %}"
_HANGS = 3 * _LOOP + 3 * "{% endfor %}" + TEMPLATE


def children() -> list[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


async def reason(path: Path, seconds: float = 60) -> str | None:
    try:
        await try_in_process(Settings(model=str(path), trial_seconds=seconds))
    except CannotLoad as error:
        return error.message
    return None


async def test_a_model_that_hangs_or_takes_all_memory_is_refused_and_leaves_no_process(
    tmp_path: Path,
) -> None:
    before, large = set(children()), make_checkpoint(tmp_path / "large")
    os.truncate(large / "config.json", 8 * 1024**3)
    good, hangs, too_large = await asyncio.gather(
        reason(make_checkpoint(tmp_path / "good")),
        reason(make_checkpoint(tmp_path / "hangs", template=_HANGS), seconds=0.1),
        reason(large),
    )
    assert good is None
    # The template's own limit is a second of processor time, so the time of a step is over first.
    assert re.fullmatch(
        r"in the process in which it was tried, .+ was not done within 0\.1 seconds "
        r"\(--trial-seconds\)",
        hangs or "",
    )
    assert too_large == (
        "reading its files took more memory than a model may take here beside its weights"
    )
    assert set(children()) <= before


async def test_a_cross_encoder_is_tried_with_pairs(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "pairs", "bert", vocab_size=200)
    (path / "chat_template.jinja").unlink()
    make_pair_tokenizer().save_pretrained(path)
    assert await reason(path) is None


async def test_a_process_that_the_system_kills_is_a_reason(tmp_path: Path) -> None:
    before = set(children())
    trying = asyncio.create_task(reason(tmp_path))
    while not (started := set(children()) - before):  # noqa: ASYNC110
        await asyncio.sleep(0)
    os.kill(started.pop(), signal.SIGKILL)
    assert str(await trying).startswith("the process in which it was tried was killed")


async def test_a_trial_that_is_cancelled_ends_its_process(tmp_path: Path) -> None:
    before = set(children())
    trying = asyncio.create_task(reason(tmp_path))
    while not set(children()) - before:  # noqa: ASYNC110
        await asyncio.sleep(0)
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    assert set(children()) <= before
