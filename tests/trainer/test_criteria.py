"""One file with an aspect column becomes a release whose criteria disagree, as its rows do."""

import json
from pathlib import Path
from typing import Any

import pytest

from reward_model.release.release import read_golden, read_manifest
from service.scoring.model import open_model
from tests.service.fakes import starting
from tests.trainer.autoconfig.made import WORDS, chat_model, write_rows
from trainer.cli import main
from trainer.evaluation.reporting import report as reports
from trainer.pairs.criteria import STANDARD

LINE = [
    *("--max-steps", "60", "--column", "aspect=judged_by"),
    *("--set", "finetune.lora=null", "--set", "finetune.learning_rate=0.01"),
    *("--set", "finetune.report_to=none", "--set", "finetune.bf16=false"),
    *("--set", "finetune.criteria=" + json.dumps([{"name": "speed", "prompt": "Be fast."}])),
    *("--set", "evaluate.resamples=20", "--set", "publish.golden_prompts=4"),
]


def opposite_rows(count: int) -> list[dict[str, object]]:
    """Prompts with one answer that is easy to read and one that is fast, judged by both."""
    rows: list[dict[str, object]] = []
    for number in range(count):
        prompt = f"{WORDS[number % 8]} {number} numbers"
        clear, fast = f"return the total of {number}", f"limit ** {number}"
        rows += [
            {"prompt": prompt, "chosen": clear, "rejected": fast, "judged_by": "readability"},
            {"prompt": prompt, "chosen": fast, "rejected": clear, "judged_by": "speed"},
        ]
    return rows


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("criteria")
    base = chat_model(folder / "base")
    data = write_rows(folder / "rows.jsonl", opposite_rows(48))
    line = ["train", "--base", str(base), "--data", str(data), "--out", str(folder / "out")]
    assert main([*line, *LINE]) == 0
    return folder / "out" / "release"


def test_the_release_names_the_criteria_that_it_was_trained_with(release: Path) -> None:
    criteria = read_manifest(release).criteria
    assert {name: each.prompt for name, each in criteria.items()} == {
        "speed": "Be fast.",
        "readability": STANDARD["readability"].prompt,
    }
    # Golden scores prove each of them, in the messages that a model is shown.
    first = [golden.messages[0] for golden in read_golden(release / "golden.jsonl")]
    assert {turn.content for turn in first} == {each.prompt for each in criteria.values()}
    card = (release / "README.md").read_text()
    assert "| speed | 1 |" in card
    assert "Be fast." in card


def test_accuracy_is_reported_by_criterion_with_and_without_ties(release: Path) -> None:
    report = reports.read(release)
    rows = report.headline.table("pairwise accuracy by criterion").rows
    assert rows.keys() == {"speed", "readability"}
    # Every prompt has the same pair both ways round: judged alike, one of the two is wrong.
    assert all(row["model"].value > 0.9 for row in rows.values())
    assert all(row["strict"].value <= row["model"].value for row in rows.values())
    assert all(row["length_only"].value in (0.0, 1.0) for row in rows.values())
    assert report.criteria["speed"] == "Be fast."
    assert "Be fast." in (release / "report.html").read_text()


async def test_the_served_release_disagrees_by_criterion_as_its_rows_did(release: Path) -> None:
    prompts = {name: each.prompt for name, each in read_manifest(release).criteria.items()}
    candidates = ["return the total of 7", "limit ** 7"]
    async with starting(open_model, model=str(release)) as app:
        await app.service.started()

        async def scores(item: dict[str, object], **asked: object) -> list[dict[str, Any]]:
            body = {"inputs": [{"candidates": candidates, **item}], **asked}
            answer = await app.client.post("/v1/score", json=body)
            assert answer.status_code == 200, answer.text
            found: list[dict[str, Any]] = answer.json()["results"][0]["scores"]
            return found

        weights = {"readability": 1.0, "speed": 0.5}
        clear, fast = await scores({"prompt": "add it"}, criteria=weights)
        for name, prompt in prompts.items():
            # What training showed is what the service shows: a system turn with the prompt.
            turns = [{"role": "system", "content": prompt}, {"role": "user", "content": "add it"}]
            alone = await scores({"messages": turns})
            together = [each["parts"][name]["score"] for each in (clear, fast)]
            assert together == pytest.approx([each["score"] for each in alone], abs=1e-5)
    assert clear["parts"]["readability"]["score"] > fast["parts"]["readability"]["score"]
    assert clear["parts"]["speed"]["score"] < fast["parts"]["speed"]["score"]
    weighted = sum(weight * clear["parts"][name]["score"] for name, weight in weights.items())
    assert clear["score"] == pytest.approx(weighted, abs=1e-5)
