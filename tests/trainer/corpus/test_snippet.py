import json
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


def test_snippets_written_before_there_were_languages_still_load(tmp_path: Path) -> None:
    keys = ("id", "package", "license", "path", "name", "signature", "docstring", "source")
    (tmp_path / "snippets.jsonl").write_text(json.dumps(dict.fromkeys(keys, "x")) + "\n")
    (tmp_path / "manifest.json").write_text("{}")
    (old,) = read_snippets(tmp_path)
    assert (old.language, old.sha256) == ("python", "")


def test_an_unfinished_stage_is_no_empty_corpus(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="run `python -m trainer"):
        read_snippets(tmp_path)
