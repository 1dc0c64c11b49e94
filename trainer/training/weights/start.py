"""The start of training: a stage's checkpoint, a directory of transformers', or one of the hub.

From a causal language model the backbone is taken, and its own output embedding for the
language-model loss; it gets a fresh score head. A sequence classifier keeps its score head.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from reward_model.attention.tree_attention import IMPLEMENTATION
from reward_model.network import unpackable
from reward_model.release.files import weight_files
from reward_model.release.hub import locate
from reward_model.release.release import ReleaseError, verify
from reward_model.release.weight_names import require_shapes
from reward_model.text.template import date_seen
from trainer.pipeline.stage import MANIFEST, StageError
from trainer.training.weights.pad_token import PadToken, needed_rows, settle_pad

# File beside a stage's checkpoint whose output embedding is apart from the input's.
OUTPUT = "lm_head.safetensors"

# Characters of a loader's own error that a message quotes.
_MAX_REASON = 300

_NAMES = ("lm_head.weight", "embed_out.weight")


@dataclass(frozen=True)
class Start:
    """A model that attends over packed trees, in float32, with its tokenizer.

    Attributes:
        output: output embedding [vocabulary, hidden], None when it is the input's or there is none.
        templates: names of the tokenizer's chat templates, if it had several: only the one named
            default is used.
        added_rows: rows by which the embedding was grown, so that all ids of texts and pad fit.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    output: nn.Parameter | None
    pad: PadToken
    added_rows: int
    templates: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """Changes of the checkpoint so that it can be trained and served, for the log."""
        notes = [] if self.pad.origin == "own" else [self.pad.note]
        if self.added_rows:
            rows = self.model.config.vocab_size
            notes.append(
                f"the embedding had {rows - self.added_rows} rows and the tokenizer has larger "
                f"ids: there are {rows} rows now, each new one the mean of the others"
            )
        return notes


def find(start: str, inputs: Path) -> Path:
    """The folder of a stage below `inputs`, a directory, or a download of a hub id.

    Raises:
        StageError: it is none of these.
    """
    stage = inputs / start
    if (stage / MANIFEST).is_file():
        return stage
    try:
        return locate(start)
    except ReleaseError as error:
        raise StageError(f"no stage {start} below {inputs} has finished; {error}") from error


def load_start(
    folder: Path,
    *,
    seed: int,
    with_lm: bool,
    load_in_4bit: bool = False,
    end_token: str | None = None,
    chat_template: str | None = None,
) -> Start:
    """Load the checkpoint that training starts from.

    Args:
        seed: seed of a fresh score head.
        with_lm: whether there will be a language-model loss, which needs an output embedding.
        load_in_4bit: load linear layers in 4 bits (QLoRA).
        end_token: token that ends a text, in place of the tokenizer's own.
        chat_template: the template, in place of the tokenizer's own.

    Raises:
        StageError: the checkpoint could be trained, and served wrongly or not at all.
    """
    tokenizer, templates = load_tokenizer(folder, end_token, chat_template)
    pad = settle_pad(tokenizer)
    model = load_network(folder, seed, load_in_4bit=load_in_4bit)
    added_rows = grow_embedding(model, needed_rows(tokenizer))
    model.config.pad_token_id = pad.id
    model.config.eos_token_id = tokenizer.eos_token_id
    output = None
    if with_lm and not model.config.tie_word_embeddings:
        output = nn.Parameter(with_mean_rows(read_output(folder).float(), model.config.vocab_size))
    return Start(model, tokenizer, output, pad, added_rows, templates)


def load_tokenizer(
    folder: Path, end_token: str | None, chat_template: str | None = None
) -> tuple[PreTrainedTokenizerBase, tuple[str, ...]]:
    """The checkpoint's fast tokenizer with one chat template, and the names of several.

    Raises:
        StageError: it has no template that a release can have, or no fast form.
    """
    with loading(folder, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder)
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    if not tokenizer.is_fast:
        raise StageError(
            f"{folder}: its tokenizer has no fast form, which needs tokenizer.json: save it again "
            "with a current transformers"
        )
    if end_token is not None:
        if end_token not in tokenizer.get_vocab():
            raise StageError(f"{folder}: end_token {end_token} is not in its vocabulary")
        tokenizer.eos_token = end_token
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    template = tokenizer.chat_template
    # transformers keeps several templates by name. A release has one: the same for every text.
    if isinstance(template, dict):
        if "default" not in template:
            raise StageError(
                f"{folder}: its tokenizer has the chat templates {', '.join(sorted(template))} and "
                "none named default: save it with the one to train with as its chat_template"
            )
        tokenizer.chat_template = template["default"]
    if not tokenizer.chat_template:
        raise StageError(
            f"{folder}: its tokenizer has no chat template: save it with one, or name one "
            "in the config's chat_template"
        )
    with loading(folder, "chat template"):
        date_seen(tokenizer.chat_template)  # which compiles it
    return tokenizer, tuple(sorted(template)) if isinstance(template, dict) else ()


def grow_embedding(model: PreTrainedModel, needed: int) -> int:
    """Give the input embedding at least this many rows; returns how many were added."""
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    rows = len(weight)
    if needed <= rows:
        return 0
    model.resize_token_embeddings(needed, mean_resizing=False)
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    with torch.no_grad():
        weight.copy_(with_mean_rows(weight[:rows], needed))
    return needed - rows


def with_mean_rows(weight: Tensor, rows: int) -> Tensor:
    """A matrix with at least this many rows; a new row is the mean of the others."""
    # A random row would be another one in each process, and is far from all that layers have seen.
    missing = max(0, rows - len(weight))
    return torch.cat([weight, weight.mean(dim=0, keepdim=True).expand(missing, -1)])


