import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.synthesis.corpus import asking, make_corpus, snippet
from tests.trainer.synthesis.server import serving
from trainer.pairs.row import SPLITS, PreferenceRow, Rejected, read_pairs
from trainer.pipeline.stage import StageError, read_manifest
from trainer.synthesis import combine, describe, respond
from trainer.synthesis.combine import LlmPairsConfig, paired
from trainer.synthesis.describe import DescribeConfig, Description
from trainer.synthesis.filters import AnswerLimits
from trainer.synthesis.respond import RespondConfig, Response, read_responses

ASKED = Description("d", "package", "python", "Add two numbers.")
STRONG = "```python\ndef add(a, b):\n    return a + b\n```"
WEAK = "def add(numbers):\n    total = 0\n    return total"
BROKEN = "def plus(left, right:\n    while left:\n        left -= 1\n    return (right +"
PROSE = "It adds them both and returns."


def responses(*texts: str, end: str = "stop") -> list[Response]:
    return [Response("d", sample, text, end) for sample, text in enumerate(texts)]


def pair(
    strong: list[Response], weak: list[Response], **options: float
) -> tuple[list[PreferenceRow], Counter[str]]:
    counts: Counter[str] = Counter()
    return list(paired(ASKED, strong, weak, LlmPairsConfig(**options), counts)), counts  # type: ignore[arg-type]


def test_the_strong_answer_is_chosen() -> None:
    (row,), counts = pair(responses(STRONG), responses(WEAK, BROKEN))
    rivals = (Rejected("weak", WEAK), Rejected("weak", BROKEN))
    chosen = "def add(a, b):\n    return a + b"
    assert row == PreferenceRow("d-0", "package", ASKED.text, chosen, rivals, source="llm")
    assert counts == {"strong: fit": 1, "weak: fit": 2, "pair: kept": 2, "row: kept": 1}


def test_many_on_both_sides_are_rows_of_many() -> None:
    other = "def add(first, second):\n    both = [first, second]\n    return sum(both)"
    rows, _ = pair(responses(STRONG, other), responses(WEAK, BROKEN))
    assert [(row.id, len(row.rejected)) for row in rows] == [("d-0", 2), ("d-1", 2)]


def test_answers_that_say_the_same_are_no_pair() -> None:
    near = "def add(a, b):\n    return a - b"
    same = "def add(a, b):  # adds\n    return a+b"
    rows, counts = pair(responses(STRONG), responses(near, same))
    assert rows == []
    assert counts["pair: near-identical"] == 1
    assert counts["pair: identical"] == 1
    assert counts["row: nothing rejected"] == 1
    assert len(pair(responses(STRONG), responses(near), similarity=0.99)[0]) == 1


def test_a_side_without_answers_makes_no_row() -> None:
    assert pair([], responses(WEAK))[0] == []
    rows, counts = pair(responses(STRONG), [])
    assert rows == []
    assert counts["row: nothing rejected"] == 1


@given(
    st.lists(st.sampled_from(["", STRONG, WEAK, BROKEN, PROSE, "I'm sorry."]), max_size=6),
    st.lists(st.sampled_from(["", STRONG, WEAK, BROKEN, PROSE, "As an AI, no"]), max_size=6),
)
def test_every_response_ends_in_one_count_and_every_pair_differs(
    strong: list[str], weak: list[str]
) -> None:
    rows, counts = pair(responses(*strong), responses(*weak))
    by_side = {side: sum(n for k, n in counts.items() if k.startswith(side)) for side in SIDES}
    assert by_side == {"strong: ": len(strong), "weak: ": len(weak)}
    compared = sum(n for name, n in counts.items() if name.startswith("pair: "))
    assert compared == counts["strong: fit"] * counts["weak: fit"]
    assert counts["pair: kept"] == sum(len(row.rejected) for row in rows)
    assert len({row.id for row in rows}) == len(rows) == counts["row: kept"]
    assert all(rival.text != row.chosen for row in rows for rival in row.rejected)


SIDES = ("strong: ", "weak: ")


def answering(prompt: str, seed: int | None) -> str:
    if "```" in prompt:
        match = re.search(r"add_(\d+)", prompt)
        return f"Add two numbers and {match[1]}." if match else ""
    number = prompt.split("and ")[1].split(".")[0]
    return f"Here:\n```python\ndef strong_{number}(a, b):\n    return a + b + {number}\n```"


def weakly(prompt: str, seed: int | None) -> str:
    return f"def weak(x):\n    y = {len(prompt)}\n    while y:\n        y -= {seed}"


def run_all(work: Path, strong: str, weak: str, samples: int = 2) -> None:
    describe.run(DescribeConfig(asking(strong)), work, work / "describe")
    respond.run(RespondConfig(asking(strong)), work, work / "strong")
    respond.run(RespondConfig(asking(weak, "small", samples)), work, work / "weak")
    combine.run(LlmPairsConfig(evaluation_share=0.4), work, work / "llm_pairs")


def test_from_a_corpus_to_pairs_that_training_reads(tmp_path: Path) -> None:
    make_corpus(tmp_path, [snippet(number) for number in range(30)])
    with serving(answering) as strong, serving(weakly) as weak:
        run_all(tmp_path, strong.url, weak.url)
    rows = {split: read_pairs(tmp_path / "llm_pairs", split) for split in SPLITS}
    assert sum(map(len, rows.values())) == 30
    shares = LlmPairsConfig(evaluation_share=0.4)
    for split, found in rows.items():
        assert all(shares.split_of(row.group) == split for row in found)
        for row in found:
            number = str(row.prompt).split("and ")[1].rstrip(".")
            assert row.id.startswith(f"{int(number):016x}")
            assert f"strong_{number}(" in row.chosen
            assert len(row.rejected) == 2
    manifest = read_manifest(tmp_path / "llm_pairs")
    assert manifest["counts"]["pair: kept"] == 60
    assert 0 <= manifest["longer_is_chosen"]["train"] <= 1
    assert manifest["inputs"].keys() == {"describe", "strong", "weak"}


def test_responses_keep_everything_the_model_said(tmp_path: Path) -> None:
    make_corpus(tmp_path, [snippet(1)])
    with serving(answering) as strong, serving(weakly) as weak:
        run_all(tmp_path, strong.url, weak.url)
    (said,) = read_responses(tmp_path / "strong")
    assert said.text.startswith("Here:")
    counts = read_manifest(tmp_path / "weak")["counts"]
    assert counts == {"responses": 2, "not answered yet": 0}


def test_sides_that_answered_other_descriptions_are_refused(tmp_path: Path) -> None:
    make_corpus(tmp_path, [snippet(number) for number in range(5)])
    with serving(answering) as strong, serving(weakly) as weak:
        run_all(tmp_path, strong.url, weak.url)
        fewer = DescribeConfig(asking(strong.url), max_snippets=3, limits=AnswerLimits())
        describe.run(fewer, tmp_path, tmp_path / "describe")
    with pytest.raises(
        StageError, match="describe has changed since strong read it: run strong again"
    ):
        combine.run(LlmPairsConfig(), tmp_path, tmp_path / "llm_pairs")
