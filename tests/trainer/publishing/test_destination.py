from pathlib import Path

import pytest

from trainer.pipeline.stage import StageError
from trainer.publishing.destination import require_whole
from trainer.publishing.store import open_store


def test_files_that_did_not_arrive_are_named(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "whole").write_text("same")
    (here / "part").write_text("all of it")
    (there / "part").write_text("all")
    destination = open_store(str(there))
    require_whole(destination, here, ["whole"])
    with pytest.raises(StageError, match="there: part did not arrive whole: push again"):
        require_whole(destination, here, ["whole", "part"])
