"""Verdicts are found again by all that could change them."""

from dataclasses import replace
from pathlib import Path

from trainer.feedback.pass_count import Verdict
from trainer.feedback.problem import AssertTest, Problem
from trainer.feedback.verdict_ledger import VerdictLedger, verdicts_key

PROBLEM = Problem("1", "1", "function", "", "f", tests=(AssertTest("assert f() == 1"),))


def test_verdicts_outlive_the_process(tmp_path: Path) -> None:
    key = verdicts_key(PROBLEM, "code", (1.0,))
    with VerdictLedger(tmp_path / "verdicts.sqlite") as ledger:
        assert ledger.find(key) is None
        ledger.append(key, (Verdict.OK, Verdict.OUTPUT_LIMIT))
        ledger.append(key, (Verdict.WRONG,))  # the first verdicts count
    with VerdictLedger(tmp_path / "verdicts.sqlite") as ledger:
        assert ledger.find(key) == (Verdict.OK, Verdict.OUTPUT_LIMIT)


def test_a_failure_of_the_sandbox_is_no_verdict(tmp_path: Path) -> None:
    with VerdictLedger(tmp_path / "verdicts.sqlite") as ledger:
        ledger.append("key", (Verdict.OK, Verdict.INFRASTRUCTURE))
        assert ledger.find("key") is None


def test_a_key_depends_on_all_that_could_change_a_verdict() -> None:
    other = (AssertTest("assert f() == 2"),)
    keys = {
        verdicts_key(PROBLEM, "code", (1.0,)),
        verdicts_key(PROBLEM, "code", (2.0,)),
        verdicts_key(PROBLEM, "edoc", (1.0,)),
        verdicts_key(replace(PROBLEM, tests=other), "code", (1.0,)),
        verdicts_key(replace(PROBLEM, setup="import re"), "code", (1.0,)),
        verdicts_key(replace(PROBLEM, sequences_alike=True), "code", (1.0,)),
    }
    assert len(keys) == 6
    # The problem's id and statement change no verdict.
    assert verdicts_key(replace(PROBLEM, id="2", statement="s"), "code", (1.0,)) in keys
