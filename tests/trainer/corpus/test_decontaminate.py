import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.corpus.snippets import snippet
from trainer.corpus.decontaminate import EvaluationNgrams, EvaluationSet, index_evaluation_sets
from trainer.pipeline.stage import StageError

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
SECRET = "def is_even(number): remainder = number % 2; return remainder == 0 and number > 0"
TEXTS = st.lists(st.sampled_from("abc"), max_size=12).map(" ".join)


@given(TEXTS, TEXTS, st.integers(1, 4))
def test_exactly_those_that_share_a_run_are_hit(secret: str, text: str, words: int) -> None:
    protected = EvaluationNgrams(words, words)
    protected.add("set", [secret])
    length = 2 * words - 1  # of that many letters and blanks
    runs = {secret[i : i + length] for i in range(0, len(secret) - length + 1, 2)}
    shared = any(run in text for run in runs)
    assert (protected.overlap(snippet(text)) is not None) is shared
    assert (protected.overlap(snippet("", docstring=text)) is not None) is shared


def test_layout_punctuation_and_case_hide_nothing() -> None:
    protected = EvaluationNgrams(8, 8)
    protected.add("set", [SECRET])
    hidden = SECRET.replace("; ", "\n\n    ").replace("number", "Number").replace("%", " %")
    assert protected.overlap(snippet(hidden)) == "set"
    assert protected.overlap(snippet(SECRET.replace("remainder", "rest"))) is None


def test_a_short_text_is_protected_whole_and_a_shorter_one_is_counted() -> None:
    protected = EvaluationNgrams(13, 5)
    protected.add("set", ["one two three four five six", "one two three"])
    assert protected.overlap(snippet("zero one two three four five six seven")) == "set"
    assert protected.overlap(snippet("one two three four five")) is None
    assert protected.facts == {"set": {"texts": 2, "too_short": 1}}


def test_a_run_of_two_sets_is_the_first_ones() -> None:
    protected = EvaluationNgrams(3, 3)
    protected.add("first", ["a b c"])
    protected.add("second", ["a b c d"])
    assert protected.overlap(snippet("a b c")) == "first"
    assert protected.overlap(snippet("b c d")) == "second"


def test_columns_may_hold_lists_and_files_may_be_packed_or_plain(tmp_path: Path) -> None:
    row = {"text": "a b c", "tests": [{"code": "d e f"}], "other": "g h i"}
    (tmp_path / "set.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    (tmp_path / "plain.txt").write_text("j k l")
    sets = [
        EvaluationSet("rows", "set.jsonl.gz", ("text", "tests")),
        EvaluationSet("plain", "*.txt"),
    ]
    protected = index_evaluation_sets(sets, 3, 3, tmp_path)
    hits = [protected.overlap(snippet(text)) for text in ("a b c", "d e f", "g h i", "j k l")]
    assert hits == ["rows", "rows", None, "plain"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"a": "x"}\n', "no text in columns"),
        ("{\n", "line 1: not JSON"),
        ('{"b": "x"}\n{\n', "line 2: not JSON"),
    ],
)
def test_a_set_that_protects_nothing_is_an_error(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "set.jsonl").write_text(lines)
    with pytest.raises(StageError, match=message):
        index_evaluation_sets([EvaluationSet("set", "set.jsonl", ("text",))], 3, 3, tmp_path)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the open data sets beside the checkout")
def test_a_solution_of_mbpp_is_found() -> None:
    mbpp = EvaluationSet("mbpp", "mbpp/mbpp.jsonl.gz", ("text", "code", "test_list"))
    protected = index_evaluation_sets([mbpp], 13, 8, DATA)
    with gzip.open(DATA / "mbpp" / "mbpp.jsonl.gz", "rt") as rows:
        codes = [json.loads(line)["code"] for line in rows]
    hits = sum(protected.overlap(snippet(code)) == "mbpp" for code in codes)
    assert hits >= 0.95 * len(codes)
