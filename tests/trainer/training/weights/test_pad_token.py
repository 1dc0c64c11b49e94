"""Pads of tokenizers as they are published: none, the end token, a reserved one, a foreign id."""

from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from tests.checkpoints import TEMPLATE, make_checkpoint, make_tokenizer
from trainer.training.weights.pad_token import needed_rows, settle_pad
from trainer.training.weights.start import load_start

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}<|im_end|>\n{% endfor %}"
)


def tokenizer_of(
    specials: list[str], *, template: str = CHATML, **roles: str
) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with these special tokens, whose purposes `roles` names."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: id_ for id_, token in enumerate([*specials, *letters])}
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True) for token in specials])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **roles)
    tokenizer.chat_template = template
    return tokenizer


CHAT = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


@pytest.mark.parametrize(
    ("specials", "roles", "token", "origin"),
    [
        # The tokenizer's own choice stays where no text can contain it.
        ([*CHAT, "<pad>"], {"eos_token": "<|im_end|>", "pad_token": "<pad>"}, "<pad>", "own"),
        (
            CHAT,
            {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
            "<|endoftext|>",
            "own",
        ),
        # It pads with its end token, as SmolLM2-Instruct does: the unknown token is unused.
        (
            CHAT,
            {
                "eos_token": "<|im_end|>",
                "pad_token": "<|im_end|>",
                "unk_token": "<|endoftext|>",
                "bos_token": "<|im_start|>",
            },
            "<|endoftext|>",
            "unused",
        ),
        # Llama 3.1 and 3.0.
        (
            [*CHAT, "<|reserved_special_token_0|>", "<|finetune_right_pad_id|>"],
            {"eos_token": "<|im_end|>"},
            "<|finetune_right_pad_id|>",
            "unused",
        ),
        (
            [*CHAT, "<|reserved_special_token_0|>", "<|reserved_special_token_1|>"],
            {"eos_token": "<|im_end|>"},
            "<|reserved_special_token_1|>",
            "unused",
        ),
        # Mistral.
        ([*CHAT, "<unk>"], {"eos_token": "<|im_end|>", "unk_token": "<unk>"}, "<unk>", "unused"),
        # A placeholder of images means something to the model.
        ([*CHAT, "<|image_pad|>"], {"eos_token": "<|im_end|>"}, "<|pad|>", "added"),
        # GPT-2 has one token for everything.
        (
            ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            {
                "bos_token": "<|endoftext|>",
                "eos_token": "<|endoftext|>",
                "unk_token": "<|endoftext|>",
                "pad_token": "<|endoftext|>",
            },
            "<|pad|>",
            "added",
        ),
        # Not the end token, and the template writes it after every turn all the same.
        (CHAT, {"eos_token": "<|endoftext|>", "pad_token": "<|im_end|>"}, "<|pad|>", "added"),
    ],
)
def test_a_pad_is_found_or_added(
    specials: list[str], roles: dict[str, str], token: str, origin: str, tmp_path: Path
) -> None:
    tokenizer = tokenizer_of(specials, **roles)
    replaced = tokenizer.pad_token
    pad = settle_pad(tokenizer)
    assert (pad.token, pad.origin) == (token, origin)
    assert pad.replaced == (None if origin == "own" else replaced)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert (again.pad_token, again.pad_token_id) == (pad.token, pad.id)
    assert settle_pad(again).origin == "own"
    assert settle_pad(again).id == pad.id


def test_an_unknown_token_that_text_becomes_is_no_pad() -> None:
    """A tokenizer of words makes it of every letter that it does not know."""
    vocabulary = {"<unk>": 0, "<|im_start|>": 1, "<|im_end|>": 2, "x": 3, "user": 4}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    for own in (None, "<unk>"):
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=backend, eos_token="<|im_end|>", unk_token="<unk>", pad_token=own
        )
        tokenizer.chat_template = CHATML
        assert settle_pad(tokenizer).origin == "added"


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "qwen2"])
@pytest.mark.parametrize("pad_id", [None, -1, 6])
def test_the_embedding_grows_for_an_added_pad(
    architecture: str, pad_id: int | None, tmp_path: Path
) -> None:
    make_checkpoint(tmp_path, architecture, tie_word_embeddings=True, pad_token_id=pad_id)
    pads_with(tmp_path, "<|end|>")
    before = load_rows(tmp_path)
    start = load_start(tmp_path, seed=1, with_lm=False)
    assert start.pad.origin != "own"
    rows = start.model.get_input_embeddings().weight
    assert isinstance(rows, torch.Tensor)
    assert start.model.config.vocab_size == len(rows) == needed_rows(start.tokenizer)
    assert start.model.config.pad_token_id == start.pad.id < len(rows)
    assert start.added_rows == len(rows) - len(before)
    assert torch.equal(rows[: len(before)], before)
    torch.testing.assert_close(rows[-1], before.mean(dim=0))
    assert any(str(len(rows)) in note for note in start.notes)


def pads_with(folder: Path, token: str) -> None:
    """Let the tokenizer there pad with `token`, and its template write the former pad."""
    tokenizer = make_tokenizer(template=TEMPLATE + "<|pad|>")
    tokenizer.pad_token = token
    tokenizer.save_pretrained(folder)


def load_rows(folder: Path) -> torch.Tensor:
    model = AutoModelForSequenceClassification.from_pretrained(folder, pad_token_id=None)
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach().clone()


def test_rows_beyond_the_tokenizer_are_used_first(tmp_path: Path) -> None:
    """As in checkpoints whose vocabulary is padded to a round number."""
    make_checkpoint(tmp_path, "llama", tie_word_embeddings=True, vocab_size=512)
    pads_with(tmp_path, "<|end|>")
    start = load_start(tmp_path, seed=1, with_lm=False)
    assert (start.pad.origin, start.added_rows) == ("added", 0)
    assert start.model.config.vocab_size == 512


def test_tokens_without_rows_get_some(tmp_path: Path) -> None:
    """A word that was added to the tokenizer, and not to the model, would end the first step."""
    make_checkpoint(tmp_path, "llama", tie_word_embeddings=True)
    tokenizer: PreTrainedTokenizerBase = make_tokenizer()
    tokenizer.add_tokens(["<tool_call>"])
    tokenizer.save_pretrained(tmp_path)
    start = load_start(tmp_path, seed=1, with_lm=False)
    assert (start.pad.origin, start.added_rows) == ("own", 1)
