"""The committed default earns its place: it verifies, is small, says what it is, and ranks."""

import json

import pytest

from reward_model.network import RewardNetwork
from reward_model.release.release import Release, file_names, open_release
from reward_model.text.encoding import Encoder
from service.settings import DEFAULT_MODEL
from tests.service.fakes import unready
from trainer.evaluation.reporting.report import Report, read

MOST_BYTES = 16 * 1024 * 1024


@pytest.fixture(scope="module")
def release() -> Release:
    return open_release(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def report() -> Report:
    return read(DEFAULT_MODEL)


def test_it_is_small_enough_to_be_kept_in_the_repository() -> None:
    assert sum((DEFAULT_MODEL / name).stat().st_size for name in file_names(DEFAULT_MODEL)) <= (
        MOST_BYTES
    )


def test_its_golden_scores_come_out_together_as_they_did_alone(release: Release) -> None:
    network = RewardNetwork.load(release, device="cpu")
    assert network.shares_prefixes
    encoder = Encoder(network.tokenizer, max_tokens=network.max_tokens, pad_id=release.pad_id)
    batch = [encoder.encode(golden.messages) for golden in release.golden]
    expected = [golden.score for golden in release.golden]
    assert [s for (s,) in network.score(batch)] == pytest.approx(expected, abs=1e-4)


async def test_the_service_becomes_ready_with_it() -> None:
    assert await unready(DEFAULT_MODEL) == (None, None)


def test_its_report_holds_what_the_project_promises(report: Report) -> None:
    rows = report.headline.tables[0].rows
    assert rows["overall"]["model"].value >= 0.75
    assert rows["overall"]["model"].low > rows["overall"]["length_only"].high
    assert rows.keys() >= {"overall", "mutant", "truncated"}


def test_its_readme_shows_the_report_s_figures(report: Report) -> None:
    text = (DEFAULT_MODEL / "README.md").read_text()
    assert "What it is not" in text
    for kind, row in report.headline.tables[0].rows.items():
        assert f"| {kind} | {row['model'].n} | {row['model'].value:.3f} |" in text


def test_it_says_how_it_was_made() -> None:
    training = json.loads((DEFAULT_MODEL / "release.json").read_text())["training"]
    assert training["command"].startswith("runs/")
    assert all("config" in stage and "files" in stage for stage in training["stages"].values())
