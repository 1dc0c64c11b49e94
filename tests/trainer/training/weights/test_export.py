import json
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification

from tests.trainer.training.stages import make_base, weights
from trainer.training.weights.export import save_rounded
from trainer.training.weights.start import load_start


def test_weights_are_stored_in_bfloat16_and_load_as_float32(tmp_path: Path) -> None:
    make_base(tmp_path / "base")
    network = load_start(tmp_path / "base", seed=1, with_lm=False).model
    (tmp_path / "out").mkdir()
    save_rounded(network, network.state_dict(), tmp_path / "out")
    stored = weights(tmp_path / "out")
    assert {weight.dtype for name, weight in stored.items() if name != "score.weight"} == {
        torch.bfloat16
    }
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "float32"
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert loaded.dtype == torch.float32
    # The head is what ranks close candidates, so it keeps every bit.
    assert torch.equal(stored["score.weight"], network.get_parameter("score.weight"))
