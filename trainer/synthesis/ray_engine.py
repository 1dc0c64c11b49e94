"""The Ray engine: the same questions asked by workers on many machines, through Ray Data."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import TypeAdapter

from trainer.pipeline.stage import StageError
from trainer.synthesis import asyncio_engine
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.requests import CompletionRequest, Outcome

_QUESTION = TypeAdapter(CompletionRequest)
_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)


class RayWorker:
    """A worker; Ray makes one in each of its processes. Rows travel as JSON, which keeps types."""

    def __init__(self, endpoint: EndpointConfig) -> None:
        self._endpoint = endpoint

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        outcomes: list[Outcome] = []
        questions = [_QUESTION.validate_json(row) for row in batch["question"]]
        asyncio_engine.ask(questions, self._endpoint, outcomes.append)
        return {"outcome": [_OUTCOME.dump_json(outcome) for outcome in outcomes]}


def ask(
    questions: list[CompletionRequest],
    endpoint: EndpointConfig,
    record: Callable[[Outcome], None],
    *,
    workers: int,
    address: str,
) -> None:
    """As the asyncio engine's; `record` runs here, where the ledger is."""
    rows = [{"question": _QUESTION.dump_json(question)} for question in questions]
    # Small batches: what a batch holds is asked again when the run ends before the batch does.
    size = 4 * endpoint.concurrency
    blocks = max(1, -(-len(rows) // size))
    with _cluster(workers, address) as ray:
        ray.data.DataContext.get_current().enable_progress_bars = False
        asked = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
            RayWorker,
            fn_constructor_args=(endpoint,),
            batch_size=size,
            compute=ray.data.ActorPoolStrategy(size=min(workers, blocks)),
        )
        for row in asked.iter_rows():
            record(_OUTCOME.validate_json(row["outcome"]))


@contextmanager
def _cluster(workers: int, address: str) -> Iterator[Any]:
    """Ray, connected to the cluster at `address`, or with one of its own on this machine."""
    # Nothing is told to Ray's makers; the thread that gathers it would also outlive the run.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Whatever Ray Data cleans up after the end would otherwise join, or start, another cluster.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        raise StageError("the Ray engine needs Ray: install the extra `ray`") from None
    if address:
        ray.init(address=address)
    else:
        # Questions and answers are small; by default the store would take 30 % of the memory.
        store = 100_000_000
        ray.init("local", num_cpus=workers, object_store_memory=store, include_dashboard=False)
    try:
        yield ray
    finally:
        ray.shutdown()
