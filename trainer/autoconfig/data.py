"""Looks at the preference files: their format, how answers are paired, rows, groups and lengths."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from reward_model.text.encoding import Encoder
from trainer.pairs.criteria import Criteria, criteria_for, shown
from trainer.pairs.encoded import EncodedRow, encode_rows
from trainer.pairs.row import PreferenceRow
from trainer.pipeline.stage import StageError
from trainer.planning.lengths import Lengths
from trainer.preferences.detect import detect
from trainer.preferences.doctor.check_lengths import length_bias
from trainer.preferences.doctor.findings import Finding
from trainer.preferences.formats.labelled import Labelled
from trainer.preferences.openings import divided_openings, in_groups
from trainer.preferences.pairing import Pairing
from trainer.preferences.source import PreferenceSource, ReadingReport, convert

# Rows that are encoded to know how long texts are.
_SAMPLE = 400

# Pairs of one prompt: many for a GPU; on a CPU other prompts teach more for the same time.
MAX_PAIRS = {True: 16, False: 4}

# Patterns of a model's name whose answers are compared with each other: the whole name, and the
# part before a slash.
_FAMILIES = (".*", "[^/]+")

# The criteria of rows where neither config nor base has any.
_STANDARD_ONES = partial(criteria_for, (), {})


@dataclass(frozen=True)
class Data:
    """One preference file, as it is read with a source's settings.

    Attributes:
        notes: lines for the terminal: how it is read, and what is left out.
        encoded: a sample of the rows as token ids.
        bias: the doctor's finding on the lengths of that sample.
        criteria: those that the rows have, by name.
    """

    source: PreferenceSource
    rows: list[PreferenceRow]
    notes: list[str]
    encoded: list[EncodedRow]
    bias: Finding
    criteria: Criteria = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        return sum(len(row.rejected) for row in self.rows)

    @property
    def groups(self) -> list[str]:
        return sorted({row.group for row in self.rows})

    @property
    def tokens(self) -> list[int]:
        """Lengths of whole conversations."""
        taken = [row for row in self.encoded if not row.refused]
        texts = [text for row in taken for text in (row.chosen, *(r.text for r in row.rejected))]
        return [text.tokens for text in texts]

    def lost_pairs(self, limit: int) -> float:
        """The share of sampled pairs in which a text has more tokens than `limit`."""
        pairs = [
            max(row.chosen.tokens, rival.text.tokens)
            for row in self.encoded
            for rival in row.rejected
        ]
        return sum(longer > limit for longer in pairs) / len(pairs)

    def without(self, other: "Data") -> "Data":
        """The rows whose prompts another file does not have: it is evaluated on, and they leak."""
        own = set(other.groups)
        rows = [row for row in self.rows if row.group not in own]
        both = len(self.groups) - len({row.group for row in rows})
        notes = [f"left out: {both:,} prompts that --eval has, too"] if both else []
        return replace(self, rows=rows, notes=[*self.notes, *notes])

    @property
    def lengths(self) -> Lengths:
        """Mean lengths, as plans have them."""
        rows = [row for row in self.encoded if not row.refused]
        answers = [
            text.tokens - row.prompt_tokens
            for row in rows
            for text in (row.chosen, *(rival.text for rival in row.rejected))
        ]
        return Lengths(
            prompt=float(np.mean([row.prompt_tokens for row in rows])),
            answer=float(np.mean(answers)),
            rejected=float(np.mean([len(row.rejected) for row in rows])),
            rows=len(self.rows),
            held_out=0,
            source=f"measured on {len(rows)} rows",
        )


def read_data(
    file: Path,
    encoder: Encoder,
    *,
    name: str,
    kind: str,
    named: Mapping[str, str],
    max_pairs: int,
    seed: int = 1,
    criteria_of: Callable[[list[PreferenceRow]], Criteria] = _STANDARD_ONES,
) -> Data:
    """Read a preference file whole, as the stage `preferences` will.

    Args:
        kind, named: the format and its columns, where the user names them.
        criteria_of: the criteria of rows; it raises StageError for an aspect that is none.

    Raises:
        StageError: the format is not clear, or nothing can be made of the rows.
    """
    found = detect(file.name, file.parent, kind, named)
    source = PreferenceSource(
        name,
        found.format,
        paths=(str(file),),
        pairing=Pairing(max_pairs=max_pairs),
        aspect=found.aspect,
    )
    notes = [f"{file.name} is read as {found.format.kind}, because {found.reason}"]
    report = ReadingReport()
    rows = convert(source, file.parent, seed, report, quiet=True)
    if isinstance(found.format, Labelled):
        source, rows, report, why = within_one_model(source, rows, report, file.parent, seed)
        notes += [why] if why else []
    rows = in_groups(rows, divided_openings(rows))
    distinct = list({row.id: row for row in rows}.values())
    criteria = criteria_of(distinct)
    notes += notes_on(distinct, source, report)
    drawn = random.Random(seed).sample(distinct, min(_SAMPLE, len(distinct)))
    encoded = encode_rows([shown(row, criteria) for row in drawn], encoder)
    return Data(source, distinct, notes, encoded, length_bias(encoded), criteria)


def notes_on(
    rows: list[PreferenceRow], source: PreferenceSource, report: ReadingReport
) -> list[str]:
    """Lines on what is used of a file, what its aspects are, and what is left out."""
    total = report.read.total()
    pairs = sum(len(row.rejected) for row in rows)
    groups = len({row.group for row in rows})
    notes = [
        f"{report.read['used']:,} of {total:,} rows are used: {pairs:,} pairs of {groups:,} prompts"
    ]
    if any(row.aspect for row in rows):
        counts = Counter(row.aspect or "none" for row in rows)
        listed = ", ".join(f"{aspect} ({n:,})" for aspect, n in counts.most_common())
        notes.append(
            f"its column {source.aspect} names the criterion of each row, whose prompt is put "
            f"before the request: {listed}; --set finetune.criteria=... gives other prompts"
        )
    notes += [
        f"left out: {count:,} row{'s' * (count > 1)}: {reason} (first at {report.first[reason]})"
        for reason, count in report.read.most_common()
        if reason in report.first
    ]
    over = report.answers["pairs over the request's limit"]
    if over:
        notes.append(
            f"left out: {over:,} pairs of prompts that have more than {source.pairing.max_pairs}; "
            "--max-pairs N takes more"
        )
    return notes


def within_one_model(
    source: PreferenceSource,
    rows: list[PreferenceRow],
    report: ReadingReport,
    folder: Path,
    seed: int,
) -> tuple[PreferenceSource, list[PreferenceRow], ReadingReport, str]:
    """Compare only answers of one model, or of one family, where enough prompts have several.

    Across models the longer answer is often right because the better model writes at length.
    """
    assert isinstance(source.format, Labelled)
    prompts = len({row.group for row in rows})
    for family in _FAMILIES:
        narrower = replace(
            source,
            format=replace(source.format, family=family),
            pairing=replace(source.pairing, same_model=True),
        )
        fates = ReadingReport()
        try:
            kept = convert(narrower, folder, seed, fates, quiet=True)
        except StageError:  # no model has a right and a wrong answer
            continue
        if 2 * len({row.group for row in kept}) < prompts:
            continue
        if kept == rows:
            return source, rows, report, ""  # all answers are of one model
        group = "one model" if family == ".*" else "one family of models (the name before a slash)"
        why = (
            f"only answers of {group} are compared: the right answer is the longer one in "
            f"{longer(kept):.0%} of these pairs, and in {longer(rows):.0%} across models"
        )
        return narrower, kept, fates, why
    return source, rows, report, ""


def longer(rows: list[PreferenceRow]) -> float:
    """The share of pairs whose chosen answer has more characters; equal ones count half."""
    pairs = [(len(row.chosen), len(rival.text)) for row in rows for rival in row.rejected]
    return sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)
