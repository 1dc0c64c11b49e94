"""What counts as lost or changed."""

import json

import pytest

from benchmarks.harness.ledger import Ledger
from benchmarks.harness.processes import Memory, settle
from benchmarks.inputs.mix import Order
from benchmarks.inputs.traces import Request

_ORDER = Order("too long", Request("p", ("x", "y" * 9)), errors={1: "too_long"})


def _answer(score: float, code: str | None) -> bytes:
    rows = [
        {"score": score, "error": None},
        {"score": None if code else 0.0, "error": {"code": code} if code else None},
    ]
    return json.dumps({"results": [{"scores": rows}]}).encode()


def test_a_score_is_compared_with_its_first() -> None:
    ledger = Ledger()
    for score in (1.0, 1.25, 1.125):
        ledger.enter(_ORDER, _answer(score, "too_long"))
    assert (ledger.compared, ledger.largest_change) == (2, 0.25)
    assert ledger.answered["too long"] == 3
    assert not ledger.faults


def test_what_should_be_too_long_must_be_answered_so() -> None:
    ledger = Ledger()
    ledger.enter(_ORDER, _answer(1.0, None))
    assert ledger.faults.total() == 1


def test_memory_is_judged_after_the_first_minute() -> None:
    memory = Memory([(float(second), 100.0 if second < 60 else 200.0) for second in range(300)])
    steady = settle(memory)
    assert (steady.min, steady.max) == (200.0, 200.0)
    assert steady.growth == pytest.approx(0)
    growing = settle(Memory([(float(second), 100.0 + second) for second in range(300)]))
    assert growing.growth == pytest.approx(60 / 160)
