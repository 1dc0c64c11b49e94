"""The rows of a run of DPO: read, encoded, held out by problem, and examined."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from trainer.pairs.policy_row import PolicyRow, read_policy_rows, swapped_sides
from trainer.pairs.split import HoldOut
from trainer.pipeline.stage import StageError
from trainer.policy.check_rows import examine_rows
from trainer.policy.config import DpoConfig
from trainer.policy.encoded import EncodedPolicyRow, fitting_row, fitting_rows
from trainer.policy.multi_reference import SecondReference
from trainer.policy.start import PolicyStart
from trainer.preferences.doctor.findings import Findings


@dataclass(frozen=True)
class PolicyData:
    """Rows as they are trained on.

    Attributes:
        trained: rows to train on; all of their answers fit.
        held_out: rows of other problems, to rank during training.
        left_out: rows and answers that are not trained on, by reason.
        second: the second reference, if there is one.
    """

    trained: list[EncodedPolicyRow]
    held_out: list[EncodedPolicyRow]
    left_out: Counter[str]
    second: SecondReference | None
    findings: Findings


def prepare(config: DpoConfig, inputs: Path, start: PolicyStart) -> PolicyData:
    """Read and encode all pairs that the config names.

    Raises:
        StageError: there is nothing to train on, or the rows are of another model.
    """
    rows = _read(config, inputs)
    encoded = start.encoder.encode(rows, "pairs")
    counts: Counter[str] = Counter()
    second = None
    if config.second_reference is not None:
        second = SecondReference(config.second_reference, inputs, start.tokenizer, rows)
        encoded = second.readable(encoded, counts)
    hold_out = HoldOut(evaluation_share=config.evaluation_share, calibration_share=0.0)
    split: dict[str, list[EncodedPolicyRow]] = {"train": [], "evaluation": []}
    for row in encoded:
        split[hold_out.split_of(row.group)].append(row)
    if not split["train"]:
        raise StageError("every problem is held out: lower evaluation_share, or add problems")
    trained = fitting_rows(split["train"], start.max_length, counts)
    unranked: Counter[str] = Counter()
    held_out = [
        fit for row in split["evaluation"] if (fit := fitting_row(row, start.max_length, unranked))
    ]
    counts.update({f"held out: {reason}": count for reason, count in unranked.items()})
    findings = examine_rows(rows, trained, counts, start.encoder.end_id, start.max_length)
    return PolicyData(trained, held_out, counts, second, findings)


def _read(config: DpoConfig, inputs: Path) -> list[PolicyRow]:
    """All pairs, the wrong way round if the config says so."""
    stages = (config.pairs, *config.replay)
    rows = [row for name in stages for row in read_policy_rows(inputs / name)]
    if not rows:
        raise StageError(f"there are no pairs to train on: {config.pairs} is empty")
    if config.swap_sides:
        return [swapped for row in rows for swapped in swapped_sides(row)]
    return rows
