"""Publish a checkpoint with its calibration and report as a release directory.

Its weights are stored whole, or as an adapter of the model that training started from.
"""

import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

from pydantic import JsonValue, TypeAdapter, ValidationError
from transformers import PreTrainedTokenizerBase

from reward_model.release import release
from reward_model.release.checkpoint import load_tokenizer
from reward_model.release.manifest import AdapterBase, EncodingFacts, Golden, Manifest
from reward_model.release.release import Release
from reward_model.text.chat import Conversation, TemplateInputs, Unencodable
from reward_model.text.encoding import Encoder, TooLong
from reward_model.text.template import date_seen
from trainer.evaluation import calibrate
from trainer.evaluation.reporting import report as reports
from trainer.pairs.criteria import Criteria, read_criteria, shown
from trainer.pairs.row import PreferenceRow, conversation, read_pairs
from trainer.pipeline.lineage import lineage
from trainer.pipeline.stage import StageError, commit, config_hash, manifest_hash, read_manifest
from trainer.publishing.adapter import (
    LowRankAdapter,
    ScoreDifference,
    base_of,
    difference_of,
    plain_scores,
    write_adapter,
)
from trainer.publishing.card import adapter_section, card, first_start
from trainer.training.weights.start import find, longest

# Patterns of files. A file that is not there is not needed; whatever else a stage left in its
# folder is not part of the model.
WEIGHT_FILES = (
    "model*.safetensors",  # one file, or shards
    "model.safetensors.index.json",
)
CHECKPOINT_FILES = (
    "config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "chat_template.jinja",
)
REPORT_FILES = ("report.*", "*.svg")

# Pairs of held-out answers on which an adapter is compared with the whole checkpoint.
COMPARED_PAIRS = 32

# Texts that a tokenizer or a chat template is likely to get wrong. No empty one: the service does
# not score it.
AWKWARD = ("<|end|>", "  indented\n", "naïve = 'Ünïcødé ✓'", "x" * 200)


