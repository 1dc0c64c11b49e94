"""The Ray engine on local clusters, against the engine in this process."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.trainer.synthesis.corpus import asking
from tests.trainer.synthesis.server import serving
from trainer.pipeline.stage import StageError
from trainer.synthesis.completions import EngineConfig, complete_all

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: extra `ray`"),
    pytest.mark.filterwarnings("default"),  # Ray's own are no errors of ours
]

PROMPTS = [f"prompt {number}" for number in range(40)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a running one, as a fleet has it."""
    import ray
    import ray.cluster_utils

    small = {"num_cpus": 2, "object_store_memory": 100_000_000, "include_dashboard": False}
    started = ray.cluster_utils.Cluster(initialize_head=True, head_node_args=small)
    try:
        yield started.address
    finally:
        ray.shutdown()  # what Ray Data leaves behind may have connected once more
        started.shutdown()


def test_same_rows_and_the_same_way_on_after_failures(tmp_path: Path, cluster: str) -> None:
    with serving() as server:
        asked = asking(server.url, samples=2)
        local = complete_all(PROMPTS, asked, tmp_path / "local")
        server.plan = iter([None, "500", "cut", None, "html"])
        fleet = replace(asked, engine=EngineConfig("ray", address=cluster))
        first = complete_all(PROMPTS, fleet, tmp_path / "fleet")
        assert sum(first.failures.values()) == 3
        assert len(first.completions) == 77
        before = len(server.bodies)
        second = complete_all(PROMPTS, fleet, tmp_path / "fleet")
    assert len(server.bodies) == before + 3
    assert second.completions == local.completions
    assert second.facts == local.facts
    assert not [thread.name for thread in threading.enumerate() if "usage" in thread.name]


def test_a_cluster_of_its_own_stops_where_the_endpoint_refuses(tmp_path: Path) -> None:
    with serving(plan=["404"] * 1000) as server:
        fleet = replace(asking(server.url), engine=EngineConfig("ray"))
        with pytest.raises(StageError, match="check the URL"):
            complete_all(PROMPTS, fleet, tmp_path)
