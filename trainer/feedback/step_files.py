"""Labelled steps of answers, and the files that step reward models are trained and measured on."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trainer.pairs.row import SPLITS
from trainer.pairs.split import HoldOut
from trainer.pipeline.shards import read_shards, write_shards
from trainer.pipeline.stage import StageError, writing_stage

STEM = "steps"


@dataclass(frozen=True, kw_only=True)
class StepFilesConfig(HoldOut):
    """Which labelled answers are written. Problems are held out, and limits count answers.

    Attributes:
        min_steps: answers with fewer steps are left out.
    """

    min_steps: int = 2


@dataclass(frozen=True)
class StepLabels:
    """An answer in steps with a label for each; joined by line ends, the steps are the answer.

    The columns `prompt`, `completions` and `labels` are those of TRL's stepwise supervision.

    Attributes:
        id: of the sample.
        group: unit of hold-out, as in `Problem`.
        completions: the steps.
        labels: whether each is right; None where there is no label.
        soft_labels: values of the steps that have a label; None for the others.
        values: of all step ends, also of those after an error; None where not known. The last one
            is the share of tests that the answer itself passes.
        lows, highs: 95 % intervals of the values.
        numbers: of how many completions each value is the mean.
        first_error: index of the first wrong step; None if there is none.
        source: where the labels come from.
    """

    id: str
    group: str
    prompt: str
    completions: tuple[str, ...]
    labels: tuple[bool | None, ...]
    soft_labels: tuple[float | None, ...]
    values: tuple[float | None, ...]
    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]
    numbers: tuple[int, ...]
    first_error: int | None
    source: str = "completions"


def write_step_labels(
    config: StepFilesConfig,
    labelled: Iterable[StepLabels],
    counts: Counter[str],
    reads: Iterable[Path],
    output: Path,
) -> None:
    """Hold problems out, and write the files of each split.

    `steps-<split>-*.jsonl` has everything, `trl-<split>.jsonl` the columns of TRL, and
    `process_bench-<split>.jsonl` those of ProcessBench, to measure a step reward model.

    Raises:
        StageError: no answer has labelled steps.
    """
    splits: dict[str, list[StepLabels]] = {split: [] for split in SPLITS}
    for row in labelled:
        split = config.split_of(row.group)
        if len(row.completions) < config.min_steps:
            counts["answer: too few steps"] += 1
        elif all(label is None for label in row.labels):
            counts["answer: no step has a label"] += 1
        elif config.is_full(split, len(splits[split])):
            counts[f"answer: {split} over the limit"] += 1
        else:
            splits[split].append(row)
    if not any(splits.values()):
        raise StageError(
            f"no answer has labelled steps ({dict(+counts)}): see the counts for why they "
            "were left out"
        )
    with writing_stage(config, output, reads=reads) as draft:
        for split, rows in splits.items():
            write_shards(draft.path, f"{STEM}-{split}", rows, config.rows_per_shard)
            if rows:
                write_trl(draft.path / f"trl-{split}.jsonl", rows)
                write_process_bench(draft.path / f"process_bench-{split}.jsonl", rows)
            counts[f"{split}: answers"] = len(rows)
            for row in rows:
                wrong = row.first_error is not None
                counts[f"{split}: answers with an error"] += wrong
                counts[f"{split}: answers that pass after an error"] += wrong and bool(
                    row.labels[-1]
                )
                counts[f"{split}: steps right"] += row.labels.count(True)
                counts[f"{split}: steps wrong"] += row.labels.count(False)
                counts[f"{split}: steps without a label"] += row.labels.count(None)
        draft.facts["counts"] = dict(sorted((+counts).items()))


def write_trl(file: Path, rows: Iterable[StepLabels]) -> None:
    """Write TRL's stepwise supervision, whose every step needs a label.

    An answer is cut before the first step without one, which follows an error or is an end that
    nobody could judge: the label of a step depends on nothing that comes later.
    """
    with file.open("w", encoding="utf-8") as stream:
        for row in rows:
            known = row.labels.index(None) if None in row.labels else len(row.labels)
            record = {
                "prompt": row.prompt,
                "completions": row.completions[:known],
                "labels": row.labels[:known],
            }
            stream.write(json.dumps(record) + "\n")


def write_process_bench(file: Path, rows: Iterable[StepLabels]) -> None:
    """Write the rows that can be judged in the shape of ProcessBench, which `evaluate` reads.

    An answer without an error needs a label for each step, and one with an error may not pass.
    """
    with file.open("w", encoding="utf-8") as stream:
        for row in rows:
            whole = None not in row.labels and row.first_error is None
            if whole or (row.first_error is not None and not row.labels[-1]):
                record = {
                    "id": row.id,
                    "problem": row.prompt,
                    "steps": row.completions,
                    "label": -1 if row.first_error is None else row.first_error,
                }
                stream.write(json.dumps(record) + "\n")


def read_step_labels(folder: Path, split: str) -> list[StepLabels]:
    """All answers of one split of a finished stage."""
    return read_shards(folder, f"{STEM}-{split}", StepLabels)
