"""Whole runs on a tiny policy, in float32: one way of running is as good as another."""

import json
import shutil
import subprocess
import sys
from array import array
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.checkpoints import make_checkpoint
from tests.trainer.policy.policies import exact_rows, make_policy, make_rows, make_work
from tests.trainer.training.stages import ROOT, Made, environment, weights
from trainer.feedback.serving import identify
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import StageError, read_manifest, writing_stage
from trainer.policy import dpo
from trainer.policy.batches import pack_answers
from trainer.policy.config import DpoConfig
from trainer.policy.log_probs import answer_log_probs
from trainer.policy.model import PolicyModel
from trainer.policy.reference import ReferenceFile, Text
from trainer.policy.start import PolicyStart
from trainer.policy.token_weight import STEM, TokenWeights
from trainer.training.config import LoraAdapters

CONFIG = DpoConfig(
    start="base",
    max_steps=6,
    prompts_per_step=4,
    learning_rate=3e-3,
    warmup_ratio=0.34,
    evaluation_share=0.2,
    bf16=False,
    logging_steps=2,
    report_to="none",
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return make_work(tmp_path)


def run(config: DpoConfig, work: Path, name: str) -> Path:
    dpo.run(config, work, work / name)
    return work / name


def gap(one: Path, other: Path) -> float:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return max(float((left[name].float() - right[name].float()).abs().max()) for name in left)


def test_a_policy_learns_to_prefer_the_chosen_answers(work: Path) -> None:
    log = read_manifest(run(replace(CONFIG, max_steps=30), work, "dpo"))["log"]
    lines = [line for line in log if "loss_sigmoid" in line]
    assert lines[0]["loss_sigmoid"] == pytest.approx(0.693, abs=0.05)
    assert lines[-1]["loss_sigmoid"] < 0.6
    assert lines[-1]["rewards/margins"] > 0.2
    assert lines[-1]["accuracy"] == lines[-1]["rewards/accuracies"] > 0.9
    for line in lines:
        margin = line["rewards/chosen"] - line["rewards/rejected"]
        assert line["rewards/margins"] == pytest.approx(margin, abs=1e-5)
        assert line["logps/chosen"] < 0
    assert any("eval_rewards/margins" in line for line in log)


def test_the_export_is_a_plain_checkpoint_with_the_files_of_the_start(work: Path) -> None:
    trained = run(CONFIG, work, "dpo")
    assert weights(trained).keys() == weights(work / "base").keys()
    assert gap(trained, work / "base") > 1e-3
    for name in ("tokenizer.json", "chat_template.jinja", "generation_config.json"):
        assert (trained / name).read_bytes() == (work / "base" / name).read_bytes()
    model = AutoModelForCausalLM.from_pretrained(trained)
    assert model.dtype == torch.float32
    assert AutoTokenizer.from_pretrained(trained).chat_template
    assert json.loads((trained / "config.json").read_text())["architectures"] == [
        "LlamaForCausalLM"
    ]


def test_micro_batches_add_up_to_the_large_batch(work: Path) -> None:
    config = replace(CONFIG, loss_type=("sigmoid", "sft"), loss_weights=(1.0, 0.2))
    whole = run(config, work, "whole")
    parts = run(replace(config, gradient_accumulation_steps=2), work, "parts")
    assert gap(whole, work / "base") > 1e-3
    assert gap(whole, parts) < 1e-5


@pytest.mark.parametrize("bf16", [False, True])
def test_adapters_are_merged_into_a_checkpoint_with_the_same_log_probs(
    work: Path, monkeypatch: pytest.MonkeyPatch, bf16: bool
) -> None:
    trained: list[PolicyModel] = []
    make = dpo._model

    def noted(config: DpoConfig, start: PolicyStart) -> PolicyModel:
        trained.append(make(config, start))
        return trained[-1]

    monkeypatch.setattr(dpo, "_model", noted)
    lora = LoraAdapters(r=4, lora_alpha=16)
    folder = run(replace(CONFIG, lora=lora, learning_rate=3e-2, bf16=bf16), work, "dpo")
    assert gap(folder, work / "base") > 1e-3
    assert weights(folder).keys() == weights(work / "base").keys()
    plain = AutoModelForCausalLM.from_pretrained(folder)
    text, answer = array("i", range(10, 20)), array("i", range(30, 40))
    with torch.inference_mode():
        expected = answer_log_probs(trained[0].network, pack_answers([(text, answer)]))
        logits = plain(input_ids=torch.tensor([[*text, *answer]])).logits[0, 9:-1]
    found = logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None]).squeeze(1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("lora", [None, LoraAdapters(r=4)], ids=["whole", "adapters"])
def test_an_interrupted_run_ends_with_the_same_weights(
    work: Path, lora: LoraAdapters | None
) -> None:
    config = replace(CONFIG, lora=lora, save_steps=2)
    whole = run(config, work, "whole")
    steps = 0

    def stop(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 5:
            raise InterruptedError

    hook = register_optimizer_step_post_hook(stop)
    with pytest.raises(InterruptedError):
        run(config, work, "interrupted")
    assert not (work / "interrupted").exists()
    steps = 10
    resumed = run(config, work, "interrupted")
    hook.remove()
    assert steps == 12, "it went on from the checkpoint of step 4"
    assert gap(whole, resumed) == 0


def test_two_processes_that_share_the_policy_train_it_as_one_does(work: Path) -> None:
    config = replace(CONFIG, loss_type=("sigmoid", "sft"), loss_weights=(1.0, 0.2), max_steps=3)
    alone = run(config, work, "alone")
    shutil.rmtree(work / "reference-log-probs")
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    stage = ["tests.trainer.policy.dpo_process", json.dumps(asdict(config)), str(work), "together"]
    done = subprocess.run(
        [sys.executable, "-m", *torchrun, "-m", *stage],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert len(list((work / "reference-log-probs").glob("*.sqlite"))) == 2, "each computed a share"
    left, right = weights(alone), weights(work / "together")
    assert left.keys() == right.keys()
    for name, weight in left.items():
        torch.testing.assert_close(right[name], weight, rtol=1e-2, atol=1e-5)
    logs = [read_manifest(work / name)["log"] for name in ("alone", "together")]
    for one, two in zip(*(log[:-1] for log in logs), strict=True):
        # Before the first step all margins are 0, and rounding decides which answer is preferred.
        names = {"loss", "loss_sft", "rewards/margins", "eval_rewards/margins", "logps/chosen"}
        kept = {name: value for name, value in one.items() if name in names}
        assert kept == pytest.approx({n: two[n] for n in kept}, rel=1e-3, abs=1e-5)


def test_reference_log_probs_are_computed_once(work: Path) -> None:
    computed: list[int] = []
    compute = ReferenceFile.compute

    def counted(self: ReferenceFile, texts: dict[str, Text], *rest: Any, **more: Any) -> None:
        computed.append(len(texts))
        compute(self, texts, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReferenceFile, "compute", counted)
        run(CONFIG, work, "one")
        run(replace(CONFIG, beta=0.5), work, "two")
        assert len(computed) == 1
        run(replace(CONFIG, bf16=True), work, "three")
        assert len(computed) == 2, "log-probs of another precision are others"


def test_the_policy_may_have_another_reference(work: Path) -> None:
    make_policy(work / "other", seed=7)
    config = replace(CONFIG, reference=str(work / "other"), logging_steps=1, max_steps=1)
    (line, *_) = read_manifest(run(config, work, "dpo"))["log"]
    assert abs(line["rewards/margins"]) > 0.01, "the policy differs from it from the first step"


def test_the_manifest_says_where_policy_and_pairs_are_from(work: Path) -> None:
    rows = [replace(row, sampler="another policy") for row in exact_rows(24)]
    rows += [replace(row, id=f"{row.id} again") for row in rows[:3]]
    make_rows(work / "policy_pairs", rows)
    manifest = read_manifest(run(CONFIG, work, "dpo"))
    assert manifest["base_weights"] == identify(work / "base").digest
    assert set(manifest["inputs"]) == {"policy_pairs", "base"}
    assert manifest["sampler"]["of_others"] == manifest["sampler"]["rows"] > 0
    checks = {check["check"]: check for check in manifest["doctor"]["checks"]}
    assert checks["sampler"]["severity"] == "warning"
    assert checks["duplicate"]["count"] > 0
    assert checks["ends"]["severity"] == "warning", "random ids do not end"


def test_a_reward_model_is_no_policy(work: Path) -> None:
    make_checkpoint(work / "reward", "llama", tie_word_embeddings=True)
    with pytest.raises(StageError, match="is a reward model: start from a causal"):
        run(replace(CONFIG, start=str(work / "reward")), work, "dpo")


def test_weights_of_other_tokens_are_refused(work: Path) -> None:
    with writing_stage(Made("token_weights"), work / "token_weights") as draft:
        write_shards(draft.path, STEM, [TokenWeights("0-0", (1.0,))], 10)
    with pytest.raises(StageError, match="1 weights for answer 0-0, which has"):
        run(replace(CONFIG, token_weights="token_weights", evaluation_share=0.0), work, "dpo")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beta": 0.0}, "beta is 0.0"),
        ({"label_smoothing": 0.5}, "label_smoothing is 0.5"),
        ({"label_smoothing": 0.1, "loss_type": ("ipo",)}, "for the loss_type sigmoid alone"),
        ({"loss_type": ("sft",)}, "no loss of pairs"),
        ({"loss_weights": (1.0, 2.0)}, "2 numbers for 1 entries"),
        ({"loss_weights": (-1.0,)}, "none may be negative"),
        ({"loss_type": ("sigmoid", "sigmoid")}, "names a loss twice"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(StageError, match=message):
        replace(CONFIG, **changes)
