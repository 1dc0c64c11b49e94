"""Small tokenizers of the four families that checkpoints have, with one set of special tokens."""

import json
from collections.abc import Callable

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from tests.checkpoints import SPECIALS, TEMPLATE

_TEXT = [
    "Write a function that adds two numbers. def add(a, b): return a + b",
    "the quick brown fox jumps over the lazy dog 0123456789 <|>/ user end assistant",
]

Flags = dict[str, bool]


def byte_level(template: str = TEMPLATE, **flags: bool) -> PreTrainedTokenizerFast:
    """Byte-level BPE, as of GPT-2, Qwen and Llama 3."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=_added(flags),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(_TEXT, trainer)
    return _wrapped(backend, template)


def metaspace(template: str = TEMPLATE, **flags: bool) -> PreTrainedTokenizerFast:
    """BPE with a dummy prefix and bytes for unknown letters, as of Llama 2, Mistral and Phi-3."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=[*_added(flags), "<unk>", *bytes_], show_progress=False
    )
    backend.train_from_iterator(_TEXT, trainer)
    # Tokens of bytes are no special tokens; only the trainer takes them for such.
    return _wrapped(_with_specials(backend, {*SPECIALS, "<unk>"}), template, unk_token="<unk>")


def word_piece(template: str = TEMPLATE, **flags: bool) -> PreTrainedTokenizerFast:
    """WordPiece of lower-cased words, as of BERT."""
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=200, special_tokens=["[UNK]", *_added(flags)], show_progress=False
    )
    backend.train_from_iterator(_TEXT, trainer)
    return _wrapped(backend, template, unk_token="[UNK]")


def unigram(template: str = TEMPLATE, **flags: bool) -> PreTrainedTokenizerFast:
    """Unigram with compatibility forms and a dummy prefix, as of T5, XLM-R and DeBERTa."""
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.UnigramTrainer(
        vocab_size=120,
        special_tokens=["<unk>", *_added(flags)],
        unk_token="<unk>",
        show_progress=False,
    )
    backend.train_from_iterator(_TEXT * 4, trainer)
    return _wrapped(backend, template, unk_token="<unk>")


FAMILIES: dict[str, Callable[..., PreTrainedTokenizerFast]] = {
    "byte level": byte_level,
    "metaspace": metaspace,
    "word piece": word_piece,
    "unigram": unigram,
}


def _added(flags: Flags) -> list[AddedToken]:
    return [AddedToken(token, special=True, **{"normalized": False, **flags}) for token in SPECIALS]


def _with_specials(backend: Tokenizer, specials: set[str]) -> Tokenizer:
    saved = json.loads(backend.to_str())
    saved["added_tokens"] = [t for t in saved["added_tokens"] if t["content"] in specials]
    made: Tokenizer = Tokenizer.from_str(json.dumps(saved))
    return made


def _wrapped(backend: Tokenizer, template: str, **tokens: str) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=SPECIALS[1],
        eos_token=SPECIALS[2],
        pad_token=SPECIALS[0],
        **tokens,
    )
    tokenizer.chat_template = template
    return tokenizer
