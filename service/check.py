"""Checks a start: models are loaded and proven as a start does it, and nothing is served."""

import asyncio
import time
from dataclasses import asdict, dataclass

from fastapi import FastAPI

from service.models.loaded_model import LoadedModel
from service.service import Service

# Seconds after which an engine that failed while it was loading is noticed.
_TICK = 0.1


class CheckFailed(Exception):
    """A start would not become ready; the message is the reason that the start would give."""


@dataclass(frozen=True)
class CheckedModel:
    """The facts of a model that was loaded.

    Attributes:
        batch_tokens: new tokens that a usual batch may hold.
        memory_limit_tokens: tokens for which the memory that is free has room in one batch; None
            where that cannot be measured.
    """

    model: str
    dtype: str
    max_tokens: int
    golden_scores: int
    batch_tokens: int
    memory_limit_tokens: int | None
    warnings: tuple[str, ...]

    @staticmethod
    def of(loaded: LoadedModel) -> "CheckedModel":
        release, engine = loaded.model.release, loaded.model.engine
        facts, room = engine.facts, engine.batching.memory_limit_tokens
        warnings = [*release.warnings]
        if facts.fallback_reason:
            warnings.append(facts.fallback_reason)
        if room is not None and room < facts.max_tokens:
            warnings.append(
                f"memory has room for a text of {room} tokens, and texts may have "
                f"{facts.max_tokens}: give the process more memory, or lower --max-tokens"
            )
        return CheckedModel(
            model=loaded.key,
            dtype=facts.dtype,
            max_tokens=facts.max_tokens,
            golden_scores=len(release.golden),
            batch_tokens=loaded.batch_tokens,
            memory_limit_tokens=room,
            warnings=tuple(warnings),
        )


@dataclass(frozen=True)
class CheckReport:
    """The result of a check; `resident_bytes` is None where the system does not report it."""

    models: tuple[CheckedModel, ...]
    warnings: tuple[str, ...]
    resident_bytes: int | None
    free_bytes: int | None
    seconds: float

    def facts(self) -> dict[str, object]:
        return asdict(self)

    def lines(self) -> list[str]:
        """The report for a reader at a terminal."""
        lines = []
        for each in self.models:
            room = each.memory_limit_tokens
            lines += [
                f"{each.model}: {each.golden_scores or 'no'} golden scores replayed, {each.dtype}, "
                f"texts of up to {each.max_tokens} tokens, batches of {each.batch_tokens}"
                + (f" (memory has room for {room})" if room is not None else "")
            ]
            lines += [f"{each.model}: warning: {warning}" for warning in each.warnings]
        if self.resident_bytes is not None and self.free_bytes is not None:
            taken, free = self.resident_bytes / 1e9, self.free_bytes / 1e9
            lines.append(f"memory of the machine: {taken:.2f} GB taken, {free:.2f} GB free")
        return [*lines, *(f"warning: {warning}" for warning in self.warnings)]


async def check(app: FastAPI, warnings: list[str]) -> CheckReport:
    """Start the app's service, without a server before it, and close it when it is ready.

    Args:
        warnings: those that were found before; they become a part of the report.

    Raises:
        CheckFailed: it does not become ready.
    """
    began = time.monotonic()
    service: Service = app.state.service
    async with app.router.lifespan_context(app):
        started = asyncio.create_task(service.started())
        # An engine that hangs is no end of loading; the service finds it and wants to end.
        while not started.done() and service.refusal is None:
            await asyncio.wait({started}, timeout=_TICK)
        started.cancel()
        if reason := service.refusal or service.failure:
            raise CheckFailed(reason)
        # Imported here, because it imports torch, which a model that cannot be read does not need.
        from service.engines.memory import free_bytes_on_cpu, resident_bytes

        return CheckReport(
            models=tuple(CheckedModel.of(loaded) for loaded in service.catalogue),
            warnings=tuple(warnings),
            resident_bytes=resident_bytes(),
            free_bytes=free_bytes_on_cpu(),
            seconds=round(time.monotonic() - began, 2),
        )
