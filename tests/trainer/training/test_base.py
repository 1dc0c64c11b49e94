from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.trainer.training.stages import make_pairs, rows
from trainer.pipeline.stage import read_manifest
from trainer.training import base
from trainer.training.base import BaseConfig, train_tokenizer

SMALL = BaseConfig(vocab_size=400, hidden_size=32, num_hidden_layers=2, intermediate_size=64)
TOKENIZER = train_tokenizer(["return the shared_elements of two lists"] * 3, SMALL)


def test_a_base_is_an_untrained_classifier_with_its_tokenizer(tmp_path: Path) -> None:
    make_pairs(tmp_path / "pairs", rows(4))
    base.run(SMALL, tmp_path, tmp_path / "base")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    assert (model.config.num_labels, model.config.hidden_size) == (1, 32)
    assert model.config.vocab_size == len(tokenizer)
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    parameters = sum(weight.numel() for weight in model.parameters())
    assert read_manifest(tmp_path / "base")["parameters"] == parameters


@given(st.text())
def test_every_text_is_decoded_as_it_was(text: str) -> None:
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    if not any(token in text for token in TOKENIZER.all_special_tokens):
        assert TOKENIZER.decode(ids) == text


@pytest.mark.parametrize("text", ["the shared elements", "shared_elements", "sharedElements"])
def test_a_word_is_the_same_token_in_prose_and_in_a_name(text: str) -> None:
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert TOKENIZER.convert_tokens_to_ids("shared") in ids
