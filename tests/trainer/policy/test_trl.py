"""TRL's DPOTrainer is the oracle: the same ids and references, the same loss and gradients."""

from itertools import chain
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from tests.trainer.policy.policies import exact_rows, make_policy
from tests.trainer.training.gradients import assert_same_gradients, gradients
from trainer.policy.batches import PolicyCollator
from trainer.policy.encoded import EncodedAnswer, EncodedPolicyRow
from trainer.policy.model import PolicyModel
from trainer.policy.start import load_policy

_TEXTS = {"prompt": ["add"], "chosen": [" two"], "rejected": [" one"]}


def reference(row: EncodedPolicyRow, rejected: EncodedAnswer) -> tuple[float, float]:
    """Any numbers near the answers' log-probs, by which pairs differ."""
    return tuple(-5.0 * len(a.ids) - 0.1 * sum(a.ids) / 300 for a in (row.chosen, rejected))  # type: ignore[return-value]


def padded(rows: list[EncodedPolicyRow]) -> dict[str, Tensor]:
    """TRL's batch: all chosen answers and then all rejected ones, padded to the longest."""
    pairs = [(row, rejected) for row in rows for rejected in row.rejected]
    answers = chain(((r, r.chosen) for r, _ in pairs), pairs)
    texts = [(list(row.prompt_ids), list(answer.ids)) for row, answer in answers]
    width = max(len(prompt) + len(ids) for prompt, ids in texts)

    def column(parts: list[list[int]]) -> Tensor:
        return torch.tensor([part + [0] * (width - len(part)) for part in parts])

    chosen, rejected = zip(*(reference(row, answer) for row, answer in pairs), strict=True)
    return {
        "input_ids": column([prompt + ids for prompt, ids in texts]),
        "attention_mask": column([[1] * len(prompt + ids) for prompt, ids in texts]),
        "completion_mask": column([[0] * len(prompt) + [1] * len(ids) for prompt, ids in texts]),
        "ref_chosen_logps": torch.tensor(chosen),
        "ref_rejected_logps": torch.tensor(rejected),
    }


def theirs(
    checkpoint: Path, folder: Path, rows: list[EncodedPolicyRow], losses: dict[str, float]
) -> tuple[Tensor, PreTrainedModel, dict[str, float]]:
    """TRL's loss over all pairs in one padded batch, its model, and its figures."""
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(
            output_dir=str(folder),
            report_to="none",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            precompute_ref_log_probs=True,
            beta=0.3,
            loss_type=list(losses),
            loss_weights=list(losses.values()),
        ),
        train_dataset=Dataset.from_dict(_TEXTS),
        processing_class=AutoTokenizer.from_pretrained(checkpoint),
    )
    model.train()  # which only chooses the figures: there is no dropout
    loss: object = trainer.compute_loss(model, padded(rows))  # type: ignore[no-untyped-call]
    assert isinstance(loss, Tensor)
    return loss, model, {name: values[-1] for name, values in trainer._metrics["train"].items()}


# TRL says gradient_checkpointing where transformers now says activation_checkpointing.
@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")
@pytest.mark.parametrize("rejected", [1, 4])
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
@pytest.mark.parametrize(
    "losses",
    [{"sigmoid": 1.0}, {"sigmoid": 1.0, "sft": 0.2}, {"ipo": 1.0}],
    ids=["sigmoid", "sigmoid and sft", "ipo"],
)
def test_loss_gradients_and_figures_are_those_of_trl(
    tmp_path: Path, architecture: str, rejected: int, losses: dict[str, float]
) -> None:
    tied = architecture == "qwen2"
    checkpoint = make_policy(tmp_path / "model", architecture, tied=tied)
    start = load_policy(checkpoint)
    rows = start.encoder.encode(exact_rows(5, rejected))
    expected, oracle, metrics = theirs(checkpoint, tmp_path / "trl", rows, losses)
    expected.backward()

    model = PolicyModel(start.network, losses, beta=0.3)
    loss = model(PolicyCollator(reference).batch(rows))
    loss.total.backward()

    torch.testing.assert_close(loss.total, expected, rtol=0, atol=1e-5)
    assert_same_gradients(gradients(start.network), gradients(oracle))
    figures = {name: float(values.mean()) for name, values in loss.figures.items()}
    for name in metrics.keys() & figures.keys():
        assert figures[name] == pytest.approx(metrics[name], abs=1e-4), name
    assert {"rewards/margins", "rewards/accuracies", "logps/rejected"} <= metrics.keys()
