from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from reward_model.positions import max_positions, positions_of, rope_depends_on_length
from tests.checkpoints import make_checkpoint


def load(path: Path, architecture: str, **shape: object) -> PreTrainedModel:
    checkpoint = make_checkpoint(path, architecture, shape=shape)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    assert isinstance(model, PreTrainedModel)
    return model


def test_positions_of_bert_count_every_token(tmp_path: Path) -> None:
    model = load(tmp_path, "bert", max_position_embeddings=40)
    assert max_positions(model) == 40
    assert positions_of(model, (9, 0, 9)) == [0, 1, 2]


def test_positions_of_roberta_begin_after_the_pad_and_count_none(tmp_path: Path) -> None:
    model = load(tmp_path, "roberta", max_position_embeddings=40, pad_token_id=1)
    assert max_positions(model) == 38
    assert positions_of(model, (9, 1, 9, 1)) == [2, 1, 3, 1]


def test_rotary_positions_have_no_table(tmp_path: Path) -> None:
    model = load(tmp_path, "llama")
    assert max_positions(model) is None
    assert positions_of(model, (9, 8, 7)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("rope", "depends"),
    [
        (None, False),
        ({}, False),
        ({"rope_type": "default", "rope_theta": 1e4}, False),
        ({"rope_type": "yarn", "factor": 4.0}, False),
        ({"rope_type": "dynamic", "factor": 2.0}, True),
        ({"rope_type": "longrope"}, True),
        ({"full_attention": {"rope_type": "default"}}, False),
        (
            {
                "sliding_attention": {"rope_type": "default"},
                "full_attention": {"rope_type": "dynamic"},
            },
            True,
        ),
    ],
)
def test_dynamic_and_long_rope_depend_on_length_in_any_layer(rope: object, depends: bool) -> None:
    assert rope_depends_on_length(rope) is depends
