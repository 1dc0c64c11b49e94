from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.pipeline.stage import StageError
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.ledger import Ledger
from trainer.synthesis.progress import Progress
from trainer.synthesis.requests import Completion, Failure

ENDPOINT = EndpointConfig("http://coder/v1", "coder", max_consecutive_failures=3)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path) as opened:
        yield opened


@pytest.fixture
def progress(ledger: Ledger) -> Iterator[Progress]:
    with Progress(ledger, ENDPOINT, 0, 10) as shown:
        yield shown


def completion(number: int) -> Completion:
    return Completion(f"id{number}", "text", "stop", 1, 2)


def test_completions_are_kept_and_failures_are_counted(progress: Progress, ledger: Ledger) -> None:
    progress.record(completion(1))
    progress.record(Failure("id2", "status 500", "planned"))
    progress.record(Failure("id3", "time-out", ""))
    progress.record(completion(4))
    assert list(ledger.completions()) == ["id1", "id4"]
    assert progress.failures == {"status 500": 1, "time-out": 1}


def test_only_failures_without_a_completion_between_them_stop_the_stage(
    progress: Progress,
) -> None:
    failure = Failure("id", "status 500", "planned")
    for _ in range(3):
        progress.record(failure)
        progress.record(failure)
        progress.record(completion(1))
    progress.record(failure)
    progress.record(failure)
    with pytest.raises(StageError, match=r"3 requests to http://coder/v1 failed in a row, .*500"):
        progress.record(failure)


def test_a_fatal_failure_stops_the_stage_at_once(progress: Progress) -> None:
    with pytest.raises(StageError, match=r"refuses to answer as coder .*check the URL"):
        progress.record(Failure("id", "status 404", "no such model", fatal=True))
