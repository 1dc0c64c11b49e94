"""Recipes of rounds run from their first to their last stage, with small pieces of everything."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from tests.bubblewrap import needs_bubblewrap
from tests.trainer.policy.policies import make_policy
from trainer.feedback.problems import ProblemsConfig
from trainer.feedback.readers.gsm8k import Gsm8k
from trainer.feedback.readers.mbpp import Mbpp
from trainer.feedback.sample import read_samples
from trainer.feedback.serving import POINTER, ServerConfig
from trainer.pairs.policy_row import read_policy_rows
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.running import run_recipe, run_stage
from trainer.pipeline.stage import read_manifest
from trainer.recipes.rounds import study
from trainer.recipes.study import Study

ROOT = Path(__file__).resolve().parents[3]


def small_study(work: Path, source: Mbpp | Gsm8k, *, programs: bool) -> Study:
    """Twelve problems for each of the three purposes, and a policy that is random but served."""
    make_policy(work / "model", max_position_embeddings=1024)
    python = work / "python"
    python.write_text(
        f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" -m tests.trainer.recipes.policy_server '
        '"$@"\n'
    )
    python.chmod(0o755)

    def problems(file: str, split: Literal["train", "validation", "test"]) -> ProblemsConfig:
        chosen = replace(source, split=split) if isinstance(source, Mbpp) else source
        return ProblemsConfig(chosen, (file,), max_problems=12)

    return Study(
        str(work / "model"),
        train=problems("rows.jsonl", "train"),
        probe=problems("rows.jsonl", "validation"),
        test=problems("held-out.jsonl", "test"),
        programs=programs,
        max_tokens=64,
        max_length=1024,
        learning_rates=(1e-3,),
        num_train_epochs=1.0,
        prompts_per_step=8,
        server=ServerConfig(str(python)),
    )


def run(recipe: Recipe, work: Path) -> dict[str, object]:
    """Run it, twice: nothing is left to do for the second run. Returns the report."""
    run_recipe(recipe, work, None, None)
    before = {stage: (work / stage / "manifest.json").read_bytes() for stage in recipe.stages}
    run_recipe(recipe, work, None, None)
    assert before == {s: (work / s / "manifest.json").read_bytes() for s in recipe.stages}
    report: dict[str, object] = json.loads((work / "policy_report" / "report.json").read_text())
    return report


@needs_bubblewrap
def test_rounds_on_programs_end_in_a_report_beside_the_start(tmp_path: Path) -> None:
    rows = [
        {"task_id": n, "text": f"Add two numbers, variant {n}."}
        | {"code": "def add(a, b):\n    return a + b\n", "test_list": ["assert add(2, 3) == 5"]}
        for n in [*range(11, 31), *range(511, 531), *range(601, 631)]
    ]
    for file in ("rows.jsonl", "held-out.jsonl"):
        (tmp_path / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    small = small_study(tmp_path, Mbpp(), programs=True)
    recipe = study("small", small, rounds=2, controls=("given", "random"))
    report = run(recipe, tmp_path)
    assert {"start", "majority_1", "majority_2", "given", "random"} <= set(
        json.dumps(report).split('"')
    )
    # The votes found what the tests would have said, and random labels are no better than that.
    truth = read_manifest(tmp_path / "policy_pairs_1")
    assert truth["counts"]
    for row in read_policy_rows(tmp_path / "policy_pairs_1"):
        assert "a + b" in row.chosen.text
        assert all("a - b" in each.text for each in row.rejected)
        assert row.sampler == read_manifest(tmp_path / "start")["weights"]
    assert any(
        "a - b" in row.chosen.text for row in read_policy_rows(tmp_path / "policy_pairs_random")
    )
    # The second round samples the policy that the first one's gate left, and replays its pairs.
    accepted = json.loads((tmp_path / "gate_1" / POINTER).read_text())
    trained = read_manifest(tmp_path / "dpo_1")
    second = read_samples(tmp_path / "samples_2")[0].sampler.weights
    assert (second != trained["base_weights"]) == accepted["accepted"]
    sources = {row.source for row in read_policy_rows(tmp_path / "policy_pairs_2")}
    assert len(sources) == 2


@needs_bubblewrap
def test_a_round_with_process_pairs_trains_on_prefixes_too(tmp_path: Path) -> None:
    rows = [
        {"task_id": n, "text": f"Add two numbers, variant {n}."}
        | {"code": "def add(a, b):\n    return a + b\n", "test_list": ["assert add(2, 3) == 5"]}
        for n in [*range(11, 31), *range(511, 531), *range(601, 631)]
    ]
    for file in ("rows.jsonl", "held-out.jsonl"):
        (tmp_path / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    # The stand-in has no token ids of the policy's, so prefixes are sent as messages.
    small = replace(
        small_study(tmp_path, Mbpp(), programs=True), completions=3, completion_route="chat"
    )
    recipe = study("small", small, rounds=1, process=(1,))
    for stage in recipe.between(None, "dpo_1"):
        # The start's own measures have no part in the round.
        if not stage.endswith("_0"):
            run_stage(stage, recipe, tmp_path)
    rows_by_source = {row.source: row for row in read_policy_rows(tmp_path / "policy_pairs_1")}
    assert {source: row.ends for source, row in rows_by_source.items()} == {
        "round 1, majority": True,
        "round 1, process": False,
    }
    for row in read_policy_rows(tmp_path / "process_pairs_1"):
        assert all("a - b" in rival.text for rival in row.rejected)
    assert read_manifest(tmp_path / "dpo_1")["base_weights"]


def test_rounds_on_final_answers_need_neither_inputs_nor_a_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    for file, offset in (("rows.jsonl", 0), ("held-out.jsonl", 1000)):
        rows = [
            {"question": f"What is {n} plus {offset}?", "answer": f"#### {n + offset}"}
            for n in range(40)
        ]
        (tmp_path / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    small = small_study(tmp_path, Gsm8k(), programs=False)
    recipe = study("small", small, rounds=1)
    assert not {"inputs", "runs_1"} & recipe.stages.keys()
    run(recipe, tmp_path)
    assert read_policy_rows(tmp_path / "policy_pairs_1")
    assert read_manifest(tmp_path / "problems")["counts"]["of another stage"] == 12
