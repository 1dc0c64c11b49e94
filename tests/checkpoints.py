"""Tiny random checkpoints with a real tokenizer and chat template, made where a test needs them."""

from collections.abc import Mapping
from pathlib import Path

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
)

TEMPLATE = """\
{%- for message in messages -%}
<|{{ message.role }}|>
{{ message.content }}<|end|>
{% endfor %}"""
SPECIALS = ["<|pad|>", "<|bos|>", "<|eos|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]

_TEXT = [
    "Write a function that adds two numbers. def add(a, b): return a + b",
    "for item in items: if item > limit: total += item ** 2",
    "the quick brown fox jumps over the lazy dog 0123456789",
]
_SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}


def make_tokenizer(
    *, template: str = TEMPLATE, pad_is_eos: bool = False, adds_bos: bool = False
) -> PreTrainedTokenizerFast:
    """Byte-level BPE; `adds_bos` adds the token to whatever is encoded with special tokens."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(
        _TEXT,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=SPECIALS,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if adds_bos:
        bos = ("<|bos|>", backend.token_to_id("<|bos|>"))
        backend.post_processor = processors.TemplateProcessing(
            single="<|bos|> $A", special_tokens=[bos]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|bos|>",
        eos_token="<|eos|>",
        pad_token="<|eos|>" if pad_is_eos else "<|pad|>",
    )
    tokenizer.chat_template = template
    return tokenizer


def make_pair_tokenizer(*, token_types: bool = True) -> PreTrainedTokenizerFast:
    """WordPiece over letters and a few words, which writes pairs as BERT's tokenizer does."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    words = ["what", "is", "a", "the", "function", "that", "returns", "if", "not", "print"]
    tokens = dict.fromkeys(special + letters + [f"##{letter}" for letter in letters] + words)
    vocabulary = {token: index for index, token in enumerate(tokens)}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    names = ["input_ids", "attention_mask"] + ["token_type_ids"] * token_types
    roles = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_input_names=names,
        **{role: f"[{role[:-6].upper()}]" for role in roles},
    )


def make_checkpoint(
    path: Path,
    architecture: str = "qwen2",
    *,
    template: str = TEMPLATE,
    pad_is_eos: bool = False,
    adds_bos: bool = False,
    labels: int = 1,
    seed: int = 0,
    shape: Mapping[str, object] | None = None,
    **config_changes: object,
) -> Path:
    """Save a random sequence-classification checkpoint of unit-scale scores; returns `path`.

    `shape` and `config_changes` alike are entries of its config.
    """
    tokenizer = make_tokenizer(template=template, pad_is_eos=pad_is_eos, adds_bos=adds_bos)
    config = AutoConfig.for_model(
        architecture,
        **{
            "vocab_size": len(tokenizer),
            "pad_token_id": tokenizer.pad_token_id,
            "num_labels": labels,
            "problem_type": "regression",
            **_SHAPE,
            **(shape or {}),
            **config_changes,
        },
    )
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(
                parameter, std=1.0 if "embed" in name else parameter.shape[1] ** -0.5
            )
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
