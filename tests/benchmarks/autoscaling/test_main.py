"""The simulated cluster and autoscaler do what arithmetic says they must."""

import random
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.autoscaling.__main__ import policies
from benchmarks.autoscaling.arrivals import Arrival, read_arrivals, write_arrivals
from benchmarks.autoscaling.cluster import Cluster, Observation, multiply
from benchmarks.autoscaling.record_arrivals import Day
from benchmarks.autoscaling.scaling import SYNC, Autoscaler, Signal, busy, request_rate, work
from benchmarks.autoscaling.simulation import simulate
from benchmarks.inputs.corpus import Writer
from tests.benchmarks.corpora import CORPUS
from tests.checkpoints import make_tokenizer

STEADY = [Arrival(float(second), 70) for second in range(3600)]
"""At 100 tokens a second: 0.7 of one replica, for an hour."""


def cluster(speed: float = 100.0, startup: float = 60.0) -> Cluster:
    return Cluster(speed, startup, random.Random(0))


def test_a_request_takes_its_tokens_over_the_speed() -> None:
    one = cluster()
    one.begin(1)
    assert one.serve(Arrival(0.0, 200)) == 2.0
    assert one.serve(Arrival(1.0, 100)) == 2.0  # a second of waiting, a second of work
    seen = one.observe(1.0)
    assert (seen.work, seen.under_way, seen.busy, seen.requests) == (2.0, 2, 1.0, 2)


def test_a_replica_serves_when_it_has_started() -> None:
    one = cluster(startup=60.0)
    one.begin(1)
    one.resize(2, now=0.0)
    before = [one.serve(Arrival(59.0, 100)) for _ in range(4)]
    assert before == [1.0, 2.0, 3.0, 4.0]
    after = [one.serve(Arrival(100.0, 100)) for _ in range(40)]
    assert max(after) < 40


def test_a_replica_that_leaves_finishes_what_it_has_and_is_paid_for_it() -> None:
    one = cluster()
    one.begin(2)
    for _ in range(20):
        one.serve(Arrival(0.0, 100))
    kept = one.replicas[0].backlog(0.0)
    one.resize(1, now=0.0)
    assert one.paid == 20 - kept
    assert one.observe(0.0).busy == 0.0
    assert one.observe(100.0).busy == 20.0


def test_a_steady_load_gets_the_replicas_that_it_needs() -> None:
    scaler = Autoscaler((Signal(busy, 0.35),), min_replicas=1, max_replicas=10)
    outcome, sizes = simulate("steady", STEADY, cluster(), scaler, begin=1)
    assert {count for _, count in sizes[-60:]} == {2}
    assert outcome.replica_hours == pytest.approx(2, abs=0.1)


def test_no_autoscaler_changes_nothing() -> None:
    outcome, sizes = simulate("always 3", STEADY, cluster(), None, begin=3)
    assert {count for _, count in sizes} == {3}
    assert outcome.changes == 0
    assert outcome.replica_hours == pytest.approx(3, abs=0.02)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60))
def test_the_number_stays_within_bounds_and_policies(loads: list[float]) -> None:
    scaler = Autoscaler((Signal(work, 5.0),), min_replicas=2, max_replicas=12)
    current = 2
    for tick, load in enumerate(loads):
        seen = Observation(tick * SYNC, load, 0, 0.0, 0)
        wanted = scaler.decide(current, seen)
        assert 2 <= wanted <= 12
        assert wanted <= max(2 * current, current + 4)
        current = wanted


def test_replicas_stay_for_the_stabilisation_window() -> None:
    scaler = Autoscaler((Signal(work, 5.0),), min_replicas=1, max_replicas=12, stabilization=300.0)
    current = 1
    counts = []
    for tick in range(60):
        load = 40.0 if tick < 4 else 0.0
        current = scaler.decide(current, Observation(tick * SYNC, load, 0, 0.0, 0))
        counts.append(current)
    assert max(counts) == 8
    last = max(tick for tick, count in enumerate(counts) if count == 8)
    assert 300 <= (last - 4) * SYNC <= 300 + 3 * SYNC
    assert counts[-1] == 1


def test_rates_are_over_a_minute() -> None:
    history = deque(Observation(at, 0.0, 0, at / 2, int(3 * at)) for at in (0.0, 30.0, 60.0, 90.0))
    assert busy(history) == 0.5
    assert request_rate(history) == 3.0


def test_a_multiplied_trace_has_the_same_requests_so_many_times() -> None:
    few = [Arrival(0.0, 1), Arrival(1.0, 5)]
    many = multiply(few, stretch=10, copies=3, shift=2.0, rng=random.Random(0))
    assert [one.tokens for one in many] == [1, 1, 1, 5, 5, 5]
    assert all(10 <= one.seconds <= 12 for one in many[3:])


def test_targets_come_from_the_beginning_of_the_trace() -> None:
    longer = [Arrival(float(n), 10 if n < 25 else 1000) for n in range(100)]
    found = {policy.name: policy for policy in policies(longer, speed=10.0)}
    assert found["requests a second"].signals[0].target == pytest.approx(0.7)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_a_log_is_read_by_when_requests_came(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"log{suffix}"
    if suffix == ".jsonl.gz":
        write_arrivals([Arrival(0.0, 5), Arrival(1.5, 7)], file)
    else:
        file.write_text(
            '{"time": "2026-01-01T00:00:09.500+00:00", "computed_tokens": 7, "total_ms": 8000}\n'
            "Ready. Try it\n"
            '{"time": "2026-01-01T00:00:01.000+00:00", "message": "ready"}\n'
            '{"time": "2026-01-01T00:00:02.000+00:00", "computed_tokens": 5, "total_ms": 2000}\n'
        )
    assert read_arrivals(file) == [Arrival(0.0, 5), Arrival(1.5, 7)]


def test_a_log_without_requests_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"time": "2026-01-01T00:00:01+00:00"}\n')
    with pytest.raises(ValueError, match="log-level info"):
        read_arrivals(tmp_path / "log.jsonl")


def test_a_day_has_its_three_kinds_of_clients() -> None:
    writer = Writer(CORPUS, make_tokenizer().backend_tokenizer)
    day = Day(writer, random.Random(1), seconds=60.0)
    assert {len(request.candidates) for _, request in day.people()} == {1}
    for at, request in day.reranking():
        assert len(request.candidates) == (48 if at > 0.7 * 60 else 16)
    steps = [at for at, _ in day.reinforcement()]
    assert len(set(steps)) == 12
    assert len(steps) == 48
    assert 0.45 * 60 <= min(steps) < max(steps) < 0.65 * 60
