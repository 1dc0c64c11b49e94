import json

import pytest

from trainer.pipeline.stage import StageError
from trainer.preferences.doctor.findings import Finding, Findings, report

FINE = Finding("score head", "fine", "trainable")
WARNING = Finding("duplicate", "warning", "2 pairs repeat another", 2, "r7")
FATAL = Finding("pad token", "fatal", "there is none")
FOUND = Findings((FINE, WARNING, FATAL), {"longest": 9, "limit": 64})


def test_the_report_is_a_line_for_each_check_with_the_worst_first() -> None:
    lines = report(FOUND).splitlines()
    assert [line.split()[0] for line in lines] == ["fatal", "warning", "fine", "tokens"]
    assert lines[1].endswith("2 pairs repeat another (first: r7)")
    assert lines[-1].endswith("longest 9, limit 64")


def test_only_fatal_findings_forbid_training_and_all_are_named() -> None:
    Findings((FINE, WARNING), {}).refuse()
    leak = Finding("held out", "fatal", "1 row is trained on", 1, "r1")
    with pytest.raises(StageError, match=r"pad token: there is none; held out: .*\(first: r1\)"):
        Findings((FATAL, FINE, leak), {}).refuse()


def test_findings_go_into_a_manifest() -> None:
    facts = json.loads(json.dumps(FOUND.facts(), allow_nan=False))
    assert facts["checks"][1]["first"] == "r7"
    assert facts["lengths"] == {"longest": 9, "limit": 64}
