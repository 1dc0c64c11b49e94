"""A from-scratch base: a tokenizer trained on the corpus and a small decoder with random weights.

The tokenizer never joins a space to a content word. "shared elements" in a request and
`shared_elements` in code are then the same tokens, from which the model reads relevance.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.trainers import BpeTrainer
from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

from trainer.pairs.row import read_pairs, texts
from trainer.pipeline.stage import writing_stage

PAD, END = "<|pad|>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('roles are system, user and assistant') }}"
    "{% endif %}"
    "<|{{ message.role }}|>{{ message.content }}<|end|>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

_GLUED = "the|a|an|of|to|from|with|in|is|for|if|not|and|or|else|return|as|by|on|that|it|be|are"
_PIECES = Regex(
    rf" (?:{_GLUED})(?![A-Za-z0-9_])"  # function words keep their space, because they name nothing
    r"|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\p{L}+"  # words, snake_case and camelCase taken apart
    r"|[0-9]|_+"
    r"|\n *"  # a line end with the indentation that follows it
    r"| ?[^\s\p{L}0-9_]+|\s"
)


@dataclass(frozen=True)
class BaseConfig:
    """Shape of the decoder and size of the vocabulary, by the names of `LlamaConfig`."""

    # A Llama, because AutoTokenizer leaves the tokenizer of one as it was saved. For a Qwen2 it
    # replaces the trained splitting rules with Qwen2's own (seen in transformers 5.23).

    seed: int = 1
    vocab_size: int = 4096
    hidden_size: int = 256
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    intermediate_size: int = 704
    max_position_embeddings: int = 1024


def run(config: BaseConfig, inputs: Path, output: Path) -> None:
    """Read the training split of `pairs`; write an untrained checkpoint with its tokenizer."""
    rows = read_pairs(inputs / "pairs", "train")
    tokenizer = train_tokenizer([text for row in rows for text in texts(row)], config)
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        max_position_embeddings=config.max_position_embeddings,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        problem_type="regression",
    )
    shape.num_labels = 1
    # The tokenizer's training needs no seed, so the weights depend on nothing but this one.
    torch.manual_seed(config.seed)
    model = LlamaForSequenceClassification(shape)
    torch.nn.init.normal_(model.score.weight, std=config.hidden_size**-0.5)
    with writing_stage(config, output, reads=[inputs / "pairs"]) as draft:
        model.save_pretrained(draft.path)
        tokenizer.save_pretrained(draft.path)
        draft.facts["parameters"] = sum(p.numel() for p in model.parameters())


def train_tokenizer(texts: list[str], config: BaseConfig) -> PreTrainedTokenizerFast:
    """A byte-level BPE within the pieces above; it encodes and decodes every text exactly."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_PIECES, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=[PAD, END, *ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=list(ROLES),
        model_max_length=config.max_position_embeddings,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = TEMPLATE
    return fast
