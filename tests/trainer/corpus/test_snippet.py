from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.corpus.snippets import snippet
from trainer.corpus.snippet import read_snippets, write_snippets
from trainer.pipeline.stage import StageError


def test_shards_are_read_back_in_order(tmp_path: Path) -> None:
    written = [snippet(f"source {n}") for n in range(7)]
    write_snippets(tmp_path, iter(written), 3)
    (tmp_path / "manifest.json").write_text("{}")
    assert len(list(tmp_path.glob("snippets-*.jsonl"))) == 3
    assert read_snippets(tmp_path) == written


@pytest.mark.parametrize(
    ("signature", "method"), [("f(self, a)", True), ("f(cls)", True), ("f(selfish)", False)]
)
def test_a_method_is_known_by_its_first_argument(signature: str, method: bool) -> None:
    assert replace(snippet("x"), signature=signature).is_method is method


def test_an_unfinished_stage_is_no_empty_corpus(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="run `python -m trainer"):
        read_snippets(tmp_path)