def longest(tokenizer: PreTrainedTokenizerBase, *limits: int | None) -> int:
    """The least of these limits and the tokenizer's own, which often is no limit at all.

    Args:
        limits: of the config, and of the training; None where there is none.
    """
    given = [limit for limit in (tokenizer.model_max_length, *limits) if limit]
    # JSON's readers and the API's clients take numbers of 64 bits.
    return min(*given, 2**31 - 1)


@contextmanager
def _without_report() -> Iterator[None]:
    """Keep transformers' table of missing weights from the terminal: a new score head is meant.

    Other weights that are missing are refused by whoever loads.
    """
    logger = logging.getLogger("transformers.modeling_utils")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def loading(folder: Path, part: str) -> Iterator[None]:
    """Name the folder and its part in whatever a damaged or unknown file makes the loaders raise.

    Raises:
        StageError: in place of any error that has no sentence of its own.
    """
    try:
        yield
    except (StageError, ReleaseError):
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0][:_MAX_REASON] if lines else ''}"
        raise StageError(
            f"{folder}: its {part} cannot be loaded ({reason}): name a whole checkpoint, or save "
            "it again with a current transformers"
        ) from error


def load_network(folder: Path, seed: int, *, load_in_4bit: bool) -> PreTrainedModel:
    """The checkpoint as a sequence classifier with one label, with a fresh head if it has none."""
    model, report = load_packed(
        folder,
        AutoModelForSequenceClassification,
        num_labels=1,
        problem_type="regression",
        # An embedding never trains the row of its pad, and a pad beyond its rows is refused. The
        # checkpoint's own may be the token that ends a text, so it is set when it is settled.
        pad_token_id=None,
        **(four_bit_options("score") if load_in_4bit else {}),
    )
    missing = set(report["missing_keys"])
    if others := sorted(missing - {"score.weight"}):
        raise StageError(f"{folder}: its weights hold no {others[0]}: name a whole checkpoint")
    if missing:
        draw_head(model, seed)
    return model


def draw_head(model: PreTrainedModel, seed: int) -> None:
    """Give the model a fresh score head."""
    head = model.score
    assert isinstance(head, nn.Linear)
    generator = torch.Generator().manual_seed(seed)
    # Last hidden states are normalized, so this gives scores of about unit size.
    weight = torch.randn(head.weight.shape, generator=generator) * head.in_features**-0.5
    with torch.no_grad():
        head.weight.copy_(weight)


def load_packed(
    folder: Path,
    kind: type[AutoModelForSequenceClassification] | type[AutoModelForCausalLM],
    *,
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """A checkpoint as a network that attends over packed trees, without dropout.

    Returns:
        The network, and transformers' report of keys that are missing or unexpected.

    Raises:
        StageError: its files cannot be loaded, or its texts cannot be packed.
    """
    verify(folder)
    weight_files(folder)  # refuses any but safetensors of this folder
    with loading(folder, "model"), _without_report():
        loaded: Any = kind.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            # The config's own may be a kernel that transformers would download.
            attn_implementation="eager",
            # Refused below, in a sentence.
            ignore_mismatched_sizes=True,
            **options,
        )
    model, report = loaded
    assert isinstance(model, PreTrainedModel)
    require_shapes(folder, report["mismatched_keys"])
    # An encoder trained on masked tokens lacks more than a head, and could not be trained whole.
    if reason := unpackable(model):
        raise StageError(f"{folder}: {reason}, and training packs: start from another architecture")
    model.set_attn_implementation(IMPLEMENTATION)
    disable_dropout(model)
    return model, report


def disable_dropout(model: PreTrainedModel) -> None:
    """Switch dropout off, as TRL does for reward models: two answers must see the same network.

    Some checkpoints have it in their config from the time when they were pretrained. The config
    stays as it is.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)


def four_bit_options(head: str) -> dict[str, Any]:
    """Options by which transformers loads linear layers, but not the head of this name, in NF4.

    They are those of arXiv 2305.14314.
    """
    from transformers import BitsAndBytesConfig
    from transformers.utils.import_utils import is_bitsandbytes_available

    if not torch.cuda.is_available() or not is_bitsandbytes_available():
        raise StageError(
            "QLoRA needs a CUDA device and bitsandbytes: `pip install bitsandbytes`, or set "
            "lora.load_in_4bit to false where there is no such device"
        )
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=[head],
    )
    return {"quantization_config": config, "device_map": {"": torch.cuda.current_device()}}


def save_output(output: Tensor, folder: Path) -> None:
    """Store an output embedding for a later stage with a language-model loss."""
    save_file({_NAMES[0]: output.to(torch.bfloat16).contiguous()}, folder / OUTPUT)


def read_output(folder: Path) -> Tensor:
    """The output embedding, stored by a stage or among a causal language model's weights."""
    if (folder / OUTPUT).is_file():
        return load_file(folder / OUTPUT)[_NAMES[0]]
    files = {"model.safetensors"}
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files = set(json.loads(index.read_text())["weight_map"].values())
    for file in sorted(files):
        with safe_open(folder / file, framework="pt") as weights:
            for name in _NAMES:
                if name in weights.keys():  # noqa: SIM118 - not a mapping
                    tensor: Tensor = weights.get_tensor(name)
                    return tensor
    raise StageError(
        f"{folder}: its output embedding is apart from the input's (tie_word_embeddings is "
        "false) and not among its weights: start from the causal language model, or set the "
        "weight of the language-model loss to 0"
    )
