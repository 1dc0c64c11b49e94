"""The Ray engine: workers on many machines send the requests, through Ray Data."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import TypeAdapter

from trainer.pipeline.stage import StageError
from trainer.synthesis import asyncio_engine
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.requests import CompletionRequest, RequestOutcome

_REQUEST = TypeAdapter(CompletionRequest)
_OUTCOME: TypeAdapter[RequestOutcome] = TypeAdapter(RequestOutcome)


class RayWorker:
    """One worker; Ray makes one in each of its processes. Rows travel as JSON, to keep types."""

    def __init__(self, endpoint: EndpointConfig) -> None:
        self._endpoint = endpoint

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        outcomes: list[RequestOutcome] = []
        requests = [_REQUEST.validate_json(row) for row in batch["request"]]
        asyncio_engine.send_all(requests, self._endpoint, outcomes.append)
        return {"outcome": [_OUTCOME.dump_json(outcome) for outcome in outcomes]}


def send_all(
    requests: list[CompletionRequest],
    endpoint: EndpointConfig,
    record: Callable[[RequestOutcome], None],
    *,
    workers: int,
    address: str,
) -> None:
    """Send all requests as the asyncio engine does.

    `record` runs in this process and never in a worker: the ledger has writers on one machine only.
    """
    rows = [{"request": _REQUEST.dump_json(request)} for request in requests]
    # Batches are small because a batch that is not finished when the run ends is sent again.
    size = 4 * endpoint.concurrency
    blocks = max(1, -(-len(rows) // size))
    with _cluster(workers, address) as ray:
        ray.data.DataContext.get_current().enable_progress_bars = False
        sent = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
            RayWorker,
            fn_constructor_args=(endpoint,),
            batch_size=size,
            compute=ray.data.ActorPoolStrategy(size=min(workers, blocks)),
        )
        for row in sent.iter_rows():
            record(_OUTCOME.validate_json(row["outcome"]))


@contextmanager
def _cluster(workers: int, address: str) -> Iterator[Any]:
    """Ray, connected to the cluster at `address`, or with a cluster of its own on this machine."""
    # No usage report is sent to Ray's makers; the thread that gathers it would outlive the run.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray Data's cleanup after the end would otherwise join or start another cluster.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        raise StageError(
            "the Ray engine needs Ray, which is not installed: run scripts/install trainer ray"
        ) from None
    if address:
        ray.init(address=address)
    else:
        # Requests and completions are small; by default the store would take 30 % of the memory.
        store = 100_000_000
        ray.init("local", num_cpus=workers, object_store_memory=store, include_dashboard=False)
    try:
        yield ray
    finally:
        ray.shutdown()
