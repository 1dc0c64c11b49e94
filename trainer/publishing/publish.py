"""A checkpoint with its calibration and report -> a release directory, manifest last."""

import platform
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import JsonValue
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from reward_model.release import release
from reward_model.release.checkpoint import load_model, load_tokenizer
from reward_model.release.manifest import EncodingFacts, Golden, Manifest, Turn
from reward_model.release.release import Release
from reward_model.text.encoding import Encoder
from trainer.evaluation import calibrate, evaluate
from trainer.pairs.row import PreferenceRow, conversation, read_pairs
from trainer.pipeline.lineage import lineage
from trainer.pipeline.stage import StageError, commit, config_hash, manifest_hash, read_manifest
from trainer.publishing.card import card

_CHECKPOINT = (
    "config.json",
    "model*.safetensors",  # one file, or shards
    "model.safetensors.index.json",
    "tokenizer*",
    "special_tokens_map.json",
    "chat_template.jinja",
)
"""Patterns. What is not there is not needed; what else a stage left there is not the model."""
_REPORT = ("report.*", "*.svg")


@dataclass(frozen=True)
class PublishConfig:
    """Name and version of the release, and how it can be made again.

    Attributes:
        command: the exact command that made it.
        golden_prompts: held-out prompts whose answers become golden scores.
        tolerance: largest difference a server may show from a golden score, in float32.
        pairs: stage of pairs whose held-out prompts these are.
        calibration, evaluation: stages that calibrated and evaluated the checkpoint.
    """

    name: str
    version: str
    command: str
    checkpoint: str = "pretrain"
    golden_prompts: int = 6
    tolerance: float = 1e-3
    pairs: str = "pairs"
    calibration: str = "calibrate"
    evaluation: str = "evaluate"


def run(config: PublishConfig, inputs: Path, output: Path) -> None:
    """Read every stage below `inputs`; write the release. Nothing readable is left if it fails.

    Raises:
        StageError: the stages do not make one line, or one has not finished.
    """
    stages = one_line(config, inputs)
    with release.writing(output) as draft:
        _copy(inputs / config.checkpoint, _CHECKPOINT, draft)
        _copy(inputs / config.evaluation, _REPORT, draft)
        report = evaluate.read(inputs / config.evaluation)
        learnt = lineage(inputs, [config.checkpoint])
        text = card(config.name, config.version, config.command, report, learnt)
        (draft / "README.md").write_text(text)
        checkpoint = release.open_release(inputs / config.checkpoint)
        tokenizer = load_tokenizer(checkpoint)
        _write_golden(config, inputs, draft / release.GOLDEN, checkpoint, tokenizer)
        manifest = _manifest(config, inputs, draft, tokenizer, stages)
        release.write_manifest(draft, manifest)
    release.open_release(output)


def one_line(config: PublishConfig, inputs: Path) -> dict[str, dict[str, Any]]:
    """Manifests of all stages that led here, each made from what is there now.

    Raises:
        StageError: one was not, or calibration or report are of another checkpoint.
    """
    for stage in (config.calibration, config.evaluation):
        read = read_manifest(inputs / stage)["config"]["checkpoint"]
        if read != config.checkpoint:
            raise StageError(
                f"{stage} read {read} and {config.checkpoint} is published: run {stage} on it"
            )
    return lineage(inputs, list(_reads(config)))


def _reads(config: PublishConfig) -> tuple[str, ...]:
    return (config.pairs, config.checkpoint, config.calibration, config.evaluation)


def _copy(source: Path, patterns: Iterable[str], target: Path) -> None:
    for file in sorted({file for pattern in patterns for file in source.glob(pattern)}):
        shutil.copy(file, target / file.name)


def _write_golden(
    config: PublishConfig,
    inputs: Path,
    output: Path,
    checkpoint: Release,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Scores of the plain forward, one text at a time: what any other loader would get."""
    rows = read_pairs(inputs / config.pairs, "evaluation")[: config.golden_prompts]
    model = load_model(checkpoint).eval()
    encoder = Encoder(tokenizer, max_tokens=tokenizer.model_max_length, pad_id=None)
    with output.open("w") as stream:
        for messages in _golden_messages(rows):
            score = _plain_score(model, encoder, messages)
            stream.write(Golden(messages=messages, score=score).model_dump_json() + "\n")


def _golden_messages(rows: list[PreferenceRow]) -> list[tuple[Turn, ...]]:
    """Real answers, and texts that a tokenizer or a template is likely to get wrong.

    No empty ones: the service does not score them.
    """
    answered = [(row.prompt, text) for row in rows for text in (row.chosen, row.rejected[0].text)]
    awkward = ["<|end|>", "  indented\n", "naïve = 'Ünïcødé ✓'", "x" * 200]
    answered += [(rows[0].prompt, text) for text in awkward]
    return [
        tuple(Turn(role=message.role, content=message.content) for message in conversation(*each))
        for each in answered
    ]


def _plain_score(model: PreTrainedModel, encoder: Encoder, messages: tuple[Turn, ...]) -> float:
    ids = encoder.encode(Golden(messages=messages, score=0.0).conversation).ids
    with torch.inference_mode():
        return float(model(input_ids=torch.tensor([ids])).logits[0, 0])


def _manifest(
    config: PublishConfig,
    inputs: Path,
    draft: Path,
    tokenizer: PreTrainedTokenizerBase,
    stages: dict[str, dict[str, Any]],
) -> Manifest:
    return Manifest(
        name=config.name,
        version=config.version,
        files={name: release.sha256(draft / name) for name in release.file_names(draft)},
        encoding=_encoding(tokenizer),
        dtype="float32",
        calibration=calibrate.read(inputs / config.calibration),
        golden_tolerance=config.tolerance,
        training=_training(config, inputs, stages),
    )


def _encoding(tokenizer: PreTrainedTokenizerBase) -> EncodingFacts:
    template = tokenizer.chat_template
    assert isinstance(template, str)
    assert isinstance(tokenizer.pad_token, str)
    return EncodingFacts(
        chat_template_sha256=sha256(template.encode()).hexdigest(),
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token,
        max_tokens=tokenizer.model_max_length,
    )


def _training(
    config: PublishConfig, inputs: Path, stages: dict[str, dict[str, Any]]
) -> dict[str, JsonValue]:
    """Everything each stage recorded but its training log, and what this one ran on."""
    facts: dict[str, JsonValue] = {
        name: version(name) for name in ("torch", "transformers", "tokenizers")
    }
    recorded = {
        stage: {name: fact for name, fact in manifest.items() if name != "log"}
        for stage, manifest in stages.items()
    }
    return facts | {
        "command": config.command,
        "published_at_commit": commit(),
        "python": platform.python_version(),
        "publish": _own_record(config, inputs),
        "stages": dict(recorded),
    }


def _own_record(config: PublishConfig, inputs: Path) -> dict[str, JsonValue]:
    """What other stages write into their manifests: by it a release is known to be up to date."""
    return {
        "config": asdict(config),
        "config_sha256": config_hash(config),
        "inputs": {name: manifest_hash(inputs / name) for name in _reads(config)},
    }
