"""Releases that must not be served, with real ones and the real model opener."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from service.scoring.model import open_model
from tests.checkpoints import make_checkpoint
from tests.releases import make_release, rewrite_manifest
from tests.service.fakes import starting, unready


async def test_a_good_release_becomes_ready(tmp_path: Path) -> None:
    assert await unready(make_release(tmp_path / "good")) == (None, None)


async def test_a_wrong_golden_score_is_found_by_the_replay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reason, refusal = await unready(make_release(tmp_path / "release", golden_error=0.01))
    assert "golden.jsonl: 1 of 1 golden scores are not reproduced" in caplog.text
    assert str(tmp_path) not in str(reason)
    assert refusal is None


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def two_labels(path: Path) -> None:
    config = json.loads(path.read_text())
    config |= {"id2label": {"0": "BAD", "1": "GOOD"}, "label2id": {"BAD": 0, "GOOD": 1}}
    path.write_text(json.dumps(config))
    rewrite_manifest(path.parent)


def pickle_beside(path: Path) -> None:
    path.write_bytes(b"\x80\x04.")


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("model.safetensors", flip),
        ("tokenizer.json", flip),
        ("golden.jsonl", flip),
        ("report.json", flip),
        ("release.json", flip),
        ("model.safetensors", Path.unlink),
        ("golden.jsonl", Path.unlink),
        ("release.json", Path.unlink),
        ("config.json", two_labels),
        ("pytorch_model.bin", pickle_beside),
    ],
)
async def test_a_damaged_release_is_refused_by_name(
    tmp_path: Path, file: str, damage: Callable[[Path], None]
) -> None:
    path = make_release(tmp_path / "release")
    damage(path / file)
    reason, refusal = await unready(path)
    assert refusal is not None
    assert file in refusal
    assert str(tmp_path) not in str(reason), "strangers can read it"


async def test_a_checkpoint_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "model")
    for file in [*path.glob("*token*"), *path.glob("*.jinja")]:
        file.unlink()
    _, refusal = await unready(path)
    assert "tokenizer" in str(refusal)


async def test_a_bare_checkpoint_is_served_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_checkpoint(tmp_path / "model")
    async with starting(open_model, model=str(path)) as app:
        await app.service.started()
        (served,) = (await app.client.get("/v1/models")).json()["data"]
        score = await app.score("prompt", "a")
    assert (served["id"], served["calibration"]) == ("model", None)
    assert served["warnings"]
    assert all(warning in caplog.text for warning in served["warnings"])
    (item,) = score.json()["results"][0]["scores"]
    assert item["score"] is not None
    assert item["normalized"] is None
