"""Tries a model in a process of its own, before the process that serves touches it.

A checkpoint's author chooses regular expressions, a template and sizes, and a library may hold the
interpreter, take all memory or crash over any of them. In a process of its own that costs nobody a
score, and the process can be killed.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from service.errors import CannotLoad
from service.settings import Settings

Trial = Callable[[Settings], Awaitable[None]]
"""Returns if the model that the settings name can be loaded, and raises CannotLoad if not."""

_ROOT = Path(__file__).resolve().parents[2]

# Seconds in which the process must have imported its libraries.
_START_SECONDS = 120

# Bytes that are kept of what its libraries print, from the end.
_KEPT_BYTES = 4096


async def try_in_process(settings: Settings) -> None:
    """Try the model in a new process and wait for its report.

    Raises:
        CannotLoad: the model cannot be served, or trying it took too long, too much memory, or
            ended the process.
    """
    # Only what is a setting here counts there, and no GPU is in its sight.
    kept = {
        name: text for name, text in os.environ.items() if not name.upper().startswith("REWARD_")
    }
    paths = os.pathsep.join(filter(None, (str(_ROOT), kept.get("PYTHONPATH"))))
    hidden = dict.fromkeys(("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"), "")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service.models.trial_process"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # One thread leaves the other cores to the scores of others.
        env=kept | hidden | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    printed = asyncio.create_task(_last_bytes(process.stderr))
    step, seconds = "starting", float(_START_SECONDS)
    # Secrets and the like are no business of a checkpoint's.
    secret = {"admin_port", "admin_key_file", "api_keys_file", "otlp_endpoint"}
    try:
        process.stdin.write(settings.model_dump_json(exclude=secret).encode())
        process.stdin.close()
        while True:
            async with asyncio.timeout(seconds):
                line = await process.stdout.readline()
            if not line:
                break
            report = json.loads(line)
            if report.get("served"):
                return
            if "reason" in report:
                raise CannotLoad(report["reason"])
            step, seconds = report["step"], report["seconds"]
        reason = _how_it_ended(await process.wait(), (await printed).decode(errors="replace"))
        raise CannotLoad(f"the process in which it was tried {reason}, while {step}")
    except TimeoutError:
        raise CannotLoad(
            f"in the process in which it was tried, {step} was not done within {seconds:g} "
            "seconds (--trial-seconds)"
        ) from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        printed.cancel()


async def _last_bytes(stream: asyncio.StreamReader) -> bytes:
    kept = b""
    while chunk := await stream.read(_KEPT_BYTES):
        kept = (kept + chunk)[-_KEPT_BYTES:]
    return kept


def _how_it_ended(code: int, printed: str) -> str:
    lines = [line for line in printed.splitlines() if line.strip()]
    last = f" ({lines[-1].strip()[:300]})" if lines else ""
    if code == -signal.SIGKILL:
        return f"was killed{last}, as the system does when memory runs out"
    if code < 0:
        return f"crashed with {signal.Signals(-code).name}{last}"
    return f"ended with {code}{last}"
