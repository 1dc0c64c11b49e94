"""The asyncio engine: one process sends requests, a bounded number of them in flight."""

import asyncio
from collections.abc import Callable, Iterable

from trainer.synthesis.endpoint import Endpoint, EndpointConfig
from trainer.synthesis.requests import CompletionRequest, RequestOutcome


def send_all(
    requests: Iterable[CompletionRequest],
    endpoint: EndpointConfig,
    record: Callable[[RequestOutcome], None],
) -> None:
    """Send all requests; `record` gets each outcome when it arrives, in no particular order.

    An error that `record` raises ends the sending and cancels the requests in flight.
    """
    waiting = iter(requests)  # all workers share it: each takes the next one when it is free

    async def work(client: Endpoint) -> None:
        for request in waiting:
            record(await client.complete(request))

    async def run() -> None:
        async with Endpoint(endpoint) as client, asyncio.TaskGroup() as group:
            for _ in range(endpoint.concurrency):
                group.create_task(work(client))

    try:
        asyncio.run(run())
    except ExceptionGroup as group:
        # One worker's error cancels the others, so it is the only one or like the others.
        raise group.exceptions[0] from None
