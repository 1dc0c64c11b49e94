"""One command makes a release of a base and a file; it goes on, and another one is refused."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.scoring.model import open_model
from tests.service.fakes import starting
from tests.trainer.autoconfig.made import chat_model, pair_rows, write_rows
from trainer.cli import main

SMALL = [
    *("--set", "finetune.report_to=none"),
    *("--set", "evaluate.resamples=20"),
    *("--set", "publish.golden_prompts=2"),
    *("--set", "finetune.bf16=false"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chat_model(tmp_path_factory.mktemp("base") / "chat")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows: list[dict[str, object]] = [*pair_rows(60), {"prompt": "no answers"}]
    return write_rows(tmp_path_factory.mktemp("data") / "pairs.jsonl", rows)


@pytest.fixture(scope="module")
def out(base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "run"
    line = ["train", "--base", str(base), "--data", str(data), "--out", str(folder)]
    assert main([*line, "--max-steps", "2", *SMALL]) == 0
    return folder


async def test_a_base_and_a_file_end_in_a_release_that_the_service_loads(out: Path) -> None:
    async with starting(open_model, model=str(out / "release")) as app:
        await app.service.started()
        body = {"inputs": [{"prompt": "add 2 numbers", "candidates": ["def add", "fox"]}]}
        answer = (await app.client.post("/v1/score", json=body)).json()
        assert answer["model"] == "chat-pairs"
        assert all(each["error"] is None for each in answer["results"][0]["scores"])


def test_the_same_line_goes_on_and_ends_with_the_line_that_serves(
    out: Path, base: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", "--base", str(base), "--data", str(data), "--out", str(out)]
    assert main([*line, "--max-steps", "2", *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "finetune: skipped, it is up to date" in printed
    assert "publish: skipped, it is up to date" in printed
    assert "95 % interval" in printed
    assert "taking the longer answer is right in" in printed
    assert printed.rstrip().splitlines()[-1].strip() == (f"scripts/serve --model {out / 'release'}")


def test_another_line_in_the_same_folder_says_what_differs(
    out: Path, base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", "--base", str(base), "--out", str(out), *SMALL]
    assert main([*line, "--data", str(data), "--max-steps", "3"]) == 1
    assert "max_steps was 2 and is 3" in capsys.readouterr().err
    changed = write_rows(tmp_path / "pairs.jsonl", pair_rows(61))
    assert main([*line, "--data", str(changed), "--max-steps", "2"]) == 1
    assert "contents of data was" in capsys.readouterr().err
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "mine.txt").write_text("mine")
    line = ["train", "--base", str(base), "--data", str(data), "--out", str(strange)]
    assert main(line) == 1
    assert "holds other files" in capsys.readouterr().err


def test_a_plan_says_what_would_be_read_and_chosen_and_writes_nothing(
    base: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(data, tmp_path / "mine.jsonl")
    assert main(["train", "--base", str(base), "--data", "mine.jsonl", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "mine.jsonl is read as trl, because" in printed
    assert "60 of 61 rows are used: 60 pairs of 60 prompts" in printed
    assert "left out: 1 row: no column chosen (first at mine.jsonl:61)" in printed
    assert "all weights" in printed
    assert str(tmp_path / "work" / "train-mine") in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.jsonl"]


def test_a_base_without_a_chat_template_gets_a_plain_one_and_says_so(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = chat_model(tmp_path / "bare", template="")
    line = ["train", "--base", str(bare), "--data", str(data), "--out", str(tmp_path / "out")]
    assert main([*line, "--max-steps", "1", "--set", "finetune.eval_steps=0", *SMALL]) == 0
    assert "has no chat template, so a plain one is used" in capsys.readouterr().out
    assert "### " in (tmp_path / "out" / "release" / "chat_template.jinja").read_text()


@pytest.mark.parametrize(
    ("rows", "message"),
    [(5, "has pairs of 5 different prompts"), (0, "it has no rows")],
)
def test_too_few_rows_are_refused_in_a_sentence(
    rows: int, message: str, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_rows(tmp_path / "few.jsonl", pair_rows(rows))
    line = ["train", "--base", str(base), "--data", str(file), "--out", str(tmp_path / "out")]
    assert main(line) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_killed_run_goes_on_where_it_was(base: Path, data: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "trainer", "train", "--base", str(base), "--data", str(data)]
    line += ["--out", str(tmp_path / "out"), "--max-steps", "400", *SMALL]
    line += ["--set", "finetune.save_steps=5", "--set", "finetune.eval_steps=0"]
    run = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoints = tmp_path / "out" / "finetune-checkpoints"
    while run.poll() is None and not list(checkpoints.glob("checkpoint-*/complete.json")):
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    chosen = json.loads((tmp_path / "out" / "train.json").read_text())
    again = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "holds a run of this command, which goes on as it was begun" in again.stdout
    assert "preferences: skipped, it is up to date" in again.stdout
    assert (tmp_path / "out" / "release" / "release.json").is_file()
    assert json.loads((tmp_path / "out" / "train.json").read_text()) == chosen
