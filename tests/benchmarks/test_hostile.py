"""A few attacks, small, against the real server; and what counts as withstood."""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest

from benchmarks.harness.processes import running
from benchmarks.harness.servers import ours
from benchmarks.hostile.__main__ import Outcome, suffer

_HELD = Outcome("lists", {"400": 2}, 1.0, 0.1, 500.0, 900.0, 600.0, 50.0, 0.2, {})


@pytest.mark.parametrize(
    ("outcome", "held"),
    [
        (_HELD, True),
        (replace(_HELD, silence=1.1), False),
        (replace(_HELD, after=801.0), False),
        (replace(_HELD, pause=5.1), False),
    ],
)
def test_an_attack_is_withstood_if_nobody_else_notices(outcome: Outcome, held: bool) -> None:
    assert outcome.held == held


def test_a_served_model_withstands_small_attacks() -> None:
    expected = {
        "lists 60 deep": {"400": 2},
        "long delimiter": {"422": 2},
        "turns x candidates": {"200": 2},
        "token ids": {"422": 2},
    }
    attacker = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    with running(ours(None)) as server, attacker:
        for name, answers in expected.items():
            outcome = asyncio.run(suffer(server, name, 1_000_000, attacker))
            assert outcome.answers == answers
            assert outcome.held, outcome
            assert not outcome.faults
