"""A base is known before its weights are read, and what cannot be trained is refused."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

from reward_model.text.chat import Message
from tests.checkpoints import make_checkpoint, make_pair_tokenizer
from tests.trainer.autoconfig.made import chat_model
from trainer.autoconfig.base import inspect_base
from trainer.pipeline.stage import StageError


def test_a_chat_model_has_no_head_and_its_own_template(tmp_path: Path) -> None:
    found = inspect_base(str(chat_model(tmp_path / "chat")), weights=True)
    assert not found.has_head
    assert found.chat_template is None
    assert found.max_tokens == 512
    assert found.start == str(tmp_path / "chat")
    assert "no pad token" in found.notes[0]


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2", "gpt_neox"])
def test_a_reward_model_keeps_its_head(architecture: str, tmp_path: Path) -> None:
    found = inspect_base(str(make_checkpoint(tmp_path / architecture, architecture)), weights=True)
    assert found.has_head
    assert found.parameters > found.shape.matrices > 0


def test_a_base_without_a_template_is_given_one_that_parts_the_turns(tmp_path: Path) -> None:
    found = inspect_base(str(chat_model(tmp_path / "bare", template="")), weights=True)
    assert "no chat template" in found.notes[0]
    ids = found.encoder.encode((Message("user", "add"), Message("assistant", "fox"))).ids
    written = AutoTokenizer.from_pretrained(tmp_path / "bare").decode(list(ids))
    assert written == "<|bos|>### User\nadd\n\n### Assistant\nfox<|eos|>"


def test_an_encoder_is_refused_with_what_to_take(tmp_path: Path) -> None:
    tokenizer = make_pair_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    BertForMaskedLM(config).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    with pytest.raises(StageError, match=r"'bert' is not packed .* causal language model"):
        inspect_base(str(tmp_path / "bert"), weights=True)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StageError, match="is a file"):
        inspect_base(str(tmp_path / "file.bin"), weights=True)
    with pytest.raises(StageError, match=r"has no config\.json"):
        inspect_base(str(tmp_path / "empty"), weights=True)
    with pytest.raises(StageError, match=r"--base .*no such directory"):
        inspect_base(str(tmp_path / "absent"), weights=True)
    adapter = chat_model(tmp_path / "adapter")
    (adapter / "adapter_config.json").write_text("{}")
    with pytest.raises(StageError, match="is an adapter"):
        inspect_base(str(adapter), weights=True)
