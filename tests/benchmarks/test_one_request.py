import sys
from pathlib import Path

import pytest

from benchmarks.harness.processes import SERVED
from benchmarks.one_request import Sample, main, timings
from tests.benchmarks.corpora import write_corpus


def test_the_steps_of_a_request_add_up_to_its_time() -> None:
    phases = timings("admit;dur=1.0, encode;dur=2.0, queue;dur=3.0, infer;dur=14.5, total;dur=21.0")
    steps = Sample(250, 25.0, phases, 0.5, 12.0, {}, 30.0).steps()
    assert sum(steps.values()) == pytest.approx(25.0)
    assert min(steps.values()) > 0


def test_a_service_is_measured_and_the_page_says_where_its_time_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    sizes = ["--hidden", "64", "--layers", "1", "--requests", "3"]
    arguments = ["--data", str(write_corpus(tmp_path)), *sizes, "--page", str(page)]
    monkeypatch.setattr(sys, "argv", ["one_request", *arguments])
    for name, value in SERVED.items():
        monkeypatch.setenv(name, value)
    main()
    text = page.read_text()
    for row in ("linear layers", "the forward alone", "**from the last byte to the first**"):
        assert f"| {row} |" in text
