"""Looks at the model to start from, without reading its weights: size, limits, what it lacks."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from reward_model.network import unpackable
from reward_model.release import hub
from reward_model.release.config import facts_of
from reward_model.release.files import weight_files
from reward_model.release.release import ReleaseError
from reward_model.text.chat import Unencodable
from reward_model.text.criteria import require_system_turns
from reward_model.text.encoding import Encoder
from trainer.pairs.criteria import Criteria, read_criteria
from trainer.pipeline.stage import StageError
from trainer.planning.shape import Shape, read_shape
from trainer.training.weights.start import load_tokenizer, loading, longest

PLAIN_TEMPLATE = r"""
{%- for message in messages -%}
{{ (bos_token or '') if loop.first else '\n\n' }}
{{- '### ' + message.role | capitalize + '\n' + message.content }}
{{- (eos_token or '') if message.role == 'assistant' else '' }}
{%- endfor -%}
{{ '\n\n### Assistant\n' if add_generation_prompt else '' }}"""
"""Names of roles as headings: for a base that was never trained on turns any marks will do."""


@dataclass(frozen=True)
class Base:
    """A model to start from.

    Attributes:
        start: its directory, or its id on the hub, as a config names it.
        parameters: of the whole network with its score head.
        shape: its layers and widths, for estimates of time and memory.
        max_tokens: the longest text that model and tokenizer take.
        encoder: encodes conversations as training will, up to any length.
        chat_template: the template that it is given, because it has none; None if it has one.
        has_head: whether it is a reward model already.
        notes: what a user should know about it.
        criteria: those that it was trained with already.
        refuses_criteria: why no row can be shown a criterion's prompt; empty if one can.
    """

    start: str
    parameters: int
    shape: Shape
    max_tokens: int
    encoder: Encoder
    chat_template: str | None
    has_head: bool
    notes: tuple[str, ...]
    criteria: Criteria
    refuses_criteria: str


def inspect_base(model: str, *, weights: bool) -> Base:
    """The facts of a base model that training depends on, at a directory or hub id.

    Args:
        weights: whether a hub id is downloaded with its weights, or only its config and tokenizer.

    Raises:
        StageError, ReleaseError: it is no model that can be trained; the message says why.
    """
    folder, start = place_of(model, weights=weights)
    if not (folder / "config.json").is_file():
        raise StageError(
            f"{model} has no config.json: name the folder of a transformers checkpoint"
        )
    if (folder / "adapter_config.json").is_file():
        raise StageError(f"{model} is an adapter: merge it into its base, and name the result")
    if weights:
        weight_files(folder)
    with loading(folder, "config"):
        config = AutoConfig.from_pretrained(folder)
        config.num_labels = 1
    with loading(folder, "model"), torch.device("meta"):
        network = AutoModelForSequenceClassification.from_config(config)
    if reason := unpackable(network):
        raise StageError(
            f"{model}: {reason}, and training packs: start from a causal language model such as "
            "SmolLM2, Qwen or Llama, or from a reward model made of one"
        )
    with loading(folder, "tokenizer"):
        own = AutoTokenizer.from_pretrained(folder).chat_template
    template, notes = None, []
    if not own:
        template = PLAIN_TEMPLATE
        notes.append(
            "its tokenizer has no chat template, so a plain one is used, and saved in the release: "
            "a heading for each turn, such as ### User. Another: --set finetune.chat_template=JINJA"
        )
    tokenizer, _ = load_tokenizer(folder, None, template)
    if tokenizer.pad_token is None:
        notes.append("its tokenizer has no pad token, and gets one (docs/training.md)")
    refuses = ""
    try:
        require_system_turns(tokenizer)
    except Unencodable as error:
        refuses = f"{model}: {error}"
    written = json.loads((folder / "config.json").read_text()).get("architectures") or [""]
    return Base(
        start=start,
        parameters=sum(weight.numel() for weight in network.parameters()),
        shape=shape_of(folder, config),
        max_tokens=longest(tokenizer, facts_of(config).max_tokens),
        encoder=Encoder(tokenizer, max_tokens=2**31 - 1, pad_id=None),
        chat_template=template,
        has_head="SequenceClassification" in written[0],
        notes=tuple(notes),
        criteria=read_criteria(folder),
        refuses_criteria=refuses,
    )


def place_of(model: str, *, weights: bool) -> tuple[Path, str]:
    """A model's folder, and its name for a config, which must not depend on where the user stands.

    Raises:
        StageError: there is no such model.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path, str(path.resolve())
    if path.exists():
        raise StageError(f"{model} is a file: name the folder of a checkpoint, or a hub id")
    try:
        return hub.fetch(model, weights=weights), model
    except ReleaseError as error:
        raise StageError(f"--base {error}") from error


def shape_of(folder: Path, config: object) -> Shape:
    """The shape of a decoder; widths that its config does not name are the usual ones."""
    try:
        return read_shape(folder)
    except StageError:
        hidden, heads = (int(getattr(config, n)) for n in ("hidden_size", "num_attention_heads"))
        wide = getattr(config, "n_inner", None) or getattr(config, "ffn_dim", None) or 4 * hidden
        return Shape(
            layers=int(getattr(config, "num_hidden_layers")),  # noqa: B009 - of any config
            hidden=hidden,
            heads=heads,
            key_value_heads=heads,
            head_width=hidden // heads,
            # Two matrices, where the formulas count the three of a gated feed-forward.
            feed_forward=round(int(wide) * 2 / 3),
            vocabulary=int(getattr(config, "vocab_size")),  # noqa: B009
            tied=bool(getattr(config, "tie_word_embeddings", True)),
        )
