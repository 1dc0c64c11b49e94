from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.policy.policies import exact_rows
from trainer.feedback.serving import Weights
from trainer.pairs.policy_row import PolicyRow
from trainer.policy.encoded import EncodedAnswer, EncodedPolicyRow
from trainer.policy.reference import texts_of
from trainer.policy.sampler_gap import sampler_gap

REFERENCE = Weights(Path(), "the reference", "its template")


def sampled(count: int, gap: float, **changes: str) -> list[EncodedPolicyRow]:
    """Rows whose sampler is `gap` nats a token below a reference of -1 everywhere."""

    def encoded(row: PolicyRow) -> EncodedPolicyRow:
        answers = [
            EncodedAnswer(
                answer.id,
                array("i", answer.token_ids),
                array("f", [-1.0 - gap - 0.01 * (number % 2) for number in answer.token_ids]),
            )
            for answer in (row.chosen, *row.rejected)
        ]
        ids = array("i", row.prompt_ids)
        found = EncodedPolicyRow(row.id, row.group, "", ids, answers[0], tuple(answers[1:]))
        return replace(found, **changes)  # type: ignore[arg-type]

    return [encoded(row) for row in exact_rows(count)]


def reference(rows: list[EncodedPolicyRow]) -> dict[str, "array[float]"]:
    return {key: array("f", [-1.0] * len(ids)) for key, (_, ids) in texts_of(rows).items()}


def test_pairs_of_another_policy_are_warned_of_with_the_measured_gap() -> None:
    rows = sampled(20, 0.3, sampler="another", template="its template")
    found = sampler_gap(rows, reference(rows), REFERENCE)
    assert found.of_others == 20
    assert found.gap
    assert found.gap.low < found.gap.value < found.gap.high
    assert found.gap.value == pytest.approx(0.305, abs=0.003)
    (finding,) = found.findings
    assert finding.severity == "warning"
    assert "20 of 20 rows were not sampled by the reference" in finding.message
    assert "reference less sampler is +0.30" in finding.message


def test_rounding_of_the_sampler_is_no_warning() -> None:
    rows = sampled(20, 0.002, sampler="the reference", template="its template")
    (finding,) = sampler_gap(rows, reference(rows), REFERENCE).findings
    assert finding.severity == "fine"
    assert "the reference sampled all rows" in finding.message


def test_an_unknown_sampler_is_known_by_its_gap() -> None:
    for gap, severity in ((0.3, "warning"), (0.002, "fine")):
        rows = sampled(20, gap)
        (finding,) = sampler_gap(rows, reference(rows), REFERENCE).findings
        assert finding.severity == severity


def test_another_template_is_warned_of() -> None:
    rows = sampled(4, 0.0, sampler="the reference", template="another")
    findings = sampler_gap(rows, reference(rows), REFERENCE).findings
    assert [found.check for found in findings] == ["sampler", "sampler's template"]
    assert findings[1].count == 4


def test_rows_without_log_probs_are_told() -> None:
    rows = [
        replace(
            row,
            chosen=replace(row.chosen, log_probs=array("f")),
            rejected=tuple(replace(answer, log_probs=array("f")) for answer in row.rejected),
        )
        for row in sampled(4, 0.0)
    ]
    found = sampler_gap(rows, reference(rows), REFERENCE)
    assert found.gap is None
    assert "the gap is not known" in found.findings[0].message
