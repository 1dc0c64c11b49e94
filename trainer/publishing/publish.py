"""A checkpoint with its calibration and report -> a release directory, manifest last."""

import platform
import shutil
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import torch
from pydantic import JsonValue
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from reward_model import release
from reward_model.checkpoint import load_model, load_tokenizer
from reward_model.encoding import Encoder
from reward_model.manifest import EncodingFacts, Golden, Manifest, Turn
from reward_model.release import Release
from trainer.evaluation import evaluate
from trainer.pairs.row import Pairs, conversation, read_pairs
from trainer.publishing import calibrate
from trainer.publishing.card import card
from trainer.stage import StageError, commit, manifest_hash, read_manifest

_STAGES = (
    "corpus",
    "pairs",
    "base",
    "warmup",
    "pretrain",
    "hard_pairs",
    "harden",
    "calibrate",
    "evaluate",
)
_CHECKPOINT = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)


@dataclass(frozen=True)
class PublishConfig:
    """Name and version of the release, and how it can be made again.

    Attributes:
        command: the exact command that made it.
        golden_prompts: held-out prompts whose answers become golden scores.
        tolerance: largest difference a server may show from a golden score, in float32.
    """

    name: str
    version: str
    command: str
    checkpoint: str = "pretrain"
    golden_prompts: int = 6
    tolerance: float = 1e-3


def run(config: PublishConfig, inputs: Path, output: Path) -> None:
    """Read every stage below `inputs`; write the release. Nothing readable is left if it fails.

    Raises:
        StageError: a stage was made from another output of an earlier one than is there now.
    """
    require_one_line(inputs, config.checkpoint)
    with release.writing(output) as draft:
        for name in _CHECKPOINT:
            shutil.copy(inputs / config.checkpoint / name, draft / name)
        for name in ("report.json", "accuracy.svg"):
            shutil.copy(inputs / "evaluate" / name, draft / name)
        report = evaluate.read(inputs / "evaluate")
        (draft / "README.md").write_text(card(config.name, config.version, config.command, report))
        checkpoint = release.open_release(inputs / config.checkpoint)
        tokenizer = load_tokenizer(checkpoint)
        _write_golden(config, inputs, draft / release.GOLDEN, checkpoint, tokenizer)
        manifest = _manifest(config, inputs, draft, tokenizer)
        release.write_manifest(draft, manifest)
    release.open_release(output)


def require_one_line(inputs: Path, checkpoint: str) -> None:
    """Every stage was made from what is there now; calibration and report are the checkpoint's."""
    for stage in _STAGES:
        manifest = read_manifest(inputs / stage)
        for name, expected in manifest["inputs"].items():
            if manifest_hash(inputs / name) != expected:
                raise StageError(f"{name} has changed since {stage} read it: run {stage} again")
    for stage in ("calibrate", "evaluate"):
        read = read_manifest(inputs / stage)["config"]["checkpoint"]
        if read != checkpoint:
            raise StageError(
                f"{stage} read {read} and {checkpoint} is published: run {stage} on it"
            )


def _write_golden(
    config: PublishConfig,
    inputs: Path,
    output: Path,
    checkpoint: Release,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Scores of the plain forward, one text at a time: what any other loader would get."""
    rows = read_pairs(inputs / "pairs", "evaluation")[: config.golden_prompts]
    model = load_model(checkpoint).eval()
    encoder = Encoder(tokenizer, max_tokens=tokenizer.model_max_length, pad_id=None)
    with output.open("w") as stream:
        for messages in _golden_messages(rows):
            score = _plain_score(model, encoder, messages)
            stream.write(Golden(messages=messages, score=score).model_dump_json() + "\n")


def _golden_messages(rows: list[Pairs]) -> list[tuple[Turn, ...]]:
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
    config: PublishConfig, inputs: Path, draft: Path, tokenizer: PreTrainedTokenizerBase
) -> Manifest:
    return Manifest(
        name=config.name,
        version=config.version,
        files={name: release.sha256(draft / name) for name in release.file_names(draft)},
        encoding=_encoding(tokenizer),
        dtype="float32",
        calibration=calibrate.read(inputs / "calibrate"),
        golden_tolerance=config.tolerance,
        training=_training(config, inputs),
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


def _training(config: PublishConfig, inputs: Path) -> dict[str, JsonValue]:
    """Everything each stage recorded but its training log, and what it ran on."""
    stages = {stage: read_manifest(inputs / stage) for stage in _STAGES}
    for manifest in stages.values():
        manifest.pop("log", None)
    facts: dict[str, JsonValue] = {
        name: version(name) for name in ("torch", "transformers", "tokenizers")
    }
    return facts | {
        "command": config.command,
        "published_at_commit": commit(),
        "python": platform.python_version(),
        "stages": dict(stages),
    }
