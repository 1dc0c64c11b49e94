"""A dataset on a local Ray cluster gets the columns that the command line writes."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from codepmp_client.bulk import cli
from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.tables import Record
from codepmp_client.errors import RewardError
from tests.client.bulk.test_pairs_command import read, written
from tests.client.servers import service

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: extra `ray`"),
    pytest.mark.filterwarnings("default"),  # Ray's own are no errors of ours
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One that Ray Data finds by itself, as a job on a fleet does."""
    import ray
    import ray.data

    with pytest.MonkeyPatch.context() as patch:
        # No usage report is sent to Ray's makers.
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init("local", num_cpus=2, object_store_memory=100_000_000, include_dashboard=False)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        try:
            yield
        finally:
            ray.shutdown()


def test_the_same_rows_as_the_command_line(tmp_path: Path, cluster: None) -> None:
    import ray.data

    from codepmp_client.bulk.ray_data import score_dataset

    rows: list[Record] = [
        {"id": n, "prompt": f"p{n % 7}", "candidates": ["x" * (n % 5 + 1), "y" * n, ""]}
        for n in range(1, 40)
    ]
    source = written(tmp_path / "rows.jsonl", *rows)
    with service() as (url, faulty):
        arguments = ["rows", str(source), str(tmp_path / "out.jsonl"), "--url", url, "--quiet"]
        assert cli.main(arguments) == 3
        before = len(faulty.headers)
        dataset = ray.data.read_json(str(source), override_num_blocks=3)
        scored = score_dataset(dataset, [url], workers=2, batch_size=8)
        found = scored.take_all()
        assert len(faulty.headers) > before
    assert sorted(found, key=lambda row: row["id"]) == read(tmp_path / "out.jsonl")


def test_rows_that_are_scored_already_and_servers_that_are_gone_are_told_at_once(
    tmp_path: Path, cluster: None
) -> None:
    import ray.data

    from codepmp_client.bulk.ray_data import score_dataset

    row = {"prompt": "p", "response": "a"}
    with pytest.raises(UsageError, match="a column score already"):
        score_dataset(ray.data.from_items([row | {"score": 1.0}]), ["http://127.0.0.1:1"])
    with pytest.raises(RewardError, match="no server answers"):
        score_dataset(ray.data.from_items([row]), ["http://127.0.0.1:1"])


def test_a_worker_scores_with_the_version_that_was_served_at_the_start(
    tmp_path: Path, cluster: None
) -> None:
    import ray.data

    from codepmp_client.bulk.ray_data import score_dataset

    row = {"prompt": "p", "response": "a"}
    with service() as (url, _):
        scored = score_dataset(ray.data.from_items([row] * 3), [url])
        assert [row["score"] is None for row in scored.take_all()] == [False] * 3
