"""Criteria in training: the prompts that rows with an aspect are shown, and their checkpoint's.

A checkpoint keeps its criteria in a file of its own. Training writes it; calibration, evaluation,
publishing and a run that starts from the checkpoint read it, so no stage can use another prompt.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from reward_model.release import release
from reward_model.release.manifest import MAX_CRITERIA, Criterion, CriterionName, Manifest
from reward_model.text.criteria import with_criterion
from trainer.pairs.row import PreferenceRow, Request, turns
from trainer.pipeline.stage import StageError

Criteria = Mapping[str, Criterion]
"""Criteria by their names, which are the aspects of rows."""

STANDARD: Criteria = {
    "correctness": Criterion(
        prompt="Judge only whether the answer is correct: it does what the request asks for, on "
        "every input and at every boundary."
    ),
    "readability": Criterion(
        prompt="Judge only how easily a person can read the answer: clear names, a plain "
        "structure, and no more code than the task needs."
    ),
    "runtime": Criterion(
        prompt="Judge only how fast the answer runs: how its time grows with the input, and "
        "whether it does work that is not needed."
    ),
    "memory": Criterion(
        prompt="Judge only how little memory the answer takes: whether it keeps or copies what it "
        "could process as it comes."
    ),
    "security": Criterion(
        prompt="Judge only how secure the answer is: whether it checks its inputs, executes "
        "nothing that it was given, and leaks no data."
    ),
}
"""Criteria that a config need not write out."""


@dataclass(frozen=True)
class NamedCriterion:
    """A criterion of a training run's config.

    Attributes:
        name: the aspect of its rows, and its name in requests to the release.
        prompt: the system prompt that is put before the request of its rows, in training and in
            every later stage; empty takes the trainer's own, for a name that has one.
        weight, by_default: as in `reward_model.release.manifest.Criterion`; they are the release's
            and change nothing in training.
    """

    name: str
    prompt: str = ""
    weight: float = 1.0
    by_default: bool = False

    def __post_init__(self) -> None:
        """Raise StageError for what no release can hold, before any stage runs."""
        if not self.prompt.strip() and self.name not in STANDARD:
            raise StageError(
                f"the criterion {self.name!r} has no prompt, and the trainer has its own for "
                f"{', '.join(STANDARD)} alone: give it one"
            )
        try:
            TypeAdapter(CriterionName).validate_python(self.name)
            self.criterion  # noqa: B018 - it is checked when it is made
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            raise StageError(f"the criterion {self.name!r}: {first['msg']}") from error

    @property
    def criterion(self) -> Criterion:
        prompt = self.prompt.strip() or STANDARD[self.name].prompt
        return Criterion(prompt=prompt, weight=self.weight, by_default=self.by_default)


def named_criteria(criteria: Criteria) -> tuple[NamedCriterion, ...]:
    """Criteria as a config has them."""
    return tuple(NamedCriterion(name, **each.model_dump()) for name, each in criteria.items())


def require_distinct(named: tuple[NamedCriterion, ...]) -> None:
    """Raise StageError for two criteria of one name, and for more than a release may have."""
    if len({each.name for each in named}) < len(named):
        raise StageError("two criteria have the same name: leave one of them out")
    if len(named) > MAX_CRITERIA:
        raise StageError(f"{len(named)} criteria are more than a release may have ({MAX_CRITERIA})")


def criteria_for(
    named: tuple[NamedCriterion, ...], start: Criteria, rows: Iterable[PreferenceRow]
) -> dict[str, Criterion]:
    """The criteria of a checkpoint: its start's, those named, and standard ones that rows have.

    Args:
        named: the config's; one that the start has as well replaces it.

    Raises:
        StageError: a row has an aspect that is none of them.
    """
    own = {each.name: each.criterion for each in named}
    found = {**start, **own}
    for aspect in dict.fromkeys(row.aspect for row in rows if row.aspect):
        if aspect in found:
            continue
        if aspect not in STANDARD:
            known = list({**STANDARD, **found})
            nearest = get_close_matches(aspect, known, n=1)
            hint = f"did you mean {nearest[0]}" if nearest else f"there are {', '.join(known)}"
            # Names come from users' files, and may be as long as texts.
            raise StageError(
                f"rows have the aspect {aspect[:80]!r}, and no criterion has this name ({hint}): "
                "give it a prompt in `criteria` of the stage that trains, or change the rows"
            )
        found[aspect] = STANDARD[aspect]
    if len(found) > MAX_CRITERIA:
        raise StageError(f"{len(found)} criteria are more than a release may have ({MAX_CRITERIA})")
    return found


def shown(row: PreferenceRow, criteria: Criteria) -> PreferenceRow:
    """The row as a model sees it: with the prompt of its criterion before the request."""
    if not row.aspect:
        return row
    return replace(row, prompt=asked_by(row.prompt, criteria[row.aspect]))


def asked_by(request: Request, criterion: Criterion) -> Request:
    """A request with the criterion's prompt before it, exactly as a service puts it there."""
    return with_criterion(turns(request), criterion.prompt)


def write_criteria(criteria: Criteria, folder: Path) -> None:
    """Write a checkpoint's criteria beside its weights; a checkpoint without any has no file."""
    if criteria:
        plain = {name: criterion.model_dump() for name, criterion in criteria.items()}
        (folder / release.CRITERIA).write_text(
            json.dumps(plain, indent=1, ensure_ascii=False) + "\n", "utf-8"
        )


def read_criteria(folder: Path) -> Criteria:
    """The criteria of a stage's checkpoint or of a release; none for any other one.

    Raises:
        StageError: its file cannot be read.
    """
    try:
        if (folder / release.MANIFEST).is_file():
            text = (folder / release.MANIFEST).read_bytes()
            return Manifest.model_validate_json(text).criteria
        return release.read_criteria(folder)
    except ValidationError as error:
        raise StageError(
            f"{folder / release.MANIFEST} is no release's: publish it again"
        ) from error
    except release.ReleaseError as error:
        raise StageError(str(error)) from error
