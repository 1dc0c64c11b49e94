from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.trainer.policy.policies import exact_rows
from trainer.pairs.policy_row import PolicyRow
from trainer.policy.check_rows import examine_rows
from trainer.policy.encoded import EncodedAnswer, EncodedPolicyRow
from trainer.preferences.doctor.findings import Finding

END = 2


def encoded(row: PolicyRow) -> EncodedPolicyRow:
    """The row with answers that end."""
    chosen, *rejected = (
        EncodedAnswer(each.id, array("i", (*each.token_ids, END)), array("f"))
        for each in (row.chosen, *row.rejected)
    )
    ids = array("i", row.prompt_ids)
    return EncodedPolicyRow(row.id, row.group, "", ids, chosen, tuple(rejected))


def found(rows: list[PolicyRow], given: list[EncodedPolicyRow]) -> dict[str, Finding]:
    findings = examine_rows(rows, given, Counter(), END, 64)
    return {finding.check: finding for finding in findings.checks}


def turned(row: EncodedPolicyRow) -> EncodedPolicyRow:
    return replace(row, id="turned", chosen=row.rejected[0], rejected=(row.chosen,))


def longer(row: EncodedPolicyRow) -> EncodedPolicyRow:
    ids = array("i", (*[5] * 20, *row.chosen.ids))
    return replace(row, chosen=replace(row.chosen, ids=ids))


def cut(row: EncodedPolicyRow) -> EncodedPolicyRow:
    return replace(row, chosen=replace(row.chosen, ids=row.chosen.ids[:-1]))


def test_rows_without_faults_are_fine() -> None:
    rows = exact_rows(8)
    checks = found(rows, [encoded(row) for row in rows])
    assert {finding.severity for finding in checks.values()} == {"fine"}
    assert checks["problems"].message == "16 pairs of 4 problems, at most 4 of one"


@pytest.mark.parametrize(
    ("check", "fault", "count"),
    [
        ("contradictory", lambda rows: [*rows, turned(rows[0])], 2),
        ("duplicate", lambda rows: [*rows, replace(rows[0], id="again")], 2),
        ("length bias", lambda rows: [longer(row) for row in rows], 24),
        ("ends", lambda rows: [cut(rows[0]), *rows[1:]], 1),
    ],
)
def test_a_fault_is_a_warning_with_its_count(
    check: str, fault: Callable[[list[EncodedPolicyRow]], list[EncodedPolicyRow]], count: int
) -> None:
    rows = exact_rows(12)
    finding = found(rows, fault([encoded(row) for row in rows]))[check]
    assert (finding.severity, finding.count) == ("warning", count)


def test_prefixes_need_no_end() -> None:
    rows = exact_rows(4)
    given = [replace(cut(encoded(row)), ends=False) for row in rows]
    assert found(rows, given)["ends"].severity == "fine"


def test_answers_without_ids_are_counted() -> None:
    rows = exact_rows(4)
    unknown = [replace(rows[0], chosen=replace(rows[0].chosen, token_ids=())), *rows[1:]]
    finding = found(unknown, [encoded(row) for row in rows])["token ids"]
    assert (finding.severity, finding.count, finding.first) == ("warning", 1, "row-0")


def test_what_is_left_out_is_told_by_reason() -> None:
    rows = exact_rows(4)
    counts = Counter({"rejected: too long": 3})
    findings = examine_rows(rows, [encoded(row) for row in rows], counts, END, 64)
    assert findings.checks[0].message == "rejected: too long 3; max_length is 64"
    assert findings.lengths["limit"] == 64
