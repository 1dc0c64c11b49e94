from dataclasses import replace

import pytest

from reward_model.text.encoding import Encoder
from tests.trainer.preferences.rows import EVALUATION, ROWS, model, row
from trainer.pairs.criteria import NamedCriterion, criteria_for, shown
from trainer.pairs.encoded import encode_rows
from trainer.pairs.row import PreferenceRow
from trainer.pipeline.stage import StageError
from trainer.preferences.doctor import doctor
from trainer.preferences.doctor.check_model import ModelFacts
from trainer.preferences.doctor.findings import Findings, report


def examine(
    rows: list[PreferenceRow], evaluation: list[PreferenceRow], encoder: Encoder, facts: ModelFacts
) -> Findings:
    return doctor.examine(rows, encode_rows(rows, encoder), evaluation, encoder, facts)


def test_a_healthy_run_passes_every_check() -> None:
    findings = examine(ROWS, EVALUATION, *model())
    assert {found.severity for found in findings.checks} == {"fine"}
    findings.refuse()


def test_each_check_is_there_once_whatever_it_finds() -> None:
    healthy = [found.check for found in examine(ROWS, EVALUATION, *model()).checks]
    sick = examine(ROWS * 2, ROWS, *model(max_tokens=1, pad_is_eos=True))
    assert [found.check for found in sick.checks] == healthy
    assert len(set(healthy)) == len(healthy)


def test_only_what_is_fatal_is_refused_and_all_of_it_at_once() -> None:
    examine([*ROWS, ROWS[0]], EVALUATION, *model()).refuse()
    findings = examine(ROWS, ROWS, *model(pad_is_eos=True))
    with pytest.raises(StageError, match=r"pad token: .*; held out: .*\(first: r1\)"):
        findings.refuse()


def test_no_finding_quotes_a_text() -> None:
    secret = row("s", "secret", "secret", "secret", "secret " * 99)
    findings = examine([secret, secret, row("t", " ", "", "secret")], [secret], *model())
    assert "secret" not in report(findings)


def test_nothing_to_train_on_is_said_at_once() -> None:
    with pytest.raises(StageError, match="no training row"):
        examine([], EVALUATION, *model())


def test_lengths_and_ids_are_those_with_the_prompt_of_the_criterion() -> None:
    encoder, facts = model(max_tokens=64)
    rows = [replace(ROWS[0], aspect="house style"), ROWS[1]]
    criteria = criteria_for((NamedCriterion("house style", "By our style guide. " * 20),), {}, rows)
    encoded = encode_rows([shown(row, criteria) for row in rows], encoder)
    findings = doctor.examine(rows, encoded, EVALUATION, encoder, facts, criteria=criteria)
    (over,) = [each for each in findings.checks if each.check == "over length"]
    assert over.count == 1
    # The same request by another criterion is still the same request for leakage.
    leaked = [replace(rows[0], id="e", group="other", aspect="")]
    findings = doctor.examine(rows, encoded, leaked, encoder, facts, criteria=criteria)
    (held_out,) = [each for each in findings.checks if each.check == "held out"]
    assert held_out.severity == "fatal"
