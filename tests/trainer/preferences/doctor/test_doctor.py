import pytest

from reward_model.text.encoding import Encoder
from tests.trainer.preferences.rows import EVALUATION, ROWS, model, row
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
