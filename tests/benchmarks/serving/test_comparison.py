"""Servers are compared turn by turn, and only when they agree about the scores."""

import pytest

from benchmarks.harness.load import Replay, Reply
from benchmarks.harness.page import Page
from benchmarks.inputs.texts import Texts
from benchmarks.inputs.traces import Request
from benchmarks.serving.comparison import OURS, Measured, compare
from benchmarks.serving.page import plot, report
from reward_model.packing import Sequence

_TEXTS = Texts(Request("p", ("x",)), ("x",), (Sequence((1, 2, 3, 4), (3,)),))
_TRACE = "best-of-16 P=600"


def _measured(
    server: str, turn: int, seconds: float, scores: list[float | None], place: int = 0
) -> Measured:
    reply = Reply(_TEXTS, scores, seconds / 2)
    return Measured(server, turn, {_TRACE: Replay({place: reply}, seconds)}, 1.0, 100.0)


def test_rates_latencies_and_ratios() -> None:
    measured = [
        _measured(OURS, 0, 1.0, [0.5]),
        _measured("vLLM", 0, 4.0, [0.5001]),
        _measured("vLLM", 1, 2.0, [0.5]),
        _measured(OURS, 1, 1.0, [0.5]),
    ]
    found = compare(measured, tolerance=1e-3)
    assert found.gap == pytest.approx(1e-4)
    assert (found.servers, found.traces) == ([OURS, "vLLM"], [_TRACE])
    assert found.row(OURS, _TRACE).token_rate == 4.0
    assert found.row("vLLM", _TRACE).p50 == 1.5
    faster, sooner = found.faster("vLLM", _TRACE), found.sooner("vLLM", _TRACE)
    assert (faster.median, faster.low, faster.high) == (3.0, 2.0, 4.0)
    assert (sooner.low, sooner.high) == (2.0, 4.0)


@pytest.mark.parametrize("score", [0.6, None])
def test_servers_that_disagree_are_not_compared(score: float | None) -> None:
    measured = [_measured(OURS, 0, 1.0, [0.5]), _measured("vLLM", 0, 1.0, [score])]
    with pytest.raises(RuntimeError, match="apart"):
        compare(measured, tolerance=1e-3)


def test_the_page_says_whether_aims_are_met() -> None:
    measured = [_measured(OURS, 0, 1.0, [0.5]), _measured("naive", 0, 3.0, [0.5])]
    found, page = compare(measured, tolerance=1e-3), Page("name", "Title")
    report(page, found)
    assert "3.00 [3.00, 3.00] | 4.0 | **not met**" in page.parts[-1]
    assert plot(found).axes
