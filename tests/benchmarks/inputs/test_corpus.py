import random
from pathlib import Path

import pytest

from benchmarks.inputs.corpus import Writer, read_corpus
from tests.benchmarks.corpora import CORPUS, write_corpus
from tests.checkpoints import make_tokenizer


def test_texts_are_read_once_each(tmp_path: Path) -> None:
    found = read_corpus(write_corpus(tmp_path))
    assert found.problems == CORPUS.problems
    assert found.solutions == CORPUS.solutions[: len(found.solutions)]
    assert read_corpus(tmp_path / "candidates") == found


@pytest.mark.parametrize("tokens", [1, 7, 300])
def test_a_text_has_about_as_many_tokens_as_asked_for(tokens: int) -> None:
    tokenizer = make_tokenizer().backend_tokenizer
    text = Writer(CORPUS, tokenizer).prompt(random.Random(0), tokens)
    assert abs(len(tokenizer.encode(text).ids) - tokens) <= 1
