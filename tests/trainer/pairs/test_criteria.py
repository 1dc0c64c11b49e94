import json
from dataclasses import replace
from pathlib import Path

import pytest

from reward_model.release.manifest import Criterion
from reward_model.text.chat import Message
from trainer.pairs.criteria import (
    STANDARD,
    NamedCriterion,
    criteria_for,
    named_criteria,
    read_criteria,
    require_distinct,
    shown,
    write_criteria,
)
from trainer.pairs.row import PreferenceRow, Rejected
from trainer.pipeline.stage import StageError

ROW = PreferenceRow("r", "g", "Add.", "a + b", (Rejected("wrong", "a - b"),))
SLOW = replace(ROW, aspect="runtime")
STYLE = NamedCriterion("house style", "Judge by our style guide.")


def test_a_row_with_an_aspect_is_asked_after_the_prompt_of_its_criterion() -> None:
    criteria = criteria_for((STYLE,), {}, [ROW, SLOW])
    assert shown(ROW, criteria) is ROW
    assert shown(SLOW, criteria).prompt == (
        Message("system", STANDARD["runtime"].prompt),
        Message("user", "Add."),
    )
    own = replace(ROW, aspect="house style", prompt=(Message("system", "s"), Message("user", "u")))
    # A request has one system turn, whose own words follow the criterion's.
    assert shown(own, criteria).prompt == (
        Message("system", "Judge by our style guide.\n\ns"),
        Message("user", "u"),
    )


def test_criteria_are_the_starts_those_named_and_standard_ones_that_rows_have() -> None:
    start = {"runtime": Criterion(prompt="Old."), "memory": Criterion(prompt="Kept.")}
    found = criteria_for((STYLE, NamedCriterion("runtime", weight=0.5)), start, [SLOW])
    assert {name: each.prompt for name, each in found.items()} == {
        "runtime": STANDARD["runtime"].prompt,
        "memory": "Kept.",
        "house style": "Judge by our style guide.",
    }
    assert found["runtime"].weight == 0.5
    # What the start was trained with stays as it is where the config says nothing.
    assert criteria_for((), start, [SLOW]) == start
    assert criteria_for((), {}, [ROW]) == {}
    assert criteria_for(named_criteria(found), {}, []) == found


@pytest.mark.parametrize(
    ("aspect", "hint"),
    [("Readability", "did you mean readability"), ("taste", "there are correctness, readability")],
)
def test_an_aspect_that_no_criterion_names_is_refused_with_what_to_do(
    aspect: str, hint: str
) -> None:
    with pytest.raises(StageError, match=f"(?s){aspect}.*{hint}.*`criteria`"):
        criteria_for((), {}, [replace(ROW, aspect=aspect)])


@pytest.mark.parametrize(
    ("name", "prompt", "weight", "reason"),
    [
        ("taste", " ", 1.0, "has no prompt"),
        ("naïve", "x", 1.0, "match pattern"),
        ("taste", "x" * 10_001, 1.0, "at most 10000"),
        ("taste", "x", float("nan"), "finite"),
    ],
)
def test_a_criterion_that_no_release_can_hold_is_refused_before_training(
    name: str, prompt: str, weight: float, reason: str
) -> None:
    with pytest.raises(StageError, match=reason):
        NamedCriterion(name, prompt, weight)


def test_names_are_distinct_and_no_more_than_a_release_may_have() -> None:
    require_distinct((STYLE, NamedCriterion("runtime")))
    with pytest.raises(StageError, match="same name"):
        require_distinct((STYLE, STYLE))
    with pytest.raises(StageError, match="17 criteria are more"):
        require_distinct(tuple(NamedCriterion(f"c{n}", "x") for n in range(17)))


def test_a_checkpoint_keeps_its_criteria_in_a_file_that_one_without_any_lacks(
    tmp_path: Path,
) -> None:
    write_criteria({}, tmp_path)
    assert not list(tmp_path.iterdir())
    assert read_criteria(tmp_path) == {}
    criteria = criteria_for((replace(STYLE, by_default=True),), {}, [SLOW])
    write_criteria(criteria, tmp_path)
    assert read_criteria(tmp_path) == criteria
    (tmp_path / "criteria.json").write_text(json.dumps({"x": {"prompt": 3}}))
    with pytest.raises(StageError, match="is no object of criteria"):
        read_criteria(tmp_path)
