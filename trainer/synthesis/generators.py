"""Small language models that describe code and write it, for synthesis without any other model.

A stronger and a weaker one, each a stage of its own, let the whole pipeline run on a CPU with a
real inference server. Minutes of training do not make them good.
"""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
)

from trainer.pairs.row import PreferenceRow, read_pairs, write_pairs
from trainer.pipeline.stage import read_manifest, writing_stage
from trainer.synthesis.templates import ANSWER, DESCRIBE, render
from trainer.training import base, pretrain
from trainer.training.base import BaseConfig
from trainer.training.pretrain import PretrainConfig, warm_up


@dataclass(frozen=True)
class GeneratorConfig:
    """One model: its shape, its training, and the templates that it will be prompted with.

    Attributes:
        training: starts from `base` and reads `pairs`, both of which this stage makes for itself.
        describes: whether it learns to describe code as well as to write it.
        pairs: stage whose requests and chosen answers it learns from.
    """

    shape: BaseConfig = field(default_factory=BaseConfig)
    training: PretrainConfig = field(default_factory=lambda: warm_up("base", 120, 24, 4e-3))
    describe_template: str = DESCRIBE
    answer_template: str = ANSWER
    describes: bool = True
    pairs: str = "pairs"


def run(config: GeneratorConfig, inputs: Path, output: Path) -> None:
    """Read the training split of `config.pairs`; write a causal model and its tokenizer."""
    rows = tasks(read_pairs(inputs / config.pairs, "train"), config)
    with (
        writing_stage(config, output, reads=[inputs / config.pairs]) as draft,
        TemporaryDirectory() as folder,
    ):
        work = Path(folder)
        with writing_stage(config, work / "pairs") as made:
            write_pairs(made.path, "train", rows, 10_000)
        # The stages of training read and write folders, so they get a work folder of their own.
        base.run(config.shape, work, work / "base")
        pretrain.run(config.training, work, work / "trained")
        draft.facts["parameters"] = _export(work / "trained", draft.path)
        trained = read_manifest(work / "trained")
        draft.facts |= {name: trained[name] for name in ("log", "left_out")}


def tasks(rows: list[PreferenceRow], config: GeneratorConfig) -> list[PreferenceRow]:
    """The prompts of the synthesis stages with the answers that they hope for."""
    made: list[PreferenceRow] = []
    for row in rows:
        assert isinstance(row.prompt, str), "requests made from snippets have one turn"
        write = render(config.answer_template, request=row.prompt, language="python")
        made.append(PreferenceRow(f"{row.id}-write", row.group, write, row.chosen, ()))
        if config.describes:
            read = render(config.describe_template, code=row.chosen, language="python")
            made.append(PreferenceRow(f"{row.id}-describe", row.group, read, row.prompt, ()))
    return made


def _export(checkpoint: Path, folder: Path) -> int:
    """Save the trained backbone as a causal language model; returns its number of parameters."""
    trained = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    assert isinstance(trained, LlamaForSequenceClassification)
    shape = trained.config
    assert isinstance(shape, LlamaConfig)
    assert shape.tie_word_embeddings
    shape.problem_type, shape.num_labels = None, 2  # the library's defaults, which it leaves out
    causal = LlamaForCausalLM(shape)
    # The head scored; with tied embeddings the causal model needs no weights of its own instead.
    causal.model.load_state_dict(trained.model.state_dict())
    causal.tie_weights()
    end, pad = shape.eos_token_id, shape.pad_token_id
    causal.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad)
    causal.save_pretrained(folder)
    AutoTokenizer.from_pretrained(checkpoint).save_pretrained(folder)
    return sum(parameter.numel() for parameter in causal.parameters())