@dataclass(frozen=True)
class PublishConfig:
    """Name and version of the release, and how it can be made again.

    Attributes:
        command: the exact command that made it.
        golden_prompts: held-out prompts whose answers become golden scores.
        tolerance: largest difference a server may show from a golden score, in float32.
        pairs: stage of pairs whose held-out prompts these are.
        calibration, evaluation: stages that calibrated and evaluated the checkpoint.
        adapter: store an adapter of the model that training started from; None: whole weights.
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
    adapter: LowRankAdapter | None = None

    def __post_init__(self) -> None:
        """Raise StageError for what no manifest can hold, before any stage runs."""
        given = {
            "name": self.name,
            "version": self.version,
            "golden_tolerance": self.tolerance,
        }
        for name, value in given.items():
            field = Manifest.model_fields[name]
            kind: Any = Annotated[field.annotation, *field.metadata]
            adapter: TypeAdapter[object] = TypeAdapter(kind)
            try:
                adapter.validate_python(value)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                raise StageError(
                    f"a release cannot have the {name} {value!r}: {first['msg']}"
                ) from error
        if self.golden_prompts < 1:
            raise StageError("golden_prompts must be 1 or more: a release is proven by them")
        if self.adapter and self.adapter.rank < 1:
            raise StageError("adapter.rank must be 1 or more")

    @property
    def reads(self) -> tuple[str, ...]:
        """Stages that a release is made from."""
        return self.pairs, self.checkpoint, self.calibration, self.evaluation

    def splits(self, stage: str) -> tuple[str, ...]:
        return ("evaluation",) if stage == self.pairs else ()


def run(config: PublishConfig, inputs: Path, output: Path) -> None:
    """Read every stage below `inputs`; write the release. Nothing readable is left if it fails.

    Raises:
        StageError: the stages are not all made from each other, or one has not finished.
    """
    stages = consistent_lineage(config, inputs)
    checkpoint = release.open_release(inputs / config.checkpoint)
    weights = () if config.adapter else WEIGHT_FILES
    with release.writing(output) as draft:
        for stage, patterns in (
            (config.checkpoint, (*CHECKPOINT_FILES, *weights)),
            (config.evaluation, REPORT_FILES),
        ):
            for pattern in patterns:
                for file in (inputs / stage).glob(pattern):
                    shutil.copy(file, draft / file.name)
        report = reports.read(inputs / config.evaluation)
        learnt = lineage(inputs, [config.checkpoint])
        criteria = read_criteria(inputs / config.checkpoint)
        text = card(config.name, config.version, config.command, report, learnt, criteria)
        base, published = None, checkpoint
        if config.adapter:
            start = config.adapter.base or first_start(learnt)
            folder = find(start, inputs)
            base = base_of(config.adapter, start, folder)
            published = write_adapter(config.adapter, checkpoint, base, folder, draft)
            difference = measure_difference(config, inputs, checkpoint, published)
            text += adapter_section(config.adapter, base, difference)
        (draft / "README.md").write_text(text)
        write_golden(config, inputs, published, draft / release.GOLDEN)
        # The manifest names every file by its hash, so all others must be there.
        release.write_manifest(draft, manifest_of(config, inputs, draft, stages, base))
    release.facts_of_release(output, release.read_manifest(output), max_tokens=None)


def consistent_lineage(config: PublishConfig, inputs: Path) -> dict[str, dict[str, Any]]:
    """Manifests of all stages that led here, each made from the outputs that are there now.

    Raises:
        StageError: one was made from an older output, or the calibration or the report belongs to
            another checkpoint.
    """
    for stage in (config.calibration, config.evaluation):
        checkpoint = read_manifest(inputs / stage)["config"]["checkpoint"]
        if checkpoint != config.checkpoint:
            raise StageError(
                f"{stage} read {checkpoint} and {config.checkpoint} is published: run {stage} on it"
            )
    return lineage(inputs, list(config.reads))


def measure_difference(
    config: PublishConfig, inputs: Path, checkpoint: Release, adapter: Release
) -> ScoreDifference:
    """Compare the adapter's scores with the whole checkpoint's, on held-out pairs.

    Raises:
        StageError: they differ by more than the config allows.
    """
    assert config.adapter
    tokenizer = load_tokenizer(checkpoint)
    limit = max_tokens(config, inputs, checkpoint, tokenizer)
    encoder = Encoder(tokenizer, max_tokens=limit, pad_id=None)
    criteria = read_criteria(inputs / config.checkpoint)
    texts: list[tuple[int, ...]] = []
    for row in in_turn(read_pairs(inputs / config.pairs, "evaluation"), criteria):
        pair = (row.chosen, row.chosen_turns), (row.rejected[0].text, row.rejected[0].turns)
        try:
            texts += [
                encoder.encode(
                    conversation(shown(row, criteria).prompt, *answer), inputs=row.inputs
                ).ids
                for answer in pair
            ]
        except (TooLong, Unencodable):
            continue
        if len(texts) >= 2 * COMPARED_PAIRS:
            break
    if not texts:
        raise StageError(f"no evaluation row of {config.pairs} fits, so nothing can be compared")
    std = calibrate.read(inputs / config.calibration).std
    found = difference_of(plain_scores(checkpoint, texts), plain_scores(adapter, texts), std)
    told = (
        f"adapter of rank {config.adapter.rank}: its scores of {len(texts)} held-out answers "
        f"differ from the whole checkpoint's by {found.mean:.4f} standard deviations"
    )
    if not found.mean <= config.adapter.max_difference:
        raise StageError(
            f"{told}, and adapter.max_difference is {config.adapter.max_difference:g}: raise "
            "adapter.rank, train with adapters of lower rank, or publish whole weights"
        )
    print(told, flush=True)
    return found


def write_golden(config: PublishConfig, inputs: Path, published: Release, output: Path) -> None:
    """Write conversations with their scores, which a service replays before it is ready.

    Args:
        published: the weights of the release, as a service loads them.
    """
    tokenizer = load_tokenizer(published)
    limit = max_tokens(config, inputs, published, tokenizer)
    encoder = Encoder(tokenizer, max_tokens=limit, pad_id=None)
    criteria = read_criteria(inputs / config.checkpoint)
    texts: list[tuple[int, ...]] = []
    asked: list[tuple[Conversation, TemplateInputs]] = []

    def add(row: PreferenceRow, answer: str, answer_turns: Conversation = ()) -> bool:
        messages = conversation(shown(row, criteria).prompt, answer, answer_turns)
        try:
            texts.append(encoder.encode(messages, inputs=row.inputs).ids)
        except (TooLong, Unencodable):
            return False  # a service refuses it as well
        asked.append((messages, row.inputs))
        return True

    proven: list[PreferenceRow] = []
    for row in in_turn(read_pairs(inputs / config.pairs, "evaluation"), criteria):
        if len(proven) < config.golden_prompts and add(row, row.chosen, row.chosen_turns):
            add(row, row.rejected[0].text, row.rejected[0].turns)
            proven.append(row)
    for answer in AWKWARD:
        for row in proven[:1]:
            add(row, answer)
    golden = [
        Golden(messages=messages, score=score, inputs=given)
        for (messages, given), score in zip(asked, plain_scores(published, texts), strict=True)
    ]
    if not golden:
        raise StageError(
            f"no evaluation row of {config.pairs} fits into {limit} tokens, so a release could not "
            "be proven: raise max_length, or hold out more rows"
        )
    output.write_text("".join(each.model_dump_json() + "\n" for each in golden))


def in_turn(rows: list[PreferenceRow], criteria: Criteria) -> Iterator[PreferenceRow]:
    """Rows of each criterion in turn, so that few golden scores prove all of them.

    A row of a criterion that the checkpoint does not have is judged as any other request.
    """
    by_aspect: dict[str, list[PreferenceRow]] = {}
    for row in rows:
        aspect = row.aspect if row.aspect in criteria else ""
        by_aspect.setdefault(aspect, []).append(replace(row, aspect=aspect))
    for turn in zip_longest(*by_aspect.values()):
        yield from filter(None, turn)


def without_folders(recorded: JsonValue) -> JsonValue:
    """A record with the last part alone of each absolute path in it.

    A release goes to others, and the folders of whoever made it may hold a name.
    """
    match recorded:
        case dict():
            return {name: without_folders(value) for name, value in recorded.items()}
        case list():
            return [without_folders(value) for value in recorded]
        case str() if recorded.startswith(("/", "~/")) and "\n" not in recorded:
            return Path(recorded).name
    return recorded


def max_tokens(
    config: PublishConfig, inputs: Path, checkpoint: Release, tokenizer: PreTrainedTokenizerBase
) -> int:
    """The longest text that a release scores: the least of model, tokenizer and training."""
    trained = read_manifest(inputs / config.checkpoint)["config"].get("max_length")
    return longest(tokenizer, checkpoint.max_tokens, trained)


def manifest_of(
    config: PublishConfig,
    inputs: Path,
    draft: Path,
    stages: dict[str, dict[str, Any]],
    base: AdapterBase | None,
) -> Manifest:
    """The manifest of a release whose other files are all in `draft`."""
    checkpoint = release.open_release(inputs / config.checkpoint)
    tokenizer = load_tokenizer(checkpoint)
    template = tokenizer.chat_template
    assert isinstance(template, str), "training kept the default one of several"
    assert isinstance(tokenizer.pad_token, str)
    # A training log is long, and nothing is made from it.
    recorded = {
        stage: without_folders({name: fact for name, fact in each.items() if name != "log"})
        for stage, each in stages.items()
    }
    # What other stages write into their manifests; a rerun compares it to tell whether the release
    # is up to date.
    own: dict[str, JsonValue] = {
        "config": asdict(config),
        "config_sha256": config_hash(config),
        "inputs": {name: manifest_hash(inputs / name) for name in config.reads},
    }
    return Manifest(
        name=config.name,
        version=config.version,
        files={name: release.sha256(draft / name) for name in release.file_names(draft)},
        base=base,
        encoding=EncodingFacts(
            chat_template_sha256=sha256(template.encode()).hexdigest(),
            bos_token=tokenizer.bos_token,
            eos_token=tokenizer.eos_token,
            pad_token=tokenizer.pad_token,
            max_tokens=max_tokens(config, inputs, checkpoint, tokenizer),
            # Golden scores and training rows were rendered with it.
            template_date=date_seen(template),
        ),
        dtype="float32",
        calibration=calibrate.read(inputs / config.calibration),
        criteria=dict(read_criteria(inputs / config.checkpoint)),
        golden_tolerance=config.tolerance,
        training={
            **{name: version(name) for name in ("torch", "transformers", "tokenizers")},
            "command": config.command,
            "published_at_commit": commit(),
            "python": platform.python_version(),
            "publish": own,
            "stages": dict(recorded),
        },
    )
