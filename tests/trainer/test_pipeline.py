"""Every stage, from source files to a release that verifies, on a handful of real modules."""

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from reward_model.release.release import open_release
from tests.service.fakes import unready
from trainer.corpus.gather import CorpusConfig
from trainer.pairs.make import PairsConfig
from trainer.pairs.row import SPLITS, read_pairs
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.running import run_recipe, run_stage
from trainer.pipeline.stage import StageError, read_manifest
from trainer.recipes import open_recipe
from trainer.training.base import BaseConfig

MODULES = ("statistics", "textwrap", "heapq", "bisect", "fractions", "difflib", "random", "shlex")


def small_recipe() -> Recipe:
    return (
        open_recipe("cpu_tiny")
        .with_config(
            "corpus", CorpusConfig(folders=("src",), standard_library=False, installed=False)
        )
        .with_config(
            "pairs", PairsConfig(evaluation_share=0.25, calibration_share=0.25, max_held_out=12)
        )
        .with_config(
            "base",
            BaseConfig(vocab_size=400, hidden_size=32, num_hidden_layers=2, intermediate_size=64),
        )
        .changed("warmup", max_steps=3, prompts_per_step=4)
        .changed("pretrain", max_steps=3, prompts_per_step=2)
        .with_config(
            "hard_pairs",
            PairsConfig(
                named=False,
                neighbours=True,
                methods=0.5,
                evaluation_share=0.25,
                calibration_share=0.25,
            ),
        )
        .changed("harden", max_steps=3, prompts_per_step=2)
        .changed("evaluate", resamples=50)
    )


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    for module in MODULES:
        target = folder / "src" / module
        target.mkdir(parents=True)
        shutil.copy(Path(sysconfig.get_path("stdlib")) / f"{module}.py", target)
    run_recipe(small_recipe(), folder, None, None)
    return folder


def test_the_release_verifies_and_loads_in_plain_transformers(work: Path) -> None:
    release = open_release(work / "release")
    model = AutoModelForSequenceClassification.from_pretrained(release.path)
    tokenizer = AutoTokenizer.from_pretrained(release.path)
    assert (model.config.num_labels, model.config.problem_type) == (1, "regression")
    assert model.dtype == torch.float32
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    golden = release.golden[0]
    turns = [{"role": turn.role, "content": turn.content} for turn in golden.messages]
    ids = tokenizer.apply_chat_template(turns, return_tensors="pt", return_dict=False)
    with torch.inference_mode():
        score = float(model.eval()(input_ids=ids).logits[0, 0])
    assert score == pytest.approx(golden.score, abs=1e-5)


async def test_the_service_becomes_ready_with_the_release(work: Path) -> None:
    assert await unready(work / "release") == (None, None)


def test_no_package_is_on_both_sides(work: Path) -> None:
    splits = [{row.group for row in read_pairs(work / "pairs", split)} for split in SPLITS]
    assert all(splits)
    assert sum(map(len, splits)) == len(set.union(*splits))


def test_the_manifest_says_how_it_was_made(work: Path) -> None:
    training = json.loads((work / "release" / "release.json").read_text())["training"]
    assert training["stages"]["pretrain"]["config"]["learning_rate"] == 2e-3
    assert training["stages"]["pairs"]["inputs"].keys() == {"corpus"}
    assert all(len(digest) == 64 for digest in training["stages"]["pairs"]["files"].values())


def test_the_log_holds_every_term_of_the_loss(work: Path) -> None:
    log = read_manifest(work / "pretrain")["log"]
    assert {"loss_rank", "loss_lm", "loss_tokens", "accuracy"} <= log[-1].keys()


def test_a_package_that_was_trained_on_proves_nothing(work: Path, tmp_path: Path) -> None:
    mixed = copy_of(work, tmp_path)
    recipe = small_recipe().changed("hard_pairs", evaluation_share=0.0, calibration_share=0.0)
    run_recipe(recipe, mixed, "hard_pairs", "harden")
    for stage in ("evaluate", "calibrate"):
        with pytest.raises(StageError, match="harden was trained on"):
            run_stage(stage, recipe, mixed)


def test_what_was_made_from_another_output_is_not_published(work: Path, tmp_path: Path) -> None:
    stale = copy_of(work, tmp_path)
    manifest = stale / "harden" / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(StageError, match="run calibrate again"):
        run_stage("publish", small_recipe(), stale)
    other = small_recipe().changed("publish", checkpoint="pretrain")
    with pytest.raises(StageError, match="calibrate read harden and pretrain is published"):
        run_stage("publish", other, work)


def test_only_what_is_not_up_to_date_runs(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = copy_of(work, tmp_path)
    run_recipe(small_recipe(), again, None, None)
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"{stage}: skipped, it is up to date" for stage in small_recipe().stages]

    other = small_recipe().changed("publish", version="2")
    run_recipe(other, again, "evaluate", None)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "evaluate: skipped, it is up to date"
    assert printed[1] == 'publish: runs, because its config has changed: version "1" -> "2"'
    assert open_release(again / "release").version == "2"


def test_the_release_names_every_stage_that_led_to_it(work: Path) -> None:
    training = json.loads((work / "release" / "release.json").read_text())["training"]
    assert set(training["stages"]) == set(small_recipe().stages) - {"publish"}
    assert training["publish"]["inputs"].keys() == {"pairs", "harden", "calibrate", "evaluate"}
    assert list(training["stages"]).index("base") < list(training["stages"]).index("warmup")


def test_the_calibration_says_what_its_temperature_does(work: Path) -> None:
    facts = read_manifest(work / "calibrate")["pairs"]
    assert facts["pairs"] > 0
    temperature = open_release(work / "release").calibration.temperature  # type: ignore[union-attr]
    assert (temperature is None) == (facts["nll_fitted"] is None)


def copy_of(work: Path, folder: Path) -> Path:
    return Path(shutil.copytree(work, folder / "work"))


def test_a_stage_run_again_makes_the_same_files(work: Path) -> None:
    before = read_manifest(work / "pairs")["files"]
    run_stage("pairs", small_recipe(), work)
    assert read_manifest(work / "pairs")["files"] == before


def test_a_stage_without_its_input_names_the_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="trainer corpus"):
        run_stage("pairs", small_recipe(), tmp_path)


def test_the_command_line_verifies_a_release_and_names_what_is_wrong(work: Path) -> None:
    broken = work / "broken"
    shutil.copytree(work / "release", broken)
    (broken / "golden.jsonl").unlink()
    assert "every file" in verify(work / "release").stdout
    failed = verify(broken)
    assert failed.returncode == 1
    assert "golden.jsonl: missing" in failed.stderr
    assert "Traceback" not in failed.stderr


def verify(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainer", "verify", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
