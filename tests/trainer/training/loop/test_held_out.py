from dataclasses import replace
from pathlib import Path

import pytest
from accelerate import Accelerator

from reward_model.text.encoding import Encoder
from tests.checkpoints import make_checkpoint
from tests.trainer.training.stages import rows
from trainer.pairs.encoded import EncodedRow, encode_rows
from trainer.training.loop.held_out import HeldOut
from trainer.training.objective.batches import Collator
from trainer.training.objective.joint import JointModel
from trainer.training.objective.losses import LossWeights
from trainer.training.weights.start import load_start


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_accuracy_is_over_all_pairs_and_by_source(tmp_path: Path, batch_size: int) -> None:
    checkpoint = make_checkpoint(tmp_path, "llama", tie_word_embeddings=True)
    start = load_start(checkpoint, seed=1, with_lm=False)
    encoder = Encoder(start.tokenizer, max_tokens=512, pad_id=None)
    model = JointModel(start.model, LossWeights())
    sources = {
        name: encode_rows([replace(row, source=name) for row in rows(count, name)], encoder)
        for name, count in (("logic", 3), ("maths", 4))
    }
    accelerator = Accelerator(cpu=True)

    def measured(given: list[EncodedRow]) -> dict[str, float]:
        return HeldOut(given, Collator().batch, batch_size, bf16=False).measure(model, accelerator)

    found = measured([*sources["logic"], *sources["maths"]])
    assert model.training, "training goes on after an evaluation"
    alone = {name: measured(given) for name, given in sources.items()}
    for name, accuracy in alone.items():
        assert accuracy == {"accuracy": found[f"accuracy_{name}"]}
    # Three and four rows of two pairs each.
    pairs = (3 * found["accuracy_logic"] + 4 * found["accuracy_maths"]) / 7
    assert found["accuracy"] == pytest.approx(pairs)
