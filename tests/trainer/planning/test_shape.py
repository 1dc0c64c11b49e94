"""Against published sizes."""

import json
from pathlib import Path

import pytest

from trainer.pipeline.stage import StageError
from trainer.planning.shape import KNOWN, read_shape

SMALL, LARGE = KNOWN["Qwen/Qwen2-1.5B"], KNOWN["Qwen/Qwen2-7B"]


def test_published_numbers_of_parameters() -> None:
    assert SMALL.parameters == 1_543_714_304
    assert LARGE.parameters == 7_615_616_512


def test_the_shape_of_a_directory(tmp_path: Path) -> None:
    config = {
        "num_hidden_layers": 28,
        "hidden_size": 3584,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 18944,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
        "model_type": "qwen2",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_shape(tmp_path) == LARGE
    with pytest.raises(StageError, match="a plan needs a decoder's layers"):
        read_shape(tmp_path / "nowhere")
