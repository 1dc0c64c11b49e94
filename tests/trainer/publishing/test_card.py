"""A card says of a release what its lineage says, whatever the recipe."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from trainer.evaluation.measures.estimate import Estimate
from trainer.evaluation.measures.table import Table
from trainer.evaluation.reporting.report import Report, TaskReport
from trainer.publishing.card import Manifests, card
from trainer.recipes import open_recipe

FIGURE = Estimate(0.75, 0.5, 1.0, 8)


@pytest.fixture
def report() -> Report:
    rows = {"overall": dict.fromkeys(("model", "length_only", "random"), FIGURE)}
    task = TaskReport("pairs", "pairs", "", 4, ["a", "b"], [Table("accuracy", "", rows)])
    return Report("", "", [task])


def manifests(recipe: str, inputs: dict[str, list[str]]) -> Manifests:
    """Those of a finished run, as far as a card reads them."""
    configs = {stage: entry.config for stage, entry in open_recipe(recipe).stages.items()}
    return {stage: made(configs[stage], reads) for stage, reads in inputs.items()}


def made(config: Any, reads: list[str]) -> dict[str, Any]:
    plain = json.loads(json.dumps(asdict(config)))
    return {"config": plain, "inputs": dict.fromkeys(reads, "")}


TINY = {
    "pairs": ["corpus"],
    "base": ["pairs"],
    "warmup": ["pairs", "base"],
    "pretrain": ["pairs", "warmup"],
}
CPU = {
    "pairs": ["corpus"],
    "strong_lm": ["pairs"],
    "pretrain": ["llm_pairs", "strong_lm"],
    "finetune": ["hard_pairs", "pretrain"],
}
QWEN = {"pretrain": ["llm_pairs"], "finetune": ["preferences", "pretrain"]}


def test_a_model_without_language_models_says_so(report: Report) -> None:
    text = card("rm", "1", "run", report, manifests("cpu_tiny", TINY))
    assert "it begins with `base`, a stage of the same run" in text
    assert "| warmup | `pairs` | lm |" in text
    assert "| pretrain | `pairs` | rank, lm, tokens |" in text
    assert "without a language model" in text
    assert "stronger language model" not in text


def test_pairs_of_language_models_are_named_as_such(report: Report) -> None:
    text = card("rm", "1", "run", report, manifests("codepmp_cpu", CPU))
    assert "it begins with `strong_lm`" in text
    named = [line.partition(":")[0] for line in text.splitlines() if line.startswith("- `")]
    assert named == ["- `pairs`", "- `llm_pairs`", "- `hard_pairs`"]


def test_somebody_elses_model_is_not_from_scratch(report: Report) -> None:
    text = card("rm", "1", "run", report, manifests("codepmp_qwen2_7b", QWEN))
    assert "It begins with `Qwen/Qwen2-7B`" in text
    assert "scratch" not in text
    assert "without a language model" not in text
    assert "| finetune | `preferences` | rank |" in text
    assert "answers of a stronger language model" in text


def test_where_a_model_lay_is_nobodys_business(report: Report) -> None:
    stages = manifests("codepmp_qwen2_7b", QWEN)
    stages["pretrain"]["config"]["start"] = "/home/me/models/mine"
    text = card("rm", "1", "run", report, stages)
    assert "`mine`" in text
    assert "/home" not in text


def test_a_base_is_named_as_its_own_files_name_it(report: Report) -> None:
    stages = manifests("codepmp_qwen2_7b", QWEN)
    stages["pretrain"]["config"]["start"] = "/home/me/models/mine"
    base = {"name": "Qwen/Qwen2-7B", "license": "apache-2.0", "revision": "453ed15"}
    stages["pretrain"]["base"] = base
    text = card("rm", "1", "run", report, stages)
    assert "`Qwen/Qwen2-7B`, license `apache-2.0`, revision `453ed15`." in text
    assert "mine" not in text
    assert "not known" not in text


def test_the_figures_stand_beside_their_baselines(report: Report) -> None:
    text = card("rm", "1", "run", report, manifests("cpu_tiny", TINY))
    assert "| overall | 8 | 0.750 | 0.500 to 1.000 | 0.750 | 0.750 |" in text
    assert "4 prompts of 2 groups" in text


def test_the_scores_are_shown_as_rewards_where_the_report_measured_them(report: Report) -> None:
    assert "Scores as rewards" not in card("rm", "1", "run", report, manifests("cpu_tiny", TINY))
    rewards = {"pooled answers": dict.fromkeys(("model", "length_only", "random"), FIGURE)}
    error = {"expected calibration error": dict.fromkeys(("model", "coin", "certain"), FIGURE)}
    tables = [Table("AUC", "", rewards), Table("calibration error", "", error)]
    measured = replace(report.tasks[0], name="mine|yours", tables=report.tasks[0].tables + tables)
    text = card("rm", "1", "run", Report("", "", [measured]), manifests("cpu_tiny", TINY))
    figures = "| 8 | 0.750 | 0.500 to 1.000 |"
    assert f"| mine\\|yours | AUC, pooled answers {figures} 0.750 | 0.750 |" in text
    assert f"| mine\\|yours | expected calibration error {figures} - | - |" in text
