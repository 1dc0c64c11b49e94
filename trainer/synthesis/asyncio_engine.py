"""The asyncio engine: one process, a bounded number of requests under way."""

import asyncio
from collections.abc import Callable, Iterable

from trainer.synthesis.endpoint import Endpoint, EndpointConfig
from trainer.synthesis.requests import CompletionRequest, Outcome


def ask(
    questions: Iterable[CompletionRequest],
    endpoint: EndpointConfig,
    record: Callable[[Outcome], None],
) -> None:
    """Ask all; `record` gets every outcome when it comes, in no particular order.

    What `record` raises ends it, and requests under way with it.
    """
    try:
        asyncio.run(_ask(questions, endpoint, record))
    except ExceptionGroup as group:
        # One worker's error cancels the others, so it is the only one or like the others.
        raise group.exceptions[0] from None


async def _ask(
    questions: Iterable[CompletionRequest],
    config: EndpointConfig,
    record: Callable[[Outcome], None],
) -> None:
    waiting = iter(questions)  # shared: each worker takes the next when it is free

    async def work() -> None:
        for question in waiting:
            record(await endpoint.ask(question))

    async with Endpoint(config) as endpoint, asyncio.TaskGroup() as group:
        for _ in range(config.concurrency):
            group.create_task(work())
