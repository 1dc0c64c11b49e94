"""A checkpoint's template and tokens fit its model, or it is refused or warned of."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from reward_model.release.checkpoint import load_tokenizer
from reward_model.release.encoder import check_vocabulary, make_encoder
from reward_model.release.manifest import EncodingFacts
from reward_model.release.release import ReleaseError, open_release
from reward_model.text.chat import Message, Unencodable
from reward_model.text.encoding import Encoder
from reward_model.text.pairs import PairEncoder
from tests.checkpoints import TEMPLATE, make_checkpoint, make_pair_tokenizer, make_tokenizer

PAIR = (Message("user", "what is a"), Message("assistant", "function"))


def with_added_token(path: Path, token: str, *, template: str = TEMPLATE) -> Path:
    """A checkpoint whose tokenizer got a token for which its model has no row."""
    make_checkpoint(path, "llama")
    tokenizer = make_tokenizer(template=template)
    tokenizer.add_special_tokens({"additional_special_tokens": [token]})
    tokenizer.save_pretrained(path)
    return path


def test_a_template_whose_tokens_the_model_does_not_know_is_refused(tmp_path: Path) -> None:
    template = "{% for m in messages %}<|new|>{{ m.content }}{% endfor %}"
    release = open_release(with_added_token(tmp_path, "<|new|>", template=template))
    with pytest.raises(ReleaseError, match=r"every conversation has <\|new\|>, .*resize"):
        check_vocabulary(release, load_tokenizer(release))


def test_other_tokens_beyond_the_embedding_are_unencodable_with_a_warning(tmp_path: Path) -> None:
    release = open_release(with_added_token(tmp_path, "<tool_call>"))
    tokenizer = load_tokenizer(release)
    encoder, (warning,) = make_encoder(release, tokenizer, 512)
    assert "none for <tool_call> of its tokenizer" in warning
    beyond = len(tokenizer) - 1
    assert beyond == release.embeddings
    encoder.checked([beyond - 1])
    with pytest.raises(Unencodable, match=f"from 0 to {beyond - 1}"):
        encoder.checked([5, beyond])


def test_tokens_that_the_model_knows_need_no_warning(tmp_path: Path) -> None:
    release = open_release(make_checkpoint(tmp_path, "llama"))
    encoder, warnings = make_encoder(release, load_tokenizer(release), 512)
    assert (type(encoder), warnings) == (Encoder, ())


def test_an_encoder_without_a_template_reads_pairs(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, "bert", vocab_size=200)
    (tmp_path / "chat_template.jinja").unlink()
    make_pair_tokenizer().save_pretrained(tmp_path)
    release = open_release(tmp_path)
    tokenizer = load_tokenizer(release)
    encoder, warnings = make_encoder(release, tokenizer, 512)
    assert (type(encoder), warnings) == (PairEncoder, ())
    expected = tokenizer("what is a", "function")
    sequence = encoder.encode(PAIR)
    assert list(sequence.ids) == expected["input_ids"]
    assert list(sequence.token_types) == expected["token_type_ids"]


def test_a_causal_bert_reads_no_pairs(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, "bert", is_decoder=True, vocab_size=200)
    (tmp_path / "chat_template.jinja").unlink()
    make_pair_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ReleaseError, match="no chat template"):
        load_tokenizer(open_release(tmp_path))


DATED = "{{ strftime_now('%d %b %Y') }}" + TEMPLATE


def test_a_template_that_asks_for_the_date_is_told_one(tmp_path: Path) -> None:
    release = open_release(make_checkpoint(tmp_path, "llama", template=DATED))
    tokenizer = load_tokenizer(release)
    encoder, (warning,) = make_encoder(release, tokenizer, 512)
    assert "asks for today's date and is always told 2024-07-26" in warning
    assert str(tokenizer.decode(list(encoder.encode(PAIR).ids))).startswith("26 Jul 2024")


def test_the_date_of_a_release_is_told(tmp_path: Path) -> None:
    bare = open_release(make_checkpoint(tmp_path, "llama", template=DATED))
    tokenizer = load_tokenizer(bare)
    facts = EncodingFacts(
        chat_template_sha256="",
        bos_token=None,
        eos_token=None,
        pad_token="",
        max_tokens=512,
        template_date=date(2026, 1, 2),
    )
    encoder, warnings = make_encoder(replace(bare, encoding=facts), tokenizer, 512)
    assert warnings == ()
    assert str(tokenizer.decode(list(encoder.encode(PAIR).ids))).startswith("02 Jan 2026")


def test_a_template_that_strips_reasoning_is_warned_of(tmp_path: Path) -> None:
    source = TEMPLATE.replace("message.content", "message.content.split('</think>')[-1]")
    release = open_release(make_checkpoint(tmp_path, "llama", template=source))
    _, (warning,) = make_encoder(release, load_tokenizer(release), 512)
    assert "leaves out what an answer has between <think> and </think>" in warning
