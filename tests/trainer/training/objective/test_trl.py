"""TRL's RewardTrainer is the oracle: the same pairs, the same loss, the same gradients."""

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from reward_model.text.encoding import Encoder
from tests.checkpoints import make_checkpoint
from tests.trainer.training.gradients import assert_same_gradients, gradients
from tests.trainer.training.stages import rows
from trainer.pairs.encoded import encode_rows
from trainer.pairs.row import PreferenceRow, Rejected
from trainer.training.objective.batches import Collator
from trainer.training.objective.joint import JointModel
from trainer.training.objective.losses import LossWeights
from trainer.training.weights.start import load_start

SHARED = Rejected("mutant", "def add(a, b): return a - b")
ROWS = [*rows(3), PreferenceRow("one", "one", "add two", "def add(a, b): return a + b", (SHARED,))]


def as_trl_has_it(given: list[PreferenceRow], *, margins: bool) -> Dataset:
    def talk(row: PreferenceRow, answer: str) -> list[dict[str, object]]:
        assert isinstance(row.prompt, str)
        turns = (("user", row.prompt), ("assistant", answer))
        return [{"role": role, "content": content} for role, content in turns]

    return Dataset.from_list(
        [
            {"chosen": talk(row, row.chosen), "rejected": talk(row, rival.text)}
            | ({"margin": rival.margin} if margins else {})
            for row in given
            for rival in row.rejected
        ]
    )


def theirs(
    checkpoint: Path, folder: Path, given: list[PreferenceRow], weights: LossWeights
) -> tuple[Tensor, PreTrainedModel]:
    """TRL's loss over all pairs in one padded batch, tokenised by TRL."""
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    trainer = RewardTrainer(
        model=model,
        args=RewardConfig(
            output_dir=str(folder),
            report_to="none",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            center_rewards_coefficient=weights.centering or None,
            per_device_train_batch_size=len(given),
        ),
        train_dataset=as_trl_has_it(given, margins=bool(weights.margin)),
        processing_class=load_start(checkpoint, seed=1, with_lm=False).tokenizer,
    )
    assert isinstance(trainer.train_dataset, Dataset)
    batch = trainer.data_collator(list(trainer.train_dataset))
    loss: object = trainer.compute_loss(model, batch)  # type: ignore[no-untyped-call]  # TRL's
    assert isinstance(loss, Tensor)
    return loss, model


# TRL says gradient_checkpointing where transformers now says activation_checkpointing.
@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
@pytest.mark.parametrize(
    "weights",
    [LossWeights(lm=0.0), LossWeights(lm=0.0, margin=1.0), LossWeights(lm=0.0, centering=0.01)],
    ids=["plain", "margin", "centering"],
)
def test_loss_and_gradients_are_those_of_trl(
    tmp_path: Path, architecture: str, weights: LossWeights
) -> None:
    checkpoint = make_checkpoint(tmp_path / "model", architecture, tie_word_embeddings=True)
    expected, oracle = theirs(checkpoint, tmp_path / "trl", ROWS, weights)
    expected.backward()

    start = load_start(checkpoint, seed=1, with_lm=False)
    encoder = Encoder(start.tokenizer, max_tokens=512, pad_id=None)
    joint = JointModel(start.model, weights)
    loss = joint(Collator().batch(encode_rows(ROWS, encoder))).total
    loss.backward()

    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-5)
    assert_same_gradients(gradients(start.model), gradients(oracle))
