"""The shape of a decoder, and the parameter counts that follow from it."""

import json
from dataclasses import dataclass
from pathlib import Path

from trainer.pipeline.stage import StageError


@dataclass(frozen=True)
class Shape:
    """A Llama-like decoder with grouped queries and a gated feed-forward.

    Attributes:
        head_width: width of one attention head.
        tied: whether input and output share one embedding.
        qkv_bias: whether queries, keys and values have a bias, as in Qwen2.
    """

    layers: int
    hidden: int
    heads: int
    key_value_heads: int
    head_width: int
    feed_forward: int
    vocabulary: int
    tied: bool
    qkv_bias: bool = False

    @property
    def attention_width(self) -> int:
        return self.heads * self.head_width

    @property
    def key_value_width(self) -> int:
        return self.key_value_heads * self.head_width

    @property
    def layer_matrices(self) -> int:
        """Weights of one layer that every token is multiplied with."""
        # q and o are as wide as the heads together, k and v as wide as the key-value heads.
        attention = 2 * self.attention_width + 2 * self.key_value_width
        return self.hidden * (attention + 3 * self.feed_forward)

    @property
    def matrices(self) -> int:
        return self.layers * self.layer_matrices

    @property
    def embedding(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """Parameters of the causal language model; a score head adds `hidden` to them."""
        bias = self.attention_width + 2 * self.key_value_width if self.qkv_bias else 0
        # Two norms a layer and one at the end, each a weight for every hidden unit.
        rest = self.layers * (bias + 2 * self.hidden) + self.hidden
        return self.matrices + rest + self.embedding * (1 if self.tied else 2)


# Shapes from the model cards, so that these recipes can be planned without a download.
KNOWN = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": Shape(30, 576, 9, 3, 64, 1536, 49_152, tied=True),
    "Qwen/Qwen2-1.5B": Shape(28, 1536, 12, 2, 128, 8960, 151_936, tied=True, qkv_bias=True),
    "Qwen/Qwen2-7B": Shape(28, 3584, 28, 4, 128, 18_944, 152_064, tied=False, qkv_bias=True),
}


def read_shape(folder: Path) -> Shape:
    """The shape of a transformers checkpoint.

    Raises:
        StageError: its config is missing or incomplete.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
        heads = config["num_attention_heads"]
        return Shape(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            heads=heads,
            key_value_heads=config.get("num_key_value_heads", heads),
            # Older configs leave out what then followed from the other widths.
            head_width=config.get("head_dim") or config["hidden_size"] // heads,
            feed_forward=config["intermediate_size"],
            vocabulary=config["vocab_size"],
            tied=config.get("tie_word_embeddings", True),
            qkv_bias=config.get("attention_bias", config.get("model_type") == "qwen2"),
        )
    except (OSError, ValueError, KeyError) as error:
        raise StageError(
            f"{folder / 'config.json'}: a plan needs a decoder's layers, widths and vocabulary, "
            f"and cannot read them there ({type(error).__name__}: {error}). Name a directory with "
            "a transformers checkpoint"
        ) from error
