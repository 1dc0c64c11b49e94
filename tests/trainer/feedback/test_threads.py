"""Results come in order; an error ends the work."""

import threading

import pytest

from trainer.feedback.threads import in_threads


def test_results_are_in_order() -> None:
    assert in_threads(lambda n: n * n, range(50), 4, what="square", unit="n") == [
        n * n for n in range(50)
    ]


def test_after_an_error_nothing_more_begins() -> None:
    begun, never = [], threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise ValueError("broken")
        never.wait(0.05)

    with pytest.raises(ValueError, match="broken"):
        in_threads(work, range(100), 2, what="work", unit="n")
    assert len(begun) < 100
